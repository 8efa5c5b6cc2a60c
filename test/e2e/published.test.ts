/** Published files as data, and a published recipe's options, as a user runs them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { lastLine, runHere } from "../support/program.ts";
import { publishedWriters } from "../support/published-data.ts";
import { temporaryFolder, writeSmallHub } from "../support/small-hub.ts";

let folder: string;
let train: string[];

before(async () => {
  folder = temporaryFolder();
  const cars = join(folder, "cars");
  await publishedWriters["stanford-cars"]?.(cars);
  const options = ["--image-size", "24", "--batch-size", "4", "--validation-fraction", "0.25", "--k", "2", "--json"];
  train = ["train", "--hub", writeSmallHub(folder), "--data", `stanford-cars:${cars}`, ...options];
});

const run = (...args: string[]) => runHere(args, join(folder, "cache"));

test("data ls and data check know the published data sets", async () => {
  const listed = await run("data", "ls", "--json");
  assert.equal(listed.code, 0, listed.stderr);
  const published = lastLine(listed.stdout)["published"] as { name: string }[];
  assert.ok(published.some((one) => one.name === "cifar-100"));
  assert.match(listed.stderr, /--data NAME:FOLDER/);
  const checked = await run("data", "check", `stanford-cars:${join(folder, "cars")}`, "--json");
  assert.equal(checked.code, 0, checked.stderr);
  assert.equal(lastLine(checked.stdout)["images"], 24);
  const wrong = await run("data", "check", `cifar-100:${join(folder, "cars")}`);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /holds no CIFAR-100/);
  assert.doesNotMatch(wrong.stderr, /\n\s+at /);
});

test("train with sgd for so many steps, then eval over ten crops", async () => {
  const out = join(folder, "run");
  const trained = await run(
    ...train,
    "--optimizer",
    "sgd",
    "--lr",
    "0.01",
    "--iterations",
    "5",
    "--augment",
    "crops",
    "--out",
    out,
  );
  assert.equal(trained.code, 0, trained.stderr);
  const { options } = JSON.parse(readFileSync(join(out, "run.json"), "utf8")) as { options: Record<string, unknown> };
  assert.equal(options["optimizer"], "sgd");
  assert.equal(options["iterations"], 5);
  const events = readFileSync(join(out, "events.jsonl"), "utf8").trim().split("\n");
  const begun = events
    .map((line) => JSON.parse(line) as Record<string, number>)
    .find((event) => String(event["type"]) === "fit");
  assert.equal(options["epochs"], Math.ceil(5 / (begun?.["steps"] ?? 0)));
  const plain = lastLine((await run("eval", out, "--split", "test", "--json")).stdout);
  const cropped = await run("eval", out, "--split", "test", "--ten-crop", "--json");
  assert.equal(cropped.code, 0, cropped.stderr);
  const result = lastLine(cropped.stdout);
  assert.equal(result["items"], plain["items"]);
  assert.notEqual(result["logLoss"], plain["logLoss"]);
  assert.match(readFileSync(join(out, "ledger.jsonl"), "utf8"), /"tenCrop":true/);
});

test("options that say two things are refused", async () => {
  for (const [more, pattern] of [
    [["--epochs", "2", "--iterations", "5"], /--iterations and --epochs both/],
    [["--iterations", "0"], /'--iterations <n>' argument '0' is invalid/],
    [["--optimizer", "adam"], /adamw, sgd/],
  ] as const) {
    const refused = await run(...train, ...more, "--out", join(folder, "refused"));
    assert.equal(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, pattern);
  }
  const plain = join(folder, "plain");
  const trained = await run(...train, "--epochs", "1", "--out", plain);
  assert.equal(trained.code, 0, trained.stderr);
  const { options } = JSON.parse(readFileSync(join(plain, "run.json"), "utf8")) as { options: object };
  assert.ok(!("optimizer" in options) && !("iterations" in options));
});

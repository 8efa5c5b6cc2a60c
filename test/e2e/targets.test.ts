/** Images with several labels or with numbers, through all that a user does with a run. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { Predictor, train } from "../../src/library/index.ts";
import { UserError } from "../../src/torch/index.ts";
import { lastLine, runHere } from "../support/program.ts";
import { temporaryFolder, writeSmallHub } from "../support/small-hub.ts";
import { writeLabelImages, writeNumberImages } from "../support/target-images.ts";

let folder: string;
let hub: string;
let labels: string;
let places: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeSmallHub(folder);
  labels = await writeLabelImages(folder, 64);
  places = await writeNumberImages(folder, 60);
});

const run = (...args: string[]) => runHere(args, join(folder, "cache"));

async function succeeds(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const outcome = await run(...args);
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

async function refused(pattern: RegExp, ...args: string[]): Promise<void> {
  const { code, stderr } = await run(...args);
  assert.equal(code, 2, stderr);
  assert.match(stderr, pattern);
  assert.equal(
    stderr
      .trim()
      .split("\n")
      .filter((line) => line.startsWith("error")).length,
    1,
    stderr,
  );
}

const small = ["--image-size", "24", "--batch-size", "16", "--lr", "0.01", "--k", "2"];

test("several labels: trained, resumed, measured, predicted and reported", async () => {
  const out = join(folder, "labels");
  const weights = ["--class-weights", "balanced", "--sampling", "balanced"];
  const trained = await succeeds("train", labels, "--hub", hub, "--out", out, ...small, "--epochs", "7", ...weights);
  assert.match(trained.stderr, /3 labels: \d+ to train/);
  assert.match(trained.stderr, /validation mAP \d/);
  assert.match(trained.stdout, /^validation mean average precision [01]\.\d{3} on \d+ images; F1 /);
  const longer = await succeeds("train", "--resume", out, "--epochs", "8", "--json");
  const figures = lastLine(longer.stdout);
  // Three shapes are easier to tell than to guess: half of the images have each.
  assert.ok((figures["meanAveragePrecision"] as number) > 0.6, longer.stdout);
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /Labels, the worst first/);

  const measured = lastLine((await succeeds("eval", out, "--split", "test", "--json")).stdout);
  assert.deepEqual(
    (measured["labels"] as { name: string }[]).map(({ name }) => name),
    ["circle", "cross", "square"],
  );
  assert.match(readFileSync(join(out, "ledger.jsonl"), "utf8"), /"meanAveragePrecision"/);

  const table = join(folder, "answers.csv");
  const images = ["0", "7"].map((name) => join(folder, "shapes", `${name}.png`));
  const said = await succeeds("predict", out, ...images, "--csv", table);
  assert.equal(said.stdout.trim().split("\n").length, 2);
  assert.match(said.stdout, /7\.png {2}.*\d %.* by small-/);
  const [header, ...rows] = readFileSync(table, "utf8").trim().split("\r\n");
  assert.equal(header, "image,labels,circle,cross,square,members,error");
  assert.equal(rows.length, 2);
  const answered = lastLine((await succeeds("predict", out, ...images, "--json")).stdout);
  using predictor = await Predictor.open(out, { task: "multi-label" });
  const [, expected] = await predictor.predict(images);
  const [, own] = answered["predictions"] as { labels: unknown; top: unknown }[];
  assert.deepEqual(own?.labels, expected?.labels);
  // What an image has is what the table says it has, and is as probable as its threshold at least.
  const stored = JSON.parse(readFileSync(join(out, "model", "model.json"), "utf8")) as {
    task: { thresholds: number[] };
  };
  const cells = rows[1]?.split(",") ?? [];
  const named = ["circle", "cross", "square"].filter(
    (_, c) => Number(cells[2 + c]) >= (stored.task.thresholds[c] ?? 1),
  );
  assert.deepEqual((cells[1] ?? "").split("|").filter(Boolean).sort(), named);

  await succeeds("report", out);
  await refused(/export takes runs that answer with one class/, "export", out, "--out", join(folder, "bundle"));
  assert.ok(!existsSync(join(folder, "bundle")));
  await refused(/--coverage and --max-error go by the probability of one answer/, "eval", out, "--coverage", "0.9");
  await refused(/--mode stacking asks how sure/, "eval", out, "--mode", "stacking");
  await assert.rejects(Predictor.open(out), (error) => {
    return (
      error instanceof UserError && /answers with several labels: open it with the task multi-label/.test(error.message)
    );
  });
});

test("numbers: answers are in the user's units, and the library trains and answers too", async () => {
  const settings = { images: places, hub, out: join(folder, "places"), imageSize: 24, epochs: 10 };
  await assert.rejects(
    train({ ...settings }),
    /an image of places has numbers, and train with the task classification takes one class/,
  );
  const trained = await train({
    ...settings,
    task: "regression",
    method: "fine-tune",
    choices: { member: "small-resnet" },
    options: { batchSize: 16, lr: 0.01 },
  });
  const { r2, numbers, items } = trained.validation;
  assert.ok(Number.isFinite(r2) && items > 0);
  assert.deepEqual(
    numbers.map(({ name }) => name),
    ["value_x", "value_y"],
  );
  // The heights are 1040 to 1260: answers in other units would be off by a thousand.
  assert.ok((numbers[1]?.meanAbsoluteError ?? 1e3) < 60, JSON.stringify(numbers));
  using predictor = await Predictor.open(trained.path, { task: "regression" });
  const { values } = await predictor.predict(join(folder, "dots", "3.png"));
  const table = join(folder, "numbers.csv");
  const said = await succeeds("predict", trained.path, join(folder, "dots", "3.png"), "--csv", table);
  assert.match(said.stdout, /3\.png {2}value_x [\d.]+, value_y 1\d{3}(\.\d+)? {2}by small-resnet/);
  const [header, row] = readFileSync(table, "utf8").trim().split("\r\n");
  assert.equal(header, "image,value_x,value_y,members,error");
  assert.equal(Number(row?.split(",")[2]), values["value_y"]);
  await refused(/--top counts classes/, "predict", trained.path, join(folder, "dots", "3.png"), "--top", "2");

  const measured = lastLine((await succeeds("eval", trained.path, "--json")).stdout);
  assert.equal(measured["r2"], r2);
  assert.match((await succeeds("report", trained.path)).stdout, /value_y: off by/);
  // Other images are measured by the names of their numbers.
  const other = join(folder, "other.csv");
  writeFileSync(other, "file,value_x\ndots/1.png,3\ndots/2.png,4\n");
  const { code, stderr } = await run("eval", trained.path, "--data", other);
  assert.equal(code, 1);
  assert.match(stderr, /"other" lacks the class "value_y", which .* answers with/);
});

test("what does not go with such images is refused before anything is written", async () => {
  const out = join(folder, "none");
  const begin = ["--hub", hub, "--out", out, ...small];
  await refused(
    /has numbers and no class to be balanced: leave out --sampling/,
    "train",
    places,
    ...begin,
    "--sampling",
    "balanced",
  );
  await refused(/has numbers and no class to be weighted/, "train", places, ...begin, "--class-weights", "balanced");
  await refused(
    /the method b-tuning takes one class/,
    "train",
    labels,
    "--hub",
    hub,
    "--out",
    out,
    "--method",
    "b-tuning",
  );
  await refused(/this command takes one class/, "hub", "rank", hub, "--data", labels);
  assert.ok(!existsSync(out));
});

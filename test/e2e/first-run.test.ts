/** The first hour: a folder of images, no options, and what the program says to do next. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { lastLine, runHere, runProgram } from "../support/program.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

const folder = temporaryFolder();
const cache = join(folder, "cache");
const env = { ...process.env, HUB_PATHWAY_CACHE: cache, OMP_NUM_THREADS: "1" };

before(async () => {
  await writeShapeImages(folder, 8);
});

const run = (...args: string[]) => runHere(args, cache, { cwd: folder });
const inShell = (line: string) => execFileSync("sh", ["-c", line], { cwd: folder, env, stdio: "pipe" }).toString();

test("train FOLDER in any folder says what it will do, what each epoch brings, and what to do next", async () => {
  const ended = await runProgram(["train", "images", "--epochs", "2", "--batch-size", "12"], cache, { cwd: folder });
  assert.equal(ended.code, 0, ended.stderr);
  const lines = ended.stderr.trimEnd().split("\n");
  const expected = [
    /^images +3 classes: \d+ to train, \d+ to validate, \d+ to test$/,
    /^size +48 px, as the models take them; pictures are about 32 px$/,
    /^hub +starter, 6 models: resnet-clipart-supervised, .*, convnext-icons-supervised$/,
    /^method +hub-pathway: 2 of 6 models for each image, about 33 % of the cost of all$/,
    /^epochs +2, as asked for; the best one on validation images is kept$/,
    /^running +on cpu with 1 thread, 2 steps$/,
    /^legend .*shares of resnet-clipart-supervised, /,
    /^epoch 1\/2 {2}loss \d\.\d{3} {2}validation \d+\.\d % \* {2}shares (\d+ ){6}% {2}\d+ s/,
    /^epoch 2\/2 /,
  ];
  // Lines of time, decoding and steps only appear on a slow machine.
  const told = lines.filter((line) => !/^(time|decoding) |^epoch \d+\/\d+ step /.test(line));
  for (const [i, pattern] of expected.entries()) assert.match(told[i] ?? "", pattern);
  assert.equal(told.length, expected.length, ended.stderr);
  assert.match(
    ended.stdout,
    /^validation accuracy \d+\.\d % \(95 % interval \d+\.\d to \d+\.\d %, \d+ of \d+ images\)/,
  );
  assert.ok(!(ended.stderr + ended.stdout).includes("\u001b"));

  const next = ended.stdout.trimEnd().split("\nnext:\n")[1]?.split("\n") ?? [];
  for (const line of next) assert.match(line, /runs\/images-1/);
  // The fourth one is there where the same models for every image are enough.
  const [evaluate = "", predict = "", report = "", ...others] = next;
  const isEnough = /for every image (is|are) (enough|better)/.test(ended.stdout);
  assert.equal(others.length, isEnough ? 1 : 0);
  for (const line of others) assert.match(line, / export runs\/images-1 --models .+ --out bundle$/);
  assert.match(inShell(predict), /4\.png {2}(circle|square|stripe)/);
  // The others begin with the same words: the shell splits them, and the program runs here.
  const [program = ""] = predict.split(" predict ");
  for (const line of [evaluate, report, ...others]) {
    assert.ok(line.startsWith(`${program} `), line);
    const args = inShell(`printf '%s\\n' ${line.slice(program.length)}`)
      .trimEnd()
      .split("\n");
    const { code, stderr } = await run(...args);
    assert.equal(code, 0, stderr);
  }
  const again = await run("train", "--config", "runs/images-1/config.yaml", "--epochs", "1", "--quiet", "--json");
  assert.equal(again.stderr.split("\n").filter((line) => /^(images|epoch|legend|time) /.test(line)).length, 0);
  assert.equal(lastLine(again.stdout)["out"], "runs/images-2");
});

test("train LIST trains on the images that it lists; what it says to do next works", async () => {
  const places = readdirSync(join(folder, "images"), { recursive: true, encoding: "utf8" });
  const rows = places.filter((path) => /\.png$/.test(path)).map((path) => `images/${path},${dirname(path)}`);
  writeFileSync(join(folder, "labels.csv"), ["file_name,label", ...rows].join("\n"));
  writeSmallHub(folder);
  const { code, stdout, stderr } = await run("train", "labels.csv", "--hub", "hub", "--epochs", "1");
  assert.equal(code, 0, stderr);
  const next = stdout.split("\nnext:\n")[1]?.trimEnd().split("\n") ?? [];
  assert.match(next[1] ?? "", /predict runs\/labels-1 images\/.*\.png$/);
  const evaluated = await run("eval", "runs/labels-1", "--data", "labels.csv");
  assert.equal(evaluated.code, 0, evaluated.stderr);
});

test("one Ctrl-C stops after the step and says the command that goes on, a second one quits at once", async () => {
  writeSmallHub(folder);
  const train = ["train", "images", "--hub", "hub", "--epochs", "2", "--batch-size", "4", "--out", "cut"];
  const kill = { at: /epoch 1\/2/, signal: "SIGHUP" } as const;
  const { code, stderr } = await runProgram(train, cache, { cwd: folder, kill });
  assert.equal(code, 130, stderr);
  assert.match(stderr, /stopping after this step; again to quit at once\n/);
  assert.match(stderr, /everything is saved\. Go on with: .* train --resume cut\n$/);
  const resumed = await run("train", "--resume", "cut", "--lr", "0.5");
  assert.equal(resumed.code, 2, resumed.stderr);
  assert.match(resumed.stderr, /lr was 0\.001, now 0\.5/);
});

test("a run that made no step leaves no folder, and the place is tried before the images are decoded", async () => {
  const refused = await run("train", "images", "--k", "7", "--out", "never");
  assert.equal(refused.code, 2, refused.stderr);
  assert.ok(!existsSync(join(folder, "never")));
  const file = join(folder, "images", "circle", "0.png");
  const bytes = readFileSync(file);
  const inFile = await run("train", "images", "--out", join("images", "circle", "0.png", "run"));
  assert.equal(inFile.code, 1, inFile.stderr);
  assert.doesNotMatch(inFile.stderr, /fault of the program|^images /m);
  assert.deepEqual(readFileSync(file), bytes);
});

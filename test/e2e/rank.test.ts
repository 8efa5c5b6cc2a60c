/** hub rank and train --prior as a user runs them. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { writeColourHub, writeColourImages } from "../support/colour-hub.ts";
import { runHere } from "../support/program.ts";
import { temporaryFolder } from "../support/small-hub.ts";

let folder: string;
let hub: string;
let data: string[];

before(async () => {
  folder = temporaryFolder();
  hub = writeColourHub(folder);
  data = ["--data", await writeColourImages(folder, 30), "--image-size", "24", "--seed", "2"];
});

const run = (...args: string[]) => runHere(args, join(folder, "cache"));

interface Ranked {
  images: number;
  members: { name: string; scores: Record<string, number | null>; seconds: Record<string, number> }[];
}

const lastLine = (text: string) => JSON.parse(text.trim().split("\n").at(-1) ?? "") as Ranked;

test("hub rank orders the members, as a table and as JSON", async () => {
  const shown = await run("hub", "rank", hub, ...data);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /^member +logme +leep +nce +h-score +n-leep\n-+.*\nseeing /);
  assert.match(shown.stdout, /Run time.*\nmember +features +logme[\s\S]*seeing +[\d.]+ (ms|µs|s) /);
  const printed = await run("hub", "rank", hub, ...data, "--json");
  const { images, members } = lastLine(printed.stdout);
  assert.equal(images, 54);
  assert.equal(members[0]?.name, "seeing");
  const order = members.map(({ scores }) => scores["logme"] ?? 0);
  assert.deepEqual(
    order,
    [...order].sort((a, b) => b - a),
  );
  for (const { scores, seconds } of members) {
    assert.deepEqual(Object.keys(scores), ["logme", "leep", "nce", "hScore", "nLeep"]);
    assert.deepEqual(Object.keys(seconds), ["features", ...Object.keys(scores)]);
  }
});

test("hub rank by chosen scores on fewer images; members without a classifier are n/a", async () => {
  const plain = writeColourHub(join(folder, "plain"), false);
  const shown = await run("hub", "rank", plain, ...data, "--score", "nce", "h-score", "--limit", "12");
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /^member +nce +h-score\n/);
  assert.match(shown.stdout, /seeing +n\/a +\d/);
  assert.match(shown.stdout, /12 training images of colours in 3 classes/);
  const help = await run("hub", "rank", "--help");
  assert.match(help.stdout, /Example:\n {2}hub-pathway hub rank/);
});

test("hub rank refuses what it cannot do, in one line", async () => {
  const refused = async (code: number, pattern: RegExp, ...args: string[]) => {
    const outcome = await run("hub", "rank", hub, ...args);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, pattern);
    assert.doesNotMatch(outcome.stderr, /\n\s+at /);
  };
  await refused(2, /'magic' is invalid/, ...data, "--score", "magic");
  await refused(2, /'--limit <n>' argument '0' is invalid.* a whole number of at least 1/, ...data, "--limit", "0");
  await refused(2, /at least 3, one for each class/, ...data, "--limit", "2");
  await refused(1, /nowhere/, "--data", join(folder, "nowhere"));
  await refused(2, /--data is missing/);
});

test("train --prior logme runs, resumes and says so; leep without a classifier does not begin", async () => {
  const out = join(folder, "run");
  const train = ["train", "--hub", hub, ...data, "--epochs", "1", "--prior", "logme", "--out", out];
  const trained = await run(...train);
  assert.equal(trained.code, 0, trained.stderr);
  assert.match(trained.stderr, /ranking seeing by logme\n[\s\S]*prior by logme: blind \d+ %, seeing \d+ %, also-blind/);
  const config = readFileSync(join(out, "run.json"), "utf8");
  assert.match(config, /"prior": \{\n\s+"score": "logme"/);
  const resumed = await run(...train, "--resume");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.doesNotMatch(resumed.stderr, /ranking/);
  assert.equal(readFileSync(join(out, "run.json"), "utf8"), config);
  const other = join(folder, "other");
  const plain = join(folder, "plain", "hub");
  const refused = await run("train", "--hub", plain, ...data, "--prior", "leep", "--out", other);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /a prior by leep needs .* without one: blind, seeing, also-blind/);
  assert.ok(!existsSync(other));
});

/** hub-pathway experiment as a user runs it. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { lastLine, runHere, runProgram } from "../support/program.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

let folder: string;
let subject: string[];

before(async () => {
  folder = temporaryFolder();
  subject = ["--quick", "--hub", writeSmallHub(folder), "--data", await writeShapeImages(folder, 12)];
});

const at = (name: string) => join(folder, name);
const run = (args: string[]) => runHere(["experiment", ...args], at("cache"));
/** In a process of its own. */
const runAlone = (args: string[], kill?: { at: RegExp; signal: "SIGKILL" }) =>
  runProgram(["experiment", ...args], at("cache"), { kill });
const cellsOf = (cache: string) => {
  const folder = join(cache, "quick", "cells");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    /^(?!test\/).*\.jsonl$/.test(file),
  );
  return files.flatMap((file) => readFileSync(join(folder, file), "utf8").split("\n").filter(Boolean));
};

test("a table over several processes, in the terminal, as Markdown, HTML and JSON; --final is noted", async () => {
  const cache = at("whole");
  const first = await runAlone(["ranking", ...subject, "--seeds", "2", "--jobs", "2", "--cache", cache]);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /Scores and fine-tuned accuracy[\s\S]*logme +2 +-?[\d.]+ ± [\d.]+/);
  const results = join(cache, "quick");
  const [table = ""] = readdirSync(results).filter((file) => /^ranking-\S+-validation-quick\.md$/.test(file));
  assert.match(readFileSync(join(results, table), "utf8"), /hub-pathway experiment ranking --quick/);
  assert.ok(!existsSync(join(results, "ledger.jsonl")));
  const final = await run(["ranking", ...subject, "--seeds", "2", "--final", "--json", "--cache", cache]);
  assert.equal(final.code, 0, final.stderr);
  const { experiment, markdown } = lastLine(final.stdout);
  assert.deepEqual([experiment, existsSync(String(markdown))], ["ranking", true]);
  const [line = ""] = readFileSync(join(results, "ledger.jsonl"), "utf8").split("\n");
  assert.deepEqual(JSON.parse(line).seeds, [0, 1]);
});

test("workers compute what others left, without tables, and the status says what there is", async () => {
  const cache = at("workers");
  const args = [...subject, "--seeds", "2", "--cache", cache];
  const before = await run(["ranking", ...args, "--status", "--json"]);
  const { groups } = lastLine(before.stdout) as unknown as { groups: { name: string; state: string; cells: number }[] };
  assert.deepEqual(
    groups.map(({ state, cells }) => [state, cells]),
    [
      ["open", 4],
      ["open", 4],
    ],
  );
  const worker = await run(["ranking", ...args, "--worker"]);
  assert.deepEqual([worker.code, worker.stdout], [0, ""], worker.stderr);
  assert.equal(cellsOf(cache).length, 8);
  const after = await run(["ranking", ...args, "--status"]);
  assert.match(after.stdout, /8 of 8 cells done; groups: 2 done; nothing is left to do/);
  const table = await run(["ranking", ...args, "--tables"]);
  assert.match(table.stdout, /Scores and fine-tuned accuracy/);
});

test("a killed experiment goes on where it was", async () => {
  const cache = at("killed");
  const kill = { at: /fine-tune.*on validation/, signal: "SIGKILL" } as const;
  const killed = await runAlone(["ranking", ...subject, "--cache", cache], kill);
  assert.notEqual(killed.code, 0);
  const before = cellsOf(cache);
  assert.ok(before.length >= 1);
  const again = await run(["ranking", ...subject, "--cache", cache]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(cellsOf(cache).length, 4);
  const computed = again.stderr.match(/on validation/g) ?? [];
  assert.equal(computed.length, 4 - before.length, "only what was missing");
});

test("cost measures every k beside the ensemble", async () => {
  const { code, stdout, stderr } = await run(["cost", ...subject, "--cache", at("cost")]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /ensemble of all .*100\.0 %/);
  assert.match(stdout, /Hub-Pathway, k = 3/);
});

test("members that stay as they are, in tables of their own", async () => {
  const cache = at("frozen");
  const { code, stdout, stderr } = await run(["mixed-hub", ...subject, "--freeze-members", "--cache", cache]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /left out: distillation: .*cannot leave members as they are/);
  assert.match(
    stdout,
    /features of 2 views[\s\S]*ensemble of all [\s\S]*written: \S*mixed-hub-\S+-frozen-validation-quick\.md/,
  );
  assert.ok(!/best by logme/.test(stdout));
  const refused = await run(["ranking", ...subject, "--freeze-members", "--cache", cache]);
  assert.deepEqual([refused.code, /leave out --freeze-members/.test(refused.stderr)], [2, true]);
});

test("an unknown experiment, and tables of nothing, are refused in one line", async () => {
  const unknown = await run(["no-such"]);
  const foreign = await run(["rl-games", "--data", "photos"]);
  assert.deepEqual([foreign.code, /leave out --data/.test(foreign.stderr)], [2, true]);
  assert.deepEqual([unknown.code, /no experiment "no-such"; there are: .*mixed-hub/.test(unknown.stderr)], [2, true]);
  const empty = await run(["mixed-hub", ...subject, "--tables", "--cache", at("empty")]);
  assert.deepEqual([empty.code, /no cell is finished yet/.test(empty.stderr)], [1, true]);
});

test("a place that cannot hold cells is refused before anything is computed", async () => {
  writeFileSync(at("file"), "");
  const { code, stdout, stderr } = await run(["mixed-hub", ...subject, "--cache", at("file")]);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /^error: .*cells cannot be a folder: \S*file is a file\n$/);
});

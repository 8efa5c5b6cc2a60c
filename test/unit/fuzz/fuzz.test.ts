/** The fuzzer finds every kind of fault, and finds none in the readers in a short run. */
// Long: every format is fuzzed.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { caseOf, writeCase } from "../../fuzz/cases.ts";
import type { Format } from "../../fuzz/format.ts";
import { formats } from "../../fuzz/formats.ts";
import { judge } from "../../fuzz/judge.ts";
import { type FuzzOptions, fuzz, replay, type Summary } from "../../fuzz/run.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

// Alone: a verdict counts the open files of the process.
const findings = temporaryFolder();
const seed = 20261125;
const broken = new URL("../../fixtures/broken-formats.ts", import.meta.url);

function run(format: string, options: Partial<FuzzOptions> = {}): Promise<Summary> {
  return fuzz({ format, seed, milliseconds: 600_000, cases: 60, formats: broken, findings, ...options });
}

/** Runs cases in this process: the child that a watchdog guards is tried with the broken readers. */
async function runHere(format: Format, count: number): Promise<number> {
  const [folder, seeds] = [temporaryFolder(), await format.seeds()];
  let accepted = 0;
  for (let number = 0; number < count; number++) {
    const verdict = await judge(format, writeCase(folder, caseOf(format, seeds, seed, number)));
    assert.equal(typeof verdict, "boolean", JSON.stringify({ number, verdict }));
    if (verdict === true) accepted += 1;
  }
  return accepted;
}

const cases = { safetensors: 250, torch: 150, onnx: 50, tfjs: 150, manifest: 50, parquet: 24, tar: 24 };
for (const [name, count] of Object.entries(cases)) {
  test(`${name}: ${count} changed files are read properly or refused`, async () => {
    const format = formats.find((each) => each.name === name);
    assert.ok(format);
    const accepted = await runHere(format, count);
    assert.ok(accepted > 0 && accepted < count, `${accepted} are accepted: both ways of the reader are tried`);
  });
}

test("a sound reader gives no findings", async () => {
  const { executions, accepted, findings } = await run("sound");
  assert.deepEqual([executions, findings], [60, []]);
  assert.ok(accepted > 15 && accepted < 45);
});

/** Enough cases of each for its fault, and for the same one again where a new process does not take long. */
const kinds = { exception: 60, message: 60, handles: 60, crash: 21, hang: 20 };
for (const [kind, count] of Object.entries(kinds)) {
  test(`finds and reproduces: ${kind}`, async () => {
    // Only a fault that shows by waiting is waited for, in time of its processor: a busy machine does not look like one.
    const summary = await run(kind, { patience: kind === "hang" ? 500 : 30_000, cases: count });
    assert.equal(summary.executions, count, "it goes on after a finding");
    const [finding, ...more] = summary.findings;
    assert.ok(finding);
    assert.deepEqual([finding.kind, more], [kind, []], "alike findings are one");
    assert.equal(finding.times > 1, kind !== "hang");
    assert.deepEqual(readdirSync(finding.folder).sort(), ["file.bin", "finding.json"]);
    const [first = 255] = readFileSync(join(finding.folder, "file.bin"));
    assert.ok(first < 16, "these are the bytes that show the fault");
    // What a reader says of itself and how its process ends are replayed in two ways; a hang would be waited for again.
    if (!["exception", "crash"].includes(kind)) return;
    assert.equal((await replay(kind, join(finding.folder, "file.bin"), broken))?.kind, kind);
  });
}

/** The fuzzer finds every kind of fault, and finds none in the readers in a short run. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type FuzzOptions, fuzz, replay, type Summary } from "../../fuzz/run.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const findings = temporaryFolder();
const broken = new URL("../../fixtures/broken-formats.ts", import.meta.url);

function run(format: string, options: Partial<FuzzOptions> = {}): Promise<Summary> {
  return fuzz({ format, seed: 20261125, milliseconds: 600_000, cases: 60, findings, ...options });
}

const cases = { safetensors: 500, torch: 300, onnx: 100, tfjs: 300, manifest: 100 };
for (const [format, count] of Object.entries(cases)) {
  test(`${format}: ${count} changed files are read properly or refused`, async () => {
    const { executions, accepted, findings } = await run(format, { cases: count });
    assert.deepEqual(findings, []);
    assert.equal(executions, count);
    assert.ok(accepted > 0 && accepted < count, `${accepted} are accepted: both ways of the reader are tried`);
  });
}

test("a sound reader gives no findings", async () => {
  const { executions, accepted, findings } = await run("sound", { formats: broken });
  assert.deepEqual([executions, findings], [60, []]);
  assert.ok(accepted > 15 && accepted < 45);
  const again = await run("sound", { formats: broken });
  assert.equal(again.accepted, accepted, "a seed repeats its cases");
});

for (const kind of ["exception", "message", "handles", "crash", "hang"]) {
  test(`finds and reproduces: ${kind}`, async () => {
    // Only a fault that shows by waiting is waited for; a busy machine must not look like one.
    const options = { formats: broken, patience: kind === "hang" ? 5_000 : 30_000, cases: kind === "hang" ? 20 : 60 };
    const summary = await run(kind, options);
    assert.equal(summary.executions, options.cases, "it goes on after a finding");
    const [finding, ...more] = summary.findings;
    assert.ok(finding);
    assert.deepEqual([finding.kind, more], [kind, []], "alike findings are one");
    assert.deepEqual(readdirSync(finding.folder).sort(), ["file.bin", "finding.json"]);
    const [first = 255] = readFileSync(join(finding.folder, "file.bin"));
    assert.ok(first < 16, "these are the bytes that show the fault");
    if (kind === "hang") return;
    assert.equal((await replay(kind, join(finding.folder, "file.bin"), broken))?.kind, kind);
  });
}

/** Signals: the first one asks the work to stop, the second one ends the process. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { typescript } from "../../support/typescript.ts";

const module = new URL("../../../src/cli/interrupt.ts", import.meta.url).href;

/** A process whose work begins with a line, and which gets a signal for each line that it writes. */
async function interrupted(work: string, signals: readonly NodeJS.Signals[]) {
  const script = `import { withInterrupt } from ${JSON.stringify(module)};
await withInterrupt((signal) => {
  process.stderr.write("working\\n");
  return (${work})(signal);
});
process.stderr.write("saved\\n");`;
  const args = [...typescript, "--input-type=module", "-e", script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  const left = [...signals];
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += String(chunk);
    const next = left.shift();
    if (next !== undefined) child.kill(next);
  });
  const [code] = await once(child, "close");
  return { code, lines: stderr.trimEnd().split("\n") };
}

const remark = "stopping after this step; again to quit at once";
const patient = `(signal) => new Promise((done) => {
  const working = setInterval(() => {}, 1000);
  signal.addEventListener("abort", () => { clearInterval(working); setTimeout(done, 100); });
})`;
const deaf = "() => new Promise((done) => setTimeout(done, 600_000))";

test("work that hears of a signal ends as it wants to", async () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    assert.deepEqual(await interrupted(patient, [signal]), { code: 0, lines: ["working", remark, "saved"] });
  }
});

test("a second signal quits at once, whatever the work does", async () => {
  assert.deepEqual(await interrupted(deaf, ["SIGINT", "SIGINT"]), { code: 130, lines: ["working", remark] });
});

/** Signals: the first one asks the work to stop, the second one ends the process. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { typescript } from "../../support/typescript.ts";

const module = new URL("../../../src/cli/interrupt.ts", import.meta.url).href;

/**
 * A process whose work begins with a line, and which gets a signal for each line that it writes.
 * @param again sent until the process ends, once there is no line to answer
 */
async function interrupted(work: string, signals: readonly NodeJS.Signals[], again?: NodeJS.Signals) {
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
  let repeating: NodeJS.Timeout | undefined;
  child.stderr.on("data", (chunk) => {
    stderr += String(chunk);
    const next = left.shift();
    if (next !== undefined) child.kill(next);
    else if (again !== undefined) repeating ??= setInterval(() => child.kill(again), 500);
  });
  const [code] = await once(child, "close");
  clearInterval(repeating);
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
  const expected = { code: 130, lines: ["working", remark] };
  assert.deepEqual(await interrupted(deaf, ["SIGINT", "SIGTERM"]), expected);
  assert.deepEqual(await interrupted(deaf, ["SIGINT"], "SIGINT"), expected);
});

test("a signal that comes twice at once counts once", async () => {
  const doubled = `(signal) => new Promise((done) => {
    const working = setInterval(() => {}, 1000);
    signal.addEventListener("abort", () => {
      clearInterval(working);
      process.kill(process.pid, "SIGINT");
      setTimeout(done, 100);
    });
  })`;
  assert.deepEqual(await interrupted(doubled, ["SIGINT"]), { code: 0, lines: ["working", remark, "saved"] });
});

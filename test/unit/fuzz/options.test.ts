/** The fuzzer's command line, and what makes its cases repeatable. */
// Long: fuzzing runs are started, found and ended.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../../../src/torch/index.ts";
import { caseOf } from "../../fuzz/cases.ts";
import { main } from "../../fuzz/command.ts";
import { formats } from "../../fuzz/formats.ts";
import { type FuzzOptions, fuzz } from "../../fuzz/run.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { typescript } from "../../support/typescript.ts";

const script = fileURLToPath(new URL("../../fuzz/main.ts", import.meta.url));
const broken = new URL("../../fixtures/broken-formats.ts", import.meta.url);

function command(...args: string[]) {
  return spawnSync(process.execPath, [...typescript, script, ...args], {
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
}

function options(format: string, findings: string, cases: number): FuzzOptions {
  return { format, seed: 20261125, milliseconds: 60_000, cases, findings, formats: broken };
}

const wrong: [string[], RegExp][] = [
  [["--speed", "9"], /--speed/],
  [["onnx"], /onnx/],
  [["--format", "png"], /--format must be one of safetensors, .*not "png"/],
  [["--minutes", "soon"], /--minutes must be a positive number/],
  [["--seed", "-"], /--seed/],
  [["--format", "onnx", "--case", "first"], /--case must be a whole number/],
  [["--case", "3"], /--case needs the one --format/],
  [["--format", "onnx", "--format", "torch", "--case", "3"], /--case needs the one --format/],
  [["--file", "x.onnx"], /--file needs the one --format/],
  [["--format", "onnx", "--file", "/none.onnx"], /--file \/none\.onnx: there is no such file/],
  [["--format", "onnx", "--file", "x", "--case", "1"], /--case and --file/],
];
for (const [args, message] of wrong) {
  test(`refuses ${args.join(" ")}`, async () => {
    await assert.rejects(main(args), (error: unknown) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, message);
      assert.equal(error.message.trim().split("\n").length, 1, "it is one line");
      return true;
    });
  });
}

test("a refusal is one line on standard error and a code", () => {
  const { status, stdout, stderr } = command("onnx");
  assert.match(stderr, /onnx.*--help lists the options\)\n$/);
  assert.deepEqual([status, stdout, stderr.split("\n").length], [2, "", 2]);
});

/** What a command line prints. */
async function printed(t: TestContext, ...args: string[]): Promise<string> {
  const { mock } = t.mock.method(console, "log", () => {});
  assert.equal(await main([...args, "--findings", temporaryFolder()]), 0);
  return mock.calls.map((call) => call.arguments.join(" ")).join("\n");
}

test("--format may be repeated", async (t) => {
  const text = await printed(t, "--format", "manifest", "--format", "safetensors", "--minutes", "0.001");
  assert.deepEqual(text.match(/^\w+(?=: \d+ executions)/gm), ["manifest", "safetensors"]);
});

test("--case runs one case", async (t) => {
  const text = await printed(t, "--format", "safetensors", "--seed", "5", "--case", "40");
  assert.match(text, /^safetensors: 1 executions/);
});

for (const format of formats) {
  test(`${format.name}: seed and number alone make a case's bytes`, async () => {
    const [seeds, again] = [await format.seeds(), await format.seeds()];
    const numbers = Array.from({ length: 30 }, (_, i) => seeds.length + i);
    const made = numbers.map((number) => caseOf(format, seeds, 1, number));
    // Backwards: a case does not depend on those before it.
    const remade = numbers.toReversed().map((number) => caseOf(format, again, 1, number));
    assert.deepEqual(remade.toReversed(), made);
    const others = numbers.map((number) => caseOf(format, seeds, 2, number));
    assert.notDeepEqual(others, made);
  });
}

test("a finding's case alone finds it again", async () => {
  const [folder, second] = [temporaryFolder(), temporaryFolder()];
  const [finding] = (await fuzz(options("exception", folder, 10))).findings;
  assert.ok(finding && finding.case > 0);
  const { executions, findings } = await fuzz({ ...options("exception", second, 1), first: finding.case });
  assert.deepEqual([executions, findings.length, findings[0]?.case], [1, 1, finding.case]);
  const [theirs, ours] = [finding.folder, findings[0]?.folder ?? ""].map((at) => readFileSync(join(at, "file.bin")));
  assert.deepEqual(ours, theirs);
});

test("findings are on disk before the run ends", async () => {
  const folder = temporaryFolder();
  let ended = false;
  const run = fuzz(options("crash", folder, 21)).then((summary) => {
    ended = true;
    return summary;
  });
  const kept = () => readdirSync(folder).filter((name) => existsSync(join(folder, name, "finding.json")));
  while (kept().length === 0 && !ended) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(ended, false, "the first finding was kept while the run went on");
  const [finding, ...more] = (await run).findings;
  assert.ok(finding && more.length === 0);
  const stored = JSON.parse(readFileSync(join(finding.folder, "finding.json"), "utf8")) as { times: number };
  assert.ok(stored.times > 1);
  assert.equal(stored.times, finding.times, "the number of times is that of the whole run");
});

test("a run that is told to end leaves no process and no folder", async () => {
  const folder = temporaryFolder();
  const env = { ...process.env, OMP_NUM_THREADS: "1", TMPDIR: folder };
  const child = spawn(process.execPath, [...typescript, script, "--format", "safetensors"], { env, stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("close", (code) => resolve(code)));
  const left = () => readdirSync(folder).filter((name) => name.startsWith("hub-pathway-fuzz-"));
  const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const running = () => left().some((name) => existsSync(join(folder, name, "progress")));
  const deadline = performance.now() + 60_000;
  while (!running() && performance.now() < deadline) await pause(50);
  assert.ok(running(), "it runs cases");
  child.kill("SIGTERM");
  assert.equal(await ended, 143);
  // A child that went on would write its next case.
  await pause(300);
  assert.deepEqual(left(), []);
});

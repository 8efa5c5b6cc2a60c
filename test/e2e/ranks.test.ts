/** One run by several processes: the same as by one, and no process left waiting. */
// Long: processes train together, are killed and go on.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import type { Outcome } from "../support/gathered-main.ts";
import { type Kill, killing, runHere, runProgram } from "../support/program.ts";
import { processOf, ranks } from "../support/ranks.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

const folder = temporaryFolder();
const cache = join(folder, "cache");
before(async () => {
  writeSmallHub(folder);
  await writeShapeImages(folder, 52);
});

const args = (out: string, ...more: string[]) => {
  const size = ["--epochs", "2", "--batch-size", "45", "--image-size", "24", "--checkpoint-seconds", "0.001"];
  // About 70 to validate: two batches of them, so that ranks have different numbers.
  const split = ["--validation-fraction", "0.45", "--test-fraction", "0.1"];
  return ["train", "images", "--hub", "hub", "--out", out, ...size, ...split, ...more];
};

/** A command line on several ranks, as a launcher starts them; `first` is a module that the first one loads before, `last` more words of the last. */
async function onRanks(
  worldSize: number,
  args: readonly string[],
  place = cache,
  first?: string,
  last?: readonly string[],
): Promise<Outcome[]> {
  const setup = { args, cwd: folder, cache: place, first, last };
  const started = Array.from({ length: worldSize }, (_, rank) => rank);
  return (await ranks("command", { ranks: started, worldSize, setup })) as unknown as Outcome[];
}

/** When the first epoch has been told of, or is written down; every step is saved. */
const kill: Kill = { at: /epoch 1\/2 |"type":"epoch"/, signal: "SIGKILL" };

interface Event {
  type: string;
  epoch: number;
  loss: number;
  shares: number[];
}

/** The last that was said of each epoch. */
function epochsOf(out: string): Event[] {
  const lines = readFileSync(join(folder, out, "events.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  const events = lines.map((line) => JSON.parse(line) as Event).filter(({ type }) => type === "epoch");
  return [...new Map(events.map((event) => [event.epoch, event])).values()];
}

test("frozen models whose losses teach the generator, on two processes as on one; one of them killed, both go on", async () => {
  const frozen = ["--freeze-members"];
  const alone = await runHere(args("frozen", ...frozen), cache, { cwd: folder });
  assert.equal(alone.code, 0, alone.stderr);
  // Caches of their own: the features are computed again, by turns.
  const caches = ["first", "second"].map((name) => join(folder, `cache-${name}`));
  const cut = await onRanks(2, args("shared", ...frozen), caches[0], killing(kill));
  assert.equal(cut[0]?.code, undefined, "killed");
  assert.notEqual(cut[1]?.code, 0);
  assert.match(cut[1]?.stderr ?? "", /^error: rank 1 of 2: .* failed: another rank ended$/m);
  const [first, second] = await onRanks(2, ["train", "--resume", "shared", "--epochs", "1"], caches[1]);
  assert.equal(second?.stderr, first?.stderr.replace("error: ", "rank 1: "), "no rank names its copy of the run");
  const resumed = await onRanks(2, ["train", "--resume", "shared"], caches[1]);
  const stderr = resumed.map((one) => one.stderr).join("");
  assert.equal(stderr.match(/features of small-resnet/g)?.length, 2, "of training and validation images, said once");
  assert.deepEqual(
    resumed.map(({ code }) => code),
    [0, 0],
    stderr,
  );
  assertSame("frozen", "shared");
});

/** Two epochs are the same in both runs, but for the last digits. */
function assertSame(one: string, other: string): void {
  const [expected, found] = [epochsOf(one), epochsOf(other)];
  assert.deepEqual(
    found.map(({ epoch }) => epoch),
    [1, 2],
  );
  for (const [i, { loss, shares }] of expected.entries()) {
    assert.ok(Math.abs(loss - (found[i]?.loss ?? Number.NaN)) < 1e-3 * loss, `loss of epoch ${i + 1}`);
    assert.deepEqual(found[i]?.shares, shares);
  }
}

test("processes that have the models among them train the same run: killed, gone on with by three in little memory, then by one", async () => {
  const alone = await runHere(args("alone"), cache, { cwd: folder });
  assert.equal(alone.code, 0, alone.stderr);
  const cut = await runProgram(args("apart", "--nproc", "2", "--shard-members", "--json"), cache, {
    cwd: folder,
    kill,
  });
  assert.notEqual(cut.code, 0);
  const { error, exitCode } = JSON.parse(cut.stdout) as Record<string, unknown>;
  assert.match(String(error), /^rank \d was ended by SIGKILL, and the others with it$/);
  assert.equal(exitCode, cut.code);
  const remark =
    /rank \d was ended by SIGKILL, and the others with it; go on with: .*--resume apart --nproc 2 --shard-members/;
  assert.match(cut.stderr, remark);
  const goesOn = ["train", "--resume", "apart"];
  const partsOf = () =>
    readdirSync(join(folder, "apart", "training")).filter((name) => /\.\d\.safetensors$/.test(name));
  // The largest model of the small hub has 50 kB: each of its rank's own leaves memory for the others.
  const resumed = await onRanks(3, [...goesOn, "--shard-members", "--hub-memory", "60KB"]);
  for (const { code, stderr } of resumed) assert.equal(code, 0, stderr);
  assert.match(resumed[0]?.stderr ?? "", /goes on in 3 instead of 2 processes: not bit for bit/);
  const starts = readFileSync(join(folder, "apart", "events.jsonl"), "utf8").matchAll(/"ranks":(\d),"rank":(\d)/g);
  assert.deepEqual(
    [...starts].map(([, ranks, rank]) => `${rank} of ${ranks}`),
    ["0 of 2", "0 of 3"],
  );
  assert.equal(partsOf().length, 4, "last and best weights of the two ranks beside the first");
  assertSame("alone", "apart");
  // As little memory as a rank had suffices to use the run, and changes no answer.
  const answerOf = ({ code, stdout, stderr }: Outcome) => {
    assert.equal(code, 0, stderr);
    return stdout.replace(/^.*second.*$/gm, "");
  };
  const used = async (...command: string[]) => answerOf(await runHere(command, cache, { cwd: folder }));
  const predicted = ["predict", "apart", join("images", "circle")];
  assert.equal(await used(...predicted, "--hub-memory", "60KB"), await used(...predicted));
  const measured = ["eval", "apart", "--split", "test"];
  const little = await used(...measured, "--hub-memory", "60KB");
  assert.deepEqual((await onRanks(2, measured)).map(answerOf), [little, ""], "two processes share the images");
  const ledger = readFileSync(join(folder, "apart", "ledger.jsonl"), "utf8").trimEnd();
  assert.equal(ledger.split("\n").length, 2, "a reading of each command");
  const refused = await runHere([...measured, "--nproc", "2", "--mode", "cascade"], cache, { cwd: folder });
  assert.match(refused.stderr, /^error: --mode cascade is for one process, and ranks share the images: leave it out/);
  const last = await runHere([...goesOn, "--epochs", "3"], cache, { cwd: folder });
  assert.equal(last.code, 0, last.stderr);
  assert.deepEqual(partsOf(), [], "one process has everything in its own files");
  assert.equal(epochsOf("apart").length, 3);
});

test("Ctrl-C in the terminal of processes that train ends all after the step, saved, and they go on", async () => {
  const kill: Kill = { at: /epoch 1\/2 /, signal: "SIGINT", parent: true };
  const all = ["--nproc", "2", "--json"];
  const stopped = await runProgram(args("stopped", ...all), cache, { cwd: folder, kill });
  assert.equal(stopped.code, 130, stopped.stderr);
  const { resume, ...answer } = JSON.parse(stopped.stdout) as Record<string, unknown>;
  assert.deepEqual(answer, { interrupted: true, exitCode: 130, out: "stopped" });
  assert.match(String(resume), /train --resume stopped --nproc 2$/);
  assert.equal(stopped.stderr.match(/^stopping after this step; again to quit at once$/gm)?.length, 1, stopped.stderr);
  const { code, stderr } = await runProgram(["train", "--resume", "stopped", ...all], cache, { cwd: folder });
  assert.equal(code, 0, stderr);
  assertSame("alone", "stopped");
});

/** A module for a process that sends itself signals when it begins to listen to them, in a later part of its work; the first is the wait for the others. */
function signalling(part: number, signals: readonly NodeJS.Signals[]): string {
  const script = `const on = process.on;
let parts = 0;
process.on = (name, ...rest) => {
  on.call(process, name, ...rest);
  if (name !== "SIGHUP" || ++parts !== ${part}) return process;
  process.on = on;
  for (const signal of ${JSON.stringify(signals)}) process.kill(process.pid, signal);
  return process;
};`;
  return `data:text/javascript,${encodeURIComponent(script)}`;
}

test("a signal to one of several processes that measure a run stops all, which one of them says", async () => {
  const measure = ["eval", "alone", "--json"];
  const answer = { error: "interrupted", exitCode: 130 };
  const remark = "stopping; again to quit at once\nerror: interrupted\n";
  for (const [part, signal, ...more] of [
    [3, "SIGTERM"],
    // The first one measures thresholds, for which the other one waits.
    [2, "SIGINT", "--coverage", "0.9"],
  ] as const) {
    assert.deepEqual(await onRanks(2, [...measure, ...more], cache, signalling(part, [signal])), [
      { code: 130, stdout: `${JSON.stringify(answer)}\n`, stderr: remark },
      { code: 130, stdout: "", stderr: "" },
    ]);
  }
  const [atStart, left] = await onRanks(2, measure, cache, signalling(1, ["SIGTERM"]));
  assert.deepEqual(atStart, { code: 130, stdout: `${JSON.stringify(answer)}\n`, stderr: remark });
  assert.match(left?.stderr ?? "", /^error: rank 1 of 2: .* failed: .+$/m);
  const { child } = processOf(0);
  const [first, second] = await onRanks(2, measure, cache, signalling(3, ["SIGTERM", "SIGINT"]));
  assert.deepEqual([first?.code, child.exitCode], [undefined, 130], "ended by the second signal");
  assert.match(second?.stderr ?? "", /^error: rank 1 of 2: .* failed: another rank ended$/m);
  // One that is not yet listening: its launcher says so, and ends the other.
  const program = `if (process.env.RANK === "1") process.kill(process.pid, "SIGTERM");`;
  const env = {
    NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --import data:text/javascript,${encodeURIComponent(program)}`,
  };
  const { code, stdout } = await runProgram([...measure, "--nproc", "2"], cache, { cwd: folder, env });
  const error = "rank 1 was ended by SIGTERM, and the others with it";
  assert.deepEqual([code, JSON.parse(stdout)], [130, { error, exitCode: 130 }]);
});

/** Another version of the package, until the next job. */
const otherVersion = `data:text/javascript,${encodeURIComponent(`import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
const read = fs.readFileSync;
fs.readFileSync = (path, ...more) => {
  const text = read(path, ...more);
  return String(path).endsWith("/package.json") ? text.replace(/"version": "[^"]*"/, '"version": "9.9.9"') : text;
};
process.once("message", () => {
  fs.readFileSync = read;
  syncBuiltinESMExports();
});
syncBuiltinESMExports();`)}`;

test("ranks of several versions, and a GPU, are refused in one line, and nothing is left", async () => {
  const all = await onRanks(2, args("versions"), cache, otherVersion);
  const line =
    /^(error|rank 1): ranks differ in the version of hub-pathway: rank 0 has 9\.9\.9, rank 1 has \d\S+; start all alike\n$/;
  for (const { code, stderr } of all) {
    assert.match(stderr, line);
    assert.equal(code, 1);
  }
  const gpu = await runHere(args("gpu", "--nproc", "2", "--device", "cuda"), cache, { cwd: folder });
  assert.deepEqual(
    [gpu.code, gpu.stderr],
    [2, "error: several ranks train on processors, over Gloo, and --device is cuda: leave it out\n"],
  );
  for (const out of ["versions", "gpu"]) assert.equal(existsSync(join(folder, out)), false);
});

test("a rank that cannot start says why to those that wait for it", async () => {
  const fault = "several ranks train on processors, over Gloo, and --device is cuda: leave it out";
  const all = await onRanks(3, args("unlike"), cache, undefined, ["--device", "cuda"]);
  assert.deepEqual(
    all.map(({ code, stderr }) => [code, stderr]),
    [
      [1, `error: rank 2 cannot start: ${fault}\n`],
      [1, `rank 1: rank 2 cannot start: ${fault}\n`],
      [2, `rank 2: ${fault}\n`],
    ],
  );
  assert.equal(existsSync(join(folder, "unlike")), false);
});

test("what ranks cannot share is refused in one line, and nothing is left", async () => {
  const small = await onRanks(2, [...args("small"), "--batch-size", "1"]);
  assert.deepEqual(
    small.map(({ code, stderr }) => [code, stderr]),
    ["error", "rank 1"].map((who) => [2, `${who}: batches of 1 images leave some of 2 ranks without one\n`]),
  );
  assert.equal(existsSync(join(folder, "small")), false);
  const apart = args("refused", "--shard-members");
  const alone = await runHere(apart, cache, { cwd: folder });
  assert.match(alone.stderr, /^error: --shard-members gives each of several processes some models: add --nproc/);
  const both = await onRanks(2, [...apart, "--method", "soup"]);
  for (const [rank, { code, stderr }] of both.entries()) {
    const who = rank === 0 ? "error" : "rank 1";
    assert.equal(code, 2);
    assert.match(
      stderr,
      new RegExp(`^${who}: --shard-members gives .*, and soup does not route images to models: leave it out$`, "m"),
    );
  }
  assert.equal(existsSync(join(folder, "refused")), false);
});

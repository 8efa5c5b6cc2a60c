/** One run by several processes: the same as by one, and no process left waiting. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { runHere, runProgram } from "../support/program.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

const folder = temporaryFolder();
const cache = join(folder, "cache");
before(async () => {
  writeSmallHub(folder);
  // Two batches of validation images and more: ranks have different numbers of them.
  await writeShapeImages(folder, 150);
});

const args = (out: string, ...more: string[]) => {
  const size = ["--epochs", "2", "--batch-size", "45", "--image-size", "24", "--checkpoint-seconds", "0.001"];
  return ["train", "images", "--hub", "hub", "--out", out, ...size, ...more];
};

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

test("two processes train the run that one trains; one of them killed, both go on", async () => {
  const alone = await runHere(args("alone"), cache, { cwd: folder });
  assert.equal(alone.code, 0, alone.stderr);
  // Every step is saved; the first rank sends itself the signal when it has said what the first epoch brought.
  const kill = { at: /epoch 1\/2 /, signal: "SIGKILL" } as const;
  const cut = await runProgram(args("shared", "--nproc", "2"), cache, { cwd: folder, kill });
  assert.notEqual(cut.code, 0);
  assert.match(
    cut.stderr,
    /rank \d was ended by SIGKILL, and the others with it; go on with: .*--resume shared --nproc 2/,
  );
  const resumed = await runProgram(["train", "--resume", "shared", "--nproc", "2"], cache, { cwd: folder });
  assert.equal(resumed.code, 0, resumed.stderr);
  assertSame("alone", "shared");
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
  const kill = { at: /epoch 1\/2 /, signal: "SIGKILL" } as const;
  const cut = await runProgram(args("apart", "--nproc", "2", "--shard-members"), cache, { cwd: folder, kill });
  assert.match(cut.stderr, /go on with: .*--resume apart --nproc 2 --shard-members/);
  const goesOn = (...more: string[]) => runProgram(["train", "--resume", "apart", ...more], cache, { cwd: folder });
  const partsOf = () =>
    readdirSync(join(folder, "apart", "training")).filter((name) => /\.\d\.safetensors$/.test(name));
  // The largest model of the small hub has 50 kB: each of its rank's own leaves memory for the others.
  const resumed = await goesOn("--nproc", "3", "--shard-members", "--hub-memory", "60KB");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.equal(partsOf().length, 4, "last and best weights of the two ranks beside the first");
  assertSame("alone", "apart");
  const opened = await runHere(["eval", "apart", "--split", "validation"], cache, { cwd: folder });
  assert.equal(opened.code, 0, opened.stderr);
  const last = await goesOn("--epochs", "3");
  assert.equal(last.code, 0, last.stderr);
  assert.deepEqual(partsOf(), [], "one process has everything in its own files");
  assert.equal(epochsOf("apart").length, 3);
});

test("frozen models whose losses teach the generator, on two processes as on one", async () => {
  const frozen = ["--freeze-members", "--credit", "losses"];
  const alone = await runHere(args("frozen", ...frozen), cache, { cwd: folder });
  assert.equal(alone.code, 0, alone.stderr);
  // A cache of its own: the features are computed again, by turns.
  const own = join(folder, "cache-of-ranks");
  const both = await runProgram(args("shared-frozen", "--nproc", "2", ...frozen), own, { cwd: folder });
  assert.equal(both.code, 0, both.stderr);
  assert.equal(
    both.stderr.match(/features of small-resnet/g)?.length,
    2,
    "of training and validation images, said once",
  );
  const [expected, found] = [epochsOf("frozen"), epochsOf("shared-frozen")];
  for (const [i, { loss, shares }] of expected.entries()) {
    assert.ok(Math.abs(loss - (found[i]?.loss ?? Number.NaN)) < 1e-3 * loss, `loss of epoch ${i + 1}`);
    assert.deepEqual(found[i]?.shares, shares);
  }
});

test("what ranks cannot share is refused in one line, and nothing is left", async () => {
  const small = await runProgram([...args("small", "--nproc", "2"), "--batch-size", "1"], cache, { cwd: folder });
  assert.equal(small.code, 2);
  const lines = small.stderr.trimEnd().split("\n").sort();
  assert.deepEqual(lines.length, 2, small.stderr);
  for (const line of lines)
    assert.match(line, /^(error|rank 1): batches of 1 images leave some of 2 ranks without one$/);
  assert.equal(existsSync(join(folder, "small")), false);
  const apart = (...more: string[]) => runProgram(args("refused", "--shard-members", ...more), cache, { cwd: folder });
  const alone = await apart();
  assert.match(alone.stderr, /^error: --shard-members gives each of several processes some models: add --nproc/);
  const { code, stderr } = await apart("--nproc", "2", "--method", "soup");
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^(error|rank 1): --shard-members gives .*, and soup does not route images to models: leave it out$/m,
  );
  assert.equal(existsSync(join(folder, "refused")), false);
});

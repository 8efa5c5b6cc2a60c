/** A run's folder: one process at a time, nothing left of what did not begin, and no damage that is not said. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import fc from "fast-check";
import { restorePredictor } from "../../../src/methods/index.ts";
import { memory, UserError } from "../../../src/torch/index.ts";
import {
  type Emit,
  imageRun,
  loggedEmit,
  openRun,
  openRunData,
  type RunEvent,
  RunFolder,
  readEvents,
  type TrainRequest,
  trainRun,
} from "../../../src/train/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;
let finished: string;
let request: (out: string, more?: Partial<TrainRequest>) => TrainRequest;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const place = { folder, hub: writeSmallHub(folder), images: await writeShapeImages(folder, 8) };
  request = (out, more = {}) => ({ ...trainRequest(place, out), ...more });
  const run = await trainRun(request("finished", { options: { ...request("x").options, epochs: 1 } }));
  run.predictor.dispose();
  run.data.dispose();
  finished = run.folder.path;
});

const user = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message);

test("a second one is told who works there", async () => {
  const out = join(folder, "busy");
  using first = RunFolder.take(out, imageRun, false);
  await assert.rejects(
    trainRun(request("busy")),
    user(new RegExp(`busy is in use by process ${process.pid}.*hub-pathway train`)),
  );
  first.begin();
});

test("what did not begin leaves nothing, also of the folders around it", async () => {
  const deep = join(folder, "made", "for", "this");
  await assert.rejects(trainRun({ ...request("x"), out: deep, hub: join(folder, "no-hub") }), UserError);
  assert.ok(!existsSync(join(folder, "made")));
  const own = join(folder, "own");
  mkdirSync(own);
  await assert.rejects(
    trainRun({ ...request("own"), data: { ...request("x").data, source: "nothing-here" } }),
    UserError,
  );
  assert.deepEqual(readdirSync(own), []);
});

test("the folder is tried before the images are read", async () => {
  const blocked = join(folder, "a-file");
  writeFileSync(blocked, "");
  let progressed = false;
  const onProgress = () => {
    progressed = true;
  };
  const bad = { ...request("x"), out: join(blocked, "run"), onProgress };
  await assert.rejects(trainRun(bad), user(/a-file/));
  assert.ok(!progressed);
});

test("a folder without a whole run.json starts again; other files stay untouched", async () => {
  const out = join(folder, "torn");
  mkdirSync(join(out, "training"), { recursive: true });
  writeFileSync(join(out, "run.json"), '{"version": 3, "meth');
  writeFileSync(join(out, "training", "hub-pathway.state.safetensors"), "half");
  const run = await trainRun(request("torn"));
  run.predictor.dispose();
  run.data.dispose();
  assert.equal(run.folder.config().method, "hub-pathway");
  const foreign = join(folder, "foreign");
  mkdirSync(foreign);
  writeFileSync(join(foreign, "thesis.txt"), "mine");
  await assert.rejects(trainRun(request("foreign")), user(/not empty and holds no run/));
  assert.deepEqual(readdirSync(foreign), ["thesis.txt"]);
  writeFileSync(join(foreign, "run.json"), "{}");
  await assert.rejects(trainRun(request("foreign")), user(/already holds a run/));
});

test("a torn last line of the log is cut off, and the events before it are read", () => {
  const path = join(folder, "events.jsonl");
  const event: RunEvent = { type: "epoch", fit: "a", epoch: 1, loss: 2, validation: undefined, seconds: 1 };
  writeFileSync(path, `${JSON.stringify(event)}\n{"type":"epo`);
  assert.equal(readEvents(path).length, 1);
  loggedEmit(path, () => {})({ ...event, epoch: 2 });
  assert.deepEqual(
    readEvents(path).map((one) => one.type === "epoch" && one.epoch),
    [1, 2],
  );
  appendFileSync(path, 'no json\n{"type":"epoch","epoch":"three"}\n');
  assert.equal(readEvents(path).length, 2);
});

test("a log that cannot be written is said once, and the run goes on", () => {
  const said: RunEvent[] = [];
  const emit: Emit = loggedEmit(join(folder, "no-such-folder", "events.jsonl"), (event) => said.push(event));
  for (const text of ["one", "two"]) emit({ type: "note", text });
  assert.deepEqual(
    said.map((event) => event.type === "note" && event.text.replace(/.*cannot be written.*/, "once")),
    ["once", "one", "two"],
  );
});

test("an older run says why it cannot be opened", () => {
  const old = join(folder, "old");
  mkdirSync(old);
  writeFileSync(join(old, "run.json"), JSON.stringify({ version: 1, method: "hub-pathway" }));
  assert.throws(() => openRun(old, restorePredictor), user(/older version.*train it again/));
});

/** Opens a copy of the finished run for measuring after a change; returns what it said. */
async function openedAfter(change: (copy: string) => void): Promise<Error | undefined> {
  const copy = join(folder, "changed");
  rmSync(copy, { recursive: true, force: true });
  cpSync(finished, copy, { recursive: true });
  change(copy);
  const { handles } = memory();
  try {
    const run = openRun(copy, restorePredictor);
    try {
      (await openRunData(run.folder, run.config, { split: "validation" })).dispose();
      readEvents(join(copy, "events.jsonl"));
    } finally {
      run.dispose();
    }
    return undefined;
  } catch (error) {
    return error as Error;
  } finally {
    assert.equal(memory().handles, handles, "live handles after opening");
  }
}

for (const file of ["run.json", "split.json", "events.jsonl", "model/model.json", "model/members.json"]) {
  test(`whatever happens to ${file}, it opens or says so in one line`, async () => {
    const text = readFileSync(join(finished, file), "utf8");
    const mutation = fc.oneof(
      fc.nat({ max: text.length }).map((at) => text.slice(0, at)),
      fc.tuple(fc.nat({ max: text.length - 1 }), fc.string({ maxLength: 3 })).map(([at, put]) => {
        return text.slice(0, at) + put + text.slice(at + 1);
      }),
      fc.tuple(fc.nat({ max: 400 }), fc.jsonValue()).map(([at, put]) => replacedValue(text, at, put)),
    );
    await fc.assert(
      fc.asyncProperty(mutation, async (changed) => {
        const error = await openedAfter((copy) => writeFileSync(join(copy, file), changed));
        assert.ok(error === undefined || error instanceof UserError, error?.stack);
        assert.ok(!error?.message.includes("\n"), error?.message);
      }),
      { numRuns: 40 },
    );
  });
}

/** JSON with its n-th value replaced; a list of JSON lines with another line. */
function replacedValue(text: string, n: number, put: unknown): string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return `${text}${JSON.stringify(put)}\n`;
  }
  let count = -1;
  return JSON.stringify(json, (_key, value) => {
    count += 1;
    return count === n + 1 ? put : value;
  });
}

test("damaged or missing weights are named", async () => {
  const model = join("model", "layers.safetensors");
  const cut = await openedAfter((copy) => {
    const path = join(copy, model);
    writeFileSync(path, readFileSync(path).subarray(0, statSync(path).size - 1));
  });
  assert.ok(cut instanceof UserError && /layers\.safetensors is damaged/.test(cut.message), cut?.message);
  const gone = await openedAfter((copy) => rmSync(join(copy, "model", "small-resnet.safetensors")));
  assert.ok(gone instanceof UserError && /small-resnet/.test(gone.message), gone?.message);
});

test("a folder that only others may write is read", async () => {
  assert.equal(await openedAfter((copy) => chmodSync(join(copy, "model"), 0o555)), undefined);
});

/** Behaviour of a fit: failed steps, the weights that it keeps, and continuation. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import fc from "fast-check";
import { readSafetensors, writeSafetensors } from "../../../src/io/index.ts";
import { Linear, type Module } from "../../../src/nn/index.ts";
import { disposeTree, Generator, Interrupted, memory, type Tensor, UserError } from "../../../src/torch/index.ts";
import {
  checkpointFiles,
  defaultTrainOptions,
  type FitRequest,
  fit,
  forEachBatch,
  learningRateFactor,
  loadWeights,
  type RunEvent,
  weightsInfo,
} from "../../../src/train/index.ts";
import { LineLearner, nesterov, slope, threeSteps } from "../../support/line-learner.ts";
import { assertClose } from "../../support/numeric.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;
before(() => {
  folder = temporaryFolder();
});

const lr = 0.1;
const usual = { ...defaultTrainOptions, optimizer: "sgd", clipNorm: 0, lr, weightDecay: 0, newLayerFactor: 1 } as const;

function request(name: string, learner: LineLearner, more: Partial<FitRequest> = {}): FitRequest {
  return {
    fit: name,
    learner,
    batches: threeSteps,
    options: { ...usual, epochs: 2 },
    checkpoint: join(folder, name),
    identity: "line",
    emit: () => {},
    ...more,
  };
}

function metrics(accuracy: number, logLoss = 1) {
  return { accuracy, logLoss, macroF1: accuracy, calibrationError: 0 };
}

/** Rates of steps FROM … TO - 1 of a schedule over so many. */
function rates(from: number, to: number, total: number): number[] {
  return Array.from({ length: to - from }, (_, i) => {
    return lr * learningRateFactor((from + i) / total, usual.warmup);
  });
}

/** Gradients that are not finite in some steps, with a finite loss. */
class BrokenLine extends LineLearner {
  override readonly memberNames = ["broken member"];
  override readonly backbones: readonly Module[] = [this.module];
  readonly #steps: readonly number[];

  constructor(...steps: number[]) {
    super();
    this.#steps = steps;
  }

  override step() {
    const result = super.step();
    if (!this.#steps.includes(this.steps - 1)) return result;
    // The value of a square root at zero is finite, and its slope is not.
    const broken = this.module.weight.mul(0).sqrt().sum();
    return { ...result, loss: result.loss.add(broken) };
  }
}

test("a step whose gradient is not finite is left out, and counted once it is so three times in a row", async () => {
  const learner = new BrokenLine(1, 2, 4);
  const { handles } = memory();
  const events: RunEvent[] = [];
  await fit(request("some", learner, { emit: (event) => events.push(event) }));
  const taken = rates(0, 6, 6).filter((_, i) => ![1, 2, 4].includes(i));
  assertClose(learner.module.weight, [nesterov(2, () => slope, taken)], 1e-5);
  const notes = events.flatMap((event) => (event.type === "note" ? [event.text] : []));
  assert.deepEqual(notes, [
    'left out step 2 of epoch 1: the gradient of member "broken member" is not finite',
    'left out step 3 of epoch 1: the gradient of member "broken member" is not finite',
    'left out step 2 of epoch 2: the gradient of member "broken member" is not finite',
  ]);
  const losses = events.flatMap((event) => (event.type === "epoch" ? [event.loss] : []));
  assert.equal(losses.length, 2);
  assert.ok(losses.every(Number.isFinite), "steps that were left out do not count");

  const lost = new BrokenLine(2, 3, 4);
  const stops = (error: unknown) =>
    error instanceof UserError &&
    /step 2 of epoch 2, the last of 3 in a row: the gradient of member "broken member".*--lr/.test(error.message);
  await assert.rejects(fit(request("three", lost)), stops);
  assert.equal(existsSync(checkpointFiles(join(folder, "three")).weights), false);
  learner.dispose();
  lost.dispose();
  assert.ok(memory().handles <= handles, "nothing is left behind");
});

test("steps that were left out in a row are counted across an interruption", async () => {
  const abort = new AbortController();
  const stop = (event: RunEvent) => event.type === "note" && abort.abort();
  const learner = new BrokenLine(2, 3, 4);
  await assert.rejects(fit(request("cut-row", learner, { emit: stop, signal: abort.signal })), Interrupted);
  learner.dispose();
  const rest = new BrokenLine(0, 1);
  await assert.rejects(fit(request("cut-row", rest)), /step 2 of epoch 2, the last of 3 in a row/);
  rest.dispose();
});

test("weights that are not finite are never saved, and the message says whether they are the hub's", async () => {
  for (const [value, stepped, pattern] of [
    [Number.NaN, false, /diverged at step 1 of epoch 1: .*member "line" has weights in the hub .*\(weight\)/],
    [2, true, /diverged .*weights of member "line" are no longer finite \(weight\).*--lr/],
  ] as const) {
    const learner = new (class extends LineLearner {
      override readonly backbones: readonly Module[] = [this.module];
    })();
    learner.module.weight.detach().fill_(value);
    const rate = stepped ? 1e38 : lr;
    const options = { ...usual, lr: rate, epochs: 2, checkpointSeconds: 0 };
    const own = request(`lost-${stepped}`, learner, { options, validate: async () => metrics(0.5) });
    await assert.rejects(fit(own), (error) => error instanceof UserError && pattern.test(error.message));
    const { state, weights } = checkpointFiles(own.checkpoint ?? "");
    assert.equal(existsSync(weights), false);
    if (existsSync(state)) {
      const { tensors } = readSafetensors(state);
      assert.ok([...tensors.values()].every((tensor) => tensor.toNumbers().every(Number.isFinite)));
      disposeTree(tensors);
    }
    learner.dispose();
  }
});

/** The weight after each epoch, of three steps, in closed form. */
const afterEpoch = (epoch: number, epochs: number) => nesterov(2, () => slope, rates(0, 3 * epoch, 3 * epochs));

test("the best epoch on validation data predicts: accuracy decides, then log loss, then the earlier", async () => {
  const scripted = [metrics(0.4), metrics(0.7, 2), metrics(0.7, 1), metrics(0.7, 1), metrics(0.6, 0.1)];
  const options = { ...usual, epochs: 5 };
  const validate = async (epoch: number) => scripted[epoch - 1] ?? metrics(0);
  for (const [keep, expected] of [
    ["best", 3],
    ["last", 5],
  ] as const) {
    const learner = new LineLearner();
    await fit(request(keep, learner, { options: { ...options, keep }, validate }));
    assertClose(learner.module.weight, [afterEpoch(expected, 5)], 1e-5);
    const info = weightsInfo(join(folder, keep), "line");
    assert.equal(info?.epoch, expected);
    assert.ok(info?.finished && info.epochs === 5);
    assert.equal(info?.score?.score, keep === "best" ? 0.7 : undefined);
    const other = new LineLearner();
    loadWeights(join(folder, keep), other.module, "line");
    assert.deepEqual(other.module.weight.toNumbers(), learner.module.weight.toNumbers());
    learner.dispose();
    other.dispose();
  }
});

test("patience ends a fit, and an interruption does not change which weights are kept", async () => {
  const scripted = [0.4, 0.7, 0.6, 0.6, 0.9];
  const options = { ...usual, epochs: 5, patience: 2 };
  for (const stopAt of [undefined, 4, 6, 8]) {
    const abort = new AbortController();
    let steps = 0;
    const emit = (event: RunEvent) => {
      if (event.type === "step" && ++steps === stopAt) abort.abort();
    };
    const validate = async (epoch: number) => metrics(scripted[epoch - 1] ?? 0);
    const name = `patience-${stopAt}`;
    const first = new LineLearner();
    const cut = fit(request(name, first, { options, validate, emit, signal: abort.signal }));
    if (stopAt !== undefined) await assert.rejects(cut, Interrupted);
    else await cut;
    first.dispose();
    const learner = new LineLearner();
    await fit(request(name, learner, { options, validate }));
    assertClose(learner.module.weight, [afterEpoch(2, 5)], 1e-5, name);
    assert.equal(learner.steps, stopAt === undefined ? 0 : 12 - stopAt, "a finished fit is only loaded");
    learner.dispose();
  }
});

test("a finished fit that gets more epochs goes on from its last weights, by the longer schedule", async () => {
  const validate = async (epoch: number) => metrics(epoch === 1 ? 0.9 : epoch / 10);
  const short = new LineLearner();
  await fit(request("grown", short, { validate }));
  assertClose(short.module.weight, [afterEpoch(1, 2)], 1e-5);
  const notes: string[] = [];
  const emit = (event: RunEvent) => event.type === "note" && notes.push(event.text);
  const grown = new LineLearner();
  const more = { options: { ...usual, epochs: 4 }, validate: async (epoch: number) => metrics(0.9 + epoch / 100) };
  await fit(request("grown", grown, { ...more, emit }));
  const expected = nesterov(2, () => slope, [...rates(0, 6, 6), ...rates(6, 12, 12)]);
  assertClose(grown.module.weight, [expected], 1e-5);
  assert.equal(grown.steps, 6);
  assert.match(notes[0] ?? "", /after epoch 2 of 2: .* schedule of 4 epochs/);
  rmSync(checkpointFiles(join(folder, "grown")).state);
  const late = new LineLearner();
  await assert.rejects(fit(request("grown", late, { options: { ...usual, epochs: 9 } })), /grown\.state.* is gone/);
  for (const learner of [short, grown, late]) learner.dispose();
});

test("an interruption while weights are measured is saved too: no step is taken twice", async () => {
  const whole = new LineLearner();
  const validate = async (epoch: number) => metrics(epoch / 10);
  await fit(request("measured", whole, { validate }));
  const cut = new LineLearner();
  const stopped = async (epoch: number) => {
    if (epoch === 1) throw new Interrupted("evaluation");
    return metrics(epoch / 10);
  };
  await assert.rejects(fit(request("unmeasured", cut, { validate: stopped })), Interrupted);
  assert.equal(cut.steps, 3);
  const resumed = new LineLearner();
  const epochs: number[] = [];
  const emit = (event: RunEvent) => event.type === "epoch" && epochs.push(event.loss);
  await fit(request("unmeasured", resumed, { validate, emit }));
  assert.equal(resumed.steps, 3);
  assert.ok(epochs.length === 2 && epochs.every(Number.isFinite));
  assert.deepEqual(resumed.module.weight.toNumbers(), whole.module.weight.toNumbers());
  for (const learner of [whole, cut, resumed]) learner.dispose();
});

test("a signal ends a loop over batches after the one at hand, which is released", async () => {
  const { handles } = memory();
  const abort = new AbortController();
  let seen = 0;
  const loop = forEachBatch(threeSteps.epoch(0, 0), { work: "counting", signal: abort.signal }, () => {
    seen += 1;
    abort.abort();
  });
  await assert.rejects(loop, (error) => error instanceof Interrupted && error.message === "counting");
  assert.equal(seen, 1);
  const failing = forEachBatch(threeSteps.epoch(0, 0), { work: "failing" }, () => assert.fail("no"));
  await assert.rejects(failing, /no/);
  assert.ok(memory().handles <= handles);
});

/** A sound fit's training state with other metadata. */
function damaged(path: string, change: (meta: unknown) => unknown): string {
  const { tensors, metadata } = readSafetensors(path);
  const meta = change(JSON.parse(metadata["checkpoint"] ?? ""));
  const text = typeof meta === "string" ? meta : JSON.stringify(meta);
  const copy = new Map([...tensors].map(([name, tensor]) => [name, tensor.clone()]));
  disposeTree(tensors);
  writeSafetensors(path, copy, { checkpoint: text });
  disposeTree(copy);
  return path;
}

test("whatever stands in a checkpoint, it goes on or is refused in one line that names the file", async () => {
  const learner = new LineLearner();
  learner.streams.stream("noise");
  const abort = new AbortController();
  const stop = (event: RunEvent) => event.type === "step" && event.step === 2 && abort.abort();
  await assert.rejects(fit(request("mutated", learner, { emit: stop, signal: abort.signal })), Interrupted);
  learner.dispose();
  const { state } = checkpointFiles(join(folder, "mutated"));
  const sound = readFileSync(state);
  const { handles } = memory();
  const goesOn = async (named = true) => {
    const own = new LineLearner();
    try {
      await fit(request("mutated", own));
    } catch (error) {
      assert.ok(error instanceof UserError && (!named || error.message.startsWith(state)), String(error));
      assert.ok(!error.message.includes("\n"));
      return error.message;
    } finally {
      own.dispose();
      rmSync(checkpointFiles(join(folder, "mutated")).weights, { force: true });
      writeFileSync(state, sound);
    }
    return "";
  };
  const values = fc.oneof(
    fc.constantFrom(null, -1, 0.5, 1e308, "", "AAAA", "x".repeat(30_000), [], {}, { length: 1e9 }, true),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const paths = ["version", "identity", "position", "meter", "streams", "optimizer"].flatMap((top) => [[top]]);
  const inner = [
    ["position", "epoch"],
    ["position", "step"],
    ["position", "trainingFlops"],
    ["meter", "rows"],
    ["meter", "loss"],
    ["streams", "noise"],
    ["streams", "__proto__"],
    ["optimizer", "0.0.step"],
    ["optimizer", "7.0.step"],
  ];
  const place = fc.constantFrom(...paths, ...inner);
  await fc.assert(
    fc.asyncProperty(place, values, async ([top = "", below], value) => {
      damaged(state, (meta) => {
        const target = meta as Record<string, Record<string, unknown>>;
        if (below === undefined) return { ...target, [top]: value };
        const part = Object.fromEntries([...Object.entries(target[top] ?? {}), [below, value]]);
        return { ...target, [top]: part };
      });
      await goesOn();
    }),
    { numRuns: 60 },
  );
  for (const text of ["", "{", "[]", "null", '"text"']) {
    damaged(state, () => text);
    assert.match(await goesOn(), /checkpoint/);
  }
  for (const bytes of [sound.subarray(0, 0), sound.subarray(0, 100), sound.subarray(0, -4)]) {
    writeFileSync(state, bytes);
    assert.match(await goesOn(), /safetensors/);
  }
  damaged(state, (meta) => {
    const { streams } = meta as { streams: Record<string, string> };
    return { ...(meta as object), streams: { ...streams, noise: (streams["noise"] ?? "").slice(0, 400) } };
  });
  assert.match(await goesOn(), /random stream/);
  damaged(state, (meta) => ({ ...(meta as object), identity: "another" }));
  assert.match(await goesOn(), /another run/);
  assert.ok(memory().handles <= handles, "nothing is left behind");
});

test("weights of another shape are refused by name, and files of earlier versions in one line", () => {
  const base = join(folder, "narrow");
  using generator = new Generator(1);
  using wide = new Linear(3, 2, { generator });
  using narrow = new Linear(2, 2, { generator });
  const before = narrow.weight.toNumbers();
  const meta = { version: 2, identity: "x", epoch: 1, epochs: 1, finished: true, score: null };
  const text = JSON.stringify({ ...meta, seconds: 0, trainingFlops: 0 });
  writeSafetensors(checkpointFiles(base).weights, wide.stateDict() as Map<string, Tensor>, { checkpoint: text });
  const { handles } = memory();
  assert.throws(() => loadWeights(base, narrow), /narrow\.weights\.safetensors: .*weight is \[2,3\], needs \[2,2\]/);
  assert.deepEqual(narrow.weight.toNumbers(), before);
  assert.equal(loadWeights(join(folder, "none"), narrow), undefined);
  writeFileSync(join(folder, "old.checkpoint.safetensors"), "");
  assert.throws(() => loadWeights(join(folder, "old"), narrow), /earlier version of this program: train again/);
  damaged(checkpointFiles(base).weights, (given) => ({ ...(given as object), version: 1, score: undefined }));
  assert.throws(
    () => loadWeights(base, narrow),
    /narrow\.weights\.safetensors has version 1.*reads 2: train again[^;]*$/,
  );
  assert.equal(memory().handles, handles);
});

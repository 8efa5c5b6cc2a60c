/** Requirements of a published recipe on the loop: SGD, a number of steps, ten crops. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import sharp from "sharp";
import { writeBundle } from "../../../src/export/index.ts";
import { openHub, starterHub } from "../../../src/hub/index.ts";
import { Predictor } from "../../../src/library/index.ts";
import { findMethod, restorePredictor } from "../../../src/methods/index.ts";
import { arange, full, Interrupted, memory, scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import {
  type Predictor as AnyPredictor,
  type Choices,
  defaultTrainOptions,
  evaluate,
  fit,
  learningRateFactor,
  openRun,
  openRunData,
  type RequestedOptions,
  type RunEvent,
  resolveOptions,
  scheduledFactor,
  TenCrop,
  type TrainRequest,
  tenCropSide,
  trainRun,
  withEpochs,
} from "../../../src/train/index.ts";
import { LineLearner, nesterov, slope, threeSteps } from "../../support/line-learner.ts";
import { assertClose } from "../../support/numeric.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;
let hub: string;
let images: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeSmallHub(folder);
  images = await writeShapeImages(folder, 20);
});

function fitLine(learner: LineLearner, changes: Partial<typeof defaultTrainOptions>) {
  const options = { ...defaultTrainOptions, clipNorm: 0, lr: 0.1, weightDecay: 0.2, newLayerFactor: 2, ...changes };
  return fit({
    fit: "line",
    learner,
    batches: threeSteps,
    options,
    checkpoint: undefined,
    identity: "",
    emit: () => {},
  });
}

/** Rates of a schedule over so many steps. */
function rates(lr: number, steps: number): number[] {
  return Array.from({ length: steps }, (_, i) => lr * learningRateFactor(i / steps, defaultTrainOptions.warmup));
}

test("sgd takes Nesterov's steps at each group's rate; vectors do not decay; nothing leaks", async () => {
  const learner = new LineLearner();
  const { handles } = memory();
  await fitLine(learner, { optimizer: "sgd", epochs: 3 });
  assert.equal(memory().handles, handles);
  assertClose(learner.module.weight, [nesterov(2, (w) => slope + 0.2 * w, rates(0.1, 9))], 1e-5);
  assertClose(learner.module.bias, [nesterov(1, () => 1, rates(0.2, 9))], 1e-5);
  const other = new LineLearner();
  await fitLine(other, { epochs: 3 });
  assert.ok(Math.abs(other.module.weight.item() - learner.module.weight.item()) > 0.1, "the default is another one");
  learner.dispose();
  other.dispose();
});

test("a fit ends after its steps, in the middle of an epoch, with the rate falling over just those", async () => {
  const { handles } = memory();
  for (const [iterations, expected] of [
    [4, 4],
    [6, 6],
    [1, 1],
  ] as const) {
    const learner = new LineLearner();
    const options = resolveOptions({ ...defaultTrainOptions, iterations }, needs(threeSteps.stepsPerEpoch));
    await fitLine(learner, { optimizer: "sgd", iterations, epochs: options.epochs });
    assert.equal(learner.steps, expected);
    assertClose(learner.module.bias, [nesterov(1, () => 1, rates(0.2, iterations))], 1e-5);
    learner.dispose();
  }
  assert.equal(memory().handles, handles);
});

test("steps of a tenth: the rate is what they say, with a warm-up and without, and longer fits move them along", async () => {
  const learner = new LineLearner();
  await fitLine(learner, { optimizer: "sgd", epochs: 3, warmup: 0, decaySteps: [2, 5] });
  const falling = (lr: number) => [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01].map((factor) => lr * factor);
  assertClose(learner.module.weight, [nesterov(2, (w) => slope + 0.2 * w, falling(0.1))], 1e-5);
  assertClose(learner.module.bias, [nesterov(1, () => 1, falling(0.2))], 1e-5);
  learner.dispose();
  const published = { warmup: 0, decaySteps: [6000, 12_000] };
  const at = (step: number) => scheduledFactor(step, 15_000, published);
  for (const [step, factor] of [
    [0, 1],
    [5999, 1],
    [6000, 0.1],
    [11_999, 0.1],
    [12_000, 0.01],
    [14_999, 0.01],
  ] as const) {
    assert.ok(Math.abs(at(step) - factor) < 1e-12, `${step}: ${at(step)}`);
  }
  assert.equal(scheduledFactor(100, 1000, { warmup: 0.2, decaySteps: [50] }), 0.5 * 0.1);
  assert.equal(scheduledFactor(30, 100, { warmup: 0.1 }), learningRateFactor(0.3, 0.1));
  const options = { ...defaultTrainOptions, ...published, epochs: 4, iterations: 15_000 };
  assert.deepEqual(withEpochs(options, 2), { ...options, epochs: 2, iterations: 7500, decaySteps: [3000, 6000] });
});

const needs = (stepsPerEpoch: number) => ({ stepsPerEpoch, images: 250, epochsOfOnePass: 3 });

test("steps and epochs follow from each other; options from before stay what they were", () => {
  const options = { ...defaultTrainOptions, iterations: 100 };
  assert.equal(resolveOptions(options, needs(30)).epochs, 4);
  assert.equal(resolveOptions(options, needs(100)).epochs, 1);
  assert.deepEqual(withEpochs({ ...options, epochs: 4 }, 8), { ...options, epochs: 8, iterations: 200 });
  assert.equal(JSON.stringify(resolveOptions(defaultTrainOptions, needs(30))), JSON.stringify(defaultTrainOptions));
  assert.deepEqual(
    Object.keys(defaultTrainOptions).filter((name) => ["optimizer", "iterations"].includes(name)),
    [],
  );
});

test("epochs are usual for the number of images, and longer where each model sees a part of them", () => {
  const { epochs: _sixteen, ...asked } = defaultTrainOptions;
  const chosen = (images: number, epochsOfOnePass: number) =>
    resolveOptions(asked, { stepsPerEpoch: 10, images, epochsOfOnePass }).epochs;
  assert.deepEqual([chosen(250, 1), chosen(250, 3), chosen(2000, 1), chosen(2000, 3)], [16, 48, 8, 24]);
  // From so few that they are soon known by heart to so many that few passes are enough; and never for days.
  assert.deepEqual([chosen(1, 1), chosen(1e7, 1), chosen(250, 50)], [30, 3, 128]);
  assert.equal(
    resolveOptions({ ...asked, epochs: 5 }, { stepsPerEpoch: 10, images: 250, epochsOfOnePass: 3 }).epochs,
    5,
  );
});

function request(out: string, more: Partial<TrainRequest> = {}): TrainRequest {
  const usual = trainRequest({ folder, hub, images }, out);
  const sgd = { ...defaultTrainOptions, batchSize: 12, seed: 3, lr: 1e-2, optimizer: "sgd", iterations: 7 } as const;
  const crops = { fit: "squash", augment: "crops", cropScale: 0.08, cropFrom: 32 } as const;
  const options: TrainRequest["options"] = { ...sgd, warmup: 0, decaySteps: [3, 5] };
  return { ...usual, data: { ...usual.data, ...crops }, options, ...more };
}

test("a run of so many steps resumes to the same weights, is finished, and is measured over ten crops", async () => {
  let steps = 0;
  const count = (event: RunEvent) => {
    if (event.type === "step") steps += 1;
  };
  const whole = await trainRun(request("whole", { emit: count }));
  assert.equal(steps, 7);
  assert.equal(whole.folder.config().options.epochs, Math.ceil(7 / whole.data.train.stepsPerEpoch));
  for (const stopAt of [2, 5, 7]) {
    const abort = new AbortController();
    let done = 0;
    const emit = (event: RunEvent) => {
      if (event.type === "step" && ++done === stopAt) abort.abort();
    };
    const out = `cut-${stopAt}`;
    const { handles } = memory();
    await assert.rejects(trainRun(request(out, { emit, signal: abort.signal })), Interrupted);
    assert.equal(memory().handles, handles, "an interrupted run leaves nothing behind");
    assert.throws(() => openRun(join(folder, out), restorePredictor), /not finished/);
    assert.equal(memory().handles, handles, "nor does opening it before it is finished");
    const resumed = await trainRun(request(out, { resume: true }));
    const weights = (run: string) => readFileSync(join(folder, run, "training", "hub-pathway.weights.safetensors"));
    const strip = (bytes: Buffer) => bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
    assert.ok(strip(weights("whole")).equals(strip(weights(out))), `stopped at ${stopAt}`);
    resumed.predictor.dispose();
    resumed.data.dispose();
  }
  whole.predictor.dispose();
  whole.data.dispose();
  const run = openRun(join(folder, "whole"), restorePredictor);
  const images = await openRunData(run.folder, run.config, { split: "test" });
  const size = images.imageSize;
  assert.equal(tenCropSide(224), 256);
  const { handles } = memory();
  const larger = await images.openAt(tenCropSide(size));
  const cropped = new TenCrop(run.predictor, size);
  const evaluation = await evaluate(cropped, larger, run.config.classes.length);
  larger.dispose();
  assert.equal(memory().handles, handles);
  const plain = await evaluate(run.predictor, images.batches, run.config.classes.length);
  assert.deepEqual(evaluation.indices, plain.indices);
  assert.notDeepEqual(evaluation.probabilities, plain.probabilities);
  assert.equal(cropped.inferenceFlops, 10 * run.predictor.inferenceFlops);
  assert.equal(cropped.pathwayFlops?.([1, 0, 0], 1), 10 * (run.predictor.pathwayFlops?.([1, 0, 0], 1) ?? 0));
  await assert.rejects(writeBundle(run, join(folder, "bundle")), /squashes its images/);
  run.dispose();
  images.dispose();

  using predictor = await Predictor.open(join(folder, "whole"));
  const wide = await noisePng(48, 24);
  const squashed = await sharp(wide).resize(24, 24, { fit: "fill" }).png().toBuffer();
  const cropped24 = await sharp(wide).resize(24, 24, { fit: "cover" }).png().toBuffer();
  const [asItIs, same, other] = await predictor.predict([wide, squashed, cropped24]);
  assert.deepEqual(asItIs?.probability, same?.probability);
  assert.notDeepEqual(asItIs?.probability, other?.probability);
});

function noisePng(width: number, height: number): Promise<Buffer> {
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 2654435761) >>> 24);
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Probabilities that are no linear function of the pixels, so that no crop can stand for another. */
class Weighing implements AnyPredictor {
  readonly memberNames = ["one", "two"];
  readonly parameters = 0;
  readonly inferenceFlops = 5;
  predict(crop: Tensor) {
    const weights = arange(0, 16, 1, { dtype: "float32" }).view([4, 4]);
    const sums = crop.mul(weights).sum([2, 3]).narrow(1, 0, 2).div(60);
    const first = crop.narrow(2, 0, 1).narrow(3, 0, 1).reshape([-1, 3]).narrow(1, 0, 2);
    return { probabilities: sums.mul(sums).mul(4).softmax(1), weights: first };
  }
  eval(): void {}
  dispose(): void {}
}

test("ten crops are those of torchvision's ten_crop", () => {
  const values = Float32Array.from({ length: 2 * 3 * 36 }, (_, i) => ((i * 37) % 101) / 101);
  using pixels = tensor(values, { shape: [2, 3, 6, 6] });
  const cropped = new TenCrop(new Weighing(), 4);
  const { handles } = memory();
  scope(() => {
    const { probabilities, weights, scores } = cropped.predict(pixels);
    // torch 2.13, torchvision 0.28: the mean over ten_crop(pixels, 4) of softmax(4 * (sum(crop * arange(16)) / 60)^2).
    const wanted = [0.5363772083291972, 0.4636227916708028, 0.5915966452885091, 0.40840335471149086];
    assertClose(probabilities, wanted, 1e-5);
    // The upper left pixel of each crop: columns 0, 1 and 2 as they are, 3, 4 and 5 mirrored.
    const at = (b: number, c: number, y: number, x: number) => values[((b * 3 + c) * 6 + y) * 6 + x] ?? 0;
    const corners = [
      [0, 0],
      [0, 2],
      [2, 0],
      [2, 2],
      [1, 1],
    ] as const;
    const mean = (b: number, c: number) =>
      corners.reduce((sum, [y, x]) => sum + at(b, c, y, x) + at(b, c, y, x + 3), 0) / 10;
    assertClose(weights as Tensor, [mean(0, 0), mean(0, 1), mean(1, 0), mean(1, 1)], 1e-5);
    assert.equal(scores, undefined);
  });
  assert.equal(memory().handles, handles);
  assert.equal(cropped.inferenceFlops, 50);
  assert.equal(cropped.pathwayFlops, undefined);
  using small = full([1, 3, 3, 8], 0);
  assert.throws(() => cropped.predict(small), /3 x 8 hold no crops of 4 pixels/);
});

test("a generator's rate is the run's, else its method's, else the usual one, and stands where it always stood", () => {
  const { generatorFactor: _, ...asked } = defaultTrainOptions;
  const factorOf = (options: object, generatorFactor?: number) =>
    resolveOptions({ ...asked, ...options }, { ...needs(30), generatorFactor }).generatorFactor;
  assert.equal(factorOf({}), defaultTrainOptions.generatorFactor);
  assert.equal(factorOf({}, 10), 10);
  assert.equal(factorOf({ generatorFactor: 3 }, 10), 3);
  assert.equal(JSON.stringify(resolveOptions(asked, needs(30))), JSON.stringify(defaultTrainOptions));
  const { generatorFactor: ofMethod } = findMethod("hub-pathway");
  assert.equal(ofMethod?.({ credit: "losses" }), 10);
  assert.equal(ofMethod?.({}), undefined);
});

test("losses teach a new run whose members stay as they are, unless its choices say or need otherwise", () => {
  const { manifest } = openHub(starterHub);
  const frozen = { ...defaultTrainOptions, frozenViews: 2 };
  const creditOf = (choices: Choices, options: RequestedOptions = frozen, method = "hub-pathway") =>
    findMethod(method).completed?.(choices, manifest, options)["credit"];
  assert.equal(creditOf({}), "losses");
  assert.equal(creditOf({ k: 1 }, frozen, "global-gate"), "losses");
  assert.equal(creditOf({}, defaultTrainOptions), undefined);
  assert.equal(creditOf({ credit: "weights" }), "weights");
  assert.equal(creditOf({}, { ...frozen, accumulate: 2 }), undefined);
  for (const choices of [
    { preset: "paper" },
    { preset: "dense" },
    { noise: "learned" },
    { generatorKind: "member-stem" },
  ])
    assert.equal(creditOf(choices), undefined, JSON.stringify(choices));
  for (const method of ["random-routing", "dense"]) assert.equal(creditOf({}, frozen, method), undefined, method);
});

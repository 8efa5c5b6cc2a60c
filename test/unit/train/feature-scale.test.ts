/** Frozen members whose features are large must not win by that: scaled by a power of two, everything stays as it was. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { HubMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { readSafetensors } from "../../../src/io/index.ts";
import { findMethod, restorePredictor } from "../../../src/methods/index.ts";
import { Standardize } from "../../../src/nn/index.ts";
import { disposeTree, inferenceMode, ones, scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import { defaultTrainOptions, openRun, type TrainRequest, trainRun } from "../../../src/train/index.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;
let hub: string;
let images: string;

before(async () => {
  folder = temporaryFolder();
  hub = writeSmallHub(folder);
  images = await writeShapeImages(folder, 16);
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
});

const options = { ...defaultTrainOptions, epochs: 2, batchSize: 12, seed: 3, lr: 2e-3, frozenViews: 1 };

function request(out: string, more: Partial<TrainRequest> = {}): TrainRequest {
  return { ...trainRequest({ folder, hub, images }, out), options, cacheFeatures: false, ...more };
}

/** Predictions of a run for the validation images when one member's features are multiplied by `factor`. */
async function probabilities(out: string, factor: number, more: Partial<TrainRequest>): Promise<Float32Array> {
  const original = HubMember.prototype.features;
  HubMember.prototype.features = function features(this: HubMember, batch: Tensor): Tensor {
    const own = original.call(this, batch);
    return this.name === "other-resnet" ? own.mul(factor) : own;
  };
  try {
    const run = await trainRun(request(out, more));
    run.predictor.dispose();
    run.data.dispose();
    return run.validation.probabilities;
  } finally {
    HubMember.prototype.features = original;
  }
}

for (const [name, choices] of [
  ["hub-pathway", { k: 2, generatorWidth: 4 }],
  ["hub-pathway", { k: 2, generatorWidth: 4, aggregation: "features" }],
  ["ensemble", {}],
] as const) {
  test(`${name} ${JSON.stringify(choices)}: a member's features may be of any size`, async () => {
    const more = { method: findMethod(name), choices };
    const slug = `${name}-${"aggregation" in choices}`;
    const usual = await probabilities(`usual-${slug}`, 1, more);
    const large = await probabilities(`large-${slug}`, 1024, more);
    assert.ok(usual.length > 0);
    for (const [i, value] of usual.entries()) assert.ok(Math.abs(value - (large[i] ?? Number.NaN)) < 1e-6);
  });

  test(`${name} ${JSON.stringify(choices)}: members that train keep their features as they are`, async () => {
    const more = { method: findMethod(name), choices, options: { ...options, frozenViews: undefined } };
    const slug = `${name}-${"aggregation" in choices}`;
    const usual = await probabilities(`trained-${slug}`, 1, more);
    const large = await probabilities(`trained-large-${slug}`, 1024, more);
    assert.ok(usual.some((value, i) => Math.abs(value - (large[i] ?? Number.NaN)) > 1e-3));
  });
}

test("constants are measured on the training images, kept with the run, and found when it is opened", async () => {
  const run = await trainRun(request("kept", { choices: { k: 2, generatorWidth: 4 } }));
  const opened = openRun(join(folder, "kept"), restorePredictor);
  const { tensors } = readSafetensors(join(folder, "kept", "training", "hub-pathway.weights.safetensors"));
  const hubMembers = loadMembers(openHub(hub));
  try {
    for (const member of hubMembers) {
      member.backbone.eval();
      const rows: number[][] = [];
      for await (const batch of run.data.trainInOrder.epoch(0, 0)) {
        scope(() => inferenceMode(() => rows.push(...rowsOf(member.features(batch.images)))));
        batch.dispose();
      }
      const width = member.featureWidth;
      const means = Array.from(
        { length: width },
        (_, j) => rows.reduce((sum, row) => sum + (row[j] ?? 0), 0) / rows.length,
      );
      const deviations = means.map((mean, j) =>
        Math.sqrt(rows.reduce((sum, row) => sum + ((row[j] ?? 0) - mean) ** 2, 0) / rows.length),
      );
      const sum = deviations.reduce((a, b) => a + b, 0);
      const found = (key: string) => tensors.get(`standardizers.${member.name}.${key}`) as Tensor;
      assertClose(found("mean"), means, 1e-5);
      assertClose(found("scale"), [sum / 100], 1e-5);
    }
    scope(() => {
      const input = ones([2, 3, run.data.imageSize, run.data.imageSize]).mul(0.5);
      assertClose(opened.predictor.predict(input).probabilities, run.predictor.predict(input).probabilities, 1e-6);
    });
  } finally {
    disposeTree([...tensors.values()]);
    for (const part of [...hubMembers, run.predictor, run.data, opened]) part.dispose();
  }
});

function rowsOf(features: Tensor): number[][] {
  const [n = 0, width = 0] = features.shape;
  const values = features.toNumbers();
  return Array.from({ length: n }, (_, i) => [...values.slice(i * width, (i + 1) * width)]);
}

test("Standardize: less the mean, over one scale; nothing before it is set; no handle is left", () => {
  const x = tensor([
    [1, 2],
    [3, 6],
  ]);
  const layer = new Standardize(2);
  scope(() => assertClose(layer.forward(x), [1, 2, 3, 6], 0));
  const mean = tensor([2, 4]);
  assertNoLeak(() => layer.set(mean, 4));
  scope(() => assertClose(layer.forward(x), [-0.25, -0.5, 0.25, 0.5], 0));
  assert.deepEqual([...layer.stateDict().keys()], ["mean", "scale"]);
  assert.equal(layer.parameters().length, 0);
  disposeTree([x, mean]);
  layer.dispose();
});

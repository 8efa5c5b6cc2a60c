/** Training images that only the generator learns from. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { findMethod, type PathwayLearner } from "../../../src/methods/index.ts";
import { memory } from "../../../src/torch/index.ts";
import { defaultTrainOptions, trainRun } from "../../../src/train/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";

let folder: string;
let hub: string;
let source: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  [hub, source] = [writeSmallHub(folder), await writeShapeImages(folder, 24)];
});

async function scoreWeights(name: string, choices: Record<string, unknown>): Promise<number[]> {
  const before = memory().handles;
  const { predictor, data } = await trainRun({
    method: findMethod("hub-pathway"),
    choices: { k: 2, beta: 0, generatorWidth: 4, warmup: 0, explorationWeight: 0, ...choices },
    hub,
    data: {
      source,
      imageSize: 24,
      split: { validationFraction: 0.3, testFraction: 0 },
      augment: "none",
      batchSize: 12,
      seed: 0,
    },
    options: { ...defaultTrainOptions, epochs: 4, batchSize: 12, lr: 3e-3 },
    out: join(folder, name),
    resume: false,
    emit: () => {},
  });
  const weights =
    (predictor as PathwayLearner).module.generator.namedParameters().get("score.weight")?.toNumbers() ?? [];
  predictor.dispose();
  data.dispose();
  assert.equal(memory().handles, before, "live tensors");
  return weights;
}

test("the generator learns until the held-out images are the members' too", async () => {
  const never = await scoreWeights("never", { heldOut: 0.4, heldOutUntil: 0 });
  assert.ok(never.length > 0 && never.every((weight) => weight === 0), "it starts at zero and stays there");
  const half = await scoreWeights("half", { heldOut: 0.4, heldOutUntil: 0.5 });
  assert.ok(half.some((weight) => weight !== 0));
  const always = await scoreWeights("always", { heldOut: 0.4, heldOutUntil: 1 });
  assert.notDeepEqual(always, half);
  assert.deepEqual(
    await scoreWeights("again", { heldOut: 0.4, heldOutUntil: 0.5 }),
    half,
    "the same images every time",
  );
});

/** Exports of every kind that methods end in, and of runs without their rare models. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import * as ort from "onnxruntime-node";
import { type Bundle, verifyBundle, writeBundle } from "../../../src/export/index.ts";
import { loadMembers, openHub } from "../../../src/hub/index.ts";
import { findMethod, PathwayLearner, restorePredictor } from "../../../src/methods/index.ts";
import { resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { openBundle } from "../../../src/runtime/node.ts";
import { Generator, noGrad } from "../../../src/torch/index.ts";
import { ClassificationTask, evaluate, openRun, openRunData, type TrainRequest } from "../../../src/train/index.ts";
import { exportedBundle, trainedRun, writeSmallTask } from "../../support/small-bundle.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder);
});

/** Trains and exports a method; the files answer as the run does, or the export would have been refused. */
async function exportOf(name: string, choices: TrainRequest["choices"] = {}, freezeMembers = false): Promise<Bundle> {
  await trainedRun(folder, name, ({ options }) => {
    return { method: findMethod(name), choices, options: { ...options, freezeMembers } };
  });
  const bundle = await exportedBundle(folder, name, `${name}-bundle`);
  assert.ok(bundle.gate && "accuracy" in bundle.gate, name);
  assert.deepEqual([bundle.gate.otherLabels, bundle.gate.accuracy], [0, bundle.gate.runAccuracy], name);
  const { selfTest } = await verifyBundle(join(folder, `${name}-bundle`));
  assert.ok(selfTest && selfTest.probabilities < 1e-5, `${name} ${JSON.stringify(selfTest)}`);
  return bundle;
}

test("ensembles and static pairs answer with the weighted mean of probabilities", async () => {
  const frozen = await exportOf("ensemble", {}, true);
  assert.deepEqual([frozen.members.length, frozen.shares], [3, [1 / 3, 1 / 3, 1 / 3]]);
  const pair = await exportOf("static-k", { k: 2 });
  assert.deepEqual([pair.aggregation, pair.members.length, pair.shares], ["weighted-probabilities", 2, [0.5, 0.5]]);
  const model = await openBundle(join(folder, "static-k-bundle"), { ort });
  const image = { data: new Float32Array(3 * 24 * 24).fill(90 / 255), dims: [3, 24, 24] };
  const both = await model.predict(image);
  // The mean by hand: of the models' softmax, which each alone gives; then the temperature.
  const own = await Promise.all(
    pair.members.map(async ({ file }) => {
      const session = await ort.InferenceSession.create(join(folder, "static-k-bundle", file));
      const images = new ort.Tensor("float32", new Float32Array(3 * 24 * 24).fill(90 / 255), [1, 3, 24, 24]);
      const { logits } = await session.run({ images });
      const powers = Array.from(logits?.data as Float32Array, Math.exp);
      const sum = powers.reduce((a, b) => a + b, 0);
      return powers.map((power) => power / sum);
    }),
  );
  const { temperature = 0 } = pair.calibration ?? {};
  const means = (own[0] ?? []).map((p, c) => ((p + (own[1]?.[c] ?? 0)) / 2) ** (1 / temperature));
  const sum = means.reduce((a, b) => a + b, 0);
  for (const [c, probability] of both.probabilities.entries()) {
    assert.ok(Math.abs(probability - (means[c] ?? 0) / sum) < 1e-5, `${probability} ${means[c]} ${sum}`);
  }
  const one = await model.predict(image, { k: 1 });
  assert.deepEqual(one.pathway, [{ member: pair.members[0]?.name, weight: 1 }]);
  await model.close();
});

test("students and mixtures of one model are exported as that", async () => {
  for (const name of ["distillation", "soup"]) assert.equal((await exportOf(name)).members.length, 1);
});

test("routes of chance and weights that are mixed anew for each image are refused in one line", async () => {
  await trainedRun(folder, "chance", ({ choices }) => ({ method: findMethod("random-routing"), choices }));
  await assert.rejects(
    exportedBundle(folder, "chance", "none"),
    /leaves its routes to chance; train with .*hub-pathway$/,
  );
  const members = ["small-resnet"];
  await trainedRun(folder, "zoo", () => ({ method: findMethod("zoo-tuning"), choices: { members } }));
  await assert.rejects(
    exportedBundle(folder, "zoo", "none"),
    /anew for each image.*train with --method zoo-tuning-lite/,
  );
  assert.ok(!existsSync(join(folder, "none")));
});

test("models that few images activate are left out, and what that costs is measured", async () => {
  await trainedRun(folder, "run");
  const run = openRun(join(folder, "run"), restorePredictor);
  const hub = loadMembers(openHub(join(folder, "hub")));
  const config = resolvePathwayConfig({ k: 2, generatorWidth: 4 }, hub.length);
  const learner = new PathwayLearner({ members: hub, task: new ClassificationTask(3), config, seed: 5, imageSize: 24 });
  using generator = new Generator(5);
  // Scores that differ from image to image: five pairs cannot be shared evenly by three models.
  noGrad(() => {
    for (const parameter of learner.module.generator.parameters()) parameter.uniform_(-1, 1, { generator });
  });
  learner.eval();
  const opened = { ...run, predictor: learner };
  const images = await openRunData(opened.folder, opened.config, { split: "validation" });
  const { weights, members: m, labels } = await evaluate(opened.predictor, images.batches, 3);
  images.dispose();
  const counts = learner.memberNames.map((_, i) => weights.filter((w, at) => at % m === i && w > 0).length);
  const kept = learner.memberNames.filter((_, i) => (counts[i] ?? 0) > Math.min(...counts));
  // Above the least, so that what is left has at least two.
  const minShare = Math.min(...counts) / labels.length + 1e-6;
  const options = { minShare, maxDrop: 100 };
  const bundle = await writeBundle(opened, join(folder, "few"), options);
  learner.dispose();
  run.dispose();
  assert.deepEqual(
    bundle.members.map(({ name }) => name),
    kept,
  );
  for (const { name, share } of bundle.leftOut?.members ?? []) {
    assert.equal(share, (counts[learner.memberNames.indexOf(name)] ?? 0) / labels.length);
  }
  assert.ok(
    bundle.gate && "accuracy" in bundle.gate && bundle.leftOut && "accuracy" in bundle.leftOut,
    "something is left out",
  );
  assert.deepEqual(
    [bundle.gate.accuracy, bundle.gate.runAccuracy],
    [bundle.leftOut.accuracy, bundle.leftOut.runAccuracy],
  );
  assert.match(readFileSync(join(folder, "few/README.md"), "utf8"), /Left out, since fewer than/);
  await verifyBundle(join(folder, "few"));
});

/** Penalties of regularised fine-tuning against closed forms and finite differences. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { type Hub, type HubMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { spectralShrinkage } from "../../../src/methods/bss.ts";
import { sourceLoss, sourceRelationship } from "../../../src/methods/co-tuning.ts";
import { attendedDistance, attentionOf, channelAttention } from "../../../src/methods/delta.ts";
import { FeatureMaps, lastConvolutions } from "../../../src/methods/feature-maps.ts";
import { restorePredictor } from "../../../src/methods/index.ts";
import { L2SpLearner, startingPointPenalty } from "../../../src/methods/l2-sp.ts";
import { Conv2d } from "../../../src/nn/index.ts";
import { Generator, inferenceMode, noGrad, rand, randn, scope, tensor } from "../../../src/torch/index.ts";
import { ClassificationTask, defaultTrainOptions, openRun, trainRun } from "../../../src/train/index.ts";
import { assertClose, assertGradients, assertNoLeak } from "../../support/numeric.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { writeZooHub, zooRequests } from "../../support/zoo-hub.ts";

const double = { dtype: "float64" } as const;
let hub: Hub;

before(() => {
  hub = openHub(writeZooHub(temporaryFolder()));
});

function load(name: string): HubMember {
  const [member] = loadMembers(hub, { names: [name] });
  assert.ok(member);
  return member;
}

test("L2-SP is alpha / 2 of the squared distance, and its gradient alpha times the distance", () => {
  const start = [tensor([1, -2], double), tensor([[0.5]], double)];
  const weights = [tensor([2, 1], double), tensor([[1]], double)];
  for (const weight of weights) weight.requires_grad = true;
  const penalty = startingPointPenalty(weights, start, 0.4);
  assert.ok(Math.abs(penalty.item() - 0.2 * (1 + 9 + 0.25)) < 1e-12);
  penalty.backward();
  assertClose(weights[0]?.grad ?? tensor([]), [0.4 * 1, 0.4 * 3], 1e-12);
  assertClose(weights[1]?.grad ?? tensor([]), [0.4 * 0.5], 1e-12);
});

test("a learner of L2-SP starts without penalty, counts moved weights alone, and has no decay of its own", () => {
  const learner = new L2SpLearner(load("first"), new ClassificationTask(3), 1, 0.1);
  using images = rand([9, 3, 24, 24], { generator: new Generator(1) });
  const targets = tensor([0, 1, 2, 0, 1, 2, 0, 1, 2], { dtype: "int64" });
  const penalty = () => scope(() => learner.step({ images, targets }, 0).logs["penalty"] ?? Number.NaN);
  assert.equal(penalty(), 0);
  const matrices = learner.backbones[0]?.parameters().filter((parameter) => parameter.dim() > 1) ?? [];
  const vectors = learner.backbones[0]?.parameters().filter((parameter) => parameter.dim() === 1) ?? [];
  noGrad(() => {
    matrices[0]?.add_(0.5);
    vectors[0]?.add_(7);
  });
  const expected = 0.05 * 0.25 * (matrices[0]?.numel() ?? 0);
  assert.ok(Math.abs(penalty() - expected) < 1e-5 * expected);
  assert.equal(learner.backboneDecay, 0);
  assertNoLeak(() => penalty());
  learner.dispose();
});

test("L2-SP with alpha 0 moves the member as fine-tuning without weight decay does", async () => {
  const request = await zooRequests(12);
  // One step over all images: later ones would see heads that decayed differently.
  const data = { ...request("x", "l2-sp").data, batchSize: 64 };
  const options = { ...defaultTrainOptions, epochs: 1, batchSize: 64, seed: 3 };
  const choices = { member: "first" };
  const pulled = { data, options: { ...options, weightDecay: 0.5 }, choices: { ...choices, alpha: 0 } };
  const runs = [
    await trainRun(request("pulled", "l2-sp", pulled)),
    await trainRun(request("free", "fine-tune", { data, options: { ...options, weightDecay: 0 }, choices })),
    await trainRun(request("decayed", "fine-tune", { data, options: { ...options, weightDecay: 0.5 }, choices })),
  ];
  const weights = runs.map(({ predictor }) => {
    const { backbones } = predictor as unknown as L2SpLearner;
    return backbones[0]?.parameters().flatMap((parameter) => parameter.toNumbers()) ?? [];
  });
  assert.deepEqual(weights[0], weights[1]);
  assert.notDeepEqual(weights[0], weights[2]);
  for (const { predictor, data: opened } of runs) {
    predictor.dispose();
    opened.dispose();
  }
});

test("BSS is the sum of the smallest squared singular values, with their gradient", () => {
  // U diag(3, 2, 0.5) V' with orthonormal U [4, 3] and V [3, 3].
  const h = Math.SQRT1_2;
  const u = [
    [h, 0, 0.5],
    [h, 0, -0.5],
    [0, h, 0.5],
    [0, h, -0.5],
  ];
  const v = [
    [0.6, 0.8, 0],
    [-0.8, 0.6, 0],
    [0, 0, 1],
  ];
  const sigma = [3, 2, 0.5];
  const entry = (i: number, j: number, from = 0) =>
    [0, 1, 2].reduce((sum, r) => sum + (r >= from ? (u[i]?.[r] ?? 0) * (sigma[r] ?? 0) * (v[j]?.[r] ?? 0) : 0), 0);
  const rows = [0, 1, 2, 3];
  const features = tensor(
    rows.map((i) => [0, 1, 2].map((j) => entry(i, j))),
    double,
  );
  features.requires_grad = true;
  assert.ok(Math.abs(spectralShrinkage(features, 1).item() - 0.25) < 1e-12);
  const two = spectralShrinkage(features, 2);
  assert.ok(Math.abs(two.item() - 4.25) < 1e-12);
  two.backward();
  // The gradient of sigma² is 2 sigma u v'.
  const expected = rows.flatMap((i) => [0, 1, 2].map((j) => 2 * entry(i, j, 1)));
  assertClose(features.grad ?? tensor([]), expected, 1e-10);
  assert.ok(Math.abs(spectralShrinkage(features, 9).item() - (9 + 4 + 0.25)) < 1e-12, "no more than there are");
  const random = randn([5, 3], { generator: new Generator(4), ...double });
  assertGradients((x) => spectralShrinkage(x, 2), [random]);
});

test("DELTA's attention is the softmax of standardised rises divided by 5", () => {
  const rises = [1, 2, 3, 6];
  const deviation = Math.sqrt((4 + 1 + 0 + 9) / 4);
  const scores = rises.map((rise) => Math.exp((rise - 3) / deviation / 5));
  const total = scores.reduce((sum, score) => sum + score, 0);
  for (const [i, weight] of channelAttention(rises).entries()) {
    assert.ok(Math.abs(weight - (scores[i] ?? 0) / total) < 1e-12);
  }
  assert.deepEqual(channelAttention([2, 2]), [0.5, 0.5]);
});

test("DELTA's distance by hand, and by finite differences", () => {
  const a = tensor([[[[1, 2]], [[0, 0]]]], double);
  const b = tensor([[[[0, 0]], [[0, 2]]]], double);
  const attention = tensor([0.25, 0.75], double);
  // c / 2 = 1; channel 0: (1 + 4) / 2 pixels, channel 1: 4 / 2 pixels.
  assert.ok(Math.abs(attendedDistance(a, b, attention).item() - (0.25 * 2.5 + 0.75 * 2)) < 1e-12);
  const generator = new Generator(2);
  const maps = [0, 1].map(() => randn([2, 2, 3, 2], { generator, ...double }));
  assertGradients((x, y) => attendedDistance(x ?? a, y ?? b, attention), maps);
});

test("a channel that is switched off is a filter of zeros", () => {
  const member = load("first");
  member.backbone.eval();
  const places = lastConvolutions(member.backbone, 24);
  assert.deepEqual(
    places.map(({ channels, pixels }) => [channels, pixels]),
    [
      [8, 144],
      [16, 36],
    ],
  );
  const maps = new FeatureMaps(member.backbone, places);
  using images = rand([3, 3, 24, 24], { generator: new Generator(3) });
  const features = () => scope(() => inferenceMode(() => maps.use(() => member.features(images).toNumbers())));
  for (const [place, { module }] of places.entries()) {
    maps.change = (map, at) => {
      if (at === place) map.select(1, 5).zero_();
      return map;
    };
    const without = features();
    maps.change = undefined;
    const layer = member.backbone.modules()[module];
    assert.ok(layer instanceof Conv2d);
    const before = layer.weight.clone();
    noGrad(() => layer.weight.select(0, 5).zero_());
    assert.deepEqual(without, features());
    noGrad(() => layer.weight.copy_(before));
    assert.notDeepEqual(without, features());
  }
  const handles = () => features();
  assertNoLeak(handles);
  member.dispose();
});

test("DELTA asks what the loss is without each channel of each place", () => {
  const losses = [
    [2, 1, 1],
    [1, 1],
  ];
  const asked: string[] = [];
  const attention = attentionOf(
    {
      loss(place, channel) {
        asked.push(`${place}/${channel}`);
        return place === undefined || channel === undefined ? 1 : (losses[place]?.[channel] ?? 0);
      },
    },
    [
      { module: 1, channels: 3, pixels: 4 },
      { module: 2, channels: 2, pixels: 1 },
    ],
  );
  assert.equal(asked.length, 6);
  assert.deepEqual(attention, [channelAttention([1, 0, 0]), [0.5, 0.5]]);
});

test("Co-Tuning's relationship is the mean of the source probabilities of each class", () => {
  const logits = tensor([
    [Math.log(0.8), Math.log(0.2)],
    [Math.log(0.4), Math.log(0.6)],
    [Math.log(0.1), Math.log(0.9)],
  ]);
  const classes = (...own: number[]) => tensor(own, { dtype: "int64" }).one_hot(3);
  assertClose(sourceRelationship(logits, classes(0, 0, 2), 1), [0.6, 0.4, 0.5, 0.5, 0.1, 0.9], 1e-6);
  // At temperature 0.5 probabilities are squared and normalised again.
  assertClose(sourceRelationship(logits, classes(0, 1, 1), 0.5).narrow(0, 0, 1), [0.64 / 0.68, 0.04 / 0.68], 1e-6);
  // An image counts for each label that it has.
  const labels = tensor([
    [1, 1],
    [0, 1],
    [0, 0],
  ]);
  assertClose(sourceRelationship(logits, labels, 1), [0.8, 0.2, 0.6, 0.4], 1e-6);
});

test("Co-Tuning's loss is the cross-entropy with the source classes of labels and of mixtures", () => {
  const relationship = tensor([
    [0.6, 0.4],
    [0.1, 0.9],
  ]);
  const logits = tensor([[Math.log(0.25), Math.log(0.75)]]);
  const crossEntropy = (p: number) => -(p * Math.log(0.25) + (1 - p) * Math.log(0.75));
  const of = (targets: ReturnType<typeof tensor>) => sourceLoss(logits, targets, relationship).item();
  assert.ok(Math.abs(of(tensor([1], { dtype: "int64" })) - crossEntropy(0.1)) < 1e-6);
  assert.ok(Math.abs(of(tensor([[0.5, 0.5]])) - crossEntropy(0.35)) < 1e-6);
  assert.ok(Math.abs(of(tensor([[1, 1]])) - crossEntropy(0.35)) < 1e-6, "two labels");
  assert.equal(Math.abs(of(tensor([[0, 0]]))), 0);
});

test("a run of Co-Tuning trains its source classifier from the hub's", async () => {
  const request = await zooRequests(12);
  const run = await trainRun(request("co", "co-tuning", { choices: { member: "first" } }));
  const source = (run.predictor as unknown as L2SpLearner).module.stateDict().get("source.weight")?.toNumbers() ?? [];
  const member = load("first");
  const original = member.classifierLayer()?.weight.toNumbers() ?? [];
  const distance = (a: number[], b: number[]) => Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? 0))));
  assert.ok(distance(source, original) > 1e-4 && distance(source, original) < 0.2, `${distance(source, original)}`);
  // The classifier does not count: it is not needed to predict.
  const plain = member.backbone.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0);
  assert.equal(run.predictor.parameters, plain + 3 * member.featureWidth + 3);
  member.dispose();
  run.predictor.dispose();
  run.data.dispose();
  openRun(run.folder.path, restorePredictor).dispose();
});

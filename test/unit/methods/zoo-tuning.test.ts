/** Zoo-Tuning: with gates of our choice the zoo is a network that can be had without it. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { type Hub, type HubMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { MemberLearner } from "../../../src/methods/index.ts";
import { averageState } from "../../../src/methods/soup.ts";
import { ZooConv2d } from "../../../src/methods/zoo-layers.ts";
import { mergeInto, ZooLearner, zooTuning, zooTuningLite } from "../../../src/methods/zoo-tuning.ts";
import { Conv2d, Linear } from "../../../src/nn/index.ts";
import {
  ConfigError,
  countFlops,
  disposeTree,
  Generator,
  inferenceMode,
  memory,
  noGrad,
  rand,
  randn,
  scope,
  type Tensor,
  tensor,
} from "../../../src/torch/index.ts";
import { ClassificationTask, defaultTrainOptions, trainRun } from "../../../src/train/index.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";
import { writeZooHub, zooNames, zooRequests } from "../../support/zoo-hub.ts";

let hub: Hub;
const task = new ClassificationTask(3);

before(() => {
  hub = openHub(writeZooHub(temporaryFolder()));
});

function zoo(lite = false): ZooLearner {
  return new ZooLearner(loadMembers(hub), task, 5, lite);
}

function gateScores(learner: ZooLearner): Linear[] {
  return [...learner.module.layers.values()].map((layer) => {
    const [score] = layer.gate.children().values();
    assert.ok(score instanceof Linear);
    return score;
  });
}

/** Sets every layer's gates, whatever its input. */
function setGates(learner: ZooLearner, bias: readonly number[]): void {
  for (const score of gateScores(learner)) noGrad(() => score.bias?.copyFrom(Float32Array.from(bias)));
}

function images(n: number, seed = 1): Tensor {
  return rand([n, 3, 24, 24], { generator: new Generator(seed) });
}

function load(name: string): HubMember {
  const [member] = loadMembers(hub, { names: [name] });
  assert.ok(member);
  return member;
}

for (const lite of [false, true]) {
  for (const [i, name] of zooNames.entries()) {
    test(`one-hot gates give exactly the member ${name}${lite ? " (lite)" : ""}`, () => {
      const learner = zoo(lite);
      // Training, where BatchNorm uses the batch's own statistics: exp(-1000) is zero.
      setGates(
        learner,
        zooNames.map((_, j) => (i === j ? 0 : -1000)),
      );
      const member = load(name);
      const x = images(9);
      scope(() => noGrad(() => assertClose(learner.features(0, x), member.features(x), 1e-5)));
      x.dispose();
      member.dispose();
      learner.dispose();
    });
  }
}

test("equal gates give the network of the mean weights", () => {
  const learner = zoo();
  const mean = load("first");
  const all = loadMembers(hub);
  scope(() => mean.backbone.loadStateDict(averageState(all.map((member) => member.backbone.stateDict()))));
  const x = images(9);
  scope(() => noGrad(() => assertClose(learner.features(0, x), mean.features(x), 1e-5)));
  learner.eval();
  mean.backbone.eval();
  // After the same training step both have the same running statistics too.
  scope(() => inferenceMode(() => assertClose(learner.features(0, x), mean.features(x), 1e-5)));
  for (const part of [x, learner, mean, ...all]) part.dispose();
});

test("gates of its own for each image: every image is as if alone, and depends on its input", () => {
  const learner = zoo();
  const generator = new Generator(3);
  for (const score of gateScores(learner)) noGrad(() => score.weight.normal_(0, 3, { generator }));
  learner.eval();
  const x = images(4);
  const [together, alone] = scope(() =>
    inferenceMode(() => {
      const rows = [0, 1, 2, 3].map((i) => learner.features(0, x.narrow(0, i, 1)).toNumbers());
      return [learner.features(0, x).toNumbers(), rows.flat()];
    }),
  );
  assertClose(tensor(together ?? []), alone ?? [], 1e-5);
  const before = together ?? [];
  setGates(learner, [9, -9, -9]);
  learner.eval();
  const after = scope(() => inferenceMode(() => learner.features(0, x).toNumbers()));
  assert.ok(Math.max(...after.map((value, i) => Math.abs(value - (before[i] ?? 0)))) > 1e-3);
  assertNoLeak(() => scope(() => inferenceMode(() => learner.predict(x).probabilities.toNumbers())));
  x.dispose();
  learner.dispose();
});

for (const groups of [1, 2]) {
  test(`a layer is Σ g_i conv(x, T_i W_i), with biases and ${groups} groups`, () => {
    const generator = new Generator(4);
    const parts = [0, 1, 2].map(() => new Conv2d(4, 6, 3, { padding: 1, stride: 2, groups, generator }));
    const layer = new ZooConv2d(parts, { lite: false, generator });
    const [score] = layer.gate.children().values();
    assert.ok(score instanceof Linear);
    const alignments = [0, 1, 2].map((i) => layer.stateDict().get(`alignments.${i}`) as Tensor);
    noGrad(() => {
      score.weight.normal_(0, 2, { generator });
      for (const alignment of alignments) alignment.add_(randn(alignment.shape, { generator }).mul(0.2));
    });
    const x = randn([5, 4, 7, 7], { generator });
    scope(() => {
      const gates = score.forward(x.mean([2, 3])).softmax(1);
      const outputs = parts.map((part, i) => {
        const alignment = alignments[i] as Tensor;
        // Aligning filters and biases is aligning what they give.
        const given = part.forward(x);
        const grouped = given.view([5, groups, 6 / groups, -1]);
        const aligned = alignment.matmul(grouped).view(given.shape);
        return aligned.mul(gates.select(1, i).view([5, 1, 1, 1]));
      });
      const expected = outputs.reduce((sum, next) => sum.add(next));
      assertClose(layer.forward(x), expected, 1e-5);
      layer.forward(x).square().sum().backward();
      const own = [...alignments, ...parts.map((part) => part.weight), score.weight];
      const gradients = own.map((parameter) => parameter.grad?.toNumbers() ?? []);
      for (const parameter of own) parameter.grad = undefined;
      expected.square().sum().backward();
      for (const [i, parameter] of own.entries()) {
        assertClose(parameter.grad as Tensor, gradients[i] ?? [], 1e-3, `gradient ${i}`);
        parameter.grad = undefined;
      }
    });
    layer.eval();
    const kept = scope(() => inferenceMode(() => layer.forward(x).toNumbers()));
    assertClose(
      scope(() => noGrad(() => layer.train().forward(x))),
      kept,
      1e-6,
      "what evaluation keeps",
    );
    layer.dispose();
    for (const part of parts) part.dispose();
  });
}

test("the lite form keeps a running mean of its gates, in evaluation alone", () => {
  const learner = zoo(true);
  const generator = new Generator(6);
  for (const score of gateScores(learner)) noGrad(() => score.weight.normal_(0, 3, { generator }));
  const [layer] = learner.module.layers.values();
  assert.ok(layer);
  const x = randn([6, 3, 5, 5], { generator });
  const [score] = gateScores(learner);
  assert.ok(score);
  const mean = scope(() =>
    noGrad(() =>
      score
        .forward(x.mean([2, 3]))
        .softmax(1)
        .mean(0)
        .toNumbers(),
    ),
  );
  scope(() => noGrad(() => assertClose(layer.gate.forward(x).squeeze(0), mean, 1e-6)));
  const expected = mean.map((value) => 0.9 / 3 + 0.1 * value);
  assertClose(layer.gate.average, expected, 1e-6);
  learner.eval();
  scope(() => noGrad(() => assertClose(layer.gate.forward(x).squeeze(0), expected, 1e-6)));
  assertClose(layer.gate.average, expected, 1e-6);
  learner.dispose();
});

test("the lite form merges into one plain network with the same answers, at the cost of one member", () => {
  const learner = zoo(true);
  const generator = new Generator(7);
  scope(() =>
    noGrad(() => {
      for (const layer of learner.module.layers.values()) {
        layer.gate.average.copy_(rand([3], { generator }).softmax(0));
        for (const [name, tensor] of layer.stateDict()) {
          if (name.startsWith("alignments")) tensor.add_(randn(tensor.shape, { generator }).mul(0.1));
        }
      }
    }),
  );
  const x = images(9);
  scope(() => noGrad(() => learner.features(0, x))); // moves the running statistics and the gates
  learner.eval();
  const plain = new MemberLearner(load("first"), task, 1);
  mergeInto(plain, learner.module);
  plain.eval();
  const [a, b] = scope(() =>
    inferenceMode(() => [learner, plain].map((own) => own.predict(x).probabilities.toNumbers())),
  );
  assertClose(tensor(a ?? []), b ?? [], 1e-5);
  assert.equal(plain.inferenceFlops, learner.inferenceFlops);
  assert.ok(learner.parameters > 3 * plain.parameters);
  for (const part of [x, learner, plain]) part.dispose();
});

test("FLOPs count gates and filters for each image, alignment once a step", () => {
  const learner = zoo();
  const member = load("first");
  const x = images(9);
  const targets = tensor([0, 1, 2, 0, 1, 2, 0, 1, 2], { dtype: "int64" });
  const flops = scope(() => countFlops(() => learner.step({ images: x, targets })));
  let [image, step] = [member.flops + 2 * member.featureWidth * 3, 0];
  for (const part of member.backbone.modules()) {
    const weight = part.stateDict().get("weight");
    if (part.children().size > 0 || !weight) continue;
    const convolution = weight.dim() === 4;
    const channels = convolution ? weight.size(1) : weight.numel();
    image += 2 * channels * 3 + (convolution ? 2 * 3 * weight.numel() : 0);
    if (convolution) step += 2 * 3 * weight.size(0) * weight.numel();
  }
  assert.equal(flops, 9 * image + step);
  assert.equal(learner.inferenceFlops, image);
  disposeTree([x, targets]);
  learner.dispose();
  member.dispose();
});

test("networks that differ, and policies without statistics, are refused by name before anything runs", () => {
  const mixed = openHub(writeSmallHub(temporaryFolder())).manifest;
  const refused = (pattern: RegExp, fn: () => void) =>
    assert.throws(fn, (error) => error instanceof ConfigError && pattern.test(error.message));
  for (const method of [zooTuning, zooTuningLite]) {
    refused(/one architecture.*small-convnext, other-resnet/, () => method.configure({}, mixed, defaultTrainOptions));
    method.configure({ members: ["small-resnet"] }, mixed, defaultTrainOptions);
    refused(/no member "x"/, () => method.configure({ members: ["x"] }, mixed, defaultTrainOptions));
    refused(/statistics/, () => method.configure({}, hub.manifest, { ...defaultTrainOptions, batchNorm: "frozen" }));
    refused(/members/, () => method.configure({ members: "first" }, hub.manifest, defaultTrainOptions));
  }
});

test("networks with other parameters, and a budget of memory, are refused and nothing is left", async () => {
  const request = await zooRequests(6);
  const mixed = writeSmallHub(temporaryFolder());
  const before = memory().handles;
  const convnext = request("other", "zoo-tuning", { hub: mixed, choices: { members: ["small-convnext"] } });
  await assert.rejects(trainRun(convnext), /small-convnext.*other parameters: features/);
  await assert.rejects(trainRun(request("tight", "zoo-tuning-lite", { hubMemory: 1000 })), /--hub-memory/);
  assert.ok(memory().handles <= before, `${memory().handles} handles, ${before} before`);
});

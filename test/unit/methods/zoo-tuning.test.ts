/** Zoo-Tuning: with gates of our choice the zoo is a network that can be had without it. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { type Hub, type HubMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { MemberLearner } from "../../../src/methods/index.ts";
import { averageState } from "../../../src/methods/soup.ts";
import { ZooConv2d } from "../../../src/methods/zoo-layers.ts";
import { meanNorms, mergeInto, ZooLearner, zooTuning, zooTuningLite } from "../../../src/methods/zoo-tuning.ts";
import { BatchNorm2d, Conv2d, Linear } from "../../../src/nn/index.ts";
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

/** The two layers of a gate. */
function gateOf(layer: ZooConv2d): [narrow: Linear, score: Linear] {
  const [narrow, score] = layer.gate.children().values();
  assert.ok(narrow instanceof Linear && score instanceof Linear);
  return [narrow, score];
}

const layersOf = (learner: ZooLearner): ZooConv2d[] => [...learner.module.layers.values()];

/** Gates by their definition: sigmoids of two layers with a rectifier between them. */
function gatesOf(layer: ZooConv2d, x: Tensor): Tensor {
  const [narrow, score] = gateOf(layer);
  const hidden = x.mean([2, 3]).matmul(narrow.weight.t()).clamp(0);
  const scores = hidden.matmul(score.weight.t()).add(score.bias as Tensor);
  return scores.neg().exp().add(1).pow(-1);
}

/** Sets every layer's gates, whatever its input. */
function setGates(learner: ZooLearner, gates: readonly number[]): void {
  const bias = gates.map((gate) => Math.log(gate / (1 - gate)));
  for (const layer of layersOf(learner)) {
    const [, score] = gateOf(layer);
    noGrad(() => {
      score.weight.fill_(0);
      score.bias?.copyFrom(Float32Array.from(bias));
    });
  }
}

/** Gates that depend on the input. */
function randomGates(learner: ZooLearner, seed: number): void {
  const generator = new Generator(seed);
  for (const layer of layersOf(learner))
    for (const { weight } of gateOf(layer)) noGrad(() => weight.normal_(0, 3, { generator }));
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
    test(`one-hot gates give exactly the filters of ${name}${lite ? " (lite)" : ""}`, () => {
      const learner = zoo(lite);
      // In training BatchNorm uses the batch's own statistics; its scale and shift are the first network's.
      setGates(
        learner,
        zooNames.map((_, j) => (i === j ? 1 : 0)),
      );
      const [member, first] = [load(name), load("first")];
      scope(() => noGrad(() => copyNorms(first, member)));
      const x = images(9);
      scope(() => noGrad(() => assertClose(learner.features(0, x), member.features(x), 1e-5)));
      for (const part of [x, member, first, learner]) part.dispose();
    });
  }
}

const norms = ({ backbone }: HubMember) => backbone.modules().filter((part) => part instanceof BatchNorm2d);

function copyNorms(from: HubMember, to: HubMember): void {
  const sources = norms(from);
  for (const [i, norm] of norms(to).entries()) norm.loadStateDict((sources[i] as BatchNorm2d).stateDict());
}

test("gates of a third give the network of the mean filters; training begins with the mean BatchNorm and no statistics", () => {
  const learner = zoo();
  setGates(
    learner,
    zooNames.map(() => 1 / 3),
  );
  const [mean, all] = [load("first"), loadMembers(hub)];
  // Members of the hub have norms that are all alike: make them differ.
  const generator = new Generator(9);
  noGrad(() => {
    for (const part of all.flatMap(norms)) for (const own of part.parameters()) own.normal_(1, 0.5, { generator });
  });
  scope(() => mean.backbone.loadStateDict(averageState(all.map((member) => member.backbone.stateDict()))));
  meanNorms(all);
  const [first] = all as [HubMember];
  for (const [i, norm] of norms(first).entries()) {
    const expected = norms(mean)[i] as BatchNorm2d;
    assertClose(norm.weight, expected.weight.toNumbers(), 1e-6);
    assertClose(norm.bias, expected.bias.toNumbers(), 1e-6);
    assert.ok(norm.running_mean.toNumbers().every((value) => value === 0));
    assert.ok(norm.running_var.toNumbers().every((value) => value === 1));
  }
  const x = images(9);
  const plain = load("first");
  scope(() =>
    noGrad(() => {
      copyNorms(plain, mean);
      assertClose(learner.features(0, x), mean.features(x), 1e-5);
    }),
  );
  learner.eval();
  mean.backbone.eval();
  // After the same training step both have the same running statistics too.
  scope(() => inferenceMode(() => assertClose(learner.features(0, x), mean.features(x), 1e-5)));
  for (const part of [x, learner, mean, plain, ...all]) part.dispose();
});

test("what is aggregated learns at one rate, alignments do not decay, and the other networks' BatchNorm is left out", () => {
  const learner = zoo();
  const { backbone, newLayers, generator } = learner.parameterGroups();
  const head = learner.module.head.parameters();
  assert.deepEqual([newLayers, generator], [head, []]);
  const convolutions = layersOf(learner).flatMap((layer) => layer.parameters());
  assert.ok(convolutions.every((own) => backbone.includes(own)));
  const alignments = layersOf(learner).flatMap(({ alignments }) => alignments);
  assert.deepEqual([...learner.undecayed], alignments);
  assert.ok(alignments.length > 0 && alignments.length < layersOf(learner).length * zooNames.length);
  const [first, second] = zooNames.map((name) => learner.module.children().get(`members.${name}`));
  const of = (module: typeof first) => module?.modules().filter((part) => part instanceof BatchNorm2d) ?? [];
  assert.ok(
    of(first)
      .flatMap((part) => part.parameters())
      .every((own) => backbone.includes(own)),
  );
  assert.ok(
    of(second)
      .flatMap((part) => part.parameters())
      .every((own) => !backbone.includes(own)),
  );
  assert.equal(new Set(backbone).size, backbone.length);
  learner.dispose();
});

test("gates of its own for each image: every image is as if alone, and depends on its input", () => {
  const learner = zoo();
  randomGates(learner, 3);
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
  setGates(learner, [0.9, 0.1, 0.1]);
  learner.eval();
  const after = scope(() => inferenceMode(() => learner.features(0, x).toNumbers()));
  assert.ok(Math.max(...after.map((value, i) => Math.abs(value - (before[i] ?? 0)))) > 1e-3);
  assertNoLeak(() => scope(() => inferenceMode(() => learner.predict(x).probabilities.toNumbers())));
  x.dispose();
  learner.dispose();
});

for (const [size, groups] of [
  [3, 1],
  [3, 2],
  [1, 1],
] as const) {
  test(`a layer is Σ g_i conv(x, T_i W_i), with biases, filters of ${size} pixels a side and ${groups} groups`, () => {
    const generator = new Generator(4);
    const parts = [0, 1, 2].map(() => new Conv2d(4, 6, size, { padding: size >> 1, stride: 2, groups, generator }));
    const layer = new ZooConv2d(parts, { lite: false, generator });
    const [narrow, score] = gateOf(layer);
    const { alignments } = layer;
    assert.equal(alignments.length, size > 1 ? 3 : 0);
    noGrad(() => {
      score.weight.normal_(0, 2, { generator });
      for (const alignment of alignments) alignment.add_(randn(alignment.shape, { generator }).mul(0.2));
    });
    const x = randn([5, 4, 7, 7], { generator });
    scope(() => {
      const gates = gatesOf(layer, x);
      const outputs = parts.map((part, i) => {
        const alignment = alignments[i];
        // Aligning filters and biases is aligning what they give.
        const given = part.forward(x);
        const grouped = given.view([5, groups, 6 / groups, -1]);
        const aligned = alignment ? alignment.matmul(grouped).view(given.shape) : given;
        return aligned.mul(gates.select(1, i).view([5, 1, 1, 1]));
      });
      const expected = outputs.reduce((sum, next) => sum.add(next));
      assertClose(layer.forward(x), expected, 1e-5);
      layer.forward(x).square().sum().backward();
      const own = [...alignments, ...parts.map((part) => part.weight), narrow.weight, score.weight];
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
  randomGates(learner, 6);
  const [layer] = layersOf(learner);
  assert.ok(layer);
  const x = randn([6, 3, 5, 5], { generator: new Generator(7) });
  const mean = scope(() => noGrad(() => gatesOf(layer, x).mean(0).toNumbers()));
  scope(() => noGrad(() => assertClose(layer.gate.forward(x).squeeze(0), mean, 1e-6)));
  const expected = mean.map((value) => 0.9 / 2 + 0.1 * value);
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
        layer.gate.average.copy_(rand([3], { generator }));
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
    if (!(part instanceof Conv2d)) continue;
    const { weight } = part;
    const [out = 0, channels = 0, side = 0] = weight.shape;
    const width = Math.floor(channels / 4) + 1;
    image += 2 * channels * width + 2 * width * 3 + 2 * 3 * weight.numel();
    if (side > 1) step += 2 * 3 * out * weight.numel();
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

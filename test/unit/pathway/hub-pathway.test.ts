import assert from "node:assert/strict";
import { test } from "node:test";
import { AdamW } from "../../../src/optim/index.ts";
import { HubPathway, PathwayGenerator, randomRoutes, resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { rowsByModel } from "../../../src/pathway/routing.ts";
import {
  autocast,
  ConfigError,
  countFlops,
  Generator,
  grad,
  inferenceMode,
  memory,
  ops,
  RandomStreams,
  rand,
  randint,
  scope,
  type Tensor,
  zeros,
} from "../../../src/torch/index.ts";
import { assertClose } from "../../support/numeric.ts";
import { toyMembers } from "../../support/toy-hub.ts";
import { build, classes, crossEntropy, freezeStatistics, images } from "../../support/toy-pathway.ts";

const float64 = { dtype: "float64" } as const;

/** Every model on every row, masked by the weights: what routed execution must equal. */
function denseReference(model: HubPathway, x: Tensor, weights: Tensor, routed: readonly (readonly number[])[]) {
  const { aggregation } = model.config;
  const parameters = model.namedParameters();
  const named = (name: string) => parameters.get(name)!;
  let total: Tensor | undefined;
  const exploit: Tensor[] = [];
  for (const [i, member] of model.members.entries()) {
    const features = member.features(x);
    const logits = model.heads[i]!.forward(features);
    exploit.push(logits);
    const a = weights.select(1, i).unsqueeze(1);
    let value = logits;
    if (aggregation === "features") {
      const projected = ops.linear(
        features,
        named(`aggregation.projections.${i}.weight`),
        named(`aggregation.projections.${i}.bias`),
      );
      value = ops.layer_norm(
        projected,
        [6],
        named(`aggregation.norms.${i}.weight`),
        named(`aggregation.norms.${i}.bias`),
      );
    }
    const part = value.mul(a);
    total = total ? total.add(part) : part;
  }
  assert.equal(routed.length, model.members.length);
  let output = total!;
  if (aggregation === "features") {
    output = ops.linear(output, named("aggregation.head.weight"), named("aggregation.head.bias"));
  }
  return { output, memberLogits: exploit };
}

for (const aggregation of ["logits", "features"] as const) {
  for (const k of [1, 2, 3, 4]) {
    test(`routed equals dense-and-masked in value and gradient: ${aggregation}, k = ${k}`, () => {
      const m = 4;
      const { model, members } = build(m, { aggregation, k, tau: k === 2 ? "equal" : 1 });
      freezeStatistics(members);
      const x = images(7);
      const targets = randint(0, classes, [7], { generator: new Generator(4) });
      const rowLoss = crossEntropy(targets);
      const parameters = model.parameters();
      const routing = model.route(x);
      const output = model.execute(x, routing);
      const losses = model.losses(output, rowLoss, 0.2);
      const dense = denseReference(model, x, routing.weights, routing.rows);
      const exploit: Tensor[] = [];
      for (const [i, rows] of routing.rows.entries()) {
        const index = ops.cat([
          zeros([0], { dtype: "int64" }),
          ...rows.map((row) => zeros([1], { dtype: "int64" }).fill_(row)),
        ]);
        if (rows.length > 0) exploit.push(rowLoss(dense.memberLogits[i]!.index_select(0, index), index).mean());
      }
      const reference = rowLoss(dense.output)
        .mean()
        .add(ops.stack(exploit).mean())
        .add(losses.exploration.mul(model.explorationWeight(0.2)));
      assertClose(output.logits, dense.output, 1e-10);
      assertClose(losses.total, reference, 1e-10);
      const options = { allow_unused: true, retain_graph: true };
      const ours = grad([losses.total], parameters, options);
      const theirs = grad([reference], parameters, options);
      for (const [i, gradient] of ours.entries()) {
        const other = theirs[i];
        if (gradient && other) assertClose(gradient, other, 1e-10, `gradient ${i}`);
        else if (other)
          assertClose(other, zeros(other.shape, float64), 1e-10, `gradient ${i} of a model that no row chose`);
      }
    });
  }
}

test("a model only ever sees the rows that chose it", () => {
  const { model, members } = build(5, { k: 2 });
  model.eval();
  const routing = model.route(images(12));
  model.execute(images(12), routing);
  for (const [i, member] of members.entries()) {
    assert.deepEqual(member.backbone.seen, routing.rows[i]!.length > 0 ? [routing.rows[i]!.length] : []);
  }
});

test("permuting the hub permutes the weights and leaves the prediction", () => {
  const { model } = build(4, { k: 2, tau: 1 });
  model.eval();
  const order = [2, 0, 3, 1];
  const permuted = new HubPathway({
    members: order.map((i) => model.members[i]!),
    outputs: classes,
    config: { ...model.config },
    streams: new RandomStreams(9),
  });
  permuted.to(float64);
  permuted.eval();
  const state = new Map([...model.stateDict()]);
  const rows = ops.cat(order.map((i) => zeros([1], { dtype: "int64" }).fill_(i)));
  for (const name of ["generator.score.weight", "generator.score.bias"])
    state.set(name, state.get(name)!.index_select(0, rows));
  permuted.loadStateDict(state);
  const x = images(6);
  const a = model.route(x).weights.index_select(1, rows);
  const b = permuted.route(x).weights;
  assertClose(b, a, 1e-12);
  assertClose(permuted.forward(x), model.forward(x), 1e-10);
});

test("adding a model that is never chosen leaves the prediction unchanged", () => {
  const { model, members } = build(3, { k: 2, tau: "equal" });
  model.eval();
  const larger = new HubPathway({
    members: [...members, ...toyMembers(4, 8).slice(3)],
    outputs: classes,
    config: { ...model.config },
    streams: new RandomStreams(5),
  });
  larger.to(float64);
  larger.eval();
  const own = larger.stateDict();
  for (const [name, value] of model.stateDict()) {
    if (name.startsWith("generator.score")) continue;
    scope(() => own.get(name)!.detach().copy_(value));
  }
  const weight = model.stateDict().get("generator.score.weight")!;
  const bias = model.stateDict().get("generator.score.bias")!;
  scope(() =>
    own
      .get("generator.score.weight")!
      .detach()
      .copy_(ops.cat([weight, zeros([1, weight.size(1)], float64)])),
  );
  scope(() =>
    own
      .get("generator.score.bias")!
      .detach()
      .copy_(ops.cat([bias, zeros([1], float64).sub(1e6)])),
  );
  const x = images(9);
  assertClose(larger.forward(x), model.forward(x), 1e-12);
});

test("k = 1 still teaches the generator", () => {
  const { model } = build(3, { k: 1, explorationWeight: 0 });
  const x = images(8);
  const losses = model.losses(model.execute(x, model.route(x, 0.9)), crossEntropy(zeros([8], { dtype: "int64" })), 0.9);
  losses.total.backward();
  const gradient = model.generator.namedParameters().get("score.weight")!.grad;
  assert.ok(gradient && gradient.abs().max().item() > 1e-8);
});

test("parameters of a model that no row chose have no gradient, and AdamW leaves them alone", () => {
  const { model, members } = build(3, { k: 1 });
  const bias = model.generator.namedParameters().get("score.bias")!;
  scope(() => bias.detach().copyFrom(new Float64Array([1e3, 0, -1e6])));
  const optimizer = new AdamW([{ params: model.parameters(), lr: 0.1, weight_decay: 0.5 }]);
  const before = members[2]!.backbone.conv.weight.toNumbers();
  const chosen = members[0]!.backbone.conv.weight.toNumbers();
  const x = images(6);
  const losses = model.losses(model.execute(x, model.route(x)), crossEntropy(zeros([6], { dtype: "int64" })), 0.5);
  losses.total.backward();
  assert.equal(members[2]!.backbone.conv.weight.grad, undefined);
  optimizer.step();
  assert.deepEqual(members[2]!.backbone.conv.weight.toNumbers(), before);
  assert.notDeepEqual(members[0]!.backbone.conv.weight.toNumbers(), chosen);
});

test("a sub-batch below BatchNorm's minimum uses running statistics", () => {
  const { model, members } = build(2, { k: 1 });
  const bias = model.generator.namedParameters().get("score.bias")!;
  scope(() => bias.detach().copyFrom(new Float64Array([1e6, 0])));
  model.train();
  const before = members[0]!.backbone.norm.running_mean.toNumbers();
  const one = model.execute(images(1), model.route(images(1))).logits.toNumbers();
  assert.deepEqual(members[0]!.backbone.norm.running_mean.toNumbers(), before);
  assert.ok(one.every(Number.isFinite));
  model.execute(images(16), model.route(images(16)));
  assert.notDeepEqual(members[0]!.backbone.norm.running_mean.toNumbers(), before);
});

test("beta = 0 keeps the aggregate's loss out of the members; they learn from exploitation alone", () => {
  const { model, members } = build(3, { k: 2, beta: 0, exploitationWeight: 0 });
  const x = images(6);
  const loss = () => model.losses(model.execute(x, model.route(x)), crossEntropy(zeros([6], { dtype: "int64" })), 0.5);
  loss().total.backward();
  for (const member of members) {
    const gradient = member.backbone.conv.weight.grad;
    assert.ok(!gradient || gradient.abs().max().item() === 0);
  }
  loss().exploitation.backward();
  assert.ok(members.some((member) => (member.backbone.conv.weight.grad?.abs().max().item() ?? 0) > 0));
});

test("a fraction beta scales the members' gradient and leaves the value", () => {
  const gradientAt = (beta: number) => {
    const { model, members } = build(2, { k: 2, beta, exploitationWeight: 0, explorationWeight: 0 });
    freezeStatistics(members);
    const x = images(4);
    const losses = model.losses(model.execute(x, model.route(x)), crossEntropy(zeros([4], { dtype: "int64" })), 0.5);
    losses.total.backward();
    return { value: losses.total.item(), gradient: members[0]!.backbone.conv.weight.grad! };
  };
  const full = gradientAt(1);
  const half = gradientAt(0.5);
  assert.ok(Math.abs(full.value - half.value) < 1e-12);
  assertClose(half.gradient, full.gradient.mul(0.5), 1e-10);
});

test("warm-up draws random routes with equal weights", () => {
  const { model } = build(4, { k: 2, warmup: 0.2 });
  const x = images(200);
  const routing = model.route(x, 0.1);
  for (const rows of routing.rows) assert.ok(Math.abs(rows.length - 100) < 35);
  assert.deepEqual([...new Set(routing.weights.toNumbers())].sort(), [0, 0.5]);
  assert.ok(!routing.weights.requires_grad);
});

test("evaluation is without noise and repeats exactly; training noise moves routes", () => {
  const { model } = build(4, { k: 2 });
  const x = images(64);
  assert.deepEqual(model.route(x).rows, model.route(x).rows);
  const scores = model.generator.namedParameters().get("score.weight")!;
  scope(() => scores.detach().zero_());
  assert.notDeepEqual(model.route(x, 0.5).rows, model.route(x, 0.5).rows);
});

test("learned noise has its own weights and a floor", () => {
  const { model } = build(3, { k: 1, noise: "learned" });
  const names = [...model.generator.namedParameters().keys()];
  assert.ok(names.includes("noise.weight") && names.includes("score.weight"));
  const { noiseScale } = model.route(images(5), 0.5);
  assert.ok(typeof noiseScale !== "number" && noiseScale.min().item() > 0.01);
});

test("the schedules of noise and exploration end where they should", () => {
  const { model } = build(3, { k: 1 });
  assert.equal(model.noiseScale(0), 1);
  assert.ok(Math.abs(model.noiseScale(1) - 0.1) < 1e-12);
  assert.equal(model.explorationWeight(0), 0.1);
  assert.ok(Math.abs(model.explorationWeight(0.25) - 0.05) < 1e-12);
  assert.equal(model.explorationWeight(0.75), 0);
  assert.equal(build(3, { k: 1, explorationFade: "constant" }).model.explorationWeight(0.9), 0.1);
  assert.equal(build(3, { k: 1, noise: "none" }).model.noiseScale(0), 0);
});

test("the generator computes in float32 under autocast", () => {
  const members = toyMembers(2);
  const model = new HubPathway({
    members,
    outputs: 3,
    config: resolvePathwayConfig({ k: 1 }, 2),
    streams: new RandomStreams(1),
  });
  const x = rand([4, 3, 16, 16], { generator: new Generator(1) });
  const { scores, logits } = autocast({ dtype: "bfloat16" }, () => {
    const routing = model.route(x);
    return { scores: routing.scores, logits: model.execute(x, routing).logits };
  });
  assert.equal(scores.dtype, "float32");
  assert.equal(logits.dtype, "float32");
});

test("choices outside their range are refused by name", () => {
  assert.throws(
    () => build(3, { k: 4 }),
    (e: unknown) => e instanceof ConfigError && /k is 4.*1 to 3/.test(e.message),
  );
  assert.throws(() => build(3, { k: 0 }), /k is 0/);
  assert.throws(() => build(3, { k: 1, beta: 2 }), /beta is 2/);
  assert.throws(() => build(3, { k: 1, tau: 0 }), /tau is 0/);
});

test("training and evaluation leave the number of live handles constant", () => {
  const { model } = build(3, { k: 2 });
  const optimizer = new AdamW([{ params: model.parameters(), lr: 1e-3 }]);
  const x = images(12);
  const targets = zeros([12], { dtype: "int64" });
  const step = (progress: number) => {
    const loss = scope(
      () => model.losses(model.execute(x, model.route(x, progress)), crossEntropy(targets), progress).total,
    );
    loss.backward();
    scope(() => optimizer.step());
    optimizer.zeroGrad();
    loss.dispose();
  };
  const run = () => {
    for (let i = 0; i < 10; i++) step(i / 10);
    inferenceMode(() => model.forward(x)).dispose();
  };
  run(); // the optimizer makes its state at a parameter's first gradient
  const before = memory().handles;
  run();
  assert.ok(memory().handles <= before, `${memory().handles} live handles, ${before} before`);
});

test("a small view is seen whole: each cell counts by itself, other sizes are brought to the view's", () => {
  using random = new Generator(4);
  const common = { m: 3, channels: 2, width: 1, learnedNoise: false, generator: random };
  const generator = new PathwayGenerator({ ...common, size: 5 });
  assert.deepEqual(
    [...generator.namedParameters().keys()],
    ["hidden.weight", "hidden.bias", "score.weight", "score.bias"],
  );
  // A multiply-add for each cell and hidden unit, and for each hidden unit and score.
  const view = rand([1, 2, 5, 5], { generator: random });
  assert.equal(
    scope(() => countFlops(() => generator.forward(view))),
    2 * (2 * 5 * 5 * 8 + 8 * 3),
  );
  scope(() => {
    const parameters = generator.namedParameters();
    for (const parameter of parameters.values()) parameter.detach().zero_();
    parameters.get("hidden.bias")?.detach().fill_(1);
    // One hidden unit sees the cell of channel 1, row 3, column 2 alone; score 2 is twice that unit.
    parameters
      .get("hidden.weight")
      ?.detach()
      .select(0, 6)
      .select(0, 25 + 3 * 5 + 2)
      .fill_(1);
    parameters.get("score.weight")?.detach().select(0, 2).select(0, 6).fill_(2);
    const x = zeros([2, 2, 5, 5]);
    x.select(0, 1).select(0, 1).select(0, 3).select(0, 2).fill_(1);
    // 2 relu(1 + (2 x - 1)) with x 0 and 1.
    assertClose(generator.forward(x), [0, 0, 0, 0, 0, 4]);
    assert.deepEqual(generator.forward(zeros([2, 2, 3, 7])).shape, [2, 3]);
    const large = new PathwayGenerator({ ...common, size: 16 });
    assert.equal([...large.namedParameters().keys()].filter((name) => name.endsWith("conv.weight")).length, 4);
    large.dispose();
  });
  generator.dispose();
});

test("one gate for all images scores every input alike, and moves as fast as the generator does", () => {
  const scoresAfter = (generatorKind: "global" | "light", steps: number): number[][] => {
    const model = new HubPathway({
      members: toyMembers(3, 1),
      outputs: classes,
      config: resolvePathwayConfig({ generatorKind }, 3),
      streams: new RandomStreams(1),
    });
    const optimizer = new AdamW([{ params: model.generator.parameters(), lr: 2e-3, weight_decay: 0 }]);
    for (let step = 0; step < steps; step++) {
      scope(() => {
        const likely = model.generator.forward(images(16, step).to({ dtype: "float32" })).log_softmax(1);
        likely.select(1, 2).mean().neg().backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
    }
    optimizer.dispose();
    return scope(
      () => inferenceMode(() => model.generator.forward(images(5).to({ dtype: "float32" })).toArray()) as number[][],
    );
  };
  assert.deepEqual(scoresAfter("global", 0), Array(5).fill([0, 0, 0]));
  const [first = [], ...others] = scoresAfter("global", 60);
  for (const row of others) assert.deepEqual(row, first);
  const lead = (row: readonly number[] = []) => (row[2] ?? 0) - (row[0] ?? 0);
  const generator = lead(scoresAfter("light", 60)[0]);
  // Scores that are parameters by themselves would be at most 0.24 apart after 60 steps of 2e-3.
  assert.ok(lead(first) > 1, `a lead of ${lead(first)}`);
  assert.ok(lead(first) / generator > 0.5 && lead(first) / generator < 2, `${lead(first)} against ${generator}`);
});

test("the generator kind random draws equally likely routes from streams of its own, in training and in evaluation", () => {
  const { model } = build(4, { k: 2, generatorKind: "random", explorationFade: "constant" });
  const x = images(6);
  const streams = new RandomStreams(1);
  for (const [progress, name] of [
    [0.01, "noise"],
    [0.9, "noise"],
    [undefined, "random-routes"],
  ] as const) {
    const routes = randomRoutes(6, 4, 2, streams.stream(name));
    const { rows, weights, scores } = scope(() => model.route(x, progress));
    assert.deepEqual(rows, rowsByModel(routes, 4));
    assert.deepEqual([...new Set(weights.toNumbers())].sort(), [0, 0.5]);
    assert.ok(scores.toNumbers().every((score) => score === 0));
  }
  assert.equal(model.explorationWeight(0.5), 0);
  streams.dispose();
});

test("with credit by losses the task's loss has no gradient in the generator, and a memory is needed", () => {
  const { model } = build(3, { credit: "losses", k: 2, explorationWeight: 0 });
  const x = images(6);
  const targets = randint(0, classes, [6], { generator: new Generator(4) });
  const output = model.execute(x, model.route(x, 0.9));
  assert.throws(() => model.losses(output, crossEntropy(targets), 0.9), /credit is losses: it needs a memory/);
  const credit = zeros([], { dtype: "float64" });
  const { total } = model.losses(output, crossEntropy(targets), 0.9, credit);
  const gradients = grad([total], model.generator.parameters(), { allow_unused: true });
  for (const gradient of gradients) assert.ok(gradient === undefined || gradient.abs().max().item() === 0);
});

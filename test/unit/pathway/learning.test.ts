/** Sources of learning of the method over time: warm-up, exploration, exploitation, and weights at another k. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AdamW, SGD } from "../../../src/optim/index.ts";
import { HubPathway, type PathwayConfig } from "../../../src/pathway/index.ts";
import { int64, RandomStreams, scope, type Tensor, zeros } from "../../../src/torch/index.ts";
import { assertClose } from "../../support/numeric.ts";
import { build, classes, crossEntropy, freezeStatistics, images } from "../../support/toy-pathway.ts";

const float64 = { dtype: "float64" } as const;

test("the generator has no gradients in warm-up, so that its first step after it is Adam's first", () => {
  const { model } = build(3, { k: 1, warmup: 0.5 });
  const bias = model.generator.namedParameters().get("score.bias")!;
  const rate = 0.01;
  using optimizer = new AdamW([{ params: model.generator.parameters(), lr: rate, weight_decay: 0 }]);
  const step = (progress: number) => {
    const output = model.execute(images(8), model.route(images(8), progress));
    model.losses(output, crossEntropy(zeros([8], { dtype: "int64" })), progress).total.backward();
    const gradients = model.generator.parameters().map((parameter) => parameter.grad);
    const before = bias.toNumbers();
    const gradient = bias.grad?.toNumbers() ?? [];
    optimizer.step();
    optimizer.zeroGrad();
    return { gradients, gradient, moves: bias.toNumbers().map((value, i) => value - (before[i] ?? 0)) };
  };
  for (let i = 0; i < 5; i++) {
    const { gradients, moves } = step(0.2);
    assert.ok(gradients.every((gradient) => gradient === undefined));
    assert.deepEqual(moves, [0, 0, 0]);
  }
  // Adam's first step has the size of its rate, whatever the gradient's.
  const { gradient, moves } = step(0.6);
  for (const [i, move] of moves.entries()) {
    assert.ok(Math.abs(move + rate * Math.sign(gradient[i] ?? 0)) < 1e-6, `${move}, gradient ${gradient[i]}`);
  }
});

test("exploitation is the mean over activated models of their own means; its gradient agrees with differences", () => {
  const { model, members } = build(3, { k: 1, exploitationWeight: 1, explorationWeight: 0 });
  freezeStatistics(members);
  const x = images(6);
  const labels = [0, 1, 2, 3, 0, 1];
  const rowLoss = crossEntropy(int64(labels));
  // The first model has one row, the second five, the third none.
  const routes = [[0], [1], [1], [1], [1], [1]];
  const routing = model.along(zeros([6, 3], float64), routes);
  const exploitation = () => model.losses(model.execute(x, routing), rowLoss, 0.9).exploitation;
  const own = (i: number, rows: readonly number[]) => {
    const p = model.heads[i]!.forward(members[i]!.features(x)).softmax(1).toArray() as number[][];
    return rows.reduce((sum, row) => sum - Math.log(p[row]![labels[row]!]!), 0) / rows.length;
  };
  assertClose(exploitation(), [(own(0, [0]) + own(1, [1, 2, 3, 4, 5])) / 2], 1e-10);
  exploitation().backward();
  const weight = model.heads[0]!.weight;
  const gradient = weight.grad!.toNumbers();
  const values = Float64Array.from(weight.toNumbers());
  for (const j of [0, 3, 7]) {
    const at = (change: number) => {
      const moved = values.slice();
      moved[j] = (moved[j] ?? 0) + change;
      weight.detach().copyFrom(moved);
      return exploitation().item();
    };
    const difference = (at(1e-6) - at(-1e-6)) / 2e-6;
    weight.detach().copyFrom(values);
    assert.ok(Math.abs(difference - (gradient[j] ?? 0)) < 1e-6 * (1 + Math.abs(difference)));
  }
});

test("with the exploitation weight each, a model's step of SGD is that of one which is fine-tuned on its rows", () => {
  const routes = [[0], [1], [1], [1], [1], [1]];
  const labels = int64([0, 1, 2, 3, 0, 1]);
  const x = images(6);
  const moved = (weight: number | "each", train: (built: ReturnType<typeof build>) => Tensor) => {
    const built = build(3, { k: 1, beta: 0, exploitationWeight: weight, explorationWeight: 0 });
    freezeStatistics(built.members);
    const own = built.members.map(({ backbone }, i) => [
      ...backbone.parameters(),
      ...built.model.heads[i]!.parameters(),
    ]);
    using optimizer = new SGD([{ params: own.flat(), lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 }]);
    train(built).backward();
    optimizer.step();
    return own.map((parameters) => parameters.map((parameter) => parameter.toNumbers()));
  };
  const pathway = ({ model }: ReturnType<typeof build>) =>
    model.losses(model.execute(x, model.along(zeros([6, 3], float64), routes)), crossEntropy(labels), 0.9).total;
  const alone = (i: number, rows: Tensor) =>
    moved(1, ({ model, members }) => {
      const logits = model.heads[i]!.forward(members[i]!.features(x.index_select(0, rows)));
      return crossEntropy(labels)(logits, rows).mean();
    })[i];
  const each = moved("each", pathway);
  const near = (found: number[][] | undefined, wanted: number[][] | undefined) =>
    found?.every((values, p) => values.every((value, j) => Math.abs(value - (wanted?.[p]?.[j] ?? 9)) < 1e-12)) ?? false;
  for (const [i, rows] of [int64([0]), int64([1, 2, 3, 4, 5])].entries())
    assert.ok(near(each[i], alone(i, rows)), `${i}`);
  assert.ok(!near(moved(1, pathway)[1], alone(1, int64([1, 2, 3, 4, 5]))), "the mean over models is slower");
});

test("weights of more models than in training have the fitted temperature, of fewer the configured one", () => {
  const { model } = build(4, { k: 2, tau: "equal" });
  model.eval();
  const x = images(9);
  const scores = model.generator.forward(x).toArray() as number[][];
  const weightsAt = (k: number) => model.route(x, undefined, k).weights.toArray() as number[][];
  assert.deepEqual([...new Set(weightsAt(3).flat())].sort(), [0, 1 / 3], "until there is one");
  scope(() => model.temperature().fill_(2));
  for (const [row, weights] of weightsAt(3).entries()) {
    const own = scores[row]!;
    const worst = own.indexOf(Math.min(...own));
    const e = own.map((score, i) => (i === worst ? 0 : Math.exp(score / 2)));
    const total = e.reduce((a, b) => a + b, 0);
    for (const [i, weight] of weights.entries()) assert.ok(Math.abs(weight - e[i]! / total) < 1e-12);
  }
  for (const k of [1, 2]) assert.deepEqual([...new Set(weightsAt(k).flat())].sort(), [0, 1 / k]);
  const config = { ...model.config };
  using other = new HubPathway({ members: model.members, outputs: classes, config, streams: new RandomStreams(2) });
  other.temperature();
  other.to(float64).loadStateDict(model.stateDict());
  assert.deepEqual(other.eval().route(x, undefined, 3).weights.toNumbers(), weightsAt(3).flat());
});

test("while it explores, a step draws at most the allowed members; later, all", () => {
  const touched = (config: Partial<PathwayConfig>, progress: number) => {
    const { model } = build(6, { k: 2, allowedMembers: 3, warmup: 0.1, ...config });
    const bias = model.generator.namedParameters().get("score.weight")!;
    scope(() => bias.detach().zero_());
    const counts = Array.from({ length: 8 }, () => {
      return model.route(images(60), progress).rows.filter((rows) => rows.length > 0).length;
    });
    return Math.max(...counts);
  };
  for (const progress of [0.05, 0.3]) assert.equal(touched({}, progress), 3);
  assert.equal(touched({}, 0.6), 6);
  assert.equal(touched({ explorationFade: 0 }, 0.05), 3, "the warm-up explores");
  assert.equal(touched({ explorationFade: 0 }, 0.3), 6);
  assert.equal(touched({ explorationFade: "constant" }, 0.9), 3);
});

/** Methods with teachers, distillation, Knowledge Flow and B-Tuning, against computations by hand. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bayesianLoss, softmaxOf } from "../../../src/methods/b-tuning.ts";
import { Flow, influenceAt } from "../../../src/methods/knowledge-flow.ts";
import { posteriorMeans } from "../../../src/methods/posterior-means.ts";
import { Linear } from "../../../src/nn/index.ts";
import { logMe } from "../../../src/ranking/index.ts";
import { Generator, grad, noGrad, randn, scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import {
  ClassificationTask,
  MultiLabelTask,
  RegressionTask,
  type RunEvent,
  trainRun,
} from "../../../src/train/index.ts";
import { assertClose, assertGradients } from "../../support/numeric.ts";
import { zooRequests } from "../../support/zoo-hub.ts";

const double = { dtype: "float64" } as const;
let request: Awaited<ReturnType<typeof zooRequests>>;

before(async () => {
  request = await zooRequests(12);
});

function softmax(values: readonly number[]): number[] {
  const weights = values.map(Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

test("distillation is T² KL of the mean of the softened teachers, by hand", () => {
  const temperature = 3;
  const student = [
    [1, 0, -1],
    [0.5, 2, 0],
  ];
  const teachers = [
    [
      [2, 1, 0],
      [0, 0, 3],
    ],
    [
      [0, 4, 0],
      [1, -1, 1],
    ],
  ];
  let expected = 0;
  for (const row of [0, 1]) {
    const soften = (logits: readonly number[]) => softmax(logits.map((value) => value / temperature));
    const [a, b] = teachers.map((teacher) => soften(teacher[row] ?? []));
    const own = soften(student[row] ?? []);
    for (const [c, p] of own.entries()) {
      const q = ((a?.[c] ?? 0) + (b?.[c] ?? 0)) / 2;
      expected += (q * (Math.log(q) - Math.log(p)) * temperature ** 2) / 2;
    }
  }
  const answers = teachers.map((teacher) => tensor(teacher, double));
  const task = new ClassificationTask(3);
  assert.ok(Math.abs(task.imitationLoss(tensor(student, double), answers, temperature).item() - expected) < 1e-12);
  assertGradients((x) => task.imitationLoss(x, answers, temperature), [tensor(student, double)]);
  const far = tensor([[0, 1000, -1000]], double);
  assert.ok(
    Number.isFinite(task.imitationLoss(tensor([[0, 1, 2]], double), [far], 1).item()),
    "a teacher that is sure",
  );
});

test("of several labels each is distilled, with the gradient T (sigma(s / T) - q) over labels and rows; numbers to their mean", () => {
  const temperature = 3;
  const [student, teachers] = [
    [1, -2, 0.5, 3],
    [
      [2, -1, 0, 40],
      [-1, 0.5, 2, 200],
    ],
  ] as const;
  const sigma = (x: number) => 1 / (1 + Math.exp(-x));
  const wished = student.map((_, i) => teachers.reduce((sum, own) => sum + sigma((own[i] ?? 0) / temperature) / 2, 0));
  const table = (row: readonly number[]) => tensor([row.slice(0, 2), row.slice(2)], double);
  const answers = teachers.map(table);
  const labels = new MultiLabelTask(2);
  const kl = (q: number, p: number) =>
    q * Math.log(q / p) + (q < 1 - 1e-15 ? (1 - q) * Math.log((1 - q) / (1 - p)) : 0);
  const expected = wished.reduce((sum, q, i) => sum + kl(q, sigma((student[i] ?? 0) / temperature)), 0);
  assertClose(labels.imitationLoss(table(student), answers, temperature), [(expected * temperature ** 2) / 4], 1e-12);
  const x = table(student);
  x.requires_grad = true;
  const slopes = grad([labels.imitationLoss(x, answers, temperature)], [x])[0] as Tensor;
  const slope = student.map((s, i) => (temperature * (sigma(s / temperature) - (wished[i] ?? 0))) / 4);
  assertClose(slopes, slope, 1e-12);

  const numbers = new RegressionTask([5, 100], [2, 10]);
  const errors = student.map((s, i) => s - teachers.reduce((sum, own) => sum + (own[i] ?? 0) / 2, 0));
  const loss = numbers.imitationLoss(x, answers);
  assertClose(loss, [errors.reduce((sum, error) => sum + error ** 2, 0) / 4], 1e-12);
  assertClose(
    grad([loss], [x])[0] as Tensor,
    errors.map((error) => error / 2),
    1e-12,
  );
});

test("no task has anything to learn from teachers that answer alike", () => {
  const own = tensor([[1, 0, -40]], double);
  for (const task of [new ClassificationTask(3), new MultiLabelTask(3), new RegressionTask([1, 2, 3], [1, 2, 3])])
    assert.ok(Math.abs(task.imitationLoss(own, [own, own], 2).item()) < 1e-12, task.kind);
});

test("a student of distillation pays for its teachers' forward passes, once and not three times", async () => {
  const fitted = new Map<string, number>();
  const emit = (event: RunEvent) => {
    if (event.type === "fitted") fitted.set(event.fit, event.trainingFlops);
  };
  const run = await trainRun(request("distil", "distillation", { emit }));
  const { inferenceFlops: flops } = run.predictor;
  const images = run.data.counts.train * 3;
  assert.equal(fitted.get("first"), 3 * images * flops);
  assert.equal(fitted.get("student"), (3 + 3) * images * flops);
  assert.equal(run.trainingFlops, (3 * 3 + 6) * images * flops);
  run.predictor.dispose();
  run.data.dispose();
});

test("Knowledge Flow's shares sum to one and leave the teachers as their influence falls", () => {
  const flow = new Flow(2, [3, 4], new Generator(1));
  noGrad(() => flow.weights.copyFrom(Float32Array.from([0.5, 1, -1])));
  const shares = (influence: number) => flow.logShares(influence).exp().toNumbers();
  for (const influence of [1, 0.3, 1e-6]) {
    const weights = [Math.exp(0.5), influence * Math.exp(1), influence * Math.exp(-1)];
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    assertClose(
      tensor(shares(influence)),
      weights.map((weight) => weight / total),
      1e-6,
    );
  }
  assert.ok((shares(1e-6)[0] ?? 0) > 1 - 1e-5);
  assert.equal(influenceAt(0, 0.8), 1);
  assert.ok(Math.abs(influenceAt(0.2, 0.8) - 0.75) < 1e-12);
  assert.equal(influenceAt(0.8, 0.8), 0);
  assert.equal(influenceAt(1, 0.8), 0);
  flow.dispose();
});

test("Knowledge Flow adds the transformed teachers to the student by their shares", () => {
  const flow = new Flow(2, [3, 4], new Generator(1));
  const generator = new Generator(5);
  const student = randn([4, 2], { generator });
  const teachers = [3, 4].map((width) => randn([4, width], { generator }));
  const shares = tensor([0.5, 0.3, 0.2]);
  const layers = [...flow.children().values()] as Linear[];
  const parts = teachers.map((teacher, i) => {
    const layer = layers[i];
    assert.ok(layer instanceof Linear && layer.bias);
    return teacher.matmul(layer.weight.t()).add(layer.bias);
  });
  const expected = student
    .mul(0.5)
    .add((parts[0] as Tensor).mul(0.3))
    .add((parts[1] as Tensor).mul(0.2));
  assertClose(flow.join(student, teachers, shares), expected, 1e-5);
  flow.dispose();
});

test("a student of Knowledge Flow depends on its teachers less and less, and at the end not at all", async () => {
  const steps: Record<string, number>[] = [];
  const fitted: number[] = [];
  const emit = (event: RunEvent) => {
    if (event.type === "step") steps.push(event.logs);
    if (event.type === "fitted") fitted.push(event.trainingFlops);
  };
  const choices = { member: "second", independence: 0.5 };
  const options = { ...request("x", "ensemble").options, epochs: 6 };
  const run = await trainRun(request("flow", "knowledge-flow", { choices, options, emit }));
  const dependence = steps.map((logs) => logs["dependence"]);
  const half = steps.length / 2;
  const used = dependence.slice(0, half) as number[];
  assert.ok(
    used.every((value, i) => value > 0 && (i === 0 || value < (used[i - 1] ?? 0))),
    used.join(", "),
  );
  assert.ok((used[0] ?? 0) > 0.6, "three networks with equal shares");
  assert.ok(dependence.slice(half).every((value) => value === undefined));
  const { flops } = (run.predictor as unknown as { member: { flops: number } }).member;
  const images = run.data.counts.train;
  const width = 16;
  const flow = 2 * 2 * width * width;
  // In half of the epochs, the teachers' features and the student's head on both.
  const head = 2 * width * 3;
  assert.equal(fitted[0], images * (6 * 3 * (flops + head) + 3 * 2 * flops + 3 * 3 * (flow + head)));
  run.predictor.dispose();
  run.data.dispose();
});

test("posterior means are ridge regressions at the largest evidence", () => {
  const generator = new Generator(8);
  const n = 12;
  const features = randn([n, 2], { generator, ...double });
  const labels = features.toNumbers().flatMap((value, i) => (i % 2 === 0 ? [value > 0.2 ? 1 : 0] : []));
  const means = posteriorMeans(features, { labels, classes: 2 });
  assert.deepEqual(means.shape, [2, 2]);
  const gram = features.t().matmul(features);
  for (const label of [0, 1]) {
    const y = tensor(
      labels.map((own) => [own === label ? 1 : 0]),
      double,
    );
    const m = means.narrow(1, label, 1);
    // (t + F'F) m = F'y for one t: the residual of the normal equations is t m.
    const rest = features.t().matmul(y).sub(gram.matmul(m));
    const ratios = rest.div(m).toNumbers();
    const [t = 0] = ratios;
    assert.ok(t > 0);
    for (const ratio of ratios) assert.ok(Math.abs(ratio - t) < 1e-6 * t, `${ratios.join(", ")}`);
    // No neighbour has more evidence, which is written out for two features.
    const evidence = (at: number) => {
      const [a = 0, b = 0, , d = 0] = gram.toNumbers();
      const determinant = (a + at) * (d + at) - b * b;
      const [p = 0, q = 0] = features.t().matmul(y).toNumbers();
      const w = [((d + at) * p - b * q) / determinant, ((a + at) * q - b * p) / determinant];
      const error = features
        .matmul(
          tensor(
            w.map((value) => [value]),
            double,
          ),
        )
        .sub(y)
        .square()
        .sum()
        .item();
      const loss = error + at * w.reduce((sum, value) => sum + value * value, 0);
      return Math.log(at) - 0.5 * Math.log(determinant) - (n / 2) * Math.log(loss);
    };
    for (const factor of [0.5, 0.9, 0.99, 1.01, 1.1, 2]) assert.ok(evidence(t) > evidence(t * factor), `${factor}`);
  }
});

test("B-Tuning weighs teachers by LogME and compares what their features predict, by hand", () => {
  assertClose(tensor(softmaxOf([0.2, 0.1], 0.1)), softmax([2, 1]), 1e-6);
  const own = tensor([[1, 0]], double);
  const teachers = [tensor([[0, 1]], double), tensor([[1, 1]], double)];
  // The target is [0.75, 1].
  assert.ok(Math.abs(bayesianLoss(own, teachers, [0.25, 0.75]).item() - (0.0625 + 1)) < 1e-12);
  assert.equal(bayesianLoss(own, [own, own], [0.5, 0.5]).item(), 0);
});

test("B-Tuning tunes the member with the largest LogME, which it ranks itself", async () => {
  const own = request("b", "b-tuning", { choices: { teachers: 2 } });
  const run = await trainRun(own);
  const { member } = run.predictor as unknown as { member: { name: string; flops: number } };
  const { members } = await run.folder.decide<{ members: { name: string; score: number }[] }>("ranking-logme", () => {
    throw new Error("it is recorded");
  });
  assert.equal(members.length, 3);
  assert.equal(members[0]?.name, member.name);
  assert.ok((members[0]?.score ?? 0) >= (members[2]?.score ?? 0));
  const images = run.data.counts.train;
  // A ranking of three; means of two teachers, one of which is the member; three epochs with two teachers.
  // The head and, in training, predictions from three sets of features; the classifiers of pre-training in five passes.
  const heads = 3 * 3 * (2 * 16 * 3) + 3 * (3 + 2) * (2 * 16 * 3) + (3 + 2) * (2 * 16 * 5);
  assert.equal(run.trainingFlops, images * (member.flops * (3 + 2 + 3 * (3 + 2)) + heads));
  run.predictor.dispose();
  run.data.dispose();
});

test("LogME agrees about which features say more", () => {
  const generator = new Generator(9);
  scope(() => {
    const labels = Array.from({ length: 20 }, (_, i) => i % 2);
    const noise = randn([20, 3], { generator, ...double });
    const signal = tensor(
      labels.map((label) => [label, 1 - label, 0]),
      double,
    );
    const good = signal.add(noise.mul(0.1));
    assert.ok(logMe(good, { labels, classes: 2 }) > logMe(noise, { labels, classes: 2 }));
    const means = posteriorMeans(good, { labels, classes: 2 });
    const right = good.matmul(means).argmax(1).toNumbers();
    assert.deepEqual(right, labels);
  });
});

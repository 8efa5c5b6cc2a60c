import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import {
  ClassificationTask,
  chooseThresholds,
  labelFigures,
  MultiLabelTask,
  numberFigures,
  RegressionTask,
  type Task,
  taskOf,
} from "../../../src/train/index.ts";
import { assertClose } from "../../support/numeric.ts";

type Rows = number[][];

interface Fixture {
  labels: {
    truth: Rows;
    probabilities: Rows;
    thresholds: number[];
    averagePrecision: (number | null)[];
    precision: number[];
    recall: number[];
    f1: number[];
  } & Record<"meanAveragePrecision" | "microF1" | "macroF1" | "logLoss", number>;
  numbers: { truth: Rows; answers: Rows; r2: number[]; meanR2: number } & Record<
    "meanAbsoluteErrors" | "rootMeanSquaredErrors",
    number[]
  >;
  losses: Record<"logits" | "several" | "values", Rows> &
    Record<"weights" | "classes" | "means" | "deviations", number[]> &
    Record<"classification" | "multiLabel" | "weightedMultiLabel" | "regression", { rows: number[]; gradient: Rows }>;
}

const path = new URL("../../fixtures/target-metrics.json", import.meta.url);
const { labels, numbers, losses } = JSON.parse(readFileSync(path, "utf8")) as Fixture;

const close = (actual: number, expected: number, what: string) =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * (1 + Math.abs(expected)), `${what}: ${actual}, not ${expected}`);

test("average precision, F1 and log loss are scikit-learn's", () => {
  const { truth, probabilities, thresholds } = labels;
  const answers = {
    probabilities: probabilities.flat(),
    labels: truth.map(() => 0),
    targets: Float64Array.from(truth.flat()),
  };
  const metrics = new MultiLabelTask(5, thresholds).measure(answers);
  for (const name of ["meanAveragePrecision", "microF1", "macroF1", "logLoss"] as const) {
    close(metrics[name], labels[name], name);
  }
  const figures = labelFigures(answers.probabilities, answers.targets, truth.length, thresholds);
  for (const [c, figure] of figures.entries()) {
    const expected = labels.averagePrecision[c];
    if (expected === null) assert.equal(figure.averagePrecision, undefined);
    else close(figure.averagePrecision ?? Number.NaN, expected ?? Number.NaN, `average precision of ${c}`);
    for (const name of ["precision", "recall", "f1"] as const)
      close(figure[name], labels[name][c] ?? 0, `${name} of ${c}`);
  }
});

test("R2 and errors of numbers are scikit-learn's, also where all are the same", () => {
  const { truth, answers, r2, meanR2, meanAbsoluteErrors, rootMeanSquaredErrors } = numbers;
  const targets = Float64Array.from(truth.flat());
  const deviations = [3, 0.01, 1];
  const metrics = new RegressionTask([0, 0, 0], deviations).measure({
    probabilities: answers.flat(),
    labels: truth.map(() => 0),
    targets,
  });
  close(metrics.r2, meanR2, "mean R2");
  const squares = rootMeanSquaredErrors.map((error, c) => (error / (deviations[c] ?? 1)) ** 2);
  close(metrics.squaredError, squares.reduce((sum, one) => sum + one) / 3, "squared error");
  for (const [c, figure] of numberFigures(answers.flat(), targets, truth.length, 3).entries()) {
    close(figure.r2, r2[c] ?? 0, `R2 of ${c}`);
    close(figure.meanAbsoluteError, meanAbsoluteErrors[c] ?? 0, `error of ${c}`);
    close(metrics.meanAbsoluteErrors[c] ?? 0, meanAbsoluteErrors[c] ?? 0, `error of ${c}`);
    close(figure.rootMeanSquaredError, rootMeanSquaredErrors[c] ?? 0, `root of squared error of ${c}`);
  }
});

test("merits of answers are on average the figure that a task loses by, or the share of right classes", () => {
  const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
  const several = {
    probabilities: labels.probabilities.flat(),
    labels: labels.truth.map(() => 0),
    targets: Float64Array.from(labels.truth.flat()),
  };
  const tagging = new MultiLabelTask(5, labels.thresholds);
  close(mean(tagging.merits(several)), -labels.logLoss, "log loss");
  const numeric = {
    probabilities: numbers.answers.flat(),
    labels: numbers.truth.map(() => 0),
    targets: Float64Array.from(numbers.truth.flat()),
  };
  const measuring = new RegressionTask([0, 0, 0], [3, 0.01, 1]);
  close(mean(measuring.merits(numeric)), -measuring.measure(numeric).squaredError, "squared error");
  const classes = { probabilities: [0.9, 0.1, 0.4, 0.6, 0.7, 0.3], labels: [0, 0, 1] };
  assert.deepEqual(new ClassificationTask(2).merits(classes), [1, 0, 0]);
});

test("losses of rows and their gradients are PyTorch's", () => {
  const { weights, classes, several, values, means, deviations } = losses;
  const float64 = { dtype: "float64" } as const;
  const cases: [
    Task,
    Tensor,
    keyof Pick<Fixture["losses"], "classification" | "multiLabel" | "weightedMultiLabel" | "regression">,
  ][] = [
    [new ClassificationTask(4, 0.1, weights), tensor(classes, { dtype: "int64" }), "classification"],
    [new MultiLabelTask(4), tensor(several, float64), "multiLabel"],
    [new MultiLabelTask(4, undefined, weights), tensor(several, float64), "weightedMultiLabel"],
    [new RegressionTask(means, deviations), tensor(values, float64), "regression"],
  ];
  for (const [task, targets, name] of cases) {
    using logits = tensor(losses.logits, float64);
    logits.requires_grad = true;
    scope(() => {
      const rows = task.rowLoss(logits, targets);
      assertClose(rows, losses[name].rows, 1e-12, name);
      rows.mean().backward();
      assertClose(logits.grad as Tensor, losses[name].gradient.flat(), 1e-12, `gradient of ${name}`);
    });
    targets.dispose();
  }
});

test("answers of numbers are in their own units: a perfect logit gives the number itself", () => {
  const task = new RegressionTask(losses.means, losses.deviations);
  scope(() => {
    const targets = tensor(losses.values, { dtype: "float64" });
    assertClose(task.probabilities(task.linearTargets(targets)), losses.values.flat(), 1e-12);
  });
});

test("no threshold has a higher F1 than the chosen ones, and none lies on a probability", () => {
  const item = fc.record({ p: fc.integer({ min: 1, max: 19 }).map((i) => i / 20), is: fc.boolean() });
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 30 }), (items) => {
      const probabilities = items.map(({ p }) => p);
      const truths = items.map(({ is }) => Number(is));
      const f1 = (threshold: number) => labelFigures(probabilities, truths, items.length, [threshold])[0]?.f1 ?? 0;
      const [chosen = Number.NaN] = chooseThresholds(probabilities, truths, items.length, 1);
      const all = Array.from({ length: 41 }, (_, i) => i / 40 + 1e-6);
      const best = Math.max(...all.map(f1));
      assert.ok(f1(chosen) >= best - 1e-12, `${f1(chosen)} at ${chosen}, ${best} elsewhere`);
      if (!truths.includes(1)) assert.equal(chosen, 0.5);
    }),
  );
});

test("balanced weights let classes count alike, and both sides of a label", () => {
  const rows = [
    [1, 0],
    [1, 0],
    [1, 1],
    [0, 0],
  ];
  const source = {
    name: "x",
    classes: ["a", "b"],
    labels: [0, 0, 0, 1],
    targets: undefined,
    items: () => [0, 1, 2, 3],
  };
  const options = { labelSmoothing: 0, classWeights: "balanced" } as const;
  scope(() => {
    const classes = taskOf({ ...source, kind: "classification" }, options);
    const logits = tensor([
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    const own = classes.rowLoss(logits, tensor([0, 0, 0, 1], { dtype: "int64" })).toNumbers();
    close((own[0] ?? 0) + (own[1] ?? 0) + (own[2] ?? 0), own[3] ?? 0, "sum of a class");
    assert.ok(Math.abs(own.reduce((sum, one) => sum + one) / 4 - Math.log(2)) < 1e-6);
    const labels = taskOf({ ...source, kind: "multi-label", targets: rows }, options);
    // Probability one half of both labels, so that each weight shows: 1/3 on those with a, 3 on the one with b.
    const losses = labels.rowLoss(logits, tensor(rows, { dtype: "float64" })).toNumbers();
    const expected = [
      [1 / 3, 1],
      [1 / 3, 1],
      [1 / 3, 3],
      [1, 1],
    ].map(([a = 0, b = 0]) => ((a + b) / 2) * Math.log(2));
    for (const [i, loss] of losses.entries()) assert.ok(Math.abs(loss - (expected[i] ?? 0)) < 1e-6);
  });
  const numeric = { ...source, kind: "regression", targets: rows } as const;
  assert.throws(() => taskOf(numeric, options), /an image of x has numbers and no class to be weighted/);
  const task = taskOf(numeric, { labelSmoothing: 0 }) as RegressionTask;
  assert.deepEqual(task.means, [0.75, 0.25]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { softmaxRows, tempered } from "../../../src/runtime/index.ts";
import { keyedRandom } from "../../../src/torch/index.ts";
import { calibrate, computeMetrics, confidencesOf, fitTemperature } from "../../../src/train/index.ts";

/** Probabilities of logits that are `sharper` times as large as those that the labels are drawn by. */
function drawn(seed: number, count: number, classes: number, sharper: number) {
  const random = keyedRandom(seed);
  const logits = Float32Array.from({ length: count * classes }, () => 6 * (random() - 0.5) ** 3 * 8);
  const truth = softmaxRows(logits, classes);
  const labels = Array.from({ length: count }, (_, i) => {
    let rest = random();
    for (let c = 0; c < classes; c++) {
      rest -= truth[i * classes + c] ?? 0;
      if (rest < 0) return c;
    }
    return classes - 1;
  });
  return {
    probabilities: softmaxRows(
      logits.map((z) => z * sharper),
      classes,
    ),
    labels,
    classes,
  };
}

/** Mean log loss of softmax(ln p / T), written anew. */
function logLoss({ probabilities, labels, classes }: ReturnType<typeof drawn>, temperature: number): number {
  const losses = labels.map((label, i) => {
    const powers = [...probabilities.slice(i * classes, (i + 1) * classes)].map((p) => p ** (1 / temperature));
    return -Math.log((powers[label] ?? 0) / powers.reduce((a, b) => a + b, 0));
  });
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

test("the temperature is the one of the least log loss on a grid, and the one that the logits were changed by", () => {
  for (const [seed, sharper] of [
    [1, 0.5],
    [2, 1],
    [3, 2.5],
  ] as const) {
    const answers = drawn(seed, 1000, 5, sharper);
    const fitted = fitTemperature(answers);
    const grid = Array.from({ length: 81 }, (_, i) => Math.exp(i / 20 - 2));
    const losses = grid.map((temperature) => logLoss(answers, temperature));
    const best = grid[losses.indexOf(Math.min(...losses))] ?? 0;
    // The grid's step, and the prior's weight of one image in 1,000.
    assert.ok(Math.abs(Math.log(fitted / best)) < 0.03, `${fitted} and ${best}`);
    assert.ok(Math.abs(Math.log(fitted / sharper)) < 0.1, `${fitted} and ${sharper}`);
  }
});

test("few images without a mistake do not make every later answer certain", () => {
  const answers = { probabilities: Float32Array.from([0.6, 0.4, 0.3, 0.7, 0.8, 0.2]), labels: [0, 1, 0], classes: 2 };
  const temperature = fitTemperature(answers);
  // The least of sum(ln(1 + odds^(1/T))) + (ln T)^2 / 2, by a grid.
  const odds = [4 / 6, 3 / 7, 2 / 8];
  const loss = (s: number) => odds.reduce((sum, o) => sum + Math.log(1 + o ** Math.exp(-s)), s ** 2 / 2);
  const grid = Array.from({ length: 6001 }, (_, i) => i / 1000 - 3);
  const least = grid.reduce((best, s) => (loss(s) < loss(best) ? s : best), 0);
  assert.ok(Math.abs(Math.log(temperature) - least) < 2e-3, `${Math.log(temperature)} and ${least}`);
  assert.ok(Math.max(...tempered(answers.probabilities, 2, temperature)) < 0.99);
});

test("probabilities at a temperature keep their order and are softmax(logits / T); at 1 they stay as they are", () => {
  const random = keyedRandom(4);
  const logits = Float32Array.from({ length: 60 }, () => 10 * random());
  const probabilities = softmaxRows(logits, 6);
  for (const temperature of [0.3, 1.7, 8]) {
    const own = tempered(probabilities, 6, temperature);
    const expected = softmaxRows(
      logits.map((z) => z / temperature),
      6,
    );
    for (const [i, p] of own.entries()) assert.ok(Math.abs(p - (expected[i] ?? 0)) < 2e-6);
    for (let row = 0; row < 10; row++) {
      const order = (values: Float32Array) =>
        [0, 1, 2, 3, 4, 5].sort((a, b) => (values[row * 6 + b] ?? 0) - (values[row * 6 + a] ?? 0));
      assert.deepEqual(order(own), order(probabilities));
    }
  }
  assert.equal(tempered(probabilities, 6, 1), probabilities);
  const edge = tempered(Float32Array.from([1, 0]), 2, 3);
  assert.ok(edge.every(Number.isFinite) && Math.abs((edge[0] ?? 0) + (edge[1] ?? 0) - 1) < 1e-6);
});

test("a calibration has the errors before and after, and the curve of the changed answers", () => {
  const answers = drawn(7, 1000, 4, 3);
  const { temperature, calibrationErrors, items, steps } = calibrate(answers);
  const table = tempered(answers.probabilities, 4, temperature);
  const [before, after] = calibrationErrors;
  assert.equal(before, computeMetrics(answers.probabilities, answers.labels, 4).calibrationError);
  assert.equal(after, computeMetrics(table, answers.labels, 4).calibrationError);
  assert.ok(after < 0.5 * before, `${after} of ${before}`);
  const confidences = confidencesOf({ ...answers, probabilities: table });
  const middle = steps[500];
  assert.equal(items, 1000);
  assert.equal(confidences.filter((own) => own >= (middle?.[0] ?? 0)).length, middle?.[1]);
});

/** Transferability scores against closed forms and against references computed by other routes (make-ranking.py). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  fitMixture,
  hScore,
  type Labels,
  leep,
  logMe,
  nce,
  nLeep,
  principalComponents,
  rankingScores,
  regularisedHScore,
} from "../../../src/ranking/index.ts";
import { memory, scope, type Tensor, tensor, UserError } from "../../../src/torch/index.ts";
import { assertNoLeak } from "../../support/numeric.ts";
import { finished } from "../../support/steps.ts";

interface Case {
  name: string;
  labels: number[];
  features: number[][];
  probabilities: number[][];
  logme: number;
  leep: number;
  nce: number;
  hScore: number;
  regularisedHScore: number;
  mixture: { assignment: number[]; kept: number; regularisation: number; logLikelihood: number; nLeep: number };
}

const { cases } = JSON.parse(readFileSync(new URL("../../fixtures/ranking/ranking.json", import.meta.url), "utf8")) as {
  cases: Case[];
};

const table = (rows: number[][]): Tensor => tensor(rows, { dtype: "float64" });
const labelled = (labels: readonly number[], classes = Math.max(...labels) + 1): Labels => ({ labels, classes });
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function near(actual: number, expected: number, tolerance = 1e-9, what = ""): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected)), `${what} ${actual}, not ${expected}`);
}

for (const reference of cases) {
  test(`every score equals its reference: ${reference.name}`, () => {
    const labels = labelled(reference.labels);
    using features = table(reference.features);
    using probabilities = table(reference.probabilities);
    near(logMe(features, labels), reference.logme, 1e-7, "LogME");
    near(leep(probabilities, labels), reference.leep, 1e-9, "LEEP");
    near(nce(probabilities, labels), reference.nce, 1e-9, "NCE");
    near(hScore(features, labels), reference.hScore, 1e-8, "H-score");
    near(regularisedHScore(features, labels), reference.regularisedHScore, 1e-8, "regularised H-score");
  });

  test(`the mixture and N-LEEP equal scikit-learn's from the same start: ${reference.name}`, () => {
    const { assignment, kept, regularisation, logLikelihood, nLeep: expected } = reference.mixture;
    scope(() => {
      const points = principalComponents(table(reference.features));
      assert.equal(points.size(1), kept);
      const first = tensor(assignment, { dtype: "int64" }).one_hot().to({ dtype: "float64" });
      const options = { regularisation, tolerance: 1e-10, iterations: 5000 };
      const fit = finished(fitMixture(points, first, options));
      near(fit.logLikelihood, logLikelihood, 1e-6, "log likelihood");
      near(leep(fit.posterior, labelled(reference.labels)), expected, 1e-5, "N-LEEP");
    });
  });
}

/** Maximum over a fine grid of alpha / beta of the evidence for one feature, which has a closed form in it. */
function evidenceOfOneFeature(f: number[], y: number[]): number {
  const n = f.length;
  const sigma = sum(f.map((value) => value * value));
  const along = sum(f.map((value, i) => value * (y[i] ?? 0))) ** 2 / sigma;
  const rest = sum(y.map((value) => value * value)) - along;
  let best = Number.NEGATIVE_INFINITY;
  for (let exponent = -12; exponent < 12; exponent += 1e-3) {
    const t = 10 ** exponent;
    const q = (along * t) / (t + sigma) + rest;
    best = Math.max(best, -0.5 * Math.log1p(sigma / t) - (n / 2) * Math.log((2 * Math.PI * Math.E * q) / n));
  }
  return best / n;
}

test("LogME in closed form: one feature, and features that are orthogonal to the classes", () => {
  const f = [2, 1.5, 1.8, -0.3, 0.4, 0.1];
  const labels = [0, 0, 0, 1, 1, 1];
  const y = [labels.map((label) => 1 - label), labels];
  using features = table(f.map((value) => [value]));
  near(logMe(features, labelled(labels)), sum(y.map((row) => evidenceOfOneFeature(f, row))) / 2, 1e-6);
  // Nothing to gain from the feature: the evidence is that of noise alone, with variance |y|² / n.
  using useless = table([1, -1, 0, 1, -1, 0].map((value) => [value]));
  near(logMe(useless, labelled(labels)), -0.5 * Math.log(2 * Math.PI * Math.E * 0.5), 1e-9);
});

test("LogME of numbers and of several labels is that of each at mean 0 and variance 1, whatever its unit", () => {
  const f = [2, 1.5, 1.8, -0.3, 0.4, 0.1];
  const columns = [
    [12, 10, 9, 3, 5, 1],
    [1, 1, 0, 0, 1, 0],
  ];
  const standard = (values: number[]): number[] => {
    const mean = sum(values) / values.length;
    const deviation = Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / values.length);
    return values.map((value) => (value - mean) / deviation);
  };
  using features = table(f.map((value) => [value]));
  const labels = new Array<number>(6).fill(7);
  const scoreOf = (make: (i: number) => number[]): number => {
    using targets = table(f.map((_, i) => make(i)));
    return logMe(features, { labels, classes: 2, targets });
  };
  const expected = sum(columns.map((values) => evidenceOfOneFeature(f, standard(values)))) / 2;
  near(
    scoreOf((i) => columns.map((values) => values[i] ?? 0)),
    expected,
    1e-6,
  );
  // A label that no item has says nothing, and a unit neither.
  near(
    scoreOf((i) => [1000 * (columns[0]?.[i] ?? 0) - 5, 0, columns[1]?.[i] ?? 0]),
    expected,
    1e-6,
  );
});

test("LogME of features that hold the classes exactly is large and finite", () => {
  const labels = [0, 0, 0, 1, 1, 1, 2, 2];
  using exact = table(labels.map((label) => [0, 1, 2].map((c) => (c === label ? 1 : 0))));
  const value = logMe(exact, labelled(labels));
  assert.ok(Number.isFinite(value) && value > 1, `${value}`);
});

test("LEEP and NCE by hand", () => {
  const labels = labelled([0, 0, 1, 1]);
  // P(y, z) = [[.35, .15], [.15, .35]]: P(0 | z) = .7, .3.
  using even = table([
    [0.8, 0.2],
    [0.6, 0.4],
    [0.4, 0.6],
    [0.2, 0.8],
  ]);
  const likelihoods = [0.8 * 0.7 + 0.2 * 0.3, 0.6 * 0.7 + 0.4 * 0.3];
  near(leep(even, labels), sum(likelihoods.map(Math.log)) / 2);
  near(nce(even, labels), 0);
  // One source label for all: what is left is the entropy of the classes.
  using one = table(new Array(4).fill([0.9, 0.1]));
  near(leep(one, labels), -Math.log(2));
  near(nce(one, labels), -Math.log(2));
  // Source labels 0, 0, 0, 1: H(Y | Z) = 3/4 h(1/3).
  using three = table([
    [0.9, 0.1],
    [0.9, 0.1],
    [0.9, 0.1],
    [0.1, 0.9],
  ]);
  near(nce(three, labels), 0.75 * ((2 / 3) * Math.log(2 / 3) + (1 / 3) * Math.log(1 / 3)));
});

test("H-scores by hand: one feature, and a saturated one", () => {
  // Total variance 2.5, between the classes 2.25.
  using line = table([[0], [1], [3], [4]]);
  near(hScore(line, labelled([0, 0, 1, 1])), 2.25 / 2.5);
  // One direction of variance is a multiple of the identity already: there is nothing to shrink.
  near(regularisedHScore(line, labelled([0, 0, 1, 1])), 2.25 / 2.5);
  // More features than items: the plain score cannot tell models apart, the regularised one can.
  const labels = labelled([0, 0, 1, 1, 2, 2]);
  const rows = cases[1]?.features.slice(0, 6) ?? [];
  using wide = table(rows);
  near(hScore(wide, labels), 2, 1e-9);
  assert.ok(regularisedHScore(wide, labels) < 1.999);
  // C - 1 is the most that there is, also where large means leave rounding that is the same for all items.
  using far = table(rows.map((row) => row.map((value, i) => value + 1000 * i)));
  near(hScore(far, labels), 2, 1e-9);
});

test("N-LEEP by hand: far clusters that are the classes, and clusters that mix them", () => {
  const offsets = [0, 0.1, 0.2, 0.3];
  const rows = offsets.flatMap((offset) => [
    [offset, offset * offset],
    [100 + offset, offset],
  ]);
  using features = table(rows);
  near(finished(nLeep(features, labelled([0, 1, 0, 1, 0, 1, 0, 1]), { seed: 1 })), 0, 1e-9);
  // Half of each cluster in each class: nothing is known beyond the classes' shares.
  near(finished(nLeep(features, labelled([0, 0, 1, 1, 0, 0, 1, 1]), { seed: 1, components: 2 })), -Math.log(2), 1e-9);
});

test("principal components are the fewest that hold 80 % of the energy", () => {
  scope(() => {
    // Orthogonal columns of energies 8, 2 and 0.5 (two of them hold 95 %), then 6, 1, 1.
    const signs = [
      [1, 1, 1],
      [-1, 1, -1],
      [1, -1, -1],
      [-1, -1, 1],
    ];
    const scaled = (energies: number[]) =>
      table(signs.map((row) => row.map((sign, i) => sign * Math.sqrt((energies[i] ?? 0) / 4))));
    assert.equal(principalComponents(scaled([8, 1, 0.5])).size(1), 1);
    assert.equal(principalComponents(scaled([6, 1, 1])).size(1), 2);
    assert.equal(principalComponents(scaled([1, 1, 1])).size(1), 3);
  });
});

test("features that are all constant say nothing, and no score breaks", () => {
  const labels = labelled([0, 0, 0, 1]);
  using constant = tensor(new Array(4).fill([0.1, -7, 1 / 3]), { dtype: "float32" });
  const entropy = 0.75 * Math.log(0.75) + 0.25 * Math.log(0.25);
  assert.equal(hScore(constant, labels), 0);
  assert.equal(regularisedHScore(constant, labels), 0);
  near(finished(nLeep(constant, labels, { seed: 0 })), entropy);
  assert.ok(Number.isFinite(logMe(constant, labels)));
  using zero = table(new Array(4).fill([0, 0]));
  near(logMe(zero, labels), 0.5 * (-Math.log(2 * Math.PI * Math.E) - Math.log(3 / 4) / 2 - Math.log(1 / 4) / 2));
});

test("a copied feature changes no H-score, and a feature of zeros no LogME", () => {
  const [first] = cases as [Case];
  const labels = labelled(first.labels);
  using plain = table(first.features);
  using copied = table(first.features.map((row) => [...row, row[2] ?? 0]));
  using padded = table(first.features.map((row) => [0, ...row]));
  near(hScore(copied, labels), hScore(plain, labels));
  near(logMe(padded, labels), logMe(plain, labels));
});

test("classes without items change nothing", () => {
  const [first] = cases as [Case];
  using features = table(first.features);
  using probabilities = table(first.probabilities);
  const renamed = labelled(
    first.labels.map((label) => 2 * label + 1),
    9,
  );
  const labels = labelled(first.labels);
  near(logMe(features, renamed), logMe(features, labels));
  near(leep(probabilities, renamed), leep(probabilities, labels));
  near(finished(nLeep(features, renamed, { seed: 2 })), finished(nLeep(features, labels, { seed: 2 })));
});

test("bad input is refused", () => {
  using features = table([
    [1, 2],
    [3, Number.NaN],
  ]);
  const both = labelled([0, 1]);
  for (const score of [logMe, hScore, regularisedHScore]) {
    assert.throws(() => score(features, both), UserError);
    using finite = table([[1, 2]]);
    assert.throws(() => score(finite, both), /2 labels/);
    assert.throws(() => score(finite, { labels: [3], classes: 2 }), /label 3/);
    using flat = tensor([1, 2]);
    assert.throws(() => score(flat, both), RangeError);
  }
  using logits = table([
    [3, 2],
    [-3, 1],
  ]);
  assert.throws(() => leep(logits, both), /softmax/);
  assert.throws(() => nce(logits, both), /softmax/);
  using finite = table([[1], [2]]);
  assert.throws(() => finished(nLeep(finite, both, { seed: 0, components: 0 })), RangeError);
});

test("a classifier that ends with its softmax scores like its logits", () => {
  const [first] = cases as [Case];
  const labels = labelled(first.labels);
  using features = table(first.features);
  using probabilities = table(first.probabilities);
  using logits = scope(() => probabilities.log().add(3));
  for (const score of rankingScores.filter((candidate) => candidate.needsClassifier)) {
    const [soft, hard] = [probabilities, logits].map((given) =>
      finished(score.compute({ features, logits: given, ...labels }, 0)),
    );
    near(soft ?? Number.NaN, hard ?? Number.NaN);
  }
});

test("the scores release everything", () => {
  const [first] = cases as [Case];
  using features = table(first.features);
  using logits = table(first.probabilities);
  const { labels } = first;
  const before = memory().handles;
  assertNoLeak(() => {
    for (const score of rankingScores) finished(score.compute({ features, logits, labels, classes: 3 }, 5));
  });
  assert.equal(memory().handles, before);
  for (const score of rankingScores) {
    const value = finished(score.compute({ features, logits: undefined, labels, classes: 3 }, 5));
    assert.equal(value === undefined, score.needsClassifier);
  }
});

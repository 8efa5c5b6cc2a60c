/** Properties of the transferability scores for any data. n items, d features, S source classes, C classes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  hScore,
  type Labels,
  leep,
  logMe,
  nce,
  nLeep,
  rankingScores,
  regularisedHScore,
} from "../../../src/ranking/index.ts";
import { keyedRandom, shuffled, tensor } from "../../../src/torch/index.ts";
import { finished } from "../../support/steps.ts";

type Rows = number[][];

interface Sample {
  features: Rows;
  theta: Rows;
  labels: number[];
  classes: number;
  random: () => number;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;

function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

function draw(seed: number, n: number, d: number, sources: number, classes: number): Sample {
  const random = keyedRandom(seed, 11);
  const labels = shuffled(
    Array.from({ length: n }, (_, i) => (i < classes ? i : Math.floor(random() * classes))),
    random,
  );
  const centres = Array.from({ length: classes }, () => Array.from({ length: d }, () => gaussian(random)));
  const features = labels.map((label) => (centres[label] ?? []).map((centre) => centre + gaussian(random)));
  const theta = labels.map((label) => {
    const weights = Array.from({ length: sources }, (_, z) => Math.exp(2 * gaussian(random) + (z === label ? 1 : 0)));
    return weights.map((weight) => weight / sum(weights));
  });
  return { features, theta, labels, classes, random };
}

const samples = fc
  .record({
    seed: fc.integer({ min: 0, max: 1e6 }),
    n: fc.integer({ min: 6, max: 26 }),
    d: fc.integer({ min: 1, max: 30 }),
    sources: fc.integer({ min: 1, max: 6 }),
    classes: fc.integer({ min: 2, max: 4 }),
  })
  .map(({ seed, n, d, sources, classes }) => draw(seed, n, d, sources, classes));

function holds(property: (sample: Sample) => void, runs = 20): void {
  fc.assert(fc.property(samples, property), { numRuns: runs, seed: 7 });
}

function near(actual: number, expected: number, tolerance = 1e-8): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected)), `${actual} and ${expected}`);
}

type Score = (rows: Rows, labels: Labels) => number;
const on =
  (score: (table: ReturnType<typeof tensor>, labels: Labels) => number): Score =>
  (rows, labels) => {
    using table = tensor(rows, { dtype: "float64" });
    return score(table, { labels: labels.labels, classes: labels.classes });
  };
const ofFeatures: Score[] = [on(logMe), on(hScore), on(regularisedHScore)];
const ofTheta: Score[] = [on(leep), on(nce)];
const mixture: Score = on((table, labels) => finished(nLeep(table, labels, { seed: 4 })));

test("the order of the items changes nothing", () => {
  holds(({ features, theta, labels, classes, random }) => {
    const order = shuffled([...labels.keys()], random);
    const moved = <T>(values: readonly T[]) => order.map((i) => values[i] as T);
    const other = { labels: moved(labels), classes };
    for (const score of ofFeatures) near(score(moved(features), other), score(features, { labels, classes }));
    for (const score of ofTheta) near(score(moved(theta), other), score(theta, { labels, classes }));
  });
});

test("the numbering of the classes changes nothing", () => {
  holds((sample) => {
    const { features, theta, labels, random } = sample;
    const renumbering = shuffled([0, 1, 2, 3, 4], random);
    const other = { labels: labels.map((label) => renumbering[label] ?? 0), classes: 5 };
    for (const score of [...ofFeatures, mixture]) near(score(features, other), score(features, sample));
    for (const score of ofTheta) near(score(theta, other), score(theta, sample));
  });
});

test("rotated features have the same LogME, H-scores and N-LEEP", () => {
  holds((sample) => {
    const { features, random } = sample;
    const rotated = reflect(reflect(features, random), random);
    for (const score of ofFeatures) near(score(rotated, sample), score(features, sample), 1e-6);
    near(mixture(rotated, sample), mixture(features, sample), 1e-6);
  });
});

/** Householder's reflection along a random direction. */
function reflect(rows: Rows, random: () => number): Rows {
  const axis = (rows[0] ?? []).map(() => gaussian(random));
  const length = sum(axis.map((value) => value * value));
  return rows.map((row) => {
    const along = (2 * sum(row.map((value, i) => value * (axis[i] ?? 0)))) / length;
    return row.map((value, i) => value - along * (axis[i] ?? 0));
  });
}

test("scale changes no score of features; where the origin lies concerns LogME alone", () => {
  holds((sample) => {
    const { features, random } = sample;
    const scale = 10 ** (6 * random() - 3);
    const scaled = features.map((row) => row.map((value) => value * scale));
    for (const score of [...ofFeatures, mixture]) near(score(scaled, sample), score(features, sample), 1e-6);
    const moved = features.map((row) => row.map((value, i) => value + 3 * i));
    for (const score of [on(hScore), on(regularisedHScore), mixture])
      near(score(moved, sample), score(features, sample), 1e-6);
  });
});

test("LogME is at least the evidence of any alpha and beta, computed from the marginal likelihood", () => {
  holds((sample) => {
    const { features, labels, random } = sample;
    const best = on(logMe)(features, sample);
    for (let i = 0; i < 4; i++) {
      const [alpha, beta] = [10 ** (6 * random() - 3), 10 ** (4 * random() - 1)];
      const present = [...new Set(labels)];
      const values = present.map((c) =>
        logLikelihood(
          features,
          labels.map((label) => (label === c ? 1 : 0)),
          alpha,
          beta,
        ),
      );
      assert.ok(mean(values) / labels.length <= best + 1e-9);
    }
  });
});

/** log N(y; 0, I / beta + F F' / alpha) by Cholesky's decomposition of the covariance. */
function logLikelihood(features: Rows, y: number[], alpha: number, beta: number): number {
  const n = y.length;
  const root: Rows = [];
  const solved: number[] = [];
  let value = -0.5 * n * Math.log(2 * Math.PI);
  for (let i = 0; i < n; i++) {
    const row: number[] = [];
    for (let j = 0; j <= i; j++) {
      const product = sum((features[i] ?? []).map((f, c) => f * (features[j]?.[c] ?? 0)));
      const entry = product / alpha + (i === j ? 1 / beta : 0);
      const rest = entry - sum(row.slice(0, j).map((left, c) => left * ((j === i ? row : root[j])?.[c] ?? 0)));
      row.push(i === j ? Math.sqrt(rest) : rest / (root[j]?.[j] ?? 1));
    }
    root.push(row);
    const pivot = row[i] ?? 1;
    solved.push(((y[i] ?? 0) - sum(solved.map((left, c) => left * (row[c] ?? 0)))) / pivot);
    value -= Math.log(pivot) + 0.5 * (solved[i] ?? 0) ** 2;
  }
  return value;
}

test("H-scores lie between 0 and C - 1, the regularised below the plain one; any invertible map keeps the plain one", () => {
  holds((sample) => {
    const { features, labels, random } = sample;
    const plain = on(hScore)(features, sample);
    const regularised = on(regularisedHScore)(features, sample);
    assert.ok(regularised >= -1e-9 && regularised <= plain + 1e-9);
    assert.ok(plain <= new Set(labels).size - 1 + 1e-9);
    // A shear with other scales: triangular, so surely invertible.
    const scales = (features[0] ?? []).map(() => 0.5 + random());
    const mapped = features.map((row) =>
      row.map((value, i) => (scales[i] ?? 1) * value + (i > 0 ? (row[i - 1] ?? 0) : 0)),
    );
    near(on(hScore)(mapped, sample), plain, 1e-6);
  });
});

test("NCE lies between minus the labels' entropy and 0, and a finer source labelling never lowers it", () => {
  holds((sample) => {
    const { theta, labels, classes } = sample;
    const shares = Array.from(
      { length: classes },
      (_, c) => labels.filter((label) => label === c).length / labels.length,
    );
    const entropy = -sum(shares.filter((p) => p > 0).map((p) => p * Math.log(p)));
    const value = on(nce)(theta, sample);
    assert.ok(value >= -entropy - 1e-12 && value <= 0);
    // The labels themselves, one-hot, with the last source classes merged into the first.
    const source = theta.map((row) => row.indexOf(Math.max(...row)));
    const oneHot = (values: number[]) => values.map((z) => Array.from({ length: 6 }, (_, i) => (i === z ? 1 : 0)));
    near(on(nce)(oneHot(source), sample), value);
    assert.ok(on(nce)(oneHot(source.map((z) => z % 2)), sample) <= value + 1e-12);
  });
});

test("LEEP: at most 0, NCE for certain source labels, and above NCE less the doubt in the source labels", () => {
  holds((sample) => {
    const { theta } = sample;
    const value = on(leep)(theta, sample);
    assert.ok(value <= 0);
    const largest = theta.map((row) => Math.max(...row));
    // Property 2 of the paper: LEEP >= NCE + mean log theta of the source labels.
    assert.ok(value >= on(nce)(theta, sample) + mean(largest.map(Math.log)) - 1e-12);
    const certain = theta.map((row, i) => row.map((p) => (p === largest[i] ? 1 : 0)));
    near(on(leep)(certain, sample), on(nce)(certain, sample));
    near(on(nce)(certain, sample), on(nce)(theta, sample));
  });
});

test("LEEP is a lower bound of what the best P(y | z) reaches: a step of expectation maximisation never lowers it", () => {
  holds((sample) => {
    const { theta, labels, classes } = sample;
    const sources = theta[0]?.length ?? 0;
    const conditional = Array.from({ length: classes }, (_, c) =>
      Array.from({ length: sources }, (_, z) => {
        const of = (want: (label: number) => boolean) =>
          sum(theta.map((row, i) => (want(labels[i] ?? 0) ? (row[z] ?? 0) : 0)));
        return of((label) => label === c) / of(() => true);
      }),
    );
    const likelihood = (table: Rows, i: number) =>
      sum((theta[i] ?? []).map((p, z) => p * (table[labels[i] ?? 0]?.[z] ?? 0)));
    const score = (table: Rows) => mean(labels.map((_, i) => Math.log(likelihood(table, i))));
    near(on(leep)(theta, sample), score(conditional));
    const counts = conditional.map((row, c) =>
      row.map((p, z) =>
        sum(labels.map((label, i) => (label === c ? ((theta[i]?.[z] ?? 0) * p) / likelihood(conditional, i) : 0))),
      ),
    );
    const better = counts.map((row) => row.map((count, z) => count / sum(counts.map((other) => other[z] ?? 0))));
    assert.ok(score(better) >= on(leep)(theta, sample) - 1e-12);
  });
});

test("LEEP may be above NCE: soft probabilities can tell classes apart where the source label is always the same", () => {
  const theta = [0.95, 0.95, 0.55, 0.55].map((p) => [p, 1 - p]);
  const labels = { labels: [0, 0, 1, 1], classes: 2 };
  assert.ok(on(leep)(theta, labels) > on(nce)(theta, labels) + 0.05);
});

test("every score is finite for any shape, duplicates and constants included", () => {
  holds((sample) => {
    const { features, theta, labels, classes, random } = sample;
    const rows = features.map((row) => [...row, row[0] ?? 0, 5, ...row.map((value) => Math.round(value))]);
    const repeated = shuffled([...rows.keys()], random).map((i) => rows[i % 4] ?? []);
    for (const table of [rows, repeated]) {
      using wide = tensor(table);
      using logits = tensor(theta);
      for (const score of rankingScores) {
        const value = finished(score.compute({ features: wide, logits, labels, classes }, 1));
        assert.ok(Number.isFinite(value), `${score.name}: ${value}`);
      }
    }
  });
});

test("better separated classes score higher, by every score of the features", () => {
  const random = keyedRandom(5, 5);
  const labels = Array.from({ length: 60 }, (_, i) => i % 3);
  const noise = labels.map(() => [gaussian(random), gaussian(random), gaussian(random), gaussian(random)]);
  const values = [0, 1, 2, 4].map((signal) => {
    const rows = noise.map((row, i) => row.map((value, c) => value + (labels[i] === c ? signal : 0)));
    return [...ofFeatures, mixture].map((score) => score(rows, { labels, classes: 3 }));
  });
  for (const [i, better] of values.entries()) {
    if (i === 0) continue;
    for (const [j, value] of better.entries()) assert.ok(value > (values[i - 1]?.[j] ?? 0), `score ${j}, step ${i}`);
  }
});

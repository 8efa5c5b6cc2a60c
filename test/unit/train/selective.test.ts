import assert from "node:assert/strict";
import { test } from "node:test";
import { keyedRandom } from "../../../src/torch/index.ts";
import {
  atThreshold,
  chooseThreshold,
  type RejectionRule,
  type RiskCoverage,
  riskCoverage,
  upperLimit,
} from "../../../src/train/index.ts";

/** Answers that are right as often as they say, some of them with equal probabilities. */
function answers(seed: number, count: number): { confidences: number[]; right: boolean[] } {
  const random = keyedRandom(seed);
  const confidences = Array.from({ length: count }, () => {
    const one = 0.3 + 0.7 * Math.sqrt(random());
    return Math.fround(random() < 0.3 ? Math.round(one * 20) / 20 : one);
  });
  return { confidences, right: confidences.map((own) => random() < own) };
}

const trials = [3, 10, 47, 300].flatMap((count) => [1, 2, 3].map((seed) => answers(seed * count, count)));

test("the curve and its area by hand, equal answers together", () => {
  const curve = riskCoverage([0.9, 0.5, 0.7, 0.7], [true, false, false, true]);
  assert.deepEqual(curve.steps, [
    [0.8, 1, 0],
    [0.6, 3, 1],
    [0, 4, 2],
  ]);
  // Of the two equal ones each has half of their one mistake: 0, 0.5 of 2, 1 of 3, 2 of 4.
  assert.ok(Math.abs(curve.area - (0 + 0.25 + 1 / 3 + 0.5) / 4) < 1e-12);
  assert.throws(() => riskCoverage([], []), RangeError);
});

test("the area of a perfect order is its closed form, and that of no order the share of mistakes", () => {
  const [count, wrong] = [60, 13];
  const right = Array.from({ length: count }, (_, i) => i < count - wrong);
  const perfect = riskCoverage(
    right.map((_, i) => 1 - i / 100),
    right,
  );
  let closed = 0;
  for (let n = count - wrong + 1; n <= count; n++) closed += (n - (count - wrong)) / n / count;
  assert.ok(Math.abs(perfect.area - closed) < 1e-12);
  const none = riskCoverage(new Array(count).fill(0.5), right);
  assert.deepEqual(none.steps, [[0, count, wrong]]);
  const share = wrong / count;
  assert.ok(Math.abs(none.area - share) < 1e-12);
});

test("the upper limit is that of scipy's beta quantile, and 1 - 0.05^(1/n) without a mistake", () => {
  const quantiles = [
    [0, 59, 0.04950760988822693],
    [1, 20, 0.2161061642068473],
    [7, 200, 0.06473252213684852],
    [60, 300, 0.24180637257486587],
    [950, 1000, 0.9608364640744107],
    [3, 5000, 0.001549994279706198],
  ] as const;
  for (const [wrong, count, limit] of quantiles) {
    assert.ok(Math.abs(upperLimit(wrong, count) - limit) < 1e-9, `${wrong} of ${count}: ${upperLimit(wrong, count)}`);
  }
  for (const n of [1, 7, 300]) assert.ok(Math.abs(upperLimit(0, n) - (1 - 0.05 ** (1 / n))) < 1e-9);
  assert.equal(upperLimit(5, 5), 1);
});

/** All thresholds that tell any two answers apart, tried one by one. */
function bruteForce(confidences: readonly number[], right: readonly boolean[]): { answered: number; wrong: number }[] {
  return [...new Set(confidences)].map((threshold) => {
    const given = right.filter((_, i) => (confidences[i] ?? 0) >= threshold);
    return { answered: given.length, wrong: given.filter((one) => !one).length };
  });
}

const chosen = (curve: RiskCoverage, rule: RejectionRule) =>
  chooseThreshold(curve, rule) as NonNullable<ReturnType<typeof chooseThreshold>>;

test("a coverage is reached by as few answers as a search over all thresholds finds", () => {
  for (const { confidences, right } of trials) {
    const curve = riskCoverage(confidences, right);
    let before = 1;
    for (const coverage of [0.01, 0.2, 0.5, 0.8, 0.9, 1]) {
      const { threshold, ...figures } = chosen(curve, { coverage });
      const { answered, wrong } = atThreshold(threshold, confidences, right);
      const enough = bruteForce(confidences, right).filter((one) => one.answered / right.length >= coverage);
      assert.equal(answered, Math.min(...enough.map((one) => one.answered)));
      assert.deepEqual([figures.coverage, figures.error], [answered / right.length, wrong / answered]);
      assert.ok(threshold <= before, "more coverage, lower threshold");
      before = threshold;
    }
    assert.equal(before, 0, "all images are answered, new ones too");
  }
});

test("an error's threshold answers as many as a search over all thresholds finds, and its limit holds", () => {
  let found = 0;
  for (const { confidences, right } of trials) {
    const curve = riskCoverage(confidences, right);
    let before = 0;
    for (const maxError of [0.02, 0.1, 0.2, 0.3, 0.6]) {
      const good = bruteForce(confidences, right).filter(
        ({ answered, wrong }) => upperLimit(wrong, answered) <= maxError,
      );
      if (good.length === 0) {
        assert.throws(() => chooseThreshold(curve, { maxError }), /can show no error below/);
        continue;
      }
      found += 1;
      const { threshold, errorLimit, error, coverage } = chosen(curve, { maxError });
      const { answered } = atThreshold(threshold, confidences, right);
      assert.equal(answered, Math.max(...good.map((one) => one.answered)));
      assert.ok(error <= errorLimit && errorLimit <= maxError);
      assert.ok(coverage >= before, "more error, more coverage");
      before = coverage;
    }
  }
  assert.ok(found > 10, `${found} thresholds`);
});

test("the smallest error that is said to be reachable is, and none below", () => {
  const { confidences, right } = answers(5, 200);
  const curve = riskCoverage(confidences, right);
  const refusal = (maxError: number): string => {
    try {
      chooseThreshold(curve, { maxError });
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  const [, least] = /give at least --max-error (0\.\d+)/.exec(refusal(0.001)) ?? [];
  assert.equal(refusal(Number(least)), "");
  assert.match(refusal(Number(least) - 0.002), /200 validation images can show no error below/);
});

test("wishes outside their ranges, and two at once", () => {
  const curve = riskCoverage([0.5], [true]);
  const wishes = [{ coverage: 0 }, { coverage: 1.01 }, { coverage: Number.NaN }, { maxError: 0 }, { maxError: 1 }];
  for (const wish of wishes) assert.throws(() => chooseThreshold(curve, wish), /must be above 0/);
  assert.throws(() => chooseThreshold(curve, { coverage: 1, maxError: 0.5 }), /leave one of them out/);
  assert.equal(chooseThreshold(curve, {}), undefined);
});

test("a long curve keeps a step for each thousandth, the last one among them", () => {
  const count = 5432;
  const { right } = answers(8, count);
  const curve = riskCoverage(
    right.map((_, i) => 1 - i / 10_000),
    right,
  );
  assert.equal(curve.steps.length, 1000);
  assert.deepEqual(curve.steps.at(-1), [0, count, right.filter((one) => !one).length]);
  for (const coverage of [0.001, 0.5, 0.9]) {
    const { coverage: reached } = chosen(curve, { coverage });
    assert.ok(reached >= coverage && reached < coverage + 0.001, `${reached}`);
  }
});

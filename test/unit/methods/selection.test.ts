/** Choosing and averaging fine-tuned members on validation data: greedy ensembles, soups, rankings, the oracle. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { openHub } from "../../../src/hub/index.ts";
import { readSafetensors } from "../../../src/io/index.ts";
import { FeatureMaps } from "../../../src/methods/feature-maps.ts";
import { greedyWeights } from "../../../src/methods/greedy-ensemble.ts";
import {
  combinations,
  findMethod,
  type MemberLearner,
  meanProbabilities,
  methods,
} from "../../../src/methods/index.ts";
import { oracleRouting } from "../../../src/methods/oracle-routing.ts";
import { averageState, greedyRecipe } from "../../../src/methods/soup.ts";
import { BatchNorm2d, Conv2d, Linear } from "../../../src/nn/index.ts";
import { disposeTree, Generator, inferenceMode, scope, tensor } from "../../../src/torch/index.ts";
import {
  ClassificationTask,
  checkpointFiles,
  computeMetrics,
  qualityBy,
  type RunEvent,
  rankHub,
  trainRun,
} from "../../../src/train/index.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";
import { zooRequests } from "../../support/zoo-hub.ts";

let request: Awaited<ReturnType<typeof zooRequests>>;

before(async () => {
  request = await zooRequests(16);
});

/** Reproducible tables of probabilities [items, 2] of some quality. */
function randomTables(count: number, labels: readonly number[], seed: number): Float32Array[] {
  let state = seed;
  const next = () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return state / 2 ** 31;
  };
  return Array.from({ length: count }, () =>
    Float32Array.from(
      labels.flatMap((label) => {
        const right = Math.min(0.99, Math.max(0.01, 0.15 + 0.8 * next()));
        return label === 0 ? [right, 1 - right] : [1 - right, right];
      }),
    ),
  );
}

test("greedy selection adds, with replacement, what is best for the ensemble: every step by trying all", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const labels = Array.from({ length: 40 }, (_, i) => i % 2);
    const tables = randomTables(4, labels, seed);
    // The ensemble as a list of members, in double precision.
    const quality = (list: readonly number[]) => {
      let [right, loss] = [0, 0];
      for (const [item, label] of labels.entries()) {
        const p = list.reduce((sum, i) => sum + (tables[i]?.[2 * item + label] ?? 0), 0) / list.length;
        if (p > 0.5) right += 1;
        loss -= Math.log(p);
      }
      return right - loss / 1e6;
    };
    let [list, best]: [number[], number[]] = [[], []];
    for (let round = 0; round < 6; round++) {
      const candidates = tables.map((_, i) => [...list, i]);
      list = candidates.reduce((a, b) => (quality(b) > quality(a) ? b : a));
      if (best.length === 0 || quality(list) > quality(best) + 1e-12) best = list;
    }
    const expected = tables.map((_, i) => best.filter((own) => own === i).length / best.length);
    assertClose(
      tensor(greedyWeights(tables, qualityBy(new ClassificationTask(2), { labels }), 6)),
      expected,
      1e-6,
      `seed ${seed}`,
    );
  }
});

test("greedy selection finds weights that no plain subset has", () => {
  // The first member alone errs on the last item, mildly; a third of the second mends that and no more is right.
  const labels = [0, 0, 0];
  const first = Float32Array.from([0.9, 0.1, 0.62, 0.38, 0.45, 0.55]);
  const second = Float32Array.from([0.5, 0.5, 0.3, 0.7, 0.7, 0.3]);
  const weights = greedyWeights([first, second], qualityBy(new ClassificationTask(2), { labels }), 3);
  assertClose(tensor(weights), [2 / 3, 1 / 3], 1e-6);
  const accuracy = (own: readonly number[]) =>
    computeMetrics(meanProbabilities([first, second], own), labels, 2).accuracy;
  assert.equal(accuracy(weights), 1);
  assert.ok(accuracy([1, 0]) < 1 && accuracy([0.5, 0.5]) < 1);
});

test("a greedy ensemble answers with its weights, and costs only the members that have one", async () => {
  const run = await trainRun(request("greedy", "greedy-ensemble", { choices: { rounds: 5 } }));
  const weights = await run.folder.decide<number[]>("weights", () => Promise.reject(new Error("it is recorded")));
  assert.equal(weights.length, 3);
  assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-12);
  assert.equal(run.predictor.memberNames.length, weights.filter((weight) => weight > 0).length);
  run.predictor.dispose();
  run.data.dispose();
});

test("a soup's weights are the arithmetic mean of its ingredients'", () => {
  const layers = [1, 2, 3].map((seed) => new Linear(3, 2, { generator: new Generator(seed) }));
  const mean = averageState(layers.map((layer) => layer.stateDict()));
  for (const [name, value] of mean) {
    const all = layers.map((layer) => layer.stateDict().get(name)?.toNumbers() ?? []);
    const expected = (all[0] ?? []).map((_, i) => all.reduce((sum, own) => sum + (own[i] ?? 0), 0) / 3);
    assertClose(value, expected, 1e-6, name);
  }
  disposeTree(mean);
  assertNoLeak(() => disposeTree(averageState(layers.map((layer) => layer.stateDict()))));
  for (const layer of layers) layer.dispose();
});

test("the greedy recipe takes ingredients in order of accuracy and keeps those that do not lower it", async () => {
  const single = [0.6, 0.9, 0.7, 0.8].map((score) => ({ score, loss: 1 }));
  const asked: string[] = [];
  const of: Record<string, number> = { "1,3": 0.85, "1,2": 0.9, "1,2,0": 0.95 };
  const chosen = await greedyRecipe(single, async (ingredients) => {
    asked.push(ingredients.join(","));
    return { score: of[ingredients.join(",")] ?? 0, loss: 1 };
  });
  assert.deepEqual(asked, ["1,3", "1,2", "1,2,0"]);
  assert.deepEqual(chosen, [0, 1, 2]);
});

test("a uniform soup is the mean of its fits, with BatchNorm statistics of its own", async () => {
  const choices = { member: "first", recipe: "uniform", size: 2, rates: [1, 0.25] };
  const options = { ...request("x", "soup").options, epochs: 1 };
  const fits: string[] = [];
  const emit = (event: RunEvent) => {
    if (event.type === "fit") fits.push(event.fit);
  };
  const run = await trainRun(request("soup", "soup", { choices, options, emit }));
  assert.deepEqual(fits, ["probe", "ingredient-0", "ingredient-1"]);
  const soup = run.predictor as MemberLearner;
  const [a, b] = [0, 1].map(
    (i) => readSafetensors(checkpointFiles(run.folder.checkpoint(`ingredient-${i}`)).weights).tensors,
  );
  assert.ok(a && b);
  assert.notDeepEqual(a.get("head.weight")?.toNumbers(), b.get("head.weight")?.toNumbers());
  for (const [name, value] of soup.module.stateDict()) {
    if (/running|tracked/.test(name)) continue;
    const [x, y] = [a, b].map((own) => own.get(`${name}`)?.toNumbers() ?? []);
    assertClose(
      value,
      (x ?? []).map((own, i) => (own + (y?.[i] ?? 0)) / 2),
      1e-6,
      name,
    );
  }
  disposeTree([a, b]);
  // The mean over batches of what the soup's first convolution gives, against the statistics of the BatchNorm after it.
  const modules = soup.backbones[0]?.modules() ?? [];
  const first = modules.findIndex((part) => part instanceof Conv2d);
  const norm = modules.find((part) => part instanceof BatchNorm2d);
  assert.ok(norm && soup.backbones[0]);
  const maps = new FeatureMaps(soup.backbones[0], [{ module: first, channels: 8, pixels: 144 }]);
  const means: number[][] = [];
  for await (const batch of run.data.train.epoch(0, 0)) {
    scope(() =>
      inferenceMode(() => {
        soup.features(0, batch.images);
        maps.use(([map]) => means.push(map?.mean([0, 2, 3]).toNumbers() ?? []));
      }),
    );
    batch.dispose();
  }
  const expected = (means[0] ?? []).map((_, c) => means.reduce((sum, own) => sum + (own[c] ?? 0), 0) / means.length);
  assertClose(norm.running_mean, expected, 1e-4);
  soup.dispose();
  run.data.dispose();
});

test("best by ranking fine-tunes the member that the score puts first, and counts the ranking", async () => {
  for (const score of ["logme", "leep"]) {
    const fits: [string, number][] = [];
    const emit = (event: RunEvent) => {
      if (event.type === "fitted") fits.push([event.fit, event.trainingFlops]);
    };
    const run = await trainRun(request(`ranked-${score}`, "best-by-ranking", { choices: { score }, emit }));
    const rankings = await rankHub(openHub(request("x", "soup").hub), run.data, { seed: 3 });
    const best = rankings.reduce((a, b) =>
      (b.scores[score as "leep"] ?? 0) > (a.scores[score as "leep"] ?? 0) ? b : a,
    );
    assert.deepEqual(
      fits.map(([name]) => name),
      [best.name],
    );
    assert.equal(run.trainingFlops, (fits[0]?.[1] ?? 0) + rankings.reduce((sum, ranking) => sum + ranking.flops, 0));
    run.predictor.dispose();
    run.data.dispose();
  }
});

test("the oracle is right wherever some choice of k is, by trying all, and is no method", () => {
  const labels = Array.from({ length: 30 }, (_, i) => i % 2);
  const tables = randomTables(4, labels, 9);
  for (const k of [1, 2, 3]) {
    const { metrics, routes, probabilities } = oracleRouting(tables, labels, 2, k);
    const sets = combinations(4, k);
    const right = labels.filter((label, item) =>
      sets.some((set) => set.reduce((sum, i) => sum + (tables[i]?.[2 * item + label] ?? 0), 0) / k > 0.5),
    );
    assert.equal(metrics.accuracy, right.length / labels.length);
    for (const set of sets) {
      const fixed = computeMetrics(meanProbabilities(set.map((i) => tables[i] ?? new Float32Array())), labels, 2);
      assert.ok(metrics.accuracy >= fixed.accuracy && metrics.logLoss <= fixed.logLoss + 1e-9);
    }
    for (const [item, set] of routes.entries()) {
      assert.equal(set.length, k);
      const mean = set.reduce((sum, i) => sum + (tables[i]?.[2 * item] ?? 0), 0) / k;
      assert.ok(Math.abs(mean - (probabilities[2 * item] ?? 0)) < 1e-6);
    }
  }
  assert.throws(() => oracleRouting(tables, labels, 2, 5), RangeError);
  assert.ok(methods.every((method) => !method.name.includes("oracle")));
  assert.throws(() => findMethod("oracle-routing"));
});

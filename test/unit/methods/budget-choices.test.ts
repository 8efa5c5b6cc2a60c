/** Choices for budgets: what is tried, what is kept of it, and that a run answers by them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { experts } from "../../../src/experiments/synthetic/members.ts";
import { SampleBatches } from "../../../src/experiments/synthetic/training.ts";
import { blindView, draw, imageSide, type World } from "../../../src/experiments/synthetic/world.ts";
import { budgetSettings, cascadeSettings, PathwayLearner, routeSettings, stops } from "../../../src/methods/index.ts";
import { defaultPathwayConfig } from "../../../src/pathway/index.ts";
import { inferenceMode, memory, scope } from "../../../src/torch/index.ts";
import { ClassificationTask, defaultTrainOptions, evaluate, evaluateVariants, fit } from "../../../src/train/index.ts";

const world: World = { members: 3, classes: 3, good: 1, signal: 3, cue: 8, reliability: 0.6 };

test("models that cost the same have no price; others pay up to 2.5 nats between the cheapest and the dearest", () => {
  assert.deepEqual(new Set(routeSettings([2e9, 2e9]).map(({ price }) => price)), new Set([0]));
  assert.deepEqual(routeSettings([5e6]), [{ k: 1, price: 0 }]);
  const settings = routeSettings([1e9, 4e9, 6e9, 2e9, 3e9]);
  assert.equal(Math.max(...settings.map(({ price }) => price)), 2.5 / 5);
  assert.deepEqual(new Set(settings.map(({ k, confidence }) => (confidence ? 0 : k))), new Set([0, 1, 2, 3, 4]));
  assert.ok(settings.every(({ k, confidence }) => confidence === undefined || k === 5));
});

test("cascades are two or three models of different cost, whose price puts the cheaper ones first", () => {
  const costs = [4e6, 1e6, 4e6, 2e6];
  const cascades = cascadeSettings(costs, [0, 1, 3]);
  const sets = new Set(cascades.map(({ models = [] }) => models.join(" ")));
  assert.deepEqual(sets, new Set(["0 1", "0 3", "1 3", "0 1 3"]));
  assert.equal(cascades.length, sets.size * stops.length);
  for (const { models = [], price, k } of cascades) {
    assert.equal(k, models.length);
    const worth = models.map((i) => -(price * (costs[i] ?? 0)) / 1e9).sort((a, b) => b - a);
    for (const [i, value] of worth.slice(1).entries()) assert.ok((worth[i] ?? 0) - value >= 1000 - 1e-6);
  }
  assert.deepEqual(cascadeSettings([2e6, 2e6], [0, 1]), [], "none is cheaper");
});

test("a run's budgets rise in cost and accuracy, none that was tried beats them, and it answers by the one it is told", async () => {
  const before = memory().handles;
  const [training, validation] = [draw(world, 400, 1, "training"), draw(world, 100, 1, "test")];
  const members = experts(world).map((member, i) => Object.assign(member, { flops: (1 + 2 * i) * 1e8 }));
  const learner = new PathwayLearner({
    members,
    task: new ClassificationTask(world.classes, 0),
    config: { ...defaultPathwayConfig, k: 1, credit: "losses", generatorSize: blindView },
    seed: 1,
    imageSize: imageSide,
    items: training.labels.map((_, i) => i),
  });
  const options = { ...defaultTrainOptions, epochs: 4, generatorFactor: 10, seed: 1, frozenViews: 1 };
  const batches = new SampleBatches(training, 50, 1);
  await fit({ fit: "pathways", learner, batches, options, checkpoint: undefined, identity: "", emit: () => {} });
  const measured = new SampleBatches(validation, 100, 1);
  assert.equal(learner.budgets.length, 0);
  await learner.measureBudgets(measured, {});
  const budgets = learner.budgets;
  assert.ok(budgets.length > 2, JSON.stringify(budgets));
  for (const [i, { flops, accuracy }] of budgets.entries()) {
    const next = budgets[i + 1];
    assert.ok(!next || (next.flops > flops && next.accuracy > accuracy), JSON.stringify(budgets));
  }
  const costs = members.map((_, i) => learner.pathwayFlops(oneHot(i), 1) - learner.pathwayFlops(oneHot(i), 0));
  const tried = await evaluateVariants(learner, measured, new ClassificationTask(world.classes), budgetSettings(costs));
  for (const one of tried) {
    const { inferenceFlops: flops = 0, metrics } = one ?? {};
    const within = budgets.filter((budget) => budget.flops <= flops).map((budget) => budget.accuracy);
    assert.ok(Math.max(...within) >= (metrics?.accuracy ?? 1), "the choice within a budget is the best that was tried");
  }
  for (const budget of budgets) {
    const spent = budget.uses?.reduce((sum, uses, i) => sum + uses * (costs[i] ?? 0), learner.costs.generator) ?? 0;
    assert.ok(Math.abs(spent / budget.flops - 1) < 1e-9, "activations of each model make up its cost");
    learner.answerBy(budget);
    const answered = await evaluate(learner, measured, world.classes);
    assert.equal(answered.metrics.accuracy, budget.accuracy);
    const [same] = await evaluateVariants(learner, measured, new ClassificationTask(world.classes), [
      {
        k: budget.k,
        price: budget.price,
        ...(budget.confidence ? { confidence: budget.confidence } : {}),
        ...(budget.models ? { models: budget.models } : {}),
      },
    ]);
    assert.deepEqual(same?.weights, answered.weights);
  }
  learner.answerBy({ k: 1 });
  const plain = scope(() => inferenceMode(() => learner.predict(validation.images).weights?.toNumbers()));
  const routed = scope(() => inferenceMode(() => learner.module.route(validation.images).weights.toNumbers()));
  assert.deepEqual(plain, routed, "another choice takes the place of the last one");
  learner.dispose();
  for (const { images } of [training, validation]) images.dispose();
  assert.equal(memory().handles, before);
});

const oneHot = (i: number) => [0, 1, 2].map((j) => Number(i === j));

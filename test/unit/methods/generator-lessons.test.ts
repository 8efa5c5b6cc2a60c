/** Lessons of the generator on hubs whose models start equal, and on hubs whose models do not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { experts, newcomers } from "../../../src/experiments/synthetic/members.ts";
import { SampleBatches } from "../../../src/experiments/synthetic/training.ts";
import { blindView, draw, imageSide, type World } from "../../../src/experiments/synthetic/world.ts";
import { type LessonPart, PathwayLearner } from "../../../src/methods/index.ts";
import { resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { Generator, memory, noGrad, scope, type Tensor } from "../../../src/torch/index.ts";
import { ClassificationTask } from "../../../src/train/index.ts";

const world: World = { members: 3, classes: 3, good: 1, signal: 3, cue: 6, reliability: 0.5 };

const sample = draw(world, 96, 1, "training");
const batches = new SampleBatches(sample, 32, 1);

function learnerOf(kind: "equal" | "different", withoutLesson?: LessonPart): PathwayLearner {
  const choices = { k: 1, generatorSize: blindView, credit: "losses", warmup: kind === "equal" ? 0.15 : 0 };
  return new PathwayLearner({
    members: kind === "equal" ? newcomers(world, world.members, 1) : experts(world),
    task: new ClassificationTask(world.classes, 0),
    config: resolvePathwayConfig(choices, world.members),
    seed: 1,
    imageSize: imageSide,
    items: sample.labels.map((_, i) => i),
    withoutLesson,
  });
}

const remembered = ({ module }: PathwayLearner): number[] => scope(() => (module.memory as Tensor).toNumbers());
const heads = ({ module }: PathwayLearner): number[][] =>
  module.heads.map(({ weight }) => scope(() => weight.toNumbers()));

/** Names of the losses of a step, and the generator's parameters that it moves. */
async function step(learner: PathwayLearner): Promise<{ logs: string[]; credit: number | undefined; moved: number }> {
  for await (const batch of batches.epoch(0, 0)) {
    const { loss, logs } = scope(() => learner.step(batch, 0.5));
    scope(() => loss.backward());
    loss.dispose();
    batch.dispose();
    const parameters = learner.module.generator.parameters();
    const moved = parameters.filter((own) => scope(() => own.grad?.abs().sum().item() ?? 0) > 0).length;
    return { logs: Object.keys(logs), credit: logs["credit"], moved };
  }
  throw new Error("there is no batch");
}

test("models that start equal are told apart by images alone: the weights teach, also after another look", async () => {
  const before = memory().handles;
  const learner = learnerOf("equal");
  const fresh = heads(learner);
  await learner.prepare(batches);
  assert.match(learner.remark ?? "", /^models start equal: .*--pathway-warmup and --exploration-fade/);
  assert.ok(remembered(learner).every((loss) => loss === 0));
  assert.deepEqual(heads(learner), fresh);
  // Each model has images from the first step on, and as many as another would by chance.
  const { generator } = learner.module;
  const first = scope(() => noGrad(() => generator.train().forward(sample.images).t().toNumbers()));
  for (let model = 0; model < world.members; model++) {
    const scores = first.slice(model * 96, (model + 1) * 96);
    const mean = scores.reduce((sum, score) => sum + score, 0) / 96;
    const square = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / 95;
    assert.ok(Math.abs(mean) < 0.05 && Math.abs(square - 1) < 0.1, `${mean}, ${square}`);
  }
  const isOwn = scope(() => learner.module.route(sample.images, 0).weights.requires_grad);
  assert.ok(isOwn, "the first routes are the generator's");
  assert.ok(learner.module.explorationWeight(0.9) > 0);
  // The members differ from now on, as they do when a run goes on.
  for (const [i, { backbone }] of learner.module.members.entries()) {
    scope(() => noGrad(() => backbone.parameters()[0]?.mul_(1 + i)));
  }
  const scores = scope(() => noGrad(() => generator.eval().forward(sample.images).toNumbers()));
  await learner.prepare(batches);
  assert.deepEqual(
    scope(() => noGrad(() => generator.forward(sample.images).toNumbers())),
    scores,
  );
  assert.equal(learner.module.credit, "weights");
  const { logs, moved } = await step(learner);
  assert.ok(!logs.includes("credit") && moved > 0);
  assert.ok(remembered(learner).every((loss) => loss === 0));
  learner.dispose();
  assert.equal(memory().handles, before);
});

test("models that differ are compared by the losses of heads that were fitted first", async () => {
  const learner = learnerOf("different");
  const fresh = heads(learner);
  await learner.prepare(batches);
  assert.equal(learner.module.credit, "losses");
  assert.equal(learner.remark, undefined);
  assert.ok(remembered(learner).every((loss) => loss > 0));
  assert.notDeepEqual(heads(learner), fresh);
  const { logs, moved } = await step(learner);
  assert.ok(logs.includes("credit") && moved > 0);
  learner.dispose();
});

test("an ablation takes one part of the lessons away", async () => {
  const looked = async (part?: LessonPart) => {
    const learner = learnerOf("different", part);
    for (const { backbone } of learner.module.members)
      for (const own of backbone.parameters()) own.requires_grad = false;
    const fresh = heads(learner);
    await learner.prepare(batches);
    const [losses, fitted, { credit }] = [remembered(learner), heads(learner), learner.module];
    // Its scores are 0 at the start, whatever it sees.
    using generator = new Generator(1);
    for (const own of learner.module.generator.parameters())
      scope(() => noGrad(() => own.normal_(0, 0.1, { generator })));
    const { credit: lesson } = await step(learner);
    const later = remembered(learner);
    learner.dispose();
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    const known = losses.every((loss) => loss >= 0);
    return { mean, known, credit, fitted, isFresh: isSame(fitted, fresh), lesson, losses, later };
  };
  const [whole, memory, none, seen, same, joined, last] = [
    await looked(),
    await looked("memory"),
    await looked("heads"),
    await looked("left-out"),
    await looked("changes"),
    await looked("first"),
    await looked("mean"),
  ];
  assert.deepEqual([memory.credit, memory.lesson, memory.isFresh], ["weights", undefined, false]);
  assert.deepEqual([none.credit, none.isFresh, none.known], ["losses", true, false]);
  // A head loses less on images that it was fitted on.
  assert.ok(seen.mean < whole.mean - 0.01 && isSame(seen.fitted, whole.fitted), `${seen.mean}, ${whole.mean}`);
  assert.ok(same.mean === whole.mean && isSame(same.fitted, whole.fitted));
  assert.notEqual(same.lesson, whole.lesson);
  // One of three models has a new loss on each row of the step.
  assert.deepEqual(whole.later, whole.losses);
  const moved = whole.losses.flatMap((loss, i) => (loss === last.later[i] ? [] : [i]));
  assert.equal(moved.length, 32);
  for (const i of moved) {
    const [first = 0, now = 0, both = 0] = [whole.losses[i], last.later[i], joined.later[i]];
    assert.ok(Math.abs(both - (first + now) / 2) < 1e-6, `${first}, ${now}, ${both}`);
  }
});

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

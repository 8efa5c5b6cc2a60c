/** What validation images settle: how far scores depend on the input, and the temperature of weights over more models. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { experts } from "../../../src/experiments/synthetic/members.ts";
import { SampleBatches } from "../../../src/experiments/synthetic/training.ts";
import { blindView, draw, imageSide, type World } from "../../../src/experiments/synthetic/world.ts";
import { PathwayLearner } from "../../../src/methods/index.ts";
import { scoreLayer, shrinkScores } from "../../../src/methods/settle-scores.ts";
import { resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { Generator, memory, noGrad, scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import { ClassificationTask } from "../../../src/train/index.ts";

const world: World = { members: 3, classes: 3, good: 1, signal: 3, cue: 6, reliability: 0.5 };
const sample = draw(world, 96, 1, "training");
const batches = new SampleBatches(sample, 32, 1);
const rows = sample.labels.map((_, i) => i);

/** A learner whose heads are fitted, with a generator of random weights. */
async function prepared(choices: Record<string, unknown> = {}): Promise<PathwayLearner> {
  const config = { k: 1, generatorSize: blindView, credit: "losses", warmup: 0, ...choices };
  const learner = new PathwayLearner({
    members: experts(world),
    task: new ClassificationTask(world.classes, 0),
    config: resolvePathwayConfig(config, world.members),
    seed: 1,
    imageSize: imageSide,
    items: rows,
  });
  await learner.prepare(batches);
  using random = new Generator(2);
  for (const own of learner.module.generator.parameters())
    scope(() => noGrad(() => own.normal_(0, 0.3, { generator: random })));
  learner.eval();
  return learner;
}

const scoresOf = ({ module }: PathwayLearner): number[][] =>
  scope(() => noGrad(() => module.generator.forward(sample.images).toArray() as number[][]));
const remembered = ({ module }: PathwayLearner): number[][] =>
  scope(() => (module.memory as Tensor).toArray() as number[][]);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** Mean over images of what each model's loss is below the mean of all. */
const gainsOf = (losses: readonly number[][]) =>
  losses[0]?.map((_, i) => mean(losses.map((own) => mean(own) - (own[i] ?? 0)))) ?? [];
const closeTo = (actual: readonly number[], wanted: readonly number[], within: number) =>
  assert.ok(
    actual.every((value, i) => Math.abs(value - (wanted[i] ?? Number.NaN)) < within),
    `${actual} ${wanted}`,
  );

test("scores move to those of one gate by the last layer alone", async () => {
  const before = memory().handles;
  const learner = await prepared();
  const old = scoresOf(learner);
  const gate = { own: tensor([1, -2, 0.5]), mean: tensor([0.25, 0.5, -1]) };
  shrinkScores(learner.module.generator, gate, 0.25);
  const wanted = old.map((own) => [1, -2, 0.5].map((g, i) => g + 0.25 * ((own[i] ?? 0) - ([0.25, 0.5, -1][i] ?? 0))));
  closeTo(scoresOf(learner).flat(), wanted.flat(), 1e-5);
  for (const own of Object.values(gate)) own.dispose();
  learner.dispose();
  assert.equal(memory().handles, before);
});

test("routes that follow nothing but noise give way to the one gate of the remembered losses", async () => {
  const before = memory().handles;
  const learner = await prepared();
  await learner.settle(batches);
  const gate = gainsOf(remembered(learner));
  for (const own of scoresOf(learner)) closeTo(own, gate, 1e-5);
  learner.dispose();
  assert.equal(memory().handles, before);
});

test("routes that win on validation images stay", async () => {
  const learner = await prepared();
  const losses = remembered(learner);
  // A generator that knows which model loses least on an image, which it finds by the image's sum.
  const sums = (images: Tensor) => scope(() => images.sum([1, 2, 3]).toNumbers());
  const known = sums(sample.images);
  const far = (row: number, sum: number) => Math.abs((known[row] ?? 0) - sum);
  const rowOf = (sum: number) => rows.reduce((near, row) => (far(row, sum) < far(near, sum) ? row : near));
  learner.module.generator.forward = (images) =>
    tensor(
      sums(images).map((sum) => {
        const own = losses[rowOf(sum)] ?? [];
        return own.map((loss) => mean(own) - loss);
      }),
    );
  const weight = () => scope(() => scoreLayer(learner.module.generator).weight.abs().sum().item());
  const first = weight();
  await learner.settle(batches);
  assert.ok(weight() / first > 0.2, `${weight()} of ${first}`);
  learner.dispose();
});

test("one gate, and scores that the task's loss teaches, stay as they are", async () => {
  for (const choices of [{ generatorKind: "global" }, { credit: "weights" }]) {
    const learner = await prepared(choices);
    const old = scoresOf(learner);
    await learner.settle(batches);
    assert.deepEqual(scoresOf(learner), old);
    learner.dispose();
  }
});

test("the temperature of more models is that of the least loss", async () => {
  const learner = await prepared({ credit: "weights" });
  const scores = scoresOf(learner);
  const logits = scope(() =>
    noGrad(() =>
      learner.module.members.map((member, i) => {
        const head = learner.module.heads[i];
        return head?.forward(member.features(sample.images)).toArray() as number[][];
      }),
    ),
  );
  const softmax = (values: readonly number[]) => {
    const powers = values.map((value) => Math.exp(value - Math.max(...values)));
    const sum = powers.reduce((all, value) => all + value, 0);
    return powers.map((value) => value / sum);
  };
  const lossOf = (tau: number) =>
    mean(
      rows.map((row) => {
        const weights = softmax((scores[row] ?? []).map((score) => score / tau));
        const joined = Array.from({ length: world.classes }, (_, c) =>
          weights.reduce((sum, weight, i) => sum + weight * (logits[i]?.[row]?.[c] ?? 0), 0),
        );
        return -Math.log(softmax(joined)[sample.labels[row] ?? 0] ?? 0);
      }),
    );
  const tried = Array.from({ length: 17 }, (_, i) => 2 ** (i / 2 - 3));
  const best = tried.reduce((least, tau) => (lossOf(tau) < lossOf(least) ? tau : least));
  await learner.settle(batches);
  assert.ok(Math.abs(scope(() => learner.module.temperature().item()) / best - 1) < 1e-5);
  learner.dispose();
});

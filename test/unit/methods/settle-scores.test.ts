/** What validation images settle: how far scores depend on the input, and the temperature of weights over more models. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { experts } from "../../../src/experiments/synthetic/members.ts";
import { SampleBatches } from "../../../src/experiments/synthetic/training.ts";
import { blindView, draw, imageSide, type World } from "../../../src/experiments/synthetic/world.ts";
import { PathwayLearner } from "../../../src/methods/index.ts";
import { scoreLayer, shrinkScores, slope } from "../../../src/methods/settle-scores.ts";
import { resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { Generator, Interrupted, memory, noGrad, scope, type Tensor, tensor, zeros } from "../../../src/torch/index.ts";
import { type BatchSource, ClassificationTask } from "../../../src/train/index.ts";

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

/** What each model saves on each image by its own head, against the mean of all; a model that is sure and wrong loses no more than a guess. */
const savedBy = ({ module }: PathwayLearner): number[][] => {
  const task = new ClassificationTask(world.classes, 0);
  const losses = scope(() =>
    noGrad(() =>
      module.members.map((member, i) => {
        const logits = module.heads[i]?.forward(member.features(sample.images)) as Tensor;
        const own = task.rowLoss(logits, tensor(sample.labels, { dtype: "int64" })).toNumbers();
        assert.ok(own.some((loss) => loss > Math.log(world.classes)));
        return own.map((loss) => Math.min(loss, Math.log(world.classes)));
      }),
    ),
  );
  return rows.map((row) => {
    const own = losses.map((of) => of[row] ?? 0);
    return own.map((loss) => mean(own) - loss);
  });
};

/** A generator that knows an image by its sum. */
function answer(learner: PathwayLearner, scores: readonly number[][]): void {
  const sums = (images: Tensor) => scope(() => images.sum([1, 2, 3]).toNumbers());
  const known = sums(sample.images);
  const far = (row: number, sum: number) => Math.abs((known[row] ?? 0) - sum);
  const rowOf = (sum: number) => rows.reduce((near, row) => (far(row, sum) < far(near, sum) ? row : near));
  learner.module.generator.forward = (images) => tensor(sums(images).map((sum) => scores[rowOf(sum)] ?? []));
}

const weightOf = ({ module }: PathwayLearner): number =>
  scope(() => scoreLayer(module.generator).weight.abs().sum().item());

test("scores that say four times as much as validation images do are kept by a quarter", async () => {
  const learner = await prepared();
  answer(
    learner,
    savedBy(learner).map((own, row) => own.map((saved, i) => 4 * saved + i + row / 10)),
  );
  const first = weightOf(learner);
  await learner.settle(batches);
  closeTo([weightOf(learner) / first], [0.25], 1e-4);
  learner.dispose();
});

test("scores that say less than is there are not stretched", async () => {
  const learner = await prepared();
  answer(
    learner,
    savedBy(learner).map((own) => own.map((saved) => saved / 3)),
  );
  const first = weightOf(learner);
  await learner.settle(batches);
  closeTo([weightOf(learner) / first], [1], 1e-5);
  learner.dispose();
});

test("the slope is that of least squares with an intercept for each model, 0 where it is chance", () => {
  using random = new Generator(3);
  const [n, m] = [400, 3];
  const drawn = () => zeros([n, m]).normal_(0, 1, { generator: random });
  scope(() => {
    const x = drawn();
    const noisy = x
      .mul(0.4)
      .add(tensor([5, -1, 2]))
      .add(drawn());
    const flat = (own: Tensor) => own.sub(own.mean(0)).toNumbers();
    const [from, to] = [flat(x), flat(noisy)];
    const sum = (of: (i: number) => number) => from.reduce((all, _, i) => all + of(i), 0);
    const wanted = sum((i) => (from[i] ?? 0) * (to[i] ?? 0)) / sum((i) => (from[i] ?? 0) ** 2);
    closeTo([slope(x, noisy)], [wanted], 1e-5);
    closeTo([wanted], [0.4], 0.1);
    assert.equal(slope(x, x.mul(-1)), 0);
    assert.equal(slope(x, x.mul(2)), 1);
    assert.equal(slope(x, zeros([n, m])), 0);
    assert.equal(slope(zeros([n, m]), x), 0);
    const byChance = Array.from({ length: 40 }, () => slope(drawn(), drawn()));
    assert.ok(byChance.filter((own) => own === 0).length > 20 && byChance.every((own) => own < 0.15), `${byChance}`);
  });
});

test("who stops between what is settled finds scores as they were", async () => {
  const before = memory().handles;
  const learner = await prepared();
  const old = scoresOf(learner);
  const stop = new AbortController();
  let passes = 0;
  const interrupted: BatchSource = {
    stepsPerEpoch: batches.stepsPerEpoch,
    epoch(number, step) {
      passes += 1;
      if (passes === 2) stop.abort();
      return batches.epoch(number, step);
    },
  };
  await assert.rejects(learner.settle(interrupted, stop.signal), Interrupted);
  assert.equal(passes, 2);
  assert.deepEqual(scoresOf(learner), old);
  learner.dispose();
  assert.equal(memory().handles, before);
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

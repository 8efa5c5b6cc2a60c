/** The verdict on routes by input: figures against a count by hand, and what it says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { experts } from "../../../src/experiments/synthetic/members.ts";
import { SampleBatches } from "../../../src/experiments/synthetic/training.ts";
import { blindView, draw, imageSide, type World } from "../../../src/experiments/synthetic/world.ts";
import { PathwayLearner } from "../../../src/methods/index.ts";
import { type PathwayConfig, resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { type RoutingVerdict, routingVerdict, verdictSentence } from "../../../src/report/index.ts";
import { memory, noGrad, ops, scope, type Tensor } from "../../../src/torch/index.ts";
import { ClassificationTask, defaultTrainOptions, evaluate, fit } from "../../../src/train/index.ts";

const world: World = { members: 3, classes: 3, good: 1, signal: 4, cue: 8, reliability: 0 };

/** A learner, trained for some epochs, with its verdict on fresh images. */
async function verdictOn(config: Partial<PathwayConfig>, epochs: number) {
  const [training, test] = [draw(world, 512, 1, "training"), draw(world, 300, 1, "test")];
  const learner = new PathwayLearner({
    members: experts(world),
    task: new ClassificationTask(world.classes, 0),
    config: resolvePathwayConfig({ k: 1, generatorSize: blindView, ...config }, world.members),
    seed: 1,
    imageSize: imageSide,
    items: training.labels.map((_, i) => i),
  });
  const options = { ...defaultTrainOptions, epochs, generatorFactor: 10, seed: 1, frozenViews: 1 };
  const batches = new SampleBatches(training, 32, 1);
  await fit({ fit: "pathways", learner, batches, options, checkpoint: undefined, identity: "", emit: () => {} });
  const measured = new SampleBatches(test, 64, 1);
  const evaluation = await evaluate(learner, measured, world.classes);
  const verdict = await routingVerdict(learner, measured, evaluation, new ClassificationTask(world.classes));
  training.images.dispose();
  return { learner, test, evaluation, verdict };
}

/** Right answers of one expert alone on all images, in the order of the evaluation. */
function rightAlone({ module }: PathwayLearner, images: Tensor, labels: readonly number[], i: number): boolean[] {
  return scope(() =>
    noGrad(() => {
      const routing = module.along(
        ops.zeros([labels.length, world.members]),
        labels.map(() => [i]),
      );
      const answers = module.execute(images, routing).logits.argmax(1).toNumbers();
      return labels.map((label, row) => answers[row] === label);
    }),
  );
}

const share = (right: readonly boolean[]) => right.filter(Boolean).length / right.length;

test("where each expert knows one kind of input, routes pay, and those of other inputs do not", async () => {
  const before = memory().handles;
  const { learner, test: sample, evaluation, verdict } = await verdictOn({ credit: "losses" }, 12);
  assert.ok(verdict);
  assert.equal(verdict.routed, evaluation.metrics.accuracy);
  const order = evaluation.indices;
  const alone = Array.from({ length: world.members }, (_, i) => {
    const right = rightAlone(learner, sample.images, sample.labels, i);
    return order.map((item) => right[item] ?? false);
  });
  const best = alone.map(share).indexOf(Math.max(...alone.map(share)));
  assert.deepEqual(verdict.fixedModels, [learner.memberNames[best]]);
  const half = (right: readonly boolean[], which: number) => share(right.filter((_, i) => i % 2 === which));
  const chosen = [0, 1].map((which) => {
    const other = alone.map((right) => half(right, 1 - which));
    return alone[other.indexOf(Math.max(...other))] as boolean[];
  });
  assert.equal(verdict.fixed, share(order.map((_, i) => chosen[i % 2]?.[i] ?? false)));
  assert.ok(Math.abs(verdict.gain - (verdict.routed - verdict.fixed)) < 1e-12);
  assert.ok(verdict.interval[0] > 0.1, JSON.stringify(verdict));
  assert.ok(Math.abs(verdict.relativeCost - 1) < 1e-9, "experts cost the same");
  assert.ok(verdict.permuted < verdict.routed - 0.2, JSON.stringify(verdict));
  const routed = order.map((_, i) => evaluation.weights.slice(i * world.members, (i + 1) * world.members));
  const uses = alone.map((_, model) => share(routed.map((weights) => (weights[model] ?? 0) > 0)));
  const expected = alone.reduce((sum, right, model) => sum + (uses[model] ?? 0) * share(right), 0);
  assert.ok(Math.abs(verdict.permuted - expected) < 1e-9, "routes and answers are independent when dealt anew");
  assert.ok(verdict.overPermuted > 0.1, JSON.stringify(verdict));
  assert.match(verdictSentence(verdict), /^routing by input pays here: \+\d+\.\d points \(\+.* over the same model/);
  learner.dispose();
  sample.images.dispose();
  assert.equal(memory().handles, before);
});

test("one gate for all images wins nothing over the same models", async () => {
  const { learner, test: sample, evaluation, verdict } = await verdictOn({ generatorKind: "global", k: 2 }, 1);
  assert.ok(verdict);
  assert.ok(verdict.gain <= 0.02 && verdict.interval[0] <= 0);
  assert.ok(Math.abs(verdict.permuted - verdict.routed) < 1e-12);
  assert.ok(verdict.overPermuted < 1e-12);
  assert.match(verdictSentence(verdict), /^the same 2 models for every image are (enough|better) \(/);
  const { one, all, routed } = verdict;
  assert.ok(one && all);
  assert.equal(one.models.length, 1);
  const flops = (k: number) => learner.pathwayFlops([1 / 3, 1 / 3, 1 / 3], k);
  assert.ok(Math.abs(one.relativeCost - flops(1) / flops(2)) < 1e-9, "experts cost the same");
  assert.ok(Math.abs(all.relativeCost - flops(3) / flops(2)) < 1e-9);
  const order = evaluation.indices;
  const together = scope(() =>
    noGrad(() =>
      learner
        .predictVariants(sample.images, [{ k: world.members }])[0]
        ?.probabilities.argmax(1)
        .toNumbers(),
    ),
  );
  const right = share(order.map((item) => together?.[item] === sample.labels[item]));
  assert.ok(Math.abs(all.gain - (right - routed)) < 1e-9);
  const alone = Array.from({ length: world.members }, (_, i) => rightAlone(learner, sample.images, sample.labels, i));
  assert.ok(alone.some((own) => one.gain <= share(own) - routed + 1e-9));
  learner.dispose();
  sample.images.dispose();
});

test("without a choice there is no verdict, and each outcome has its sentence", async () => {
  const { learner, test: sample, verdict } = await verdictOn({ generatorKind: "random" }, 1);
  assert.equal(verdict, undefined);
  learner.dispose();
  sample.images.dispose();
  const base = {
    k: 1,
    routed: 0.7,
    fixed: 0.69,
    fixedModels: ["a"],
    permuted: 0.6,
    overPermuted: 0.05,
    relativeCost: 0.98,
  };
  const say = (gain: number, interval: [number, number]) =>
    verdictSentence({ ...base, gain, interval } as RoutingVerdict);
  assert.equal(
    say(0.01, [-0.0123, 0.0323]),
    "the same model for every image is enough (a): routing by input gives +1.0 points (-1.2 to +3.2)",
  );
  assert.match(say(-0.05, [-0.07, -0.03]), /is better \(a\): routing by input gives -5\.0 points \(-7\.0 to -3\.0\)/);
  const of = (gain: number, interval: [number, number]) => ({ models: ["b", "c"], gain, interval, relativeCost: 1.5 });
  const verdictOf = (more: Partial<RoutingVerdict>) =>
    verdictSentence({ ...base, gain: 0.01, interval: [-0.01, 0.03], ...more } as RoutingVerdict)
      .split("; ")
      .slice(1);
  assert.deepEqual(verdictOf({ one: of(-0.02, [-0.03, -0.01]), all: of(0.01, [-0.01, 0.03]) }), []);
  assert.deepEqual(verdictOf({ one: of(-0.01, [-0.03, 0.01]), all: of(0.02, [0.01, 0.03]) }), [
    "b alone may be enough: -1.0 points (-3.0 to +1.0) at 150.0 % of the cost",
    "all 2 models together are better: +2.0 points (+1.0 to +3.0) at 150.0 % of the cost",
  ]);
  assert.match(
    say(0.05, [0.03, 0.07]),
    /^routing by input pays here: .* at the same cost; with routes of other images 60\.0 %$/,
  );
  const labels = { kind: "multi-label", gain: 0.0213, interval: [0.01, 0.03], permuted: -0.52 } as const;
  assert.equal(
    verdictSentence({ ...base, ...labels, interval: [...labels.interval] }),
    "routing by input pays here: +0.0213 nats of log loss (+0.0100 to +0.0300) over the same model for every image at the same cost; " +
      "with routes of other images a log loss of 0.5200",
  );
  const cheaper = verdictSentence({ ...base, gain: 0.05, interval: [0.03, 0.07], relativeCost: 0.423 });
  assert.match(cheaper, /over the same model for every image at 42\.3 % of that cost;/);
  assert.equal(
    verdictSentence({ ...base, gain: 0.05, interval: [0.03, 0.07], permuted: 0.7, overPermuted: 0 }),
    "the same model for every image is enough (a): accuracy is 70.0 %, and with routes of other images 70.0 %",
  );
});

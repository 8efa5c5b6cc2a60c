/** Models that are asked one after the other until the answer is sure, against every k computed whole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { experts } from "../../../src/experiments/synthetic/members.ts";
import { blindView, draw, imageSide, type World } from "../../../src/experiments/synthetic/world.ts";
import { PathwayLearner } from "../../../src/methods/index.ts";
import { type PathwayConfig, resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { ConfigError, inferenceMode, memory, noGrad, scope, type Tensor } from "../../../src/torch/index.ts";
import { ClassificationTask, type Prediction, type Variant } from "../../../src/train/index.ts";

const world: World = { members: 4, classes: 3, good: 1, signal: 3, cue: 6, reliability: 0.5 };
const sample = draw(world, 40, 1, "test");

/** A learner whose routes depend on the input, with heads that are sometimes sure. */
function learnerOf(config: Partial<PathwayConfig> = {}, present?: readonly number[]): PathwayLearner {
  const learner = new PathwayLearner({
    members: experts(world),
    task: new ClassificationTask(world.classes, 0),
    config: resolvePathwayConfig({ k: 1, generatorSize: blindView, ...config }, world.members),
    seed: 3,
    imageSize: imageSide,
    present,
  });
  const { module } = learner;
  const generator = learner.streams.stream("test");
  scope(() =>
    noGrad(() => {
      for (const parameter of module.parameters()) parameter.add_(parameter.clone().normal_(0, 0.5, { generator }));
      module.temperature().fill_(0.7);
    }),
  );
  learner.eval();
  return learner;
}

interface Table {
  probabilities: number[][];
  weights: number[][];
}

function rowsOf(tensor: Tensor): number[][] {
  return tensor.to({ dtype: "float64" }).toArray() as number[][];
}

function predict(
  learner: PathwayLearner,
  { without, ...rest }: Omit<Variant, "without"> & { without?: number | undefined },
): Table {
  const variant = without === undefined ? rest : { ...rest, without };
  return scope(() =>
    inferenceMode(() => {
      const { probabilities, weights } = learner.predict(sample.images, undefined, variant);
      return { probabilities: rowsOf(probabilities), weights: rowsOf(weights as Tensor) };
    }),
  );
}

function assertClose(got: readonly number[], wanted: readonly number[], text: string): void {
  for (const [i, value] of wanted.entries()) assert.ok(Math.abs((got[i] ?? Number.NaN) - value) < 1e-5, text);
}

for (const aggregation of ["logits", "features"] as const) {
  for (const without of [undefined, 2]) {
    const leftOut = without === undefined ? "" : `, without model ${without}`;
    test(`each input stops at the first answer that is sure: ${aggregation}${leftOut}`, () => {
      const before = memory().handles;
      const learner = learnerOf({ aggregation });
      const most = without === undefined ? 4 : 3;
      const byK = Array.from({ length: most }, (_, i) => predict(learner, { k: i + 1, without }));
      const counts = new Set<number>();
      for (const confidence of [1e-6, 0.5, 0.7, 0.9, 1]) {
        const got = predict(learner, { k: most, without, confidence });
        for (const row of sample.labels.keys()) {
          const sure = byK.findIndex(({ probabilities }) => Math.max(...(probabilities[row] ?? [])) >= confidence);
          const count = sure < 0 ? most : sure + 1;
          const wanted = byK[count - 1];
          const text = `row ${row}, ${count} models, confidence ${confidence}`;
          assertClose(got.probabilities[row] ?? [], wanted?.probabilities[row] ?? [], text);
          assertClose(got.weights[row] ?? [], wanted?.weights[row] ?? [], text);
          if (confidence === 0.7) counts.add(count);
        }
      }
      assert.ok(counts.size > 1, "the inputs need different numbers of models");
      learner.dispose();
      assert.equal(memory().handles, before);
    });
  }
}

test("a model computes only the rows that ask it, and known features give the same answers", () => {
  const learner = learnerOf();
  let computed = 0;
  for (const member of learner.module.members) {
    const { features } = member;
    member.features = (images) => {
      computed += images.size(0);
      return features.call(member, images);
    };
  }
  learner.answerBy({ k: 4, confidence: 0.7 });
  const { probabilities, weights } = predict(learner, {});
  assert.equal(computed, weights.flat().filter((weight) => weight > 0).length);
  assert.ok(computed > sample.labels.length && computed < 4 * sample.labels.length);
  const [known] = scope(() =>
    inferenceMode(() => {
      const all = learner.predictVariants(sample.images, [{ k: 4, confidence: 0.7 }]) as Prediction[];
      return all.map((one) => rowsOf(one.probabilities));
    }),
  );
  for (const [row, wanted] of probabilities.entries()) assertClose(known?.[row] ?? [], wanted, `row ${row}`);
  learner.dispose();
});

test("at a price for each GFLOP the models of the largest score less their cost answer, with the weights of their scores", () => {
  const learner = learnerOf();
  const { module } = learner;
  for (const [i, member] of module.members.entries()) Object.assign(member, { flops: (4 - i) * 1e9 });
  const scores = scope(() => inferenceMode(() => rowsOf(module.generator.forward(sample.images))));
  const flops = module.members.map((_, i) => learner.pathwayFlops(oneHot(i), 1) - learner.pathwayFlops(oneHot(i), 0));
  const sets = new Set<string>();
  const alone = new Map<string, Table>();
  const along = (models: number[]) => {
    const key = models.sort().join(",");
    const table = alone.get(key) ?? predict(learner, { k: models.length, models });
    alone.set(key, table);
    return table;
  };
  for (const [k, price] of [1, 2, 3].flatMap((k) => [0, 0.1, 0.3, 100].map((price) => [k, price] as const))) {
    const got = predict(learner, { k, price });
    const first = predict(learner, { k, price, confidence: 1e-6 });
    for (const row of sample.labels.keys()) {
      const worth = (i: number) => (scores[row]?.[i] ?? 0) - (price * (flops[i] ?? 0)) / 1e9;
      const order = [0, 1, 2, 3].sort((a, b) => worth(b) - worth(a));
      const wanted = along(order.slice(0, k));
      const text = `row ${row}, ${k} models, price ${price}`;
      assertClose(got.probabilities[row] ?? [], wanted.probabilities[row] ?? [], text);
      assertClose(got.weights[row] ?? [], wanted.weights[row] ?? [], text);
      assertClose(first.weights[row] ?? [], oneHot(order[0] ?? 0), `${text}, the first answer is sure`);
      sets.add(`${k} at ${price}: ${order.slice(0, k).sort()}`);
    }
  }
  assert.ok(sets.size > 12 && sets.has("2 at 100: 2,3"), [...sets].join("; "));
  learner.dispose();
});

const oneHot = (i: number) => [0, 1, 2, 3].map((j) => Number(j === i));

test("a run that kept two models asks no others, whatever number its choice names, and variants follow that choice", () => {
  const whole = learnerOf();
  const learner = learnerOf({}, [0, 2]);
  learner.answerBy({ k: 4, confidence: 0.999, price: 0.01 });
  const { weights } = predict(learner, {});
  for (const row of weights) assert.ok(row[1] === 0 && row[3] === 0, row.join(" "));
  assert.deepEqual(weights, predict(whole, { k: 4, confidence: 0.999, price: 0.01, models: [0, 2] }).weights);
  const [without] = scope(() =>
    inferenceMode(() => (learner.predictVariants(sample.images, [{ without: 0 }]) as Prediction[]).map(weightsOf)),
  );
  assert.ok(without?.every((row) => row[0] === 0 && row[2] === 1));
  learner.answerBy({ k: 1, price: 1000 });
  const [own] = scope(() =>
    inferenceMode(() => (learner.predictVariants(sample.images, [{}]) as Prediction[]).map(weightsOf)),
  );
  assert.deepEqual(own, predict(learner, {}).weights);
  whole.dispose();
  learner.dispose();
});

const weightsOf = ({ weights }: Prediction) => rowsOf(weights as Tensor);

test("random routes have no order to stop in", () => {
  const learner = learnerOf({ generatorKind: "random" });
  assert.throws(() => learner.answerBy({ confidence: 0.9 }), ConfigError);
  assert.deepEqual(
    scope(() => inferenceMode(() => learner.predictVariants(sample.images, [{ k: 2, confidence: 0.9 }]))),
    [undefined],
  );
  learner.dispose();
});

/** A step whose models compute their rows in parts has the loss and the gradients of the whole batch. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccumulatedRequest, accumulatedStep } from "../../../src/methods/accumulated-step.ts";
import type { HubPathway, PathwayConfig } from "../../../src/pathway/index.ts";
import { int64, memory, scope, type Tensor } from "../../../src/torch/index.ts";
import { type Backward, ClassificationTask, type RowRange, type TrainBatch } from "../../../src/train/index.ts";
import { assertClose } from "../../support/numeric.ts";
import { build, classes, freezeStatistics, images } from "../../support/toy-pathway.ts";

const task = new ClassificationTask(classes);
const m = 4;

function toy(config: Partial<PathwayConfig>): HubPathway {
  const { model, members } = build(m, config);
  freezeStatistics(members);
  return model;
}

const backward: Backward = (forward) => {
  using loss = scope(forward);
  if (loss.requires_grad) loss.backward();
  return loss.item();
};

function gradients(model: HubPathway): Map<string, Tensor | undefined> {
  return new Map([...model.namedParameters()].map(([name, own]) => [name, own.grad]));
}

const configs: Record<string, Partial<PathwayConfig>> = {
  default: { k: 2, beta: 0 },
  paper: { k: 2, noise: "learned", tau: 1, beta: 1, explorationFade: "constant", warmup: 0 },
  "one model, each loss": { k: 1, exploitationWeight: "each" },
  "joined features": { k: 3, aggregation: "features", tau: 2 },
  "random routes": { k: 2, generatorKind: "random" },
};
const rows = 11;
const labels = [0, 1, 2, 3, 0, 1, 2, 3, 2, 2, 1];
const ranges: RowRange[] = [
  { first: 0, rows: 4 },
  { first: 4, rows: 1 },
  { first: 5, rows: 6 },
];

for (const [name, config] of Object.entries(configs)) {
  for (const progress of [0, 0.4]) {
    test(`${name}, at ${progress}: three uneven parts are one step`, () => {
      scope(() => {
        const [whole, parted] = [toy(config), toy(config)];
        const batch: TrainBatch = { images: images(rows), targets: int64(labels) };
        const output = whole.execute(batch.images, whole.route(batch.images, progress));
        const l = (logits: Tensor, of?: Tensor) =>
          task.rowLoss(logits, of ? batch.targets.index_select(0, of) : batch.targets);
        const losses = whole.losses(output, l, progress);
        losses.total.backward();
        // Weights of random routes are float32.
        const tolerance = name === "random routes" ? 1e-6 : 1e-10;
        const made = accumulatedStep({ module: parted, task, batch, progress, ranges, backward });
        assert.ok(Math.abs(made.loss - losses.total.item()) < tolerance, `${made.loss}, ${losses.total.item()}`);
        for (const term of ["task", "exploration", "exploitation"] as const)
          assert.ok(Math.abs((made.logs[term] ?? 0) - losses[term].item()) < tolerance, term);
        assert.deepEqual(
          made.rows,
          output.routing.rows.map(({ length }) => length),
        );
        const own = gradients(parted);
        for (const [key, expected] of gradients(whole)) {
          const actual = own.get(key);
          // What the whole step gives zeros may have none, and is left alone by the optimizer then.
          if (!actual) assert.ok(expected === undefined || expected.abs().max().item() === 0, key);
          else assertClose(actual, expected ?? [], tolerance, key);
        }
        whole.dispose();
        parted.dispose();
      });
    });
  }
}

test("losses that teach the generator are those of the whole step, and each model's are remembered once", () => {
  scope(() => {
    const [whole, parted] = [toy({ k: 2, beta: 0, credit: "losses" }), toy({ k: 2, beta: 0, credit: "losses" })];
    const batch: TrainBatch = { images: images(rows), targets: int64(labels), indices: labels, isMixed: true };
    const lesson = (module: HubPathway) => module.generator.forward(batch.images).square().mean();
    const l = (logits: Tensor, of?: Tensor) =>
      task.rowLoss(logits, of ? batch.targets.index_select(0, of) : batch.targets);
    const output = whole.execute(batch.images, whole.route(batch.images, 0.4));
    const losses = whole.losses(output, l, 0.4, lesson(whole));
    losses.total.backward();
    const expected = output.members.map(({ rows }, i): [number[], number[]] => [
      rows,
      losses.own[i]?.toNumbers() ?? [],
    ]);
    const remembered: [number[], number[]][] = [];
    const lessons: AccumulatedRequest["lessons"] = {
      loss: () => lesson(parted),
      record: (of, members, own) => {
        assert.ok(of.isMixed && of.indices?.length === rows);
        for (const [i, { rows }] of members.entries()) remembered.push([rows, own[i]?.toNumbers() ?? []]);
      },
    };
    const all = [{ first: 0, rows }];
    const made = accumulatedStep({ module: parted, task, batch, progress: 0.4, ranges: all, backward, lessons });
    assert.ok(Math.abs(made.loss - losses.total.item()) < 1e-10);
    assert.deepEqual(remembered, expected);
    const own = gradients(parted);
    for (const [key, gradient] of gradients(whole)) {
      const actual = own.get(key);
      assert.equal(actual === undefined, gradient === undefined, key);
      if (actual && gradient) assertClose(actual, gradient, 1e-10, key);
    }
    whole.dispose();
    parted.dispose();
  });
});

test("models that only their own losses teach end their backward pass before the next one runs", () => {
  using module = toy({ k: 2, beta: 0 });
  const done: string[] = [];
  for (const { backbone } of module.members) {
    backbone.registerForwardHook(() => {
      done.push("model");
      return undefined;
    });
  }
  const observed: Backward = (forward) => {
    const loss = backward(forward);
    done.push("backward");
    return loss;
  };
  scope(() => {
    const batch: TrainBatch = { images: images(rows), targets: int64(labels) };
    accumulatedStep({ module, task, batch, progress: 0.4, ranges: [{ first: 0, rows }], backward: observed });
  });
  const models = done.filter((what) => what === "model").length;
  assert.ok(models > 1);
  // The aggregate's loss and the generator's come last.
  const expected = [...Array.from({ length: models }, () => ["model", "backward"]).flat(), "backward", "backward"];
  assert.deepEqual(done, expected);
});

test("a step in parts leaves nothing behind", () => {
  using module = toy({ k: 2 });
  scope(() => {
    const batch: TrainBatch = { images: images(rows), targets: int64(labels) };
    // The first step makes the gradients and a random stream.
    accumulatedStep({ module, task, batch, progress: 0.4, ranges, backward });
    const { handles } = memory();
    accumulatedStep({ module, task, batch, progress: 0.4, ranges, backward });
    assert.equal(memory().handles, handles);
  });
});

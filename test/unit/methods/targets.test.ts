import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { findMethod, methods, restorePredictor } from "../../../src/methods/index.ts";
import { Interrupted, memory } from "../../../src/torch/index.ts";
import { evaluateTask, openRun, type TrainRequest, trainRun } from "../../../src/train/index.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { writeLabelImages, writeNumberImages } from "../../support/target-images.ts";
import { trainRequest } from "../../support/train-request.ts";
import { methodChoices, writeZooHub } from "../../support/zoo-hub.ts";

let folder: string;
let hub: string;
const images = { "multi-label": "", regression: "" };

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeZooHub(folder);
  images["multi-label"] = await writeLabelImages(folder, 32);
  images.regression = await writeNumberImages(folder, 32);
});

type Kind = keyof typeof images;

function request(kind: Kind, out: string, more: Partial<TrainRequest> = {}): TrainRequest {
  const base = trainRequest({ folder, hub, images: images[kind] }, out);
  return { ...base, options: { ...base.options, epochs: 1 }, ...more };
}

for (const method of methods) {
  const kinds = (["multi-label", "regression"] as const).filter((kind) => method.kinds?.includes(kind) ?? true);
  test(`${method.name} trains on ${kinds.join(" and ")}, and its run answers as it did`, async () => {
    for (const kind of kinds) {
      const choices = methodChoices[method.name] ?? {};
      const run = await trainRun(request(kind, `${method.name}-${kind}`, { method, choices }));
      const opened = openRun(run.folder.path, restorePredictor);
      try {
        assert.equal(opened.task.kind, kind);
        const again = await evaluateTask(opened.predictor, run.data.open("validation"), opened.task);
        // Routes of chance are others each time.
        if (method.name !== "random-routing") assert.deepEqual(again.metrics, run.validation.metrics);
        assert.ok(run.validation.probabilities.every(Number.isFinite));
      } finally {
        opened.dispose();
        run.predictor.dispose();
        run.data.dispose();
      }
    }
  });
}

test("co-tuning compares classes, so that numbers are refused with what to use, and nothing is written", async () => {
  const method = findMethod("co-tuning");
  await assert.rejects(
    trainRun(request("regression", "refused", { method, choices: {} })),
    /places has numbers, and the method co-tuning takes one class or several labels .* use l2-sp/,
  );
  assert.equal(existsSync(join(folder, "refused", "run.json")), false);
});

test("the credit losses teaches from losses of labels and of numbers, and heads in closed form are good from the start", async () => {
  for (const kind of ["multi-label", "regression"] as const) {
    const choices = { k: 1, credit: "losses", generatorWidth: 4 };
    const base = request(kind, `losses-${kind}`, { choices });
    const sampling = kind === "multi-label" ? ("balanced" as const) : undefined;
    const options = { ...base.options, epochs: 1, lr: 1e-6, frozenViews: 1, sampling };
    const data = { ...base.data, augment: "none" } as const;
    const run = await trainRun({ ...base, data, options });
    // A learning rate of nearly nothing leaves the heads as the closed form has them.
    const { metrics } = run.validation;
    const score = "r2" in metrics ? metrics.r2 : "microF1" in metrics ? metrics.meanAveragePrecision - 0.5 : 0;
    assert.ok(score > 0, `${kind}: ${JSON.stringify(metrics)}`);
    run.predictor.dispose();
    run.data.dispose();
  }
});

test("an interrupted run on numbers goes on to the same answers, bit for bit, and leaks nothing", async () => {
  const whole = await trainRun(request("regression", "whole"));
  const expected = whole.validation.probabilities;
  whole.predictor.dispose();
  whole.data.dispose();
  const { handles } = memory();
  const abort = new AbortController();
  const emit: TrainRequest["emit"] = (event) => {
    if (event.type === "step") abort.abort();
  };
  await assert.rejects(trainRun(request("regression", "cut", { emit, signal: abort.signal })), Interrupted);
  const resumed = await trainRun(request("regression", "cut", { resume: true }));
  assert.deepEqual(resumed.validation.probabilities, expected);
  resumed.predictor.dispose();
  resumed.data.dispose();
  assert.equal(memory().handles, handles);
});

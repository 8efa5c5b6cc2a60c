/** Hundreds and thousands of classes: training, measuring and reporting hold nothing that grows with the square of their number. */
// Long: models of thousands of classes are trained.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import sharp from "sharp";
import { restorePredictor } from "../../../src/methods/index.ts";
import { analyseVariants, runReport } from "../../../src/report/index.ts";
import { zeros } from "../../../src/torch/index.ts";
import { computeMetrics, type Evaluation, openRun, summarise } from "../../../src/train/index.ts";
import { measured } from "../../support/opened-run.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";
import { trainClassifier, trainRequest } from "../../support/train-request.ts";

const nameOf = (c: number) => `class ${String(c).padStart(5, "0")}`;

test("500 classes are trained, opened again, measured and reported", async () => {
  const folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const images = join(folder, "images");
  for (let c = 0; c < 500; c++) {
    mkdirSync(join(images, nameOf(c)), { recursive: true });
    const files = [0, 1].map((i) => {
      const pixels = Uint8Array.from({ length: 48 }, (_, p) => [c % 256, c >> 8, i * 99, c * p][Math.min(p, 3)] ?? 0);
      return sharp(pixels, { raw: { width: 4, height: 4, channels: 3 } })
        .png()
        .toFile(join(images, nameOf(c), `${i}.png`));
    });
    await Promise.all(files);
  }
  const base = trainRequest({ folder, hub: writeSmallHub(folder), images }, "run");
  const run = await trainClassifier({
    ...base,
    data: { ...base.data, imageSize: 8, split: { testFraction: 0 }, duplicates: "keep", batchSize: 250 },
    options: { ...base.options, epochs: 1, batchSize: 250 },
  });
  const { predictor, data, validation: evaluation, summary, folder: own } = run;
  try {
    assert.equal(summary.classes.length, 500);
    const { variants } = await analyseVariants(predictor, data.open("validation"), evaluation);
    const { html } = await runReport({
      title: "many",
      summary,
      evaluation,
      data,
      memberNames: predictor.memberNames,
      eventsPath: own.file("events.jsonl"),
      variants,
    });
    // A character for each pair of classes would be more.
    assert.ok(html.length < 500 ** 2, `a page of ${html.length} characters`);
  } finally {
    predictor.dispose();
    data.dispose();
  }
  const opened = await measured(own.path);
  opened.dispose();
  assert.deepEqual(opened.evaluation.probabilities, evaluation.probabilities);
  openRun(own.path, restorePredictor).dispose();
});

test("10,000 classes: figures by hand, and a page of bounded size", async () => {
  const [classes, items] = [10_000, 60];
  const labels = Array.from({ length: items }, (_, i) => i * 100);
  const probabilities = new Float32Array(items * classes);
  // Every third image is taken for the next class.
  for (const [i, label] of labels.entries()) probabilities[i * classes + label + (i % 3 === 0 ? 1 : 0)] = 1;
  const metrics = computeMetrics(probabilities, labels, classes);
  assert.ok(Math.abs(metrics.accuracy - 2 / 3) < 1e-12);
  // 40 classes are right, 20 are missed, and 20 others are named in their place.
  assert.ok(Math.abs(metrics.macroF1 - 40 / 80) < 1e-12);
  const evaluation: Evaluation = {
    probabilities,
    labels,
    indices: labels.map((_, i) => i),
    classes,
    weights: new Float32Array(),
    scores: new Float32Array(),
    members: 1,
    secondsPerImage: 1,
    metrics,
  };
  const predictor = { memberNames: ["one"], parameters: 1, inferenceFlops: 1, predict: never, eval() {}, dispose() {} };
  const names = Array.from({ length: classes }, (_, c) => nameOf(c));
  const summary = summarise("validation", evaluation, predictor, names);
  assert.equal(summary.classes.length, items);
  const { html } = await runReport({
    title: "many",
    summary,
    evaluation,
    data: {
      classes: names,
      ids: labels.map(String),
      imageSize: 8,
      pixels: async (indices) => zeros([indices.length, 3, 8, 8], { dtype: "uint8" }),
    },
    memberNames: ["one"],
    eventsPath: "no-events",
  });
  assert.ok(html.length < 1e6, `a page of ${html.length} characters`);
});

function never(): never {
  throw new Error("nothing is predicted here");
}

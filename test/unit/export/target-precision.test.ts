/** Bundles of several labels and of numbers in fewer bytes: how far they are from the run, counted anew. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import * as ort from "onnxruntime-node";
import { verifyBundle } from "../../../src/export/index.ts";
import type { BundleLabels, BundleNumbers } from "../../../src/runtime/index.ts";
import { openBundle } from "../../../src/runtime/node.ts";
import { type RunOutcome, trainRun } from "../../../src/train/index.ts";
import { exportedBundle } from "../../support/small-bundle.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";
import { writeLabelImages, writeNumberImages } from "../../support/target-images.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;

before(() => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  writeSmallHub(folder);
});

async function trained(images: string, out: string): Promise<RunOutcome> {
  const base = trainRequest({ folder, hub: join(folder, "hub"), images }, out);
  const options = { ...base.options, epochs: 2 };
  return trainRun({ ...base, data: { ...base.data, augment: "none" }, options });
}

/** Answers of a bundle to the run's validation images, [N, C]. */
async function bundled(out: string, { data }: RunOutcome, read: (one: BundleLabels & BundleNumbers) => number[]) {
  const model = await openBundle(join(folder, out), { ort, task: "any" });
  const rows: number[][] = [];
  for await (const batch of data.open("validation").epoch(0, 0)) {
    const [n = 0, ...dims] = batch.images.shape;
    const planes = batch.images.toTypedArray() as Float32Array;
    const each = planes.length / n;
    const images = Array.from({ length: n }, (_, i) => ({ data: planes.slice(i * each, (i + 1) * each), dims }));
    rows.push(...(await model.predictAll(images)).map((one) => read(one as BundleLabels & BundleNumbers)));
    batch.dispose();
  }
  await model.close();
  return rows;
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test("labels by float16 and int8 files are told as by the run but for a few, and the bundle says how many", async () => {
  const run = await trained(await writeLabelImages(folder, 260), "labels");
  const { probabilities, classes } = run.validation;
  assert.ok("thresholds" in run.task);
  const { thresholds } = run.task as unknown as { thresholds: number[] };
  for (const [precision, most] of [
    ["float16", 0.01],
    ["int8", 0.05],
  ] as const) {
    const { gate, labels } = await exportedBundle(folder, "labels", precision, 2, { precision, maxDrop: 5 });
    assert.ok(gate && "score" in gate && gate.difference !== undefined);
    const rows = await bundled(precision, run, (one) =>
      labels.map((name) => Number(one.labels.some((own) => own.label === name))),
    );
    const changed = rows.map((row, i) =>
      row.map((given, c) => Number((probabilities[i * classes + c] ?? 0) >= (thresholds[c] ?? 0)) !== given),
    );
    assert.ok(Math.abs(gate.difference - meanOf(changed.flat().map(Number))) < 1e-12);
    assert.equal(gate.otherAnswers, changed.filter((row) => row.includes(true)).length);
    assert.ok(gate.difference <= most, `${precision}: ${gate.difference}`);
  }
  run.predictor.dispose();
  run.data.dispose();
});

test("numbers by float16 and int8 files are off by little, in deviations, and the card says by how much", async () => {
  const run = await trained(await writeNumberImages(folder, 220), "numbers");
  const { probabilities, classes } = run.validation;
  const { deviations } = run.task as unknown as { deviations: number[] };
  for (const [precision, most] of [
    ["float16", 0.002],
    ["int8", 0.1],
  ] as const) {
    const { gate, labels } = await exportedBundle(folder, "numbers", `n-${precision}`, 2, { precision, maxDrop: 5 });
    assert.ok(gate && "score" in gate && gate.difference !== undefined);
    const rows = await bundled(`n-${precision}`, run, (one) => labels.map((name) => one.values[name] ?? Number.NaN));
    const off = rows.flatMap((row, i) =>
      row.map((value, c) => Math.abs(value - (probabilities[i * classes + c] ?? 0)) / (deviations[c] ?? 1)),
    );
    assert.ok(Math.abs(gate.difference - meanOf(off)) < 1e-4, `${gate.difference} ${meanOf(off)}`);
    assert.ok(gate.difference <= most, `${precision}: ${gate.difference}`);
  }
  const { selfTest } = await verifyBundle(join(folder, "n-int8"));
  assert.ok(selfTest && selfTest.otherRoutes === 0 && selfTest.probabilities < 1e-5, JSON.stringify(selfTest));
  const card = readFileSync(join(folder, "n-int8/README.md"), "utf8");
  assert.match(card, /numbers are off by 0\.\d+ deviations on average\./);
  run.predictor.dispose();
  run.data.dispose();
});

import assert from "node:assert/strict";
import { cpSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { findMethod, meanProbabilities, type PathwayLearner } from "../../../src/methods/index.ts";
import { analyseVariants, type RunAnalysis, runReport, type VariantAnalysis } from "../../../src/report/index.ts";
import { inferenceMode, memory, scope } from "../../../src/torch/index.ts";
import {
  type Choices,
  type ClassifierOutcome,
  computeMetrics,
  defaultTrainOptions,
  evaluate,
  summarise,
  wilsonInterval,
} from "../../../src/train/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainClassifier } from "../../support/train-request.ts";

let folder: string;
let hub: string;
let images: string;
let runs = 0;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeSmallHub(folder);
  images = await writeShapeImages(folder, 24);
});

/** One model for each image; the choice of model is trained fast enough to differ between images. */
const choosy = { k: 1, beta: 1, generatorWidth: 4, warmup: 0, explorationFade: "constant", explorationWeight: 20 };

function train(method: string, choices: Choices, source = images, epochs = 3): Promise<ClassifierOutcome> {
  return trainClassifier({
    method: findMethod(method),
    choices,
    hub,
    data: {
      source,
      imageSize: 24,
      split: { validationFraction: 0.4, testFraction: 0 },
      augment: "standard",
      batchSize: 12,
      seed: 3,
    },
    options: { ...defaultTrainOptions, epochs, batchSize: 12, seed: 3, lr: 3e-3, generatorFactor: 8, keep: "last" },
    out: join(folder, `run-${++runs}`),
    resume: false,
    emit: () => {},
  });
}

async function variantsOf(run: ClassifierOutcome): Promise<VariantAnalysis> {
  const { predictor, data, validation } = run;
  return (await analyseVariants(predictor, data.open("validation"), validation)).variants;
}

async function report(run: ClassifierOutcome): Promise<{ html: string; analysis: RunAnalysis }> {
  const { predictor, data, validation: evaluation, folder } = run;
  return runReport({
    title: "a & b",
    summary: summarise("validation", evaluation, predictor),
    evaluation,
    data,
    memberNames: predictor.memberNames,
    eventsPath: folder.file("events.jsonl"),
    variants: await variantsOf(run),
  });
}

function release(run: ClassifierOutcome): void {
  run.predictor.dispose();
  run.data.dispose();
}

/**
 * Mean logits of the k models with the highest scores among those allowed, model by model and row by row: weighted by
 * softmax(score / tau) where there is a temperature tau.
 */
async function byHand(
  run: ClassifierOutcome,
  k: number,
  allowed: (j: number) => boolean,
  tau = Infinity,
): Promise<Float32Array> {
  const { generator, heads, members } = (run.predictor as PathwayLearner).module;
  const parts: number[] = [];
  for await (const batch of run.data.open("validation").epoch(0, 0)) {
    scope(() =>
      inferenceMode(() => {
        const scores = generator.forward(batch.images).toNumbers();
        const logits = members.map((member, j) => heads[j]?.forward(member.features(batch.images)).toNumbers() ?? []);
        for (let row = 0; row < batch.labels.length; row++) {
          const order = members.map((_, j) => j).filter(allowed);
          order.sort((a, b) => (scores[row * 3 + b] ?? 0) - (scores[row * 3 + a] ?? 0));
          const chosen = order.slice(0, k);
          const weights = chosen.map((j) => Math.exp((scores[row * 3 + j] ?? 0) / tau));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          const part = (j: number, i: number, c: number) =>
            ((weights[i] ?? 0) / total) * (logits[j]?.[row * 3 + c] ?? 0);
          const mean = [0, 1, 2].map((c) => chosen.reduce((sum, j, i) => sum + part(j, i, c), 0));
          const powers = mean.map(Math.exp);
          parts.push(...powers.map((power) => power / powers.reduce((sum, next) => sum + next, 0)));
        }
      }),
    );
    batch.dispose();
  }
  return Float32Array.from(parts);
}

test("accuracy for each k and without each model is what those models say together", async () => {
  const run = await train("hub-pathway", { k: 2, generatorWidth: 4 });
  const { accuracyByK, accuracyByConfidence, leaveOneOut } = await variantsOf(run);
  const { labels, metrics } = run.validation;
  assert.deepEqual([accuracyByK.map((one) => one.k), leaveOneOut.length], [[1, 2, 3], 3]);
  assert.equal(accuracyByK[1]?.accuracy, metrics.accuracy, "k as trained");
  const tau = (run.predictor as PathwayLearner).module.temperature().item();
  for (const { k, accuracy, logLoss } of accuracyByK) {
    const expected = computeMetrics(await byHand(run, k, () => true, k > 2 ? tau : Infinity), labels, 3);
    assert.equal(accuracy, expected.accuracy);
    assert.ok(Math.abs(logLoss - expected.logLoss) < 1e-5);
  }
  // The temperature is fitted on these very images, to the smoothed task loss.
  const smoothed = async (other: number) => {
    const p = await byHand(run, 3, () => true, other);
    const losses = labels.map((label, row) => {
      const logs = [0, 1, 2].map((c) => Math.log(p[row * 3 + c] ?? 0));
      const smoothing = defaultTrainOptions.labelSmoothing;
      return -(1 - smoothing) * (logs[label] ?? 0) - (smoothing / 3) * logs.reduce((sum, log) => sum + log, 0);
    });
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  };
  const fitted = await smoothed(tau);
  for (const other of [tau / Math.SQRT2, tau * Math.SQRT2].filter((one) => one >= 0.125 && one <= 32)) {
    assert.ok(fitted <= (await smoothed(other)) + 1e-6, `${tau} against ${other}`);
  }
  for (const [j, { model, accuracy, change, logLoss }] of leaveOneOut.entries()) {
    const expected = computeMetrics(await byHand(run, 2, (other) => other !== j), labels, 3);
    assert.equal(model, run.predictor.memberNames[j]);
    assert.equal(accuracy, expected.accuracy);
    assert.equal(change, accuracy - metrics.accuracy);
    assert.ok(Math.abs(logLoss - expected.logLoss) < 1e-5);
  }
  const flops = accuracyByK.map((one) => one.inferenceFlops);
  const activated = accuracyByConfidence.map((one) => one.activatedModels);
  assert.deepEqual(
    activated,
    [...activated].sort((a, b) => a - b),
    "who asks for more certainty asks more models",
  );
  assert.ok(activated.length > 3 && activated.every((count) => count >= 1 && count <= 3));
  assert.ok(
    (flops[0] ?? 0) < (flops[1] ?? 0) &&
      flops[1] === summarise("validation", run.validation, run.predictor).inferenceFlops,
  );
  assert.equal((run.predictor as PathwayLearner).k, 2, "as before");
  release(run);
});

test("every image is in one path, one class and one part of the data", async () => {
  const run = await train("hub-pathway", choosy);
  const { html, analysis } = await report(run);
  const { routing, classes, slices, summary, drift } = analysis;
  assert.ok(routing);
  const items = run.validation.labels.length;
  const count = (groups: readonly { items: number }[]) => groups.reduce((sum, group) => sum + group.items, 0);
  const right = (groups: readonly { items: number; accuracy: number }[]) =>
    groups.reduce((sum, group) => sum + group.items * group.accuracy, 0) / items;
  for (const groups of [routing.paths, classes, ...slices.map((slice) => slice.parts)]) {
    assert.equal(count(groups), items);
    assert.ok(Math.abs(right(groups) - summary.accuracy) < 1e-9);
  }
  assert.ok(Math.abs(routing.shares.reduce((a, b) => a + b, 0) - 1) < 1e-9);
  assert.equal(routing.weightEntropy, 0, "one model has all the weight");
  assert.deepEqual(
    routing.dead,
    analysis.models.filter((_, j) => routing.shares[j] === 0),
  );
  assert.ok(
    routing.overlap.every((row, a) => row.every((value, b) => (a === b ? value === 0 || value === 1 : value === 0))),
  );
  assert.deepEqual(
    drift.map((one) => one.epoch),
    [1, 2, 3],
  );
  const [first] = routing.paths;
  const typical = first?.typical[0];
  assert.equal(run.data.ids[typical?.index ?? -1], typical?.id);
  assert.ok(run.data.items("validation").includes(typical?.index ?? -1));
  assert.equal(
    html.match(/data:image\/jpeg;base64/g)?.length,
    routing.paths.slice(0, 6).flatMap((path) => path.typical).length + analysis.mistakes.images.length,
  );
  assert.match(html, /<title>a &amp; b<\/title>/);
  const { mistakes, baseline, interval } = analysis;
  const wrong = run.validation.labels.filter((label, i) => {
    const row = [...run.validation.probabilities.subarray(3 * i, 3 * i + 3)];
    return row.indexOf(Math.max(...row)) !== label;
  });
  assert.equal(mistakes.items, wrong.length);
  assert.equal(count(mistakes.confused), wrong.length, "three classes have six pairs");
  assert.ok(mistakes.images.every(({ truth, predicted }) => truth !== predicted));
  const surest = mistakes.images.map(({ probability }) => probability);
  assert.deepEqual(
    surest,
    [...surest].sort((a, b) => b - a),
  );
  assert.equal(baseline.share, Math.max(...classes.map((one) => one.items)) / items);
  assert.deepEqual(interval, wilsonInterval(items - wrong.length, items));
  assert.deepEqual(
    routing.use.map((share) => share.toFixed(9)),
    routing.shares.map((share) => share.toFixed(9)),
    "with k = 1 a model runs on its share",
  );
  assert.deepEqual(JSON.parse(JSON.stringify(analysis)), analysis, "all of it is JSON");
  release(run);
});

test("what is typical of a path is what the generator is surest of", async () => {
  const run = await train("hub-pathway", choosy, images, 12);
  const { analysis } = await report(run);
  const { scores, indices } = run.validation;
  const names = [...run.predictor.memberNames];
  assert.ok((analysis.routing?.paths.length ?? 0) > 1, "images take different paths");
  for (const path of analysis.routing?.paths ?? []) {
    const j = names.indexOf(path.models[0] ?? "");
    const certainty = (position: number) => {
      const row = [...scores.subarray(position * 3, position * 3 + 3)].map(Math.exp);
      return (row[j] ?? 0) / row.reduce((a, b) => a + b, 0);
    };
    const shown = path.typical.map(({ index }) => certainty(indices.indexOf(index)));
    assert.deepEqual(
      shown,
      [...shown].sort((a, b) => b - a),
    );
    const own = indices.flatMap((_, i) =>
      Math.max(...[0, 1, 2].map((c) => scores[i * 3 + c] ?? 0)) === scores[i * 3 + j] ? [i] : [],
    );
    assert.ok(Math.abs((shown[0] ?? 0) - Math.max(...own.map(certainty))) < 1e-6);
  }
  release(run);
});

test("runs without routes get the parts that apply", async () => {
  const single = await train("fine-tune", { member: "small-resnet" });
  const one = await report(single);
  assert.equal(one.analysis.routing, undefined);
  assert.deepEqual(one.analysis.variants, {
    accuracyByK: [],
    accuracyByConfidence: [],
    accuracyByBudget: [],
    leaveOneOut: [],
  });
  assert.ok(one.analysis.classes.every((group) => group.use === undefined));
  assert.match(one.html, /Parts of the data/);
  assert.doesNotMatch(one.html, /Pathways|NaN|undefined/);
  release(single);
  const several = await train("ensemble", {});
  const { analysis, html } = await report(several);
  assert.deepEqual(analysis.variants?.accuracyByK, []);
  assert.equal(analysis.variants?.leaveOneOut.length, 3);
  const names = several.predictor.memberNames.slice(1);
  const tables: Float32Array[] = [];
  for (const member of names) {
    const part = await train("fine-tune", { member });
    tables.push(part.validation.probabilities);
    release(part);
  }
  const { labels } = several.validation;
  const expected = computeMetrics(meanProbabilities(tables), labels, 3);
  assert.equal(analysis.variants?.leaveOneOut[0]?.accuracy, expected.accuracy);
  assert.ok(Math.abs((analysis.variants?.leaveOneOut[0]?.logLoss ?? 0) - expected.logLoss) < 1e-5);
  assert.match(html, /Without one of the models/);
  release(several);
});

test("a control with random routes is reported without a generator's scores", async () => {
  const run = await train("random-routing", { k: 2 });
  const { analysis, html } = await report(run);
  assert.equal(analysis.routing?.scoreEntropy, null);
  assert.doesNotMatch(html.replaceAll(/base64,[^"]*/g, ""), /NaN|undefined/);
  release(run);
});

test("names of classes and files cannot break out of the page", async () => {
  const nasty = '<img src=x onerror="alert(1)">';
  const source = join(folder, "nasty");
  cpSync(images, source, { recursive: true });
  renameSync(join(source, "circle"), join(source, nasty));
  for (const [i, name] of ["a&b", "<script>"].entries()) {
    mkdirSync(join(source, nasty, name));
    for (const file of [0, 1, 2, 3].map((n) => `${4 * i + n}.png`)) {
      renameSync(join(source, nasty, file), join(source, nasty, name, file));
    }
  }
  const run = await train("hub-pathway", { k: 2 }, source);
  const { html, analysis } = await report(run);
  assert.ok(analysis.slices.some((slice) => slice.name === "sub-folder"));
  assert.ok(!html.includes("<img src=x") && !html.includes("<script"));
  assert.ok(html.includes("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;"));
  release(run);
});

test("reports leave no handles behind", async () => {
  const run = await train("hub-pathway", { k: 2 });
  await report(run);
  const before = memory().handles;
  await report(run);
  await evaluate(run.predictor, run.data.open("validation"), 3);
  assert.equal(memory().handles, before);
  release(run);
});

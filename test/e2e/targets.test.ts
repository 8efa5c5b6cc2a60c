/** Images with several labels or with numbers, through all that a user does with a run. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import * as ort from "onnxruntime-node";
import { pino } from "pino";
import { decodeImage } from "../../src/data/index.ts";
import { verifyBundle } from "../../src/export/index.ts";
import { readSafetensors } from "../../src/io/index.ts";
import { type AnyPrediction, Predictor, train } from "../../src/library/index.ts";
import type { BundleLabels, BundleNumbers } from "../../src/runtime/index.ts";
import { openBundle } from "../../src/runtime/node.ts";
import { answerBatch } from "../../src/serve/engine/answer-batch.ts";
import { openBundleParts } from "../../src/serve/engine/bundle-parts.ts";
import { MemberHealth } from "../../src/serve/engine/member-health.ts";
import { openRunParts } from "../../src/serve/engine/run-parts.ts";
import { defaultLimits } from "../../src/serve/limits.ts";
import { Metrics } from "../../src/serve/metrics.ts";
import { predictionOf } from "../../src/serve/predict.ts";
import { read, tensorOf } from "../../src/serve/v2.ts";
import { UserError } from "../../src/torch/index.ts";
import { lastLine, runHere } from "../support/program.ts";
import { temporaryFolder, writeSmallHub } from "../support/small-hub.ts";
import { writeLabelImages, writeNumberImages } from "../support/target-images.ts";

let folder: string;
let hub: string;
let labels: string;
let places: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeSmallHub(folder);
  labels = await writeLabelImages(folder, 64);
  places = await writeNumberImages(folder, 60);
});

const run = (...args: string[]) => runHere(args, join(folder, "cache"));

async function succeeds(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const outcome = await run(...args);
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

async function refused(pattern: RegExp, ...args: string[]): Promise<void> {
  const { code, stderr } = await run(...args);
  assert.equal(code, 2, stderr);
  assert.match(stderr, pattern);
  assert.equal(
    stderr
      .trim()
      .split("\n")
      .filter((line) => line.startsWith("error")).length,
    1,
    stderr,
  );
}

const small = ["--image-size", "24", "--batch-size", "16", "--lr", "0.01", "--k", "2"];

test("several labels: trained, resumed, measured, predicted and reported", async () => {
  const out = join(folder, "labels");
  const weights = ["--class-weights", "balanced", "--sampling", "balanced"];
  const trained = await succeeds("train", labels, "--hub", hub, "--out", out, ...small, "--epochs", "7", ...weights);
  assert.match(trained.stderr, /3 labels: \d+ to train/);
  assert.match(trained.stderr, /validation mAP \d/);
  assert.match(
    trained.stdout,
    /^validation mean average precision [01]\.\d{3} \(95 % interval [01]\.\d{3} to [01]\.\d{3}\) on \d+ images; F1 /,
  );
  assert.match(trained.stdout, /^(the same 2 models for every image|routing by input pays here).* nats of log loss/m);
  const longer = await succeeds("train", "--resume", out, "--epochs", "8", "--json");
  const figures = lastLine(longer.stdout);
  // Three shapes are easier to tell than to guess: half of the images have each.
  assert.ok((figures["meanAveragePrecision"] as number) > 0.6, longer.stdout);
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /Labels, the worst first/);

  const measured = lastLine((await succeeds("eval", out, "--split", "test", "--json")).stdout);
  assert.deepEqual(
    (measured["labels"] as { name: string }[]).map(({ name }) => name),
    ["circle", "cross", "square"],
  );
  assert.match(readFileSync(join(out, "ledger.jsonl"), "utf8"), /"meanAveragePrecision"/);

  const table = join(folder, "answers.csv");
  const images = ["0", "7"].map((name) => join(folder, "shapes", `${name}.png`));
  const said = await succeeds("predict", out, ...images, "--csv", table);
  assert.equal(said.stdout.trim().split("\n").length, 2);
  assert.match(said.stdout, /7\.png {2}.*\d %.* by small-/);
  const [header, ...rows] = readFileSync(table, "utf8").trim().split("\r\n");
  assert.equal(header, "image,labels,circle,cross,square,members,error");
  assert.equal(rows.length, 2);
  const answered = lastLine((await succeeds("predict", out, ...images, "--json")).stdout);
  using predictor = await Predictor.open(out, { task: "multi-label" });
  const [, expected] = await predictor.predict(images);
  const [, own] = answered["predictions"] as { labels: unknown; top: unknown }[];
  assert.deepEqual(own?.labels, expected?.labels);
  // What an image has is what the table says it has, and is as probable as its threshold at least.
  const stored = JSON.parse(readFileSync(join(out, "model", "model.json"), "utf8")) as {
    task: { thresholds: number[] };
  };
  const cells = rows[1]?.split(",") ?? [];
  const named = ["circle", "cross", "square"].filter(
    (_, c) => Number(cells[2 + c]) >= (stored.task.thresholds[c] ?? 1),
  );
  assert.deepEqual((cells[1] ?? "").split("|").filter(Boolean).sort(), named);

  const reported = await succeeds("report", out);
  assert.match(reported.stdout, /mean average precision [01]\.\d{3} with k = 1\n(.*\n)*.* without small-resnet/);
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /Without one of the models/);
  await answersElsewhere(out, images, ({ probabilities, labels, top }) => {
    assert.deepEqual(
      labels.map(({ label }) => label),
      top.slice(0, labels.length).map(({ label }) => label),
    );
    return [...probabilities];
  });
  await refused(/--coverage and --max-error go by the probability of one answer/, "eval", out, "--coverage", "0.9");
  await refused(/--mode stacking asks how sure/, "eval", out, "--mode", "stacking");
  await assert.rejects(Predictor.open(out), (error) => {
    return (
      error instanceof UserError && /answers with several labels: open it with the task multi-label/.test(error.message)
    );
  });
});

/**
 * Exports a run and asserts that files, self-test, server and another k answer as the library does.
 * @param valuesOf all that an answer of the bundle says, in the order of the run's labels
 */
async function answersElsewhere(
  run: string,
  images: readonly string[],
  valuesOf: (answer: BundleLabels & BundleNumbers) => number[],
): Promise<void> {
  const out = `${run}-bundle`;
  const said = await succeeds("export", run, "--out", out);
  assert.match(
    said.stdout,
    /its answers come to (R2|mean average precision) -?\d.* those of the run .*; 0 answers changed/,
  );
  const { bundle, selfTest } = await verifyBundle(out);
  assert.ok(bundle.version === 2 && bundle.gate && "score" in bundle.gate);
  assert.ok(Math.abs(bundle.gate.score - bundle.gate.runScore) < 1e-4, JSON.stringify(bundle.gate));
  assert.ok(selfTest && selfTest.probabilities < 1e-4, JSON.stringify(selfTest));
  const model = await openBundle(out, { ort, task: "any" });
  await assert.rejects(openBundle(out, { ort }), /open it with the task "(multi-label|regression)"/);
  await assert.rejects(model.predict(pixels(), { confidence: 0.5 }), /confidence is the probability of one answer/);
  using predictor = await Predictor.openAny(run);
  const [parts, files] = [openRunParts(run), await openBundleParts(out)];
  const { size, labels } = parts.info;
  const decoded = await Promise.all(
    images.map((path) =>
      decodeImage({ id: path, label: -1, source: { kind: "file", path } }, { size, channels: 3, pixelLimit: 1e6 }),
    ),
  );
  const bytes = new Uint8Array(decoded.flatMap((one) => [...one]));
  const bundled = await model.predictAll(decoded.map((data) => ({ data, width: size, height: size })));
  for (const k of [undefined, 1]) {
    if (k !== undefined && predictor.members.length === 1) continue;
    const expected = (await predictor.predict(images, { top: labels.length, k })) as AnyPrediction[];
    const requests = images.map(() => ({ choice: k === undefined ? undefined : { k }, explain: true }));
    for (const one of [parts, files]) {
      const health = new MemberHealth({ slowMs: 1e9, onFailure: (_, reason) => assert.fail(reason) });
      const { rows } = await answerBatch(one, { bytes, rows: images.length }, requests, health);
      const served = rows.map((answer) => {
        assert.ok(!("error" in answer));
        const around = { metrics: new Metrics(), limits: defaultLimits, log: pino({ level: "silent" }) };
        const answered = { answer, info: one.info, loweredTo: undefined };
        return read(answered, predictionOf("run", answered, { top: labels.length, explain: true }, around));
      });
      assertTensors(served, labels);
      for (const [i, { prediction }] of served.entries()) {
        const { explanation, ...answer } = prediction;
        close(answer, expected[i]);
        assert.deepEqual(
          explanation?.opinions.map(({ member, weight }) => ({ member, weight })),
          answer.pathway,
        );
      }
    }
    if (k !== undefined) continue;
    for (const [i, answer] of bundled.entries()) {
      const { milliseconds: _, bytesFetched: __, ...own } = answer as BundleLabels & BundleNumbers;
      const values = valuesOf(own as BundleLabels & BundleNumbers);
      assert.equal(values.length, labels.length);
      const { probabilities: ___, ...read } = own;
      close(read, expected[i]);
    }
  }
  await Promise.all([model.close(), files.dispose(), parts.dispose()]);
}

/** The protocol's tables say what the answers say. */
function assertTensors(served: readonly ReturnType<typeof read>[], labels: readonly string[]): void {
  const [{ prediction } = {}] = served;
  const isNumbers = prediction !== undefined && "values" in prediction;
  const table = tensorOf(isNumbers ? "values" : "probabilities", served);
  const present = tensorOf("present", served);
  assert.deepEqual(table.shape, [served.length, labels.length]);
  for (const [i, { prediction: own }] of served.entries()) {
    for (const [c, label] of labels.entries()) {
      const at = i * labels.length + c;
      if ("values" in own) assert.equal(table.data[at], own.values[label]);
      if (!("labels" in own)) continue;
      assert.equal(table.data[at], own.top.find((one) => one.label === label)?.probability);
      assert.equal(
        present.data[at],
        own.labels.some((one) => one.label === label),
      );
    }
  }
}

const pixels = () => ({ data: new Uint8Array(12), width: 2, height: 2 });

/** The same names everywhere, and numbers but for rounding. */
function close(actual: unknown, expected: unknown): void {
  if (typeof actual === "number") {
    const other = Number(expected);
    assert.ok(Math.abs(actual - other) <= 1e-4 * Math.max(1, Math.abs(other)), `${actual} ${other}`);
  } else if (typeof actual === "object" && actual !== null) {
    assert.deepEqual(Object.keys(actual), Object.keys(expected ?? {}));
    for (const [key, value] of Object.entries(actual)) close(value, (expected as Record<string, unknown>)[key]);
  } else assert.equal(actual, expected);
}

test("numbers: answers are in the user's units, and the library trains and answers too", async () => {
  const settings = { images: places, hub, out: join(folder, "places"), imageSize: 24, epochs: 10 };
  await assert.rejects(
    train({ ...settings }),
    /an image of places has numbers, and train with the task classification takes one class/,
  );
  const trained = await train({
    ...settings,
    task: "regression",
    method: "fine-tune",
    choices: { member: "small-resnet" },
    options: { batchSize: 16, lr: 0.01 },
  });
  const { r2, numbers, items } = trained.validation;
  assert.ok(Number.isFinite(r2) && items > 0);
  assert.deepEqual(
    numbers.map(({ name }) => name),
    ["value_x", "value_y"],
  );
  // The heights are 1040 to 1260: answers in other units would be off by a thousand.
  assert.ok((numbers[1]?.meanAbsoluteError ?? 1e3) < 60, JSON.stringify(numbers));
  using predictor = await Predictor.open(trained.path, { task: "regression" });
  const { values } = await predictor.predict(join(folder, "dots", "3.png"));
  const table = join(folder, "numbers.csv");
  const said = await succeeds("predict", trained.path, join(folder, "dots", "3.png"), "--csv", table);
  assert.match(said.stdout, /3\.png {2}value_x [\d.]+, value_y 1\d{3}(\.\d+)? {2}by small-resnet/);
  const [header, row] = readFileSync(table, "utf8").trim().split("\r\n");
  assert.equal(header, "image,value_x,value_y,members,error");
  assert.equal(Number(row?.split(",")[2]), values["value_y"]);
  await refused(/--top counts classes/, "predict", trained.path, join(folder, "dots", "3.png"), "--top", "2");

  const measured = lastLine((await succeeds("eval", trained.path, "--json")).stdout);
  assert.equal(measured["r2"], r2);
  assert.match((await succeeds("report", trained.path)).stdout, /value_y: off by/);
  await answersElsewhere(trained.path, [join(folder, "dots", "3.png")], ({ values }) => Object.values(values));
  const weights = join(folder, "weights");
  await succeeds("export", trained.path, "--out", weights, "--format", "safetensors");
  const { task, label_names: names } = JSON.parse(readFileSync(join(weights, "small-resnet.json"), "utf8")) as {
    task: string;
    label_names: string[];
  };
  assert.deepEqual([task, names], ["regression", ["value_x", "value_y"]]);
  // Numbers come in their own units from the head itself: the heights are about 1150.
  const { tensors } = readSafetensors(join(weights, "small-resnet.safetensors"));
  assert.ok(Math.abs((tensors.get("fc.bias")?.toNumbers()[1] ?? 0) - 1150) < 300);
  // Other images are measured by the names of their numbers.
  const other = join(folder, "other.csv");
  writeFileSync(other, "file,value_x\ndots/1.png,3\ndots/2.png,4\n");
  const { code, stderr } = await run("eval", trained.path, "--data", other);
  assert.equal(code, 1);
  assert.match(stderr, /"other" lacks the class "value_y", which .* answers with/);
});

test("what does not go with such images is refused before anything is written", async () => {
  const out = join(folder, "none");
  const begin = ["--hub", hub, "--out", out, ...small];
  await refused(
    /has numbers and no class to be balanced: leave out --sampling/,
    "train",
    places,
    ...begin,
    "--sampling",
    "balanced",
  );
  await refused(/has numbers and no class to be weighted/, "train", places, ...begin, "--class-weights", "balanced");
  await refused(/leep compares classes, and .* use logme/, "hub", "rank", hub, "--data", labels, "--score", "leep");
  assert.ok(!existsSync(out));
});

test("hub rank and train --auto compare models on labels and on numbers", async () => {
  for (const [list, text] of [
    [labels, "mean average precision"],
    [places, "R2"],
  ] as const) {
    const ranked = lastLine((await succeeds("hub", "rank", hub, "--data", list, "--json")).stdout);
    const members = ranked["members"] as { scores: Record<string, number> }[];
    const scores = members.map(({ scores: own }) => own["logme"] ?? Number.NaN);
    assert.deepEqual([scores.length, Object.keys(members[0]?.scores ?? {})], [3, ["logme"]]);
    assert.deepEqual(
      scores,
      [...scores].sort((a, b) => b - a),
    );
    const out = join(folder, `auto-${text}`);
    const trained = await succeeds("train", list, "--hub", hub, "--out", out, "--auto", "--minutes", "0.3");
    assert.match(
      trained.stdout,
      new RegExp(`^3 models by a linear head on \\d+ images.*: ${text} (small|other)-`, "m"),
    );
    assert.match(trained.stdout, /together come to .* (several models are worth it|a single model is enough here)$/m);
    assert.ok(existsSync(join(out, "model", "model.json")));
  }
});

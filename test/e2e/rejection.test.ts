/** "I don't know": a run, its bundle and a server reject the same images, in every output, and what cannot be had is one line. */
import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import * as ort from "onnxruntime-node";
import sharp from "sharp";
import { Predictor } from "../../src/library/index.ts";
import { openBundle } from "../../src/runtime/node.ts";
import type { PredictAnswer } from "../../src/serve/index.ts";
import { memory } from "../../src/torch/index.ts";
import type { Calibration } from "../../src/train/index.ts";
import { lastLine, runHere } from "../support/program.ts";
import { send, served } from "../support/served.ts";
import { trainedRun, writeSmallTask } from "../support/small-bundle.ts";
import { temporaryFolder } from "../support/small-hub.ts";

let folder: string;
let photos: string[];

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder, 20);
  await trainedRun(folder, "run", ({ options }) => ({ options: { ...options, epochs: 1, lr: 1e-2 } }));
  const images = join(folder, "images");
  photos = readdirSync(images).flatMap((name) => readdirSync(join(images, name)).map((file) => join(name, file)));
  photos = photos.filter((_, i) => i % 3 === 0).map((photo) => join(images, photo));
});

const run = (...args: string[]) => runHere(args, join(folder, "cache"), { cwd: folder });

async function ran(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(...args, "--json");
  assert.equal(code, 0, stderr);
  return lastLine(stdout);
}

interface Marked {
  label: string;
  probability: number;
  rejected?: boolean | undefined;
}

const wish = ["--coverage", "0.6"];
const flags = (all: readonly Marked[]) => all.map(({ rejected }) => rejected);

test("predict, the bundle in the runtime and the server reject the same images by the same probabilities", async () => {
  const { handles } = memory();
  const { predictions } = (await ran("predict", "run", ...photos, ...wish, "--csv", "labels.csv")) as {
    predictions: Marked[];
  };
  const rejected = flags(predictions);
  assert.ok(rejected.includes(true) && rejected.includes(false), String(rejected));
  const plain = (await ran("predict", "run", ...photos)) as unknown as { predictions: Marked[] };
  assert.deepEqual(
    predictions.map(({ rejected: _, ...rest }) => rest),
    plain.predictions,
  );

  const table = readFileSync(join(folder, "labels.csv"), "utf8").trim().split("\r\n");
  assert.match(table[0] ?? "", /^image,label,probability,rejected,members,error$/);
  const column = table.slice(1).map((line) => line.split(",")[3] === "true");
  assert.deepEqual(column, rejected);
  const { stdout } = await run("predict", "run", ...photos, ...wish);
  const words = stdout.trim().split("\n");
  assert.deepEqual(
    words.map((line) => / % {2}rejected {2}by /.test(line)),
    rejected,
  );

  await ran("export", "run", "--out", "bundle", ...wish);
  const model = await openBundle(join(folder, "bundle"), { ort });
  for (const [i, photo] of photos.entries()) {
    const { data, info } = await sharp(photo).raw().toBuffer({ resolveWithObject: true });
    const pixels = { data: new Uint8Array(data), width: info.width, height: info.height };
    const answer = await model.predict(pixels);
    assert.equal(answer.rejected, rejected[i], photo);
    assert.ok(Math.abs(answer.probability - (predictions[i]?.probability ?? 9)) < 1e-5, photo);
  }
  await model.close();

  const options = [{ coverage: 0.6 }, {}];
  for (const [i, place] of ["run", "bundle"].entries()) {
    const server = await served(join(folder, place), options[i]);
    try {
      const answers = await Promise.all(photos.map(async (photo) => (await send(server, photo)).json()));
      const own = (answers as PredictAnswer[]).map((answer) => answer.predictions[0] as Marked);
      assert.deepEqual(flags(own), rejected, place);
    } finally {
      await server.close();
    }
  }

  {
    using predictor = await Predictor.open(join(folder, "run"), { coverage: 0.6 });
    assert.deepEqual(flags(await predictor.predict(photos)), rejected);
  }
  assert.equal(memory().handles, handles, "live handles");
});

test("eval says what a threshold comes to, and the bundle and its card have the same figures", async () => {
  const { selective, items } = (await ran("eval", "run", ...wish)) as {
    selective: { threshold: number; answered: number; wrong: number; coverage: number; error: number };
    items: number;
  };
  assert.ok(selective.coverage >= 0.6 && selective.answered / items === selective.coverage);
  const bundle = JSON.parse(readFileSync(join(folder, "bundle/bundle.json"), "utf8")) as {
    calibration: { temperature: number };
    rejection: { threshold: number; coverage: number; error: number; items: number };
    gate: { answered: number; wrong: number };
  };
  const { threshold, coverage, error } = selective;
  assert.deepEqual(bundle.rejection, { ...bundle.rejection, threshold, coverage, error, items });
  assert.deepEqual([bundle.gate.answered, bundle.gate.wrong], [selective.answered, selective.wrong]);
  const card = readFileSync(join(folder, "bundle/README.md"), "utf8");
  assert.match(
    card,
    /An answer of a probability below 0\.\d+ is rejected: "I don't know"\. On the \d+ validation images/,
  );
  const { stdout } = await run("eval", "run", "--max-error", "0.99");
  assert.match(stdout, /answers 100\.0 % of the images \(\d+ of \d+\) by the threshold 0\.000; /);
  await ran("export", "run", "--out", "one", "--k", "1", ...wish);
  const one = JSON.parse(readFileSync(join(folder, "one/bundle.json"), "utf8")) as typeof bundle & { k: number };
  assert.equal(one.k, 1);
  assert.ok(one.rejection.coverage >= 0.6 && one.calibration.temperature !== bundle.calibration.temperature);
  assert.deepEqual(modelOf("run").calibration?.temperature, bundle.calibration.temperature);
});

interface StoredModel {
  calibration?: Calibration;
}

const modelFile = (name: string): string => join(folder, name, "model/model.json");
const modelOf = (name: string) => JSON.parse(readFileSync(modelFile(name), "utf8")) as StoredModel;

/** A run as it was before thresholds were measured. */
function older(name: string): string {
  cpSync(join(folder, "run"), join(folder, name), { recursive: true });
  const { calibration: _, ...rest } = modelOf(name);
  writeFileSync(modelFile(name), JSON.stringify(rest));
  return name;
}

test("an older run is measured once where its images are, and has the same threshold from then on", async () => {
  const old = older("old");
  const { predictions } = (await ran("predict", old, photos[0] ?? "")) as { predictions: Marked[] };
  assert.ok(predictions[0] && !("rejected" in predictions[0]));
  const refused = await run("predict", old, photos[0] ?? "", ...wish);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /measure them once with `hub-pathway eval old --coverage 0\.9`, where its images are/);
  await ran("eval", old, ...wish);
  assert.deepEqual(modelOf(old).calibration, modelOf("run").calibration);
  const marked = (await ran("predict", old, ...photos, ...wish)) as unknown as { predictions: Marked[] };
  assert.deepEqual(marked, await ran("predict", "run", ...photos, ...wish));
});

test("the report has the curve, thresholds, and calibration errors; it measures an older run by itself", async () => {
  const old = older("old-report");
  const { confidence } = (await ran("report", old, "--max-error", "0.99")) as {
    confidence: { area: number; thresholds: { name: string; coverage: number }[]; calibrationErrors: number[] };
  };
  const { calibration } = modelOf(old);
  assert.ok(calibration);
  assert.equal(confidence.area, calibration.area);
  assert.deepEqual(confidence.calibrationErrors, calibration.calibrationErrors);
  assert.deepEqual(
    confidence.thresholds.map(({ name }) => name),
    ["100 %", "90 %", "80 %", "50 %", "as asked for"],
  );
  for (const [i, { coverage }] of confidence.thresholds.entries())
    assert.ok(coverage >= ([1, 0.9, 0.8, 0.5, 0][i] ?? 1));
  const page = readFileSync(join(folder, old, "report.html"), "utf8");
  assert.match(page, /How sure it is/);
  assert.match(page, /aria-label="Wrong among the surest answers"/);
});

test("what cannot be had is one line with the right exit code, and leaves nothing", async () => {
  const [photo = ""] = photos;
  const lost = older("lost");
  const cases: [args: string[], code: number, says: RegExp][] = [
    [["predict", "run", photo, "--coverage", "0"], 2, /--coverage <p>.*must be a number above 0/],
    [["predict", "run", photo, "--coverage", "1.2"], 2, /--coverage <p>.*at most 1/],
    [["predict", "run", photo, "--max-error", "1"], 2, /--max-error <p>.*below 1/],
    [["predict", "run", photo, ...wish, "--max-error", "0.1"], 2, /both choose the threshold: leave one of them out/],
    [["eval", "run", ...wish, "--max-error", "0.1"], 2, /leave one of them out/],
    [["predict", "run", photo, "--max-error", "0.001"], 2, /give at least --max-error 0\.\d+/],
    [["predict", "run", photo, ...wish, "--k", "1"], 2, /the run's own choice of models: leave out --k/],
    [["eval", "run", ...wish, "--ten-crop"], 2, /--ten-crop gives other probabilities/],
    [["export", "run", "--out", "no", ...wish, "--format", "safetensors"], 2, /weights have no threshold/],
    [["export", "run", "--out", "no", "--max-error", "0.001"], 2, /give at least --max-error/],
    [["eval", lost, ...wish, "--data", join(folder, "hub")], 1, /hub/],
    [["serve", "run", ...wish, "--reject-below", "0.5", "--check"], 2, /leave one of them out/],
    [["serve", "bundle", ...wish, "--check"], 1, /a bundle, whose threshold is its own: give --coverage/],
  ];
  for (const [args, code, says] of cases) {
    const outcome = await run(...args);
    assert.equal(outcome.code, code, `${args.join(" ")}: ${outcome.stderr}`);
    const lines = outcome.stderr.trimEnd().split("\n");
    assert.equal(lines.length, 1, outcome.stderr);
    assert.match(lines[0] ?? "", says);
    assert.ok(!readdirSync(folder).some((name) => name.startsWith("no") || name.includes(".tmp")), args.join(" "));
  }
});

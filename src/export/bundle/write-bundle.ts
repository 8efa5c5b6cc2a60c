/** A finished run as a bundle: files that answer without this program. */
import fs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import {
  explainWrite,
  hashFile,
  readJsonFile,
  readJsonLines,
  requireWritableFolder,
  temporaryPath,
  writeFileAtomic,
} from "../../io/index.ts";
import { type Bundle, bundleVersion, manifestName, parseBundle } from "../../runtime/index.ts";
import { UserError } from "../../torch/index.ts";
import { type OpenedRun, storedTask } from "../../train/index.ts";
import { exportMember, exportRouter, type Sides } from "../parts.ts";
import { withFloat16 } from "../precision/float16.ts";
import type { Precision } from "../precision/graph.ts";
import { modelCard } from "./card.ts";
import { Conversion } from "./conversion.ts";
import { type GateOptions, passGate } from "./gate.ts";
import { selected } from "./min-share.ts";
import type { BundleMember, BundleParts } from "./parts.ts";
import { rewriteSelfTest, selfTestFile, selfTestImages, writeSelfTest } from "./self-test.ts";
import { findRuntime, openFiles } from "./verify.ts";

export interface BundleOptions extends GateOptions {
  /** Numbers in the models' files (default "float32"); the router's are float32 but for "float16". */
  precision?: Precision | undefined;
  /** Share of validation images, 0 … 1, below which a model is left out; all that can be activated are exported without it. */
  minShare?: number | undefined;
}

/** Differences that other runtimes may have with integer products, which they round and join in other places. */
const integerTolerance = 0.05;

const routerFile = "router.onnx";
const cardFile = "README.md";

/**
 * Writes a run's bundle into a new folder, which appears complete or not at all, after its files were measured.
 * @throws UserError when the folder exists or cannot be written, the run cannot be exported, or its files answer otherwise
 */
export function writeBundle(run: OpenedRun, out: string, options: BundleOptions = {}): Promise<Bundle> {
  return newFolder(out, "--out", (folder, name) => fillBundle(folder, run, name, options));
}

/**
 * A folder that appears complete or not at all.
 * @param option that names it, for messages
 * @throws UserError when it exists or cannot be written
 */
export async function newFolder<T>(
  out: string,
  option: string,
  fill: (folder: string, name: string) => Promise<T>,
): Promise<T> {
  const target = resolve(out);
  if (fs.existsSync(target)) throw new UserError(`${out} exists already: give another ${option} folder`);
  requireWritableFolder(dirname(target));
  const made = fs.mkdirSync(dirname(target), { recursive: true });
  const temporary = temporaryPath(dirname(target), basename(target));
  try {
    fs.mkdirSync(temporary);
    const result = await fill(temporary, basename(target));
    fs.renameSync(temporary, target);
    return result;
  } catch (error) {
    fs.rmSync(temporary, { recursive: true, force: true });
    if (made !== undefined) fs.rmSync(made, { recursive: true, force: true });
    throw explainWrite(error, out);
  }
}

/** Writes a run's bundle into a folder. @throws UserError as `writeBundle` */
export async function fillBundle(
  folder: string,
  whole: OpenedRun,
  name: string,
  options: BundleOptions = {},
): Promise<Bundle> {
  const { run, parts, leftOut } = await selected(whole, options.minShare, options);
  const { config, predictor, calibration, rejection } = run;
  const task = storedTask(run.task);
  const { imageSize: size, fit } = config.data.form;
  if (fit)
    throw new UserError(`${run.folder.path} squashes its images, and exported models crop them: train without --fit`);
  const sides: Sides = [size, size];
  const files: Bundle["files"] = {};
  const placed = (file: string, write: (path: string) => void): void => {
    const path = join(folder, file);
    fs.mkdirSync(dirname(path), { recursive: true });
    write(path);
    files[file] = { bytes: fs.statSync(path).size, sha256: hashFile(path) };
  };
  const { router } = parts;
  const { precision = "float32" } = options;
  const ort = await findRuntime();
  using conversion = await Conversion.open(run, precision, ort, options);
  if (router) {
    const bytes = exportRouter(router.network, sides);
    placed(routerFile, (path) => fs.writeFileSync(path, precision === "float16" ? withFloat16(bytes) : bytes));
  }
  for (const { member, layers } of parts.members) {
    const bytes = await conversion.of(exportMember(member, sides, layers));
    placed(fileOf(member.name), (path) => fs.writeFileSync(path, bytes));
  }
  placed(selfTestFile, (path) => writeSelfTest(path, predictor, size, parts.k));
  const described: Bundle = {
    version: task ? bundleVersion : 1,
    name,
    method: config.method,
    labels: [...config.classes],
    ...(task ? { task: structuredClone(task) as NonNullable<Bundle["task"]> } : {}),
    images: { size, range: [0, 1] },
    ...(router ? { router: { file: routerFile, scores: parts.scores, flops: router.flops } } : {}),
    ...choiceOf(parts),
    aggregation: parts.aggregation,
    weights: parts.weights,
    members: parts.members.map(entryOf),
    measured: measuredOf(run),
    ...(calibration ? { calibration: { temperature: calibration.temperature } } : {}),
    ...(rejection ? { rejection } : {}),
    selfTest: {
      ...{ file: selfTestFile, images: selfTestImages },
      ...(precision === "int8" ? { tolerance: integerTolerance } : {}),
    },
    ...(precision === "float32" ? {} : { precision }),
    ...(leftOut ? { leftOut } : {}),
    files,
  };
  const finish = (bundle: Bundle): Bundle => {
    const text = `${JSON.stringify(bundle, null, 2)}\n`;
    writeFileAtomic(join(folder, manifestName), text);
    return parseBundle(text, manifestName);
  };
  finish(described);
  if (ort && precision !== "float32") {
    const opened = await openFiles(folder, described, ort);
    await rewriteSelfTest(join(folder, selfTestFile), described, opened.run).finally(() => opened.close());
    placed(selfTestFile, () => {});
    finish(described);
  }
  const gate = await passGate(folder, run, parts, described, ort, {
    ...options,
    wholeScore: leftOut && ("score" in leftOut ? leftOut.runScore : leftOut.runAccuracy),
  });
  placed(cardFile, (path) => fs.writeFileSync(path, modelCard({ ...described, gate })));
  return finish({ ...described, gate });
}

const fileOf = (member: string): string => `members/${member}.onnx`;

function choiceOf({
  k,
  confidence,
  price,
  shares,
  budgets,
  members,
}: BundleParts): Pick<Bundle, "k" | "confidence" | "price" | "shares" | "budgets"> {
  // Rare models may have been left out.
  const within = budgets.map(({ models, uses: _, ...choice }) => {
    return { ...choice, k: Math.min(choice.k, members.length), ...(models ? { models: [...models] } : {}) };
  });
  return {
    k,
    confidence,
    price,
    shares,
    budgets: within.length > 0 ? within : undefined,
  };
}

function entryOf({ member, index, flops }: BundleMember): Bundle["members"][number] {
  const { entry, name, featureWidth } = member;
  const { size, sides = [size, size], mean, std, interpolation, channelOrder } = entry.input;
  return {
    name,
    file: fileOf(name),
    index,
    featureWidth,
    flops,
    preprocessing: { sides, mean, std, interpolation, channelOrder },
    licence: entry.licence,
    source: entry.source,
    pretraining: entry.pretraining.data,
  };
}

/** The figure that decides: accuracy, of several labels the mean average precision, of numbers R2. */
const figures = z.looseObject({
  accuracy: z.number().optional(),
  meanAveragePrecision: z.number().optional(),
  r2: z.number().optional(),
});
const resultSchema = z.looseObject({ validation: figures.extend({ items: z.int() }) });
const readingSchema = figures.extend({
  ...{ metrics: figures.optional(), time: z.string(), tenCrop: z.boolean().optional() },
});

function figureOf({ accuracy, meanAveragePrecision, r2 }: z.output<typeof figures>) {
  if (accuracy !== undefined) return { accuracy };
  const score = meanAveragePrecision ?? r2;
  return score === undefined ? undefined : { score };
}

/** What the run's folder says about how good it is; nothing where its files are gone. */
function measuredOf({ folder }: OpenedRun): Bundle["measured"] {
  const [result, ledger] = [folder.file("result.json"), folder.file("ledger.jsonl")];
  const own = fs.existsSync(result) ? readJsonFile(result, resultSchema, "the result of a run").validation : undefined;
  // Of ten crops it is another procedure's figure, which the bundle's answers do not have.
  const reading = readJsonLines(ledger, readingSchema).findLast(({ tenCrop }) => tenCrop !== true);
  const validation = own && figureOf(own);
  const test = reading && figureOf(reading.metrics ?? reading);
  return {
    ...(own && validation ? { validation: { ...validation, items: own.items } } : {}),
    ...(reading && test ? { test: { ...test, time: reading.time } } : {}),
  };
}

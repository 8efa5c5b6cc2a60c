/** hub-pathway eval: how often a finished run is right, and which models it takes. */

import { reasonOf, shown } from "../io/index.ts";
import { restorePredictor } from "../methods/index.ts";
import { amount, percent } from "../report/index.ts";
import { findDevice, setNumThreads } from "../torch/index.ts";
import {
  type Evaluation,
  type EvaluationOptions,
  type EvaluationSummary,
  evaluate,
  itemsHash,
  type OpenedRun,
  openRun,
  openRunData,
  type Predictor,
  type RunData,
  type SplitName,
  summarise,
  TenCrop,
  tenCropSide,
  worstClasses,
} from "../train/index.ts";
import type { Output } from "./context.ts";
import { stopping, withInterrupt } from "./interrupt.ts";
import { countProgress } from "./progress.ts";

/** Options that eval, report and predict share. */
export interface OpenFlags {
  k?: number;
  flops?: number;
  confidence?: number;
  hubMemory?: number;
  trust?: boolean;
  device: string;
  threads?: number;
}

export interface EvalFlags extends OpenFlags {
  split: SplitName;
  data?: string;
  tenCrop?: boolean;
}

/** Classes that a terminal shows. */
const mostClasses = 5;

export function openFinished(path: string, flags: OpenFlags): OpenedRun {
  if (flags.threads !== undefined) setNumThreads(flags.threads);
  const { k, flops, confidence, hubMemory, trust } = flags;
  return openRun(path, restorePredictor, { k, flops, confidence, hubMemory, trust, device: findDevice(flags.device) });
}

/** The images that a run is to be measured on. */
export function openImages(run: OpenedRun, { split, data, device }: EvalFlags, output: Output): Promise<RunData> {
  const request = { split, data, device: findDevice(device), onProgress: countProgress("decoding") };
  return openRunData(run.folder, run.config, request).then((images) => {
    for (const remark of images.remarks) output.warn(remark);
    return images;
  });
}

export async function evalRun(path: string, flags: EvalFlags, output: Output): Promise<void> {
  const run = openFinished(path, flags);
  try {
    const images = await openImages(run, flags, output);
    try {
      const { evaluation, predictor } = await withInterrupt(
        (signal) => measure(run, images, flags.tenCrop ?? false, { signal, onProgress: countProgress("measuring") }),
        stopping,
      );
      const summary = summarise(flags.split, evaluation, predictor, run.config.classes);
      for (const line of spoken(summary)) output.say(line);
      const note = flags.tenCrop ? { tenCrop: true } : {};
      recordReading(run, images, { evaluation, summary }, output, note);
      output.result({ ...summary, data: images.name, remarks: images.remarks });
    } finally {
      images.dispose();
    }
  } finally {
    run.dispose();
  }
}

async function measure(
  { config, predictor }: OpenedRun,
  images: RunData,
  tenCrop: boolean,
  options: EvaluationOptions,
): Promise<{ evaluation: Evaluation; predictor: Predictor }> {
  const classes = config.classes.length;
  if (!tenCrop) return { evaluation: await evaluate(predictor, images.batches, classes, options), predictor };
  const cropped = new TenCrop(predictor, images.imageSize);
  const batches = await images.openAt(tenCropSide(images.imageSize));
  try {
    return { evaluation: await evaluate(cropped, batches, classes, options), predictor: cropped };
  } finally {
    batches.dispose();
  }
}

/** Notes a reading of the test split in the run's ledger; the result counts also where that cannot be written. */
export function recordReading(
  run: OpenedRun,
  images: RunData,
  { evaluation, summary }: { evaluation: Evaluation; summary: EvaluationSummary },
  output: Output,
  note: Record<string, unknown> = {},
): void {
  if (summary.split !== "test") return;
  const { accuracy } = summary;
  const entry = { time: new Date().toISOString(), data: images.name, items: itemsHash(evaluation.indices), accuracy };
  try {
    run.folder.recordTestReading({ ...entry, ...note });
  } catch (error) {
    output.warn(`this reading of the test split is not noted in the run's ledger: ${reasonOf(error)}`);
  }
}

/** An evaluation as a terminal shows it. */
export function spoken(summary: EvaluationSummary): string[] {
  const [low, high] = summary.accuracyInterval;
  const lines = [
    `${summary.split} accuracy ${percent(summary.accuracy)} (95 % interval ${percent(low)} to ${percent(high)}) on ${summary.items} images`,
  ];
  const members = Object.entries(summary.runsOn).sort(([, a], [, b]) => b - a);
  if (members.length > 1) {
    const activated = Number(summary.activatedModels.toFixed(2));
    lines.push(
      `  ${activated} ${activated === 1 ? "model" : "models"} an image, ${amount(summary.inferenceFlops)}FLOPs`,
    );
  }
  for (const [name, part] of members) lines.push(`  runs on ${percent(part).padStart(7)} of images  ${shown(name)}`);
  const worst = worstClasses(summary, mostClasses);
  if (worst.length > 0) lines.push("classes with the most mistakes:");
  for (const { name, accuracy, items } of worst) {
    lines.push(`  ${percent(accuracy).padStart(7)} of ${items} ${items === 1 ? "image" : "images"}  ${shown(name)}`);
  }
  return lines;
}

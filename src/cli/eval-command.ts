/** hub-pathway eval: how often a finished run is right, and which models it takes. */

import { agreeOn, readContract } from "../distributed/index.ts";
import { reasonOf, shown } from "../io/index.ts";
import type { InferenceMode } from "../methods/catalog.ts";
import { evaluateMode, refuseRouteWishes, requireMode, restorePredictor, validationImages } from "../methods/index.ts";
import { amount, percent } from "../report/index.ts";
import { ConfigError, findDevice, Interrupted, type ProcessGroup, setNumThreads } from "../torch/index.ts";
import {
  atThreshold,
  checkRule,
  confidencesOf,
  type Evaluation,
  type EvaluationOptions,
  type EvaluationSummary,
  evaluateTask,
  eventLoopTurn,
  fingerprint,
  firstRankFirst,
  type GroupOptions,
  isAsked,
  isClassified,
  itemsHash,
  type OpenedRun,
  onAnyRank,
  openRun,
  openRunData,
  type RejectionRule,
  type RunData,
  refuseSureness,
  rightItems,
  type SplitName,
  summarise,
  summariseTargets,
  type TargetSummary,
  type TaskEvaluation,
  TenCrop,
  tenCropSide,
  type Usage,
  wilsonInterval,
  withRejection,
  withTemperature,
  worstClasses,
} from "../train/index.ts";
import { aloud, type Output } from "./context.ts";
import { stopping, withInterrupt } from "./interrupt.ts";
import { countProgress } from "./progress.ts";
import { onRanks, type RankFlags } from "./ranks.ts";
import { targetLines } from "./verdict.ts";

/** Options that eval, report and predict share. */
export interface OpenFlags extends RejectionRule {
  k?: number;
  flops?: number;
  ms?: number;
  confidence?: number;
  models?: string[];
  hubMemory?: number;
  trust?: boolean;
  device: string;
  threads?: number;
}

export interface EvalFlags extends OpenFlags {
  split: SplitName;
  data?: string;
  tenCrop?: boolean;
  mode?: InferenceMode;
}

/** What a threshold came to on a split. */
interface Selective {
  threshold: number;
  answered: number;
  wrong: number;
  coverage: number;
  error: number;
  /** 95 % interval of the error (Wilson). */
  errorInterval: [low: number, high: number];
}

/** Classes that a terminal shows. */
const mostClasses = 5;

export function openFinished(path: string, flags: OpenFlags): OpenedRun {
  if (flags.threads !== undefined) setNumThreads(flags.threads);
  const { k, flops, ms, confidence, models, hubMemory, trust } = flags;
  const device = findDevice(flags.device);
  return openRun(path, restorePredictor, { k, flops, ms, confidence, models, hubMemory, trust, device });
}

/**
 * A run that has the threshold that was asked for, which is measured on its validation images where its folder does not have it.
 * @param isNeeded true when the calibration is needed without a threshold too
 */
export async function calibratedRun(
  run: OpenedRun,
  flags: RejectionRule & { data?: string | undefined; device?: string },
  output: Output,
  { signal, isNeeded = false }: { signal: AbortSignal; isNeeded?: boolean },
): Promise<OpenedRun> {
  checkRule(flags);
  if (run.config.task) refuseSureness(run.config.task, flags);
  if (!isAsked(flags) && (!isNeeded || run.config.task)) return run;
  const { coverage, maxError, data, device = "cpu" } = flags;
  return withRejection(run, {
    ...{ coverage, maxError, data, signal, device: findDevice(device) },
    onProgress: countProgress("measuring thresholds"),
    onUnstored: (error) => output.warn(`the thresholds are not stored in the run's folder: ${reasonOf(error)}`),
  });
}

/** The images that a run is to be measured on. */
export function openImages(run: OpenedRun, { split, data, device }: EvalFlags, output: Output): Promise<RunData> {
  const request = { split, data, device: findDevice(device), onProgress: countProgress("decoding") };
  return openRunData(run.folder, run.config, request).then((images) => {
    for (const remark of images.remarks) output.warn(remark);
    return images;
  });
}

export async function evalRun(
  path: string,
  { nproc, rankTimeout, ...flags }: EvalFlags & RankFlags,
  output: Output,
): Promise<void> {
  const contract = readContract();
  const ready = () => {
    if (contract || (nproc ?? 1) > 1) requireShared(flags);
  };
  await onRanks({ contract, nproc, rankTimeout, ready }, output, (_, own, group) => evaluated(path, flags, own, group));
}

/** @throws ConfigError for what each rank would measure, or choose, by itself */
function requireShared({ mode = "routes", ms }: EvalFlags): void {
  const given = mode !== "routes" ? `--mode ${mode}` : ms !== undefined ? "--ms" : undefined;
  if (given === undefined) return;
  throw new ConfigError(`${given} is for one process, and ranks share the images: leave it out, or start one process`);
}

async function evaluated(
  path: string,
  flags: EvalFlags,
  output: Output,
  group: ProcessGroup | undefined,
): Promise<void> {
  const { mode = "routes" } = flags;
  if (flags.tenCrop && isAsked(flags))
    throw new ConfigError(
      "--ten-crop gives other probabilities than the thresholds are measured with: leave one of them out",
    );
  if (mode === "routes") return evalBy(path, flags, output, flags.tenCrop ? byTenCrops : byRoutes, group);
  refuseRouteWishes(mode, flags);
  if (flags.tenCrop) throw new ConfigError(`--mode ${mode} answers whole images: leave out --ten-crop`);
  // The run is opened without a budget for its routes.
  const { flops: _, ...rest } = flags;
  await evalBy(path, rest, output, (run, images, options) => byMode(run, images, { ...flags, mode }, options));
}

interface Measured {
  evaluation: TaskEvaluation;
  /** What its cost is counted by. */
  predictor: Parameters<typeof summarise>[2];
  /** Lines after the accuracy. */
  lines?: string[];
  /** Entries of the ledger and of the result. */
  note?: Record<string, unknown>;
}

async function evalBy(
  path: string,
  flags: EvalFlags,
  output: Output,
  measure: (run: OpenedRun, images: RunData, options: GroupOptions) => Promise<Measured>,
  group?: ProcessGroup,
): Promise<void> {
  const opened = openFinished(path, flags);
  try {
    // What the first rank stores and decodes, the others find.
    const calibrated = async (signal: AbortSignal) => {
      const own = await firstRankFirst(group, () => calibratedRun(opened, flags, output, { signal }));
      // A signal that came while this rank waited is heard now.
      await eventLoopTurn();
      if (onAnyRank(signal.aborted, group)) throw new Interrupted("calibration");
      return own;
    };
    const run = await withInterrupt(calibrated, stopping, aloud(output));
    const images = await firstRankFirst(group, () => openImages(run, flags, output));
    try {
      if (group) {
        const [asked, of] = [
          JSON.stringify(flags),
          fingerprint([run.config, images.ids, images.batches.stepsPerEpoch]),
        ];
        agreeOn(group, "eval", { options: asked, "run or images": of });
      }
      const { evaluation, predictor, lines, note } = await withInterrupt(
        (signal) => measure(run, images, { signal, onProgress: countProgress("measuring"), group }),
        stopping,
        aloud(output),
      );
      if (group && group.rank > 0) return;
      const summary = summaryOf(run, flags.split, evaluation, predictor);
      const selective = isClassified(evaluation) ? selectiveOf(run, evaluation) : undefined;
      const [first = "", ...rest] = spoken(summary);
      for (const line of [first, ...(lines ?? []), ...rest]) output.say(line);
      if (selective) output.say(spokenSelective(selective, summary));
      recordReading(run, images, { evaluation, summary }, output, note);
      const more = selective ? { selective } : {};
      output.result({ ...summary, ...note, ...more, data: images.name, remarks: images.remarks });
    } finally {
      images.dispose();
    }
  } finally {
    opened.dispose();
  }
}

function selectiveOf({ rejection }: OpenedRun, evaluation: Evaluation): Selective | undefined {
  if (!rejection) return undefined;
  const { threshold } = rejection;
  const { probabilities, labels, classes } = evaluation;
  const { answered, wrong } = atThreshold(
    threshold,
    confidencesOf(evaluation),
    rightItems(probabilities, labels, classes),
  );
  const error = answered === 0 ? 0 : wrong / answered;
  const coverage = answered / labels.length;
  return { threshold, answered, wrong, coverage, error, errorInterval: wilsonInterval(wrong, answered) };
}

function spokenSelective({ threshold, answered, coverage, error, errorInterval }: Selective, { items }: Usage) {
  const [low, high] = errorInterval.map(percent);
  return (
    `answers ${percent(coverage)} of the images (${answered} of ${items}) by the threshold ${threshold.toPrecision(4)}; ` +
    `${percent(error)} of these answers are wrong (95 % interval ${low} to ${high})`
  );
}

async function byRoutes(
  { task, predictor, calibration }: OpenedRun,
  images: RunData,
  options: GroupOptions,
): Promise<Measured> {
  const raw = await evaluateTask(predictor, images.batches, task, options);
  return { evaluation: isClassified(raw) ? withTemperature(raw, calibration?.temperature) : raw, predictor };
}

async function byTenCrops({ task, predictor }: OpenedRun, images: RunData, options: GroupOptions): Promise<Measured> {
  const cropped = new TenCrop(predictor, images.imageSize);
  const batches = await images.openAt(tenCropSide(images.imageSize));
  try {
    const evaluation = await evaluateTask(cropped, batches, task, options);
    return { evaluation, predictor: cropped, note: { tenCrop: true } };
  } finally {
    batches.dispose();
  }
}

/** By a mode whose setting is chosen on the run's validation images. */
async function byMode(
  run: OpenedRun,
  images: RunData,
  { split, mode, ...flags }: EvalFlags & { mode: Exclude<InferenceMode, "routes"> },
  options: EvaluationOptions,
): Promise<Measured> {
  const { predictor, config } = run;
  requireMode(run, mode);
  const isSame = split === "validation" && images.isRecorded;
  const { data, device } = flags;
  const where = { data, device: findDevice(device), onProgress: countProgress("decoding") };
  const known = isSame ? images : await validationImages(run, where);
  try {
    const request = { mode, flops: flags.flops, known: known.batches, asked: images.batches };
    const measured = await evaluateMode(predictor, { ...request, classes: config.classes.length }, options);
    const { settings, expectedFlops, inferenceFlops, ...evaluation } = measured;
    const { memberNames, parameters } = predictor;
    const on = isSame ? "on the other half of these images" : "on validation images";
    return {
      evaluation,
      predictor: { memberNames, parameters, inferenceFlops },
      lines: [`  ${shown(settings.join("; "))}: chosen ${on}, where it takes ${amount(expectedFlops)}FLOPs an image`],
      note: { mode, settings, expectedFlops },
    };
  } finally {
    if (!isSame) known.dispose();
  }
}

/** Notes a reading of the test split in the run's ledger; the result counts also where that cannot be written. */
export function recordReading(
  run: OpenedRun,
  images: RunData,
  { evaluation, summary }: { evaluation: TaskEvaluation; summary: EvaluationSummary | TargetSummary },
  output: Output,
  note: Record<string, unknown> = {},
): void {
  if (summary.split !== "test") return;
  const { metrics, indices } = evaluation;
  const figure = isClassified(evaluation) ? { accuracy: evaluation.metrics.accuracy } : { metrics };
  const entry = { time: new Date().toISOString(), data: images.name, items: itemsHash(indices), ...figure };
  try {
    run.folder.recordTestReading({ ...entry, ...note });
  } catch (error) {
    output.warn(`this reading of the test split is not noted in the run's ledger: ${reasonOf(error)}`);
  }
}

/** The figures of an evaluation of a run, whatever its labels are. */
export function summaryOf(
  { task, config: { classes } }: OpenedRun,
  split: SplitName,
  evaluation: TaskEvaluation,
  predictor: Parameters<typeof summarise>[2],
): EvaluationSummary | TargetSummary {
  if (isClassified(evaluation)) return summarise(split, evaluation, predictor, classes);
  return summariseTargets(split, evaluation, predictor, { task, classes });
}

/** An evaluation as a terminal shows it. */
export function spoken(summary: EvaluationSummary | TargetSummary): string[] {
  if (!("accuracy" in summary)) return [...targetLines(summary, mostClasses), ...spokenUsage(summary)];
  const [low, high] = summary.accuracyInterval;
  const worst = worstClasses(summary, mostClasses);
  return [
    `${summary.split} accuracy ${percent(summary.accuracy)} (95 % interval ${percent(low)} to ${percent(high)}) on ${summary.items} images`,
    ...spokenUsage(summary),
    ...(worst.length > 0 ? ["classes with the most mistakes:"] : []),
    ...worst.map(({ name, accuracy, items }) => {
      return `  ${percent(accuracy).padStart(7)} of ${items} ${items === 1 ? "image" : "images"}  ${shown(name)}`;
    }),
  ];
}

/** Models that ran, where there are several. */
function spokenUsage(summary: Usage): string[] {
  const lines: string[] = [];
  const members = Object.entries(summary.runsOn).sort(([, a], [, b]) => b - a);
  if (members.length > 1) {
    const activated = Number(summary.activatedModels.toFixed(2));
    lines.push(
      `  ${activated} ${activated === 1 ? "model" : "models"} an image, ${amount(summary.inferenceFlops)}FLOPs`,
    );
  }
  for (const [name, part] of members) lines.push(`  runs on ${percent(part).padStart(7)} of images  ${shown(name)}`);
  return lines;
}

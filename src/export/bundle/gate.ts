/** The files of a bundle measured on the run's validation images, before anyone gets them. N images, C classes. */
import { shown } from "../../io/index.ts";
import {
  type AnyBundlePrediction,
  answer,
  type Bundle,
  filesToRun,
  isPresent,
  type OnnxRuntime,
  type RunFile,
} from "../../runtime/index.ts";
import { inferenceMode, scope, tensor, UserError } from "../../torch/index.ts";
import {
  argmaxAt,
  atThreshold,
  type BatchSource,
  confidencesOf,
  evaluateTask,
  joined,
  MultiLabelTask,
  type OpenedRun,
  openRunData,
  qualityOf,
  RegressionTask,
  rightItems,
  scoreText,
  type Task,
  type TaskEvaluation,
} from "../../train/index.ts";
import { memberForward } from "../parts.ts";
import { percent } from "./card.ts";
import { forEachImages } from "./images.ts";
import type { BundleParts } from "./parts.ts";
import { openFiles, withBundle } from "./verify.ts";

export interface GateOptions {
  /** Place of the run's images, where they are not where it was trained. */
  data?: string | undefined;
  /** Points of validation accuracy, mean average precision or R2 that the files may lose against the run (default 0.5). */
  maxDrop?: number | undefined;
  /** Takes remarks for the user. */
  onNote?: ((text: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Share of answers that files of the run's own precision may change. */
const mostOthers = 0.001;
/** Deviations by which a number is another one. */
const otherBy = 0.01;

/**
 * Runs the self-test, and compares the files' answers with the run's on its validation images.
 * @param folder with the files and their manifest
 * @param run as it answers with the parts that are exported; `wholeScore` is its figure with all of them
 * @returns what the manifest says about it: figures, or why there are none
 * @throws UserError with a table of the files when they lose more than they may; Interrupted after the signal
 */
export async function passGate(
  folder: string,
  run: OpenedRun,
  parts: BundleParts,
  bundle: Bundle,
  ort: OnnxRuntime | undefined,
  options: GateOptions & { readonly wholeScore?: number | undefined },
): Promise<NonNullable<Bundle["gate"]>> {
  const skip = (skipped: string) => {
    options.onNote?.(`the files were not measured: ${skipped}`);
    return { skipped };
  };
  if (!ort) return skip("onnxruntime-node is not installed");
  await withBundle(folder, ort, (model) => model.verify());
  const images = await imagesOrReason(run, options);
  if ("missing" in images) return skip(images.missing);
  try {
    const { batches } = images;
    const { task } = run;
    const expected = await evaluateTask(run.predictor, batches, task, { signal: options.signal });
    const found = await answersOf(folder, ort, batches, options.signal);
    const own = figures(found, expected, task);
    const runScore = options.wholeScore ?? qualityOf(expected.metrics).score;
    const isExact = (bundle.precision ?? "float32") === "float32";
    const items = expected.labels.length;
    const why = refusal(own, task, items, runScore, options.maxDrop ?? 0.5, isExact);
    if (why !== undefined) {
      const rows = await byFile(folder, bundle, parts, ort, batches, expected, task, options.signal);
      throw new UserError(`${run.folder.path} is not exported: ${why}\n${table(rows, task)}`);
    }
    if (task.kind !== "classification") {
      const { score, others: otherAnswers, difference } = own;
      return { items, score, runScore, otherAnswers, difference };
    }
    const answered = answeredBy(found, expected.labels, bundle);
    return { items, runAccuracy: runScore, accuracy: own.score, otherLabels: own.others, ...answered };
  } finally {
    images.dispose();
  }
}

/** The run's validation images, or why they cannot be read; images that were named must be there. */
export async function imagesOrReason({ folder, config }: OpenedRun, { data, onNote }: GateOptions) {
  try {
    const images = await openRunData(folder, config, { split: "validation", data });
    for (const remark of images.remarks) onNote?.(remark);
    return images;
  } catch (error) {
    if (data !== undefined || !(error instanceof UserError)) throw error;
    return { missing: `the run's validation images cannot be read (${shown(error.message)})` };
  }
}

interface Figures {
  /** What decides between models: accuracy, mean average precision, R2. */
  readonly score: number;
  /** Images with another answer than the run's. */
  readonly others: number;
  /** Mean of how far single answers are from the run's: see `differenceOf`. */
  readonly difference: number;
}

function figures(found: Float32Array, { probabilities, labels, targets }: TaskEvaluation, task: Task): Figures {
  const { score } = qualityOf(task.measure({ probabilities: found, labels, targets }));
  const rows = labels.map((_, i) => differencesOf(found, probabilities, i * task.outputs, task));
  const others = rows.filter((row) => row.some((one) => !(one <= (task.kind === "regression" ? otherBy : 0)))).length;
  return { score, others, difference: meanOf(rows.flat()) };
}

/** 1 for another class, or label by label; of numbers how far they are off, in deviations. */
function differencesOf(found: Float32Array, expected: Float32Array, offset: number, task: Task): number[] {
  const { outputs } = task;
  const each = (of: (a: number, b: number, c: number) => number): number[] =>
    Array.from({ length: outputs }, (_, c) =>
      of(found[offset + c] ?? Number.NaN, expected[offset + c] ?? Number.NaN, c),
    );
  if (task instanceof MultiLabelTask)
    return each((a, b, c) => Number(isPresent(task.thresholds, c, a) !== isPresent(task.thresholds, c, b)));
  if (task instanceof RegressionTask) return each((a, b, c) => Math.abs(a - b) / (task.deviations[c] ?? 1));
  return [Number(argmaxAt(found, offset, outputs) !== argmaxAt(expected, offset, outputs))];
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Answers of the files that the bundle's threshold lets pass; nothing without one. */
function answeredBy(probabilities: Float32Array, labels: readonly number[], { rejection, labels: names }: Bundle) {
  if (!rejection) return {};
  const answers = { probabilities, labels: [...labels], classes: names.length };
  return atThreshold(rejection.threshold, confidencesOf(answers), rightItems(probabilities, labels, names.length));
}

/** Why figures are refused; undefined where they are good. */
function refusal(
  { score, others }: Figures,
  { kind }: Task,
  items: number,
  runScore: number,
  maxDrop: number,
  isExact: boolean,
) {
  const drop = 100 * (runScore - score);
  if (drop > maxDrop) {
    const less = `${drop.toFixed(2)} points less, and --max-drop allows ${maxDrop}`;
    return kind === "classification"
      ? `its files are right on ${percent(score)} of the validation images, the run on ${percent(runScore)}: ${less}`
      : `its files come to ${scoreText(kind, score)} on the validation images, the run to ${scoreText(kind, runScore)}: ${less}`;
  }
  if (!isExact || others <= mostOthers * items) return undefined;
  const what = kind === "classification" ? "label" : "answer";
  return `its files give ${others} of ${items} validation images another ${what}, and ${percent(mostOthers)} may have one`;
}

/** Answers [N, C] of the bundle, by the runtime. */
async function answersOf(
  folder: string,
  ort: OnnxRuntime,
  batches: BatchSource,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  return withBundle(folder, ort, async (model) => {
    const { images, labels } = model.bundle;
    const { size } = images;
    const rows: Float32Array[] = [];
    await forEachImages(batches, signal, async (planes, n) => {
      const each = planes.length / n;
      const one = (i: number) => ({ data: planes.subarray(i * each, (i + 1) * each), dims: [3, size, size] });
      const answers = await model.predictAll(Array.from({ length: n }, (_, i) => one(i)));
      const valuesOf = (answer: AnyBundlePrediction): Float32Array =>
        "values" in answer
          ? Float32Array.from(labels, (name) => answer.values[name] ?? Number.NaN)
          : answer.probabilities;
      rows.push(...answers.map(valuesOf));
    });
    return joined(rows);
  });
}

/** Figures with one file of the bundle at a time, the rest of the answer being the run's. */
async function byFile(
  folder: string,
  bundle: Bundle,
  parts: BundleParts,
  ort: OnnxRuntime,
  batches: BatchSource,
  expected: TaskEvaluation,
  task: Task,
  signal: AbortSignal | undefined,
): Promise<[file: string, Figures][]> {
  const rows: [string, Figures][] = [];
  const files = await openFiles(folder, bundle, ort);
  const ofRun = runOf(bundle, parts);
  try {
    for (const file of filesToRun(bundle)) {
      const run: RunFile = (name, images, n) => (name === file ? files.run : ofRun)(name, images, n);
      const found: Float32Array[] = [];
      await forEachImages(batches, signal, async (images, n) => {
        found.push((await answer(bundle, images, n, run)).probabilities);
      });
      rows.push([file, figures(joined(found), expected, task)]);
    }
    return rows;
  } finally {
    await files.close();
  }
}

/** The run's own networks in the places of the files. */
function runOf(bundle: Bundle, { router, members }: BundleParts): RunFile {
  const { size } = bundle.images;
  return async (file, images, n) =>
    scope(() =>
      inferenceMode(() => {
        const x = tensor(images, { shape: [n, 3, size, size] });
        const place = bundle.members.findIndex((one) => one.file === file);
        const part = members[place];
        const result = part ? memberForward(part.member, x, part.layers) : router?.network.forward(x);
        if (!result) throw new RangeError(`no part for ${file}`);
        return result.to({ dtype: "float32" }).toTypedArray() as Float32Array;
      }),
    );
}

function table(rows: readonly (readonly [string, Figures])[], { kind }: Task): string {
  const isClassified = kind === "classification";
  const width = Math.max(...rows.map(([file]) => file.length));
  const lines = rows.map(([file, { score, others }]) => {
    const figure = isClassified ? percent(score) : score.toFixed(3);
    return [file.padEnd(width), figure.padStart(9), String(others).padStart(13)].join(" ");
  });
  const titles = isClassified
    ? " accuracy other labels"
    : (kind === "regression" ? "R2" : "mAP").padStart(8).concat(" other answers");
  return ["with this file alone exported, and all else of the run:", titles.padStart(width + 24), ...lines].join(
    "\n  ",
  );
}

/** The files of a bundle measured on the run's validation images, before anyone gets them. N images, C classes. */
import { shown } from "../../io/index.ts";
import { answer, type Bundle, filesToRun, type OnnxRuntime, type RunFile } from "../../runtime/index.ts";
import { inferenceMode, scope, tensor, UserError } from "../../torch/index.ts";
import {
  argmaxAt,
  atThreshold,
  type BatchSource,
  confidencesOf,
  type Evaluation,
  evaluate,
  joined,
  type OpenedRun,
  openRunData,
  rightItems,
} from "../../train/index.ts";
import { memberForward } from "../parts.ts";
import { percent } from "./card.ts";
import { forEachImages } from "./images.ts";
import type { BundleParts } from "./parts.ts";
import { openFiles, withBundle } from "./verify.ts";

export interface GateOptions {
  /** Place of the run's images, where they are not where it was trained. */
  data?: string | undefined;
  /** Points of validation accuracy that the files may lose against the run (default 0.5). */
  maxDrop?: number | undefined;
  /** Takes remarks for the user. */
  onNote?: ((text: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Share of labels that files of the run's own precision may change. */
const mostOtherLabels = 0.001;

/**
 * Runs the self-test, and compares the files' answers with the run's on its validation images.
 * @param folder with the files and their manifest
 * @param run as it answers with the parts that are exported; `wholeAccuracy` is that with all of them
 * @returns what the manifest says about it: figures, or why there are none
 * @throws UserError with a table of the files when they lose more than they may; Interrupted after the signal
 */
export async function passGate(
  folder: string,
  run: OpenedRun,
  parts: BundleParts,
  bundle: Bundle,
  ort: OnnxRuntime | undefined,
  options: GateOptions & { readonly wholeAccuracy?: number | undefined },
): Promise<NonNullable<Bundle["gate"]>> {
  const skip = (skipped: string) => {
    options.onNote?.(`the files were not measured: ${skipped}`);
    return { skipped };
  };
  if (!ort) return skip("onnxruntime-node is not installed");
  await withBundle(folder, ort, (model) => model.verify());
  const images = await validationImages(run, options);
  if ("missing" in images) return skip(images.missing);
  try {
    const { batches } = images;
    const classes = bundle.labels.length;
    const expected = await evaluate(run.predictor, batches, classes, { signal: options.signal });
    const found = await answersOf(folder, ort, batches, options.signal);
    const own = figures(found, expected.probabilities, expected.labels, classes);
    const { accuracy: ofParts } = expected.metrics;
    const runAccuracy = options.wholeAccuracy ?? ofParts;
    const isExact = (bundle.precision ?? "float32") === "float32";
    const why = refusal(own, expected.labels.length, runAccuracy, options.maxDrop ?? 0.5, isExact);
    if (why === undefined) {
      const answered = answeredBy(found, expected.labels, bundle);
      return { items: expected.labels.length, runAccuracy, ...own, ...answered };
    }
    const rows = await byFile(folder, bundle, parts, ort, batches, expected, options.signal);
    throw new UserError(`${run.folder.path} is not exported: ${why}\n${table(rows)}`);
  } finally {
    images.dispose();
  }
}

/** A remark that stands for images which are not there: images that were named must be. */
export async function validationImages({ folder, config }: OpenedRun, { data, onNote }: GateOptions) {
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
  readonly accuracy: number;
  readonly otherLabels: number;
}

function figures(found: Float32Array, expected: Float32Array, labels: readonly number[], classes: number): Figures {
  const right = rightItems(found, labels, classes).filter(Boolean).length;
  const own = (table: Float32Array, i: number): number => argmaxAt(table, i * classes, classes);
  return {
    accuracy: right / labels.length,
    otherLabels: labels.filter((_, i) => own(found, i) !== own(expected, i)).length,
  };
}

/** Answers of the files that the bundle's threshold lets pass; nothing without one. */
function answeredBy(probabilities: Float32Array, labels: readonly number[], { rejection, labels: names }: Bundle) {
  if (!rejection) return {};
  const answers = { probabilities, labels: [...labels], classes: names.length };
  return atThreshold(rejection.threshold, confidencesOf(answers), rightItems(probabilities, labels, names.length));
}

/** Why figures are refused; undefined where they are good. */
function refusal(
  { accuracy, otherLabels }: Figures,
  items: number,
  runAccuracy: number,
  maxDrop: number,
  isExact: boolean,
) {
  const drop = 100 * (runAccuracy - accuracy);
  if (drop > maxDrop) {
    return (
      `its files are right on ${percent(accuracy)} of the validation images, the run on ${percent(runAccuracy)}: ` +
      `${drop.toFixed(2)} points less, and --max-drop allows ${maxDrop}`
    );
  }
  if (!isExact || otherLabels <= mostOtherLabels * items) return undefined;
  return `its files give ${otherLabels} of ${items} validation images another label, and ${percent(mostOtherLabels)} may have one`;
}

/** Probabilities [N, C] of the bundle, by the runtime. */
async function answersOf(
  folder: string,
  ort: OnnxRuntime,
  batches: BatchSource,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  return withBundle(folder, ort, async (model) => {
    const { size } = model.bundle.images;
    const rows: Float32Array[] = [];
    await forEachImages(batches, signal, async (images, n) => {
      const each = images.length / n;
      const one = (i: number) => ({ data: images.subarray(i * each, (i + 1) * each), dims: [3, size, size] });
      const answers = await model.predictAll(Array.from({ length: n }, (_, i) => one(i)));
      rows.push(...answers.map(({ probabilities }) => probabilities));
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
  expected: Evaluation,
  signal: AbortSignal | undefined,
): Promise<[file: string, Figures][]> {
  const classes = bundle.labels.length;
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
      rows.push([file, figures(joined(found), expected.probabilities, expected.labels, classes)]);
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

function table(rows: readonly (readonly [string, Figures])[]): string {
  const width = Math.max(...rows.map(([file]) => file.length));
  const lines = rows.map(([file, { accuracy, otherLabels }]) =>
    [file.padEnd(width), percent(accuracy).padStart(9), String(otherLabels).padStart(13)].join(" "),
  );
  return [
    "with this file alone exported, and all else of the run:",
    ` accuracy other labels`.padStart(width + 24),
    ...lines,
  ].join("\n  ");
}

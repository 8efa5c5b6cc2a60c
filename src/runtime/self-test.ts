/** Images with the answers that a bundle must give, which travel with it. n images, m models, C classes, S pixels a side. */
import { type Answers, answer, type RunFile, ruleOf } from "./answer.ts";
import { BundleError } from "./check.ts";
import { routeOf } from "./choice.ts";
import { unit } from "./images.ts";
import type { Bundle } from "./manifest.ts";

export interface SelfTestResult {
  readonly images: number;
  /** Largest differences; of numbers in their deviations. */
  readonly scores: number;
  readonly probabilities: number;
  /** Images whose models are others. */
  readonly otherRoutes: number;
}

/**
 * Runs the self-test of a bundle.
 * @param file the content of its file
 * @param where the bundle, for messages
 * @throws BundleError when an answer is another
 */
export async function runSelfTest(
  bundle: Bundle,
  file: Uint8Array,
  run: RunFile,
  where: string,
): Promise<SelfTestResult> {
  const stored = tensorsOf(file, `${where}: ${bundle.selfTest.file}`);
  const { images: n, tolerance = 1e-3 } = bundle.selfTest;
  const bytes = stored.get("images");
  const images = unit(bytes instanceof Uint8Array ? bytes : new Uint8Array());
  if (images.length !== n * 3 * bundle.images.size ** 2) {
    throw new BundleError(`${where}: ${bundle.selfTest.file} has no ${n} images: export the run again`);
  }
  // The k models of the largest scores, whatever the bundle's own choice: rounding decides no answer's last model then.
  const answers = await answer(bundle, images, n, run, { k: bundle.k });
  const { task } = bundle;
  const scales = task?.kind === "regression" ? task.deviations : [1];
  const result = {
    images: n,
    scores: largestDifference(answers.scores, stored.get("scores")),
    probabilities: largestDifference(answers.probabilities, stored.get("probabilities"), scales),
    otherRoutes: otherRoutes(bundle, answers, stored.get("scores"), n),
  };
  if (result.scores <= tolerance && result.probabilities <= tolerance && result.otherRoutes === 0) return result;
  throw new BundleError(
    `${where} answers otherwise than the run that it was exported from: scores differ by ${result.scores.toExponential(1)}, ` +
      `${task?.kind === "regression" ? "numbers" : "probabilities"} by ${result.probabilities.toExponential(1)}, routes of ${result.otherRoutes} of ${n} images; ` +
      "use another version of the runtime",
  );
}

type Values = Float32Array | Uint8Array;

/** The tensors of a safetensors file whose numbers have 32-bit floats or bytes. @throws BundleError when it is none */
function tensorsOf(file: Uint8Array, where: string): Map<string, Values> {
  try {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const start = 8 + Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as Record<string, Entry>;
    const tensors = new Map<string, Values>();
    for (const [name, { dtype, data_offsets: [begin, end] = [0, 0] }] of Object.entries(header)) {
      const bytes = file.slice(start + begin, start + end);
      if (dtype === "U8") tensors.set(name, bytes);
      if (dtype === "F32") tensors.set(name, new Float32Array(bytes.buffer));
    }
    return tensors;
  } catch (cause) {
    throw new BundleError(`${where} is not a safetensors file: export the run again`, { cause });
  }
}

interface Entry {
  readonly dtype?: string;
  readonly data_offsets?: [number, number];
}

/** @param scales of a row's values, one for each or one for all */
function largestDifference(
  a: Float32Array | undefined,
  b: Values | undefined,
  scales: readonly number[] = [1],
): number {
  if (a?.length !== b?.length) return Number.POSITIVE_INFINITY;
  const scale = (i: number): number => scales[i % scales.length] ?? 1;
  return Array.from(a ?? [], (value, i) => Math.abs(value - (b?.[i] ?? Number.NaN)) / scale(i)).reduce(
    (x, y) => (Number.isNaN(y) ? Number.POSITIVE_INFINITY : Math.max(x, y)),
    0,
  );
}

function otherRoutes(bundle: Bundle, { scores }: Answers, expected: Values | undefined, n: number): number {
  if (!scores || !expected) return 0;
  const m = scores.length / n;
  const route = (of: Values, row: number): string =>
    routeOf(ruleOf(bundle, { k: bundle.k }), of.subarray(row * m, (row + 1) * m))
      .sort()
      .join();
  return Array.from({ length: n }, (_, row) => row).filter((row) => route(scores, row) !== route(expected, row)).length;
}

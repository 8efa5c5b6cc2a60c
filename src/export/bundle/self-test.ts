/** Images with the answers that a bundle must give, which travel with it. n images, m models, C classes, S pixels a side. */
import { join } from "node:path";
import { readSafetensors, writeSafetensors } from "../../io/index.ts";
import { disposeTree, Generator, inferenceMode, ops, rand, scope, type Tensor, UserError } from "../../torch/index.ts";
import type { Predictor } from "../../train/index.ts";
import { type Answers, answer, type RunFile, routeOf } from "./answer.ts";
import type { Bundle } from "./manifest.ts";

export const selfTestFile = "selftest/selftest.safetensors";
export const selfTestImages = 16;

/** Differences of scores and probabilities that another runtime may have. */
const tolerance = 1e-3;

/**
 * Writes soft patches of colour, the same for every run, with the predictor's scores, routes and probabilities. They are nobody's
 * images, so that a bundle can be given to anyone.
 */
export function writeSelfTest(path: string, predictor: Predictor, size: number, k: number): void {
  using generator = new Generator(16);
  scope(() => {
    const patches = ops.upsample_bilinear2d(rand([selfTestImages, 3, 4, 4], { generator }), [size, size], false);
    const images = ops.round(patches.mul(255)).to({ dtype: "uint8" });
    const { probabilities, scores, weights } = inferenceMode(() => predictor.predict(unit(images)));
    const tensors: [string, Tensor][] = [
      ["images", images],
      ["probabilities", probabilities],
    ];
    if (scores) tensors.push(["scores", scores]);
    if (weights) tensors.push(["weights", weights], ["routes", weights.topk(k, 1)[1]]);
    writeSafetensors(path, new Map(tensors));
  });
}

function unit(images: Tensor): Tensor {
  return images.to({ dtype: "float32" }).mul(1 / 255);
}

export interface SelfTestResult {
  readonly images: number;
  /** Largest differences. */
  readonly scores: number;
  readonly probabilities: number;
  /** Images whose models are others. */
  readonly otherRoutes: number;
}

/** Runs the self-test of a bundle. @throws UserError when an answer is another */
export async function runSelfTest(folder: string, bundle: Bundle, run: RunFile): Promise<SelfTestResult> {
  const { tensors } = readSafetensors(join(folder, bundle.selfTest.file));
  try {
    const stored = (name: string): Float32Array | undefined => {
      return tensors.get(name)?.toTypedArray() as Float32Array | undefined;
    };
    const images = scope(() => unit(tensors.get("images") as Tensor).toTypedArray()) as Float32Array;
    const n = bundle.selfTest.images;
    const answers = await answer(bundle, images, n, run);
    const result = {
      images: n,
      scores: largestDifference(answers.scores, stored("scores")),
      probabilities: largestDifference(answers.probabilities, stored("probabilities")),
      otherRoutes: otherRoutes(bundle, answers, stored("scores"), n),
    };
    const isEqual = result.scores <= tolerance && result.probabilities <= tolerance && result.otherRoutes === 0;
    if (isEqual) return result;
    throw new UserError(
      `${folder} answers otherwise than the run that it was exported from: scores differ by ${result.scores.toExponential(1)}, ` +
        `probabilities by ${result.probabilities.toExponential(1)}, routes of ${result.otherRoutes} of ${n} images; ` +
        "use another version of the runtime",
    );
  } finally {
    disposeTree(tensors);
  }
}

function largestDifference(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (a?.length !== b?.length) return Number.POSITIVE_INFINITY;
  return Array.from(a ?? [], (value, i) => Math.abs(value - (b?.[i] ?? Number.NaN))).reduce(
    (x, y) => Math.max(x, y),
    0,
  );
}

function otherRoutes(bundle: Bundle, { scores }: Answers, expected: Float32Array | undefined, n: number): number {
  if (!scores || !expected) return 0;
  const m = scores.length / n;
  const route = (of: Float32Array, row: number) =>
    routeOf(bundle, of.subarray(row * m, (row + 1) * m))
      .sort()
      .join();
  return Array.from({ length: n }, (_, row) => row).filter((row) => route(scores, row) !== route(expected, row)).length;
}

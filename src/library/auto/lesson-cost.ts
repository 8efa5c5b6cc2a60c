/** What a pathway generator takes beside members that stay as they are: its own network alone. */
import { changedViews, lessonRows } from "../../methods/index.ts";
import { defaultPathwayConfig, lossRegression, PathwayGenerator } from "../../pathway/index.ts";
import { Generator, noGrad, scope, zeros } from "../../torch/index.ts";
import type { AutoRequest } from "./request.ts";

export interface LessonCost {
  /** Seconds of a step: a batch of the generator's own, forward and backward, and the scores of the step's images. */
  step: number;
  /** Seconds of the scores of an image. */
  score: number;
}

/** Models that are scored: their number hardly counts. */
const m = 2;

/** Measures a step after one that makes the kernels. */
export function lessonCost({ data, options }: Pick<AutoRequest, "data" | "options">): LessonCost {
  const { generatorWidth: width, generatorSize: size } = defaultPathwayConfig;
  using random = new Generator(options.seed);
  using generator = new PathwayGenerator({ m, width, size, learnedNoise: false, generator: random });
  const side = Math.min(size, data.imageSize);
  const views = (rows: number) => zeros([rows, 3, side, side]);
  const rows = Math.max(1, Math.ceil(lessonRows(m, data.counts.train, side ** 2)));
  const images = Array.from({ length: rows }, (_, i) => i);
  const step = timed(() => {
    const changed = changedViews(views(rows), images, options.seed, 0);
    lossRegression(generator.forward(changed), zeros([rows, m])).backward();
  });
  const score = timed(() => noGrad(() => generator.forward(views(options.batchSize))));
  for (const parameter of generator.parameters()) parameter.grad?.dispose();
  return { step: step + score, score: score / options.batchSize };
}

/** Seconds of the second time. */
function timed(work: () => unknown): number {
  let began = 0;
  for (let i = 0; i < 2; i++) {
    began = performance.now();
    scope(() => void work());
  }
  return (performance.now() - began) / 1000;
}

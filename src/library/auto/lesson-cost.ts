/** What a pathway generator takes beside members that stay as they are: its own network alone. */
import { changedViews, lessonRows } from "../../methods/index.ts";
import { defaultPathwayConfig, lossRegression, PathwayGenerator } from "../../pathway/index.ts";
import { Generator, noGrad, scope, type Tensor, zeros } from "../../torch/index.ts";
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
export function lessonCost({ hub, data, options }: AutoRequest): LessonCost {
  const { device } = hub;
  const { generatorWidth: width, generatorSize: size } = defaultPathwayConfig;
  using random = new Generator(options.seed);
  using generator = new PathwayGenerator({ m, width, size, learnedNoise: false, generator: random, device });
  const side = Math.min(size, data.imageSize);
  const views = (rows: number) => zeros([rows, 3, side, side], { device });
  const rows = Math.max(1, Math.ceil(lessonRows(m, data.counts.train, side ** 2)));
  const images = Array.from({ length: rows }, (_, i) => i);
  const step = timed(() => {
    const changed = changedViews(views(rows), images, options.seed, 0);
    const loss = lossRegression(generator.forward(changed), zeros([rows, m], { device }));
    loss.backward();
    return loss;
  });
  const score = timed(() => noGrad(() => generator.forward(views(options.batchSize)).sum()));
  for (const parameter of generator.parameters()) parameter.grad?.dispose();
  return { step: step + score, score: score / options.batchSize };
}

/** Seconds of the second time, until the device knows the number. */
function timed(work: () => Tensor): number {
  let began = 0;
  for (let i = 0; i < 2; i++) {
    began = performance.now();
    scope(() => void work().item());
  }
  return (performance.now() - began) / 1000;
}

/** Models that are activated too seldom to be carried along. N images, m models. */
import type { Bundle } from "../../runtime/index.ts";
import { UserError } from "../../torch/index.ts";
import { evaluate, evaluateVariants, type OpenedRun, type Predictor } from "../../train/index.ts";
import { type GateOptions, validationImages } from "./gate.ts";
import { type BundleParts, partsOf } from "./parts.ts";

/** What is exported of a run, and the run as it answers with that alone. */
export interface Selection {
  readonly run: OpenedRun;
  readonly parts: BundleParts;
  readonly leftOut?: NonNullable<Bundle["leftOut"]>;
}

/**
 * A run without the models that less than a share of its validation images activate, which is measured.
 * @param minShare 0 … 1; nothing is left out when it is undefined
 * @throws UserError when the run cannot be exported, or its validation images are not there; Interrupted after the signal
 */
export async function selected(run: OpenedRun, minShare: number | undefined, options: GateOptions): Promise<Selection> {
  const { predictor, config, folder } = run;
  const parts = partsOf(predictor, folder.path);
  if (minShare === undefined || parts.router === undefined) return { run, parts };
  const images = await validationImages(run, options);
  if ("missing" in images) throw new UserError(`--min-share measures what it leaves out: ${images.missing}`);
  try {
    const { batches } = images;
    const [classes, { signal }] = [config.classes.length, options];
    const whole = await evaluate(predictor, batches, classes, { signal });
    const shares = imageShares(whole.weights, whole.members);
    const shareOf = (index: number): number => shares[index] ?? 0;
    const most = Math.max(...parts.members.map(({ index }) => shareOf(index)));
    // At least one has to answer, whatever share is asked for.
    const kept = parts.members.filter(({ index }) => shareOf(index) >= Math.min(minShare, most));
    const rare = parts.members.filter((part) => !kept.includes(part));
    if (rare.length === 0) return { run, parts };
    const k = Math.min(parts.k, kept.length);
    const models = kept.map(({ index }) => index);
    const [rest] = await evaluateVariants(predictor, batches, classes, [{ k, models }], { signal });
    if (!rest) throw new UserError(`${folder.path} does not answer without its rare models: leave out --min-share`);
    const leftOut = {
      minShare,
      members: rare.map(({ member: { name }, index }) => ({ name, share: shareOf(index) })),
      accuracy: rest.metrics.accuracy,
      runAccuracy: whole.metrics.accuracy,
    };
    return {
      run: { ...run, predictor: restricted(predictor, k, models) },
      parts: { ...parts, members: kept, k },
      leftOut,
    };
  } finally {
    images.dispose();
  }
}

/** Share of the images on which each model runs, from weights [N, m]. */
function imageShares(weights: Float32Array, m: number): number[] {
  const counts = new Array<number>(m).fill(0);
  for (const [i, weight] of weights.entries()) if (weight > 0) counts[i % m] = (counts[i % m] ?? 0) + 1;
  return counts.map((count) => (count * m) / weights.length);
}

/** The same predictor with some of its models. */
function restricted(predictor: Predictor, k: number, models: readonly number[]): Predictor {
  const { memberNames, parameters, inferenceFlops } = predictor;
  return {
    ...{ memberNames, parameters, inferenceFlops },
    predict: (images, features) => predictor.predict(images, features, { k, models }),
    eval: () => predictor.eval(),
    dispose: () => predictor.dispose(),
  };
}

/** Models that are activated too seldom to be carried along. N images, m models. */
import { front, PathwayLearner } from "../../methods/index.ts";
import type { BudgetChoice, Bundle } from "../../runtime/index.ts";
import { UserError } from "../../torch/index.ts";
import {
  evaluateTask,
  evaluateVariants,
  type OpenedRun,
  type Predictor,
  qualityOf,
  type TaskMetrics,
  type Variant,
  type VariantEvaluation,
} from "../../train/index.ts";
import { type GateOptions, imagesOrReason } from "./gate.ts";
import { type BundleParts, partsOf } from "./parts.ts";

/** What is exported of a run, and the run as it answers with that alone. */
export interface Selection {
  readonly run: OpenedRun;
  readonly parts: BundleParts;
  readonly leftOut?: NonNullable<Bundle["leftOut"]>;
}

/**
 * A run without the models that less than a share of its validation images activate, by its own choice of models and by those for
 * budgets; both are measured again without them.
 * @param minShare 0 … 1; nothing is left out when it is undefined
 * @throws UserError when the run cannot be exported, or its validation images are not there; Interrupted after the signal
 */
export async function selected(run: OpenedRun, minShare: number | undefined, options: GateOptions): Promise<Selection> {
  const { predictor, task, folder } = run;
  const parts = partsOf(predictor, folder.path);
  const asked = () => ({ run: { ...run, predictor: answering(predictor, parts) }, parts });
  if (minShare === undefined || parts.router === undefined) return asked();
  const images = await imagesOrReason(run, options);
  if ("missing" in images) throw new UserError(`--min-share measures what it leaves out: ${images.missing}`);
  try {
    const { batches } = images;
    const { signal } = options;
    const whole = await evaluateTask(predictor, batches, task, { signal });
    const wishes = parts.budgets.map(({ accuracy: _, flops: __, uses: ___, ...choice }) => choice);
    const others = await evaluateVariants(predictor, batches, task, wishes, { signal });
    const shares = [whole.weights, ...others.map((other) => other?.weights ?? whole.weights)].map((weights) =>
      imageShares(weights, whole.members),
    );
    const shareOf = (index: number): number => Math.max(...shares.map((own) => own[index] ?? 0));
    const most = Math.max(...parts.members.map(({ index }) => shareOf(index)));
    // At least one has to answer, whatever share is asked for.
    const kept = parts.members.filter(({ index }) => shareOf(index) >= Math.min(minShare, most));
    const rare = parts.members.filter((part) => !kept.includes(part));
    if (rare.length === 0) return asked();
    const { confidence, price } = parts;
    const own = { k: Math.min(parts.k, kept.length), confidence, price };
    const models = kept.map(({ index }) => index);
    const again = [own, ...wishes].map((choice) => among(choice, models));
    const [rest, ...measured] = await evaluateVariants(predictor, batches, task, again, { signal });
    if (!rest) throw new UserError(`${folder.path} does not answer without its rare models: leave out --min-share`);
    const [score, runScore] = [qualityOf(rest.metrics).score, qualityOf(whole.metrics).score];
    const leftOut = {
      minShare,
      members: rare.map(({ member: { name }, index }) => ({ name, share: shareOf(index) })),
      ...(task.kind === "classification" ? { accuracy: score, runAccuracy: runScore } : { score, runScore }),
    };
    return {
      run: { ...run, predictor: restricted(predictor, { ...own, models }) },
      parts: { ...parts, members: kept, k: own.k, budgets: budgetsOf(wishes, measured) },
      leftOut,
    };
  } finally {
    images.dispose();
  }
}

/** A run as the parts answer: by the models that were named alone, and without routes where there is no router. */
function answering(predictor: Predictor, parts: BundleParts): Predictor {
  if (!(predictor instanceof PathwayLearner)) return predictor;
  const { k, confidence, price, members } = predictor.rule;
  const all = restricted(predictor, { k, confidence, price, models: members.map(({ index }) => index) });
  if (parts.router) return members.length < predictor.largestK ? all : predictor;
  const predict: Predictor["predict"] = (images, features) => {
    const { probabilities } = all.predict(images, features);
    return { probabilities };
  };
  return { ...all, predict };
}

/** A choice of models without those that are left out. */
function among(choice: Variant, kept: readonly number[]): Variant & { models: readonly number[] } {
  return { ...choice, models: choice.models?.filter((index) => kept.includes(index)) ?? kept };
}

/** Share of the images on which each model runs, from weights [N, m]. */
function imageShares(weights: Float32Array, m: number): number[] {
  const counts = new Array<number>(m).fill(0);
  for (const [i, weight] of weights.entries()) if (weight > 0) counts[i % m] = (counts[i % m] ?? 0) + 1;
  return counts.map((count) => (count * m) / weights.length);
}

type Measured = readonly (VariantEvaluation<TaskMetrics> | undefined)[];

function budgetsOf(choices: readonly Omit<BudgetChoice, "accuracy" | "flops">[], measured: Measured): BudgetChoice[] {
  const all = choices.flatMap((choice, i): { choice: BudgetChoice }[] => {
    const { metrics, inferenceFlops: flops } = measured[i] ?? {};
    return metrics && flops !== undefined ? [{ choice: { ...choice, accuracy: qualityOf(metrics).score, flops } }] : [];
  });
  return front(all).map(({ choice }) => choice);
}

/** The same predictor with some of its models. */
function restricted(predictor: Predictor, own: Variant & { models: readonly number[] }): Predictor {
  const { memberNames, parameters, inferenceFlops } = predictor;
  return {
    ...{ memberNames, parameters, inferenceFlops },
    predict: (images, features, other) => predictor.predict(images, features, other ? among(other, own.models) : own),
    eval: () => predictor.eval(),
    dispose: () => predictor.dispose(),
  };
}

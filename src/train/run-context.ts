/**
 * Context of a run for its method: fits that go on where they stopped, measurements, decisions, and the sum of their
 * costs. A run's folder and a cell of a comparison differ in where they keep fits and decisions, which they say here.
 */
import type { AugmentOptions } from "../data/index.ts";
import type { Hub } from "../hub/index.ts";
import type { RankingScore } from "../ranking/index.ts";
import type { ProcessGroup } from "../torch/index.ts";
import { type BatchSource, reordered, type TaskData } from "./data.ts";
import { type Evaluation, evaluateTask } from "./evaluate.ts";
import type { Emit } from "./events.ts";
import { FeatureCache, type FeatureCacheOptions, type HeldOutSplit } from "./frozen/feature-cache.ts";
import { scaleFeatures } from "./frozen/feature-scale.ts";
import type { FitResult, Learner, Predictor } from "./learner.ts";
import type { ConfiguredMethod, FitChanges, MethodContext, ShardContext } from "./method.ts";
import type { TaskMetrics } from "./metrics.ts";
import { type TrainOptions, withEpochs } from "./options.ts";
import { type RankingPrior, rankingPrior } from "./ranking.ts";
import { type Task, taskOf } from "./task.ts";
import { type FitRequest, fit } from "./trainer.ts";

/** A fit as the method asks for it, before anything is computed. */
export interface AskedFit extends Required<Pick<FitChanges, "rate" | "order">> {
  name: string;
  learner: Learner;
  options: TrainOptions;
  shared: boolean;
}

export interface ContextParts {
  hub: Hub;
  data: TaskData;
  augmentation: AugmentOptions;
  options: TrainOptions;
  prior: RankingPrior | undefined;
  /** Keep the features of frozen members (default); otherwise they are computed anew in every step. */
  cacheFeatures?: boolean | undefined;
  /** Splits that the run measures, and images of each that it looks at. */
  splits: readonly HeldOutSplit[];
  limits?: FeatureCacheOptions["limits"];
  /** Beginning of a fit's files, and identity of what they belong to. */
  place(fit: AskedFit): Pick<FitRequest, "checkpoint" | "identity">;
  decide: MethodContext["decide"];
  /** Epochs after which a fit is measured on validation data; each one when left out. */
  isMeasured?: ((epoch: number, epochs: number) => boolean) | undefined;
  emit: Emit;
  signal?: AbortSignal | undefined;
  /** Time (Date.now()) by which fits end. */
  endsBy?: number | undefined;
  /** Ranks that train together. */
  group?: ProcessGroup | undefined;
  /** They have the models among them. */
  shards?: ShardContext | undefined;
}

/** Images that a whole prediction is timed on. */
const timedImages = 16;

export class RunContext implements Disposable {
  /** FLOPs of all fits, and of a ranking for the prior. */
  trainingFlops: number;
  #seconds = 0;
  readonly task: Task;
  readonly #parts: ContextParts;
  /** Every learner that began a fit. */
  readonly #learners = new Set<Learner>();
  /** Features of members that stay as they are. */
  readonly #features: FeatureCache | undefined;

  constructor(parts: ContextParts) {
    this.trainingFlops = parts.prior?.flops ?? 0;
    this.#parts = parts;
    this.task = taskOf(parts.data, parts.options);
    this.#features = featureCache(parts);
  }

  /** Run time of all fits. */
  get seconds(): number {
    return this.#seconds + (this.#features?.seconds ?? 0);
  }

  /** True when the members' features are at hand, so that a prediction takes less than a whole one. */
  get hasFeatures(): boolean {
    return this.#features !== undefined;
  }

  /** The context of a method, which may copy it with changes. */
  context(): MethodContext {
    const { hub, data, options, prior, decide, signal, shards } = this.#parts;
    return {
      hub,
      data,
      task: this.task,
      options,
      prior: prior?.members.map((member) => member.probability),
      fit: (name, learner, changes) => this.#fit(name, learner, changes),
      validate: (predictor) => this.#validate(predictor),
      decide,
      spend: (flops) => {
        this.trainingFlops += flops;
      },
      shards,
      signal,
    };
  }

  /** Predictor that the method makes; where it fails, everything that began a fit is released. */
  async train(method: ConfiguredMethod): Promise<Predictor> {
    try {
      return await method.train(this.context());
    } catch (error) {
      for (const learner of this.#learners) learner.dispose();
      throw error;
    }
  }

  /** The batches of a split, with the features that are at hand, for a predictor that may need no images beside them. */
  open(split: HeldOutSplit, predictor?: Predictor): BatchSource {
    const { data, limits } = this.#parts;
    return this.#features?.open(split, predictor) ?? data.open(split, limits?.[split]);
  }

  /**
   * A predictor over images of a split, by features where they are at hand; the time is that of whole predictions.
   * @throws Interrupted after the signal
   */
  async measure<M extends TaskMetrics>(
    predictor: Predictor,
    split: HeldOutSplit,
    task: Parameters<typeof evaluateTask<M>>[2],
  ): Promise<Evaluation<M>> {
    const { data, signal } = this.#parts;
    const evaluation = await evaluateTask(predictor, this.open(split, predictor), task, { signal });
    if (!this.#features) return evaluation;
    const few = data.open("validation", Math.min(timedImages, data.counts.validation));
    const { secondsPerImage } = await evaluateTask(predictor, few, task, { signal });
    return { ...evaluation, secondsPerImage };
  }

  [Symbol.dispose](): void {
    this.#features?.dispose();
  }

  #validate(predictor: Predictor): ReturnType<MethodContext["validate"]> {
    const { signal, group } = this.#parts;
    // Ranks stop together, after a step.
    const options = group ? { group } : { signal };
    return evaluateTask(predictor, this.open("validation", predictor), this.task, options);
  }

  async #fit(name: string, learner: Learner, changes: FitChanges = {}): Promise<FitResult> {
    const { hub, data, options: usual, splits, place, isMeasured, emit, signal, group, endsBy } = this.#parts;
    const { epochs = usual.epochs, rate = 1, order = 0, shared = false, rows } = changes;
    const options = { ...withEpochs(usual, epochs), lr: usual.lr * rate };
    // A learner is known by what it starts from, before it gets constants of the features.
    const files = place({ name, learner, options, rate, order, shared });
    const frozen = options.frozenViews !== undefined;
    this.#learners.add(learner);
    if (frozen) learner.standardizers?.();
    if (hub.device !== undefined) learner.module.to({ device: hub.device });
    for (const split of splits) await this.#features?.prepare(split, learner);
    const images = rows ? data.trainOn(rows) : data.train;
    const batches = reordered((await this.#features?.train(learner, images)) ?? images, order);
    const scaling = frozen ? await scaleFeatures(learner, batches, { signal, group }) : 0;
    const measured = async (epoch: number) =>
      isMeasured?.(epoch, epochs) === false ? undefined : (await this.#validate(learner)).metrics;
    const result = await fit({
      fit: name,
      learner,
      kind: this.task.kind,
      batches,
      options,
      ...files,
      emit,
      validate: measured,
      validation: () => this.open("validation", learner),
      signal,
      residency: hub.residency,
      group,
      endsBy,
    });
    this.#seconds += result.seconds;
    this.trainingFlops += scaling + result.trainingFlops + (this.#features?.trainingFlops(learner) ?? 0);
    return result;
  }
}

function featureCache(parts: ContextParts): FeatureCache | undefined {
  const { cacheFeatures = true, options, ...rest } = parts;
  const { frozenViews } = options;
  if (frozenViews === undefined || !cacheFeatures) return undefined;
  return new FeatureCache({ ...rest, options: { ...options, frozenViews } });
}

/** A request for the prior of a score; the uniform one without it. */
type PriorRequest = Pick<ContextParts, "hub" | "data" | "emit" | "signal"> & {
  score: RankingScore | undefined;
  seed: number;
};

/** The prior that is asked for, from the members' scores on the training images; undefined for the uniform one. */
export async function requestedPrior(request: PriorRequest): Promise<RankingPrior | undefined> {
  const { hub, data, score, seed, emit, signal } = request;
  if (!score) return undefined;
  const onMember = (member: string) => emit({ type: "note", text: `ranking ${member} by ${score.name}` });
  return rankingPrior(hub, data, score, { seed, onMember, signal });
}

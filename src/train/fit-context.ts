/** What a run gives its method: fits that are kept in its folder, measurements, and decisions that are made once. */
import type { Hub } from "../hub/index.ts";
import { type BatchSource, type DataRequest, reordered, type TaskData } from "./data.ts";
import { evaluate } from "./evaluate.ts";
import type { Emit } from "./events.ts";
import { FeatureCache } from "./frozen/feature-cache.ts";
import { scaleFeatures } from "./frozen/feature-scale.ts";
import type { FitResult, Learner, Predictor } from "./learner.ts";
import type { FitChanges, Method, MethodContext } from "./method.ts";
import { type TrainOptions, withEpochs } from "./options.ts";
import type { RankingPrior } from "./ranking.ts";
import { identityOf, type RunConfig } from "./run-config.ts";
import { fingerprint, type RunFolder } from "./run-folder.ts";
import { ClassificationTask } from "./task.ts";
import { fit } from "./trainer.ts";

export interface FitParts {
  config: RunConfig;
  hub: Hub;
  data: TaskData;
  augment: DataRequest["augment"];
  folder: RunFolder;
  emit: Emit;
  signal: AbortSignal | undefined;
  /** Keep the features of frozen members; otherwise they are computed anew in every step. */
  cacheFeatures: boolean;
}

/** A method's context that counts what its fits cost. */
export class FitContext implements MethodContext {
  readonly hub: Hub;
  readonly data: TaskData;
  readonly task: ClassificationTask;
  readonly options: TrainOptions;
  readonly choices: Record<string, unknown>;
  readonly prior: readonly number[] | undefined;
  trainingFlops: number;
  #seconds = 0;
  readonly #parts: FitParts;
  readonly #identity: unknown;
  /** Every learner that began a fit. */
  readonly #learners = new Set<Learner>();
  /** Features of members that stay as they are. */
  readonly #features: FeatureCache | undefined;

  constructor(parts: FitParts) {
    const { hub, data, config } = parts;
    this.hub = hub;
    this.data = data;
    this.options = config.options;
    this.choices = config.choices;
    this.task = new ClassificationTask(data.classes.length, config.options.labelSmoothing);
    this.prior = priorOf(config.prior);
    this.trainingFlops = config.prior?.flops ?? 0;
    this.#parts = parts;
    this.#identity = identityOf(config);
    this.#features = featureCache(parts);
  }

  get signal(): AbortSignal | undefined {
    return this.#parts.signal;
  }

  get seconds(): number {
    return this.#seconds + (this.#features?.seconds ?? 0);
  }

  async fit(name: string, learner: Learner, changes: FitChanges = {}): Promise<FitResult> {
    const { hub, folder, emit, signal } = this.#parts;
    const { epochs = this.options.epochs, rate = 1, order = 0 } = changes;
    const frozen = this.options.frozenViews !== undefined;
    this.#learners.add(learner);
    if (frozen) learner.standardizers?.();
    if (hub.device !== undefined) learner.module.to({ device: hub.device });
    await this.#features?.prepare("validation", learner);
    const batches = reordered((await this.#features?.train(learner)) ?? this.data.train, order);
    const scaling = frozen ? await scaleFeatures(learner, batches, signal) : 0;
    const result = await fit({
      fit: name,
      learner,
      batches,
      options: { ...withEpochs(this.options, epochs), lr: this.options.lr * rate },
      checkpoint: folder.checkpoint(name),
      identity: fingerprint({ config: this.#identity, rate, order, name }),
      emit,
      validate: async () => (await this.validate(learner)).metrics,
      validation: () => this.#openValidation(),
      signal,
      residency: hub.residency,
    });
    this.#seconds += result.seconds;
    this.trainingFlops += scaling + result.trainingFlops + (this.#features?.trainingFlops(learner) ?? 0);
    return result;
  }

  validate(predictor: Predictor): ReturnType<MethodContext["validate"]> {
    return evaluate(predictor, this.#openValidation(), this.data.classes.length, { signal: this.#parts.signal });
  }

  decide<T>(name: string, compute: () => Promise<T>): Promise<T> {
    return this.#parts.folder.decide(name, compute);
  }

  spend(flops: number): void {
    this.trainingFlops += flops;
  }

  /** What the method makes; where it fails, everything that began a fit is released. */
  async train(method: Method): Promise<Predictor> {
    try {
      return await method.train(this);
    } catch (error) {
      for (const learner of this.#learners) learner.dispose();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#features?.dispose();
  }

  #openValidation(): BatchSource {
    return this.#features?.open("validation") ?? this.data.open("validation");
  }
}

function priorOf(prior: RankingPrior | undefined): number[] | undefined {
  return prior?.members.map((member) => member.probability);
}

function featureCache(parts: FitParts): FeatureCache | undefined {
  const { hub, data, augment, emit, signal, config, cacheFeatures } = parts;
  const { frozenViews } = config.options;
  if (frozenViews === undefined || !cacheFeatures) return undefined;
  return new FeatureCache({ hub, data, augment, options: { ...config.options, frozenViews }, emit, signal });
}

/** The interface behind which Hub-Pathway and its rivals stand: same data, same loop, same budgets. */
import type { Hub, HubManifest } from "../hub/index.ts";
import type { TaskData } from "./data.ts";
import type { Evaluation } from "./evaluate.ts";
import type { FitResult, Learner, Predictor } from "./learner.ts";
import type { RequestedOptions, TrainOptions } from "./options.ts";
import type { Task } from "./task.ts";

/** Differences of one fit of a run from the run's options. */
export interface FitChanges {
  /** Number of passes. */
  epochs?: number | undefined;
  /** Factor on the learning rate. */
  rate?: number | undefined;
  /** Another order and other augmented views of the training images for each number; the run's own is 0. */
  order?: number | undefined;
  /** The fit is plain fine-tuning of what it starts from, the same in every method: cells of a comparison share it. */
  shared?: boolean | undefined;
}

/** Inputs of a method. */
export interface MethodContext {
  hub: Hub;
  data: TaskData;
  task: Task;
  options: TrainOptions;
  /** Options of the method itself, as the command line gave them (k, member, aggregation, …). */
  choices: Record<string, unknown>;
  /** Prior of the exploration loss over the hub's members, in its order; undefined for the uniform one. */
  prior: readonly number[] | undefined;
  /**
   * Trains a learner to the end and keeps its checkpoint under the given name; a finished fit is only loaded.
   */
  fit(name: string, learner: Learner, changes?: FitChanges): Promise<FitResult>;
  /** Predictions on the validation split. */
  validate(predictor: Predictor): Promise<Evaluation>;
  /** A decision made on validation data: computed once, then read from the run's folder. */
  decide<T>(name: string, compute: () => Promise<T>): Promise<T>;
  /** Ends loops over batches. */
  signal?: AbortSignal | undefined;
  /** Adds FLOPs that training took outside of fits, such as those of a ranking. */
  spend(flops: number): void;
}

export interface Method {
  readonly name: string;
  /** Version of what it computes (default 1): raised when the same choices would train otherwise. Runs and cells carry it. */
  readonly version?: number;
  /** Defaults of its choices: with the choices that were made they say what was computed. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** True when it has an exploration loss that a prior over the members may guide. */
  readonly takesPrior?: boolean;
  /** Members that run for each image, of m; all that it trains when left out. */
  activated?(choices: Readonly<Record<string, unknown>>, m: number): number;
  /** True when its members may stay as the hub has them. */
  readonly freezesMembers?: boolean;
  /**
   * Refuses choices that the method or this hub does not have, before anything is computed or written.
   * @throws ConfigError naming the choice
   */
  check(choices: Readonly<Record<string, unknown>>, hub: HubManifest, options: RequestedOptions): void;
  /** Trains (or, for a finished run, loads) and returns what predicts. */
  train(context: MethodContext): Promise<Predictor>;
}

/** The interface behind which Hub-Pathway and its rivals stand: same data, same loop, same budgets. */
import type { TaskKind } from "../data/index.ts";
import type { Hub, HubManifest, Residency } from "../hub/index.ts";
import type { RankingScore } from "../ranking/index.ts";
import type { ProcessGroup } from "../torch/index.ts";
import type { TaskData } from "./data.ts";
import type { TaskEvaluation } from "./evaluate.ts";
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
  /** Positions of the training images that it passes, for a fit that is not shared; all when left out. */
  rows?: readonly number[] | undefined;
  /** The fit is plain fine-tuning of what it starts from, the same in every method: cells of a comparison share it. */
  shared?: boolean | undefined;
}

/** Value of a choice before its method has read it: what JSON can hold, or none. */
export type Choice = string | number | boolean | null | undefined | readonly Choice[] | Choices;

/** Choices of a method by their names, as a run was given them and keeps them. */
export interface Choices {
  readonly [name: string]: Choice;
}

/** Inputs of a method. */
export interface MethodContext {
  hub: Hub;
  data: TaskData;
  task: Task;
  options: TrainOptions;
  /** Prior of the exploration loss over the hub's members, in its order; undefined for the uniform one. */
  prior: readonly number[] | undefined;
  /**
   * Trains a learner to the end and keeps its checkpoint under the given name; a finished fit is only loaded.
   */
  fit(name: string, learner: Learner, changes?: FitChanges): Promise<FitResult>;
  /** Predictions on the validation split. */
  validate(predictor: Predictor): Promise<TaskEvaluation>;
  /** A decision made on validation data: computed once, then read from the run's folder. */
  decide<T>(name: string, compute: () => Promise<T>): Promise<T>;
  /** Ranks that share the models among them, where that was asked for. */
  shards?: ShardContext | undefined;
  /** Ends loops over batches. */
  signal?: AbortSignal | undefined;
  /** Adds FLOPs that training took outside of fits, such as those of a ranking. */
  spend(flops: number): void;
}

/** Ranks that have a hub's models among them. */
export interface ShardContext {
  group: ProcessGroup;
  /** Memory of so many bytes for models whose weights come from files. */
  residency(budget: number): Residency;
}

export interface Method {
  readonly name: string;
  /** What `versionOf` says: raised when the same choices would train otherwise, of all choices or of some. */
  readonly version?: number | ((choices: Choices) => number);
  /** The choices of a new run: those that were made, and those that its options decide where none was made. */
  completed?(choices: Choices, hub: HubManifest, options: RequestedOptions): Choices;
  /** Learning rate of its generator over that of pre-trained weights, where a run names none; undefined for the usual one. */
  readonly generatorFactor?: (choices: Choices) => number | undefined;
  /** Defaults of its choices: with the choices that were made they say what was computed. */
  readonly defaults?: object;
  /** Kinds of labels that it takes; all when left out. */
  readonly kinds?: readonly TaskKind[];
  /** Why it takes no others, and a method that does. */
  readonly otherwise?: string;
  /** True when its members may stay as the hub has them. */
  readonly freezesMembers?: boolean;
  /** True when its members may be trained in parts. */
  readonly tunesMembers?: boolean;
  /**
   * Reads the choices of a run, once and before anything is computed or written: what it made of them is in the result.
   * @throws ConfigError naming a choice that the method or this hub does not have
   */
  configure(choices: Choices, hub: HubManifest, options: RequestedOptions): ConfiguredMethod;
}

/** A method with its choices, for the members of one hub. */
export interface ConfiguredMethod {
  /** Members that run for each image; all that it trains when left out. */
  readonly activated?: number;
  /** True when ranks may have its models among them; or the reason why not, where a choice is one. */
  readonly shardable?: boolean | string;
  /** Score of the members that guides the exploration loss; none when left out. */
  readonly prior?: RankingScore | undefined;
  /** Trains (or, for a finished run, loads) and returns what predicts. */
  train(context: MethodContext): Promise<Predictor>;
}

/** The choices of a new run: see `Method.completed`. */
export function completedChoices(
  { completed }: Pick<Method, "completed">,
  choices: Choices,
  hub: HubManifest,
  options: RequestedOptions,
): Choices {
  return completed?.(choices, hub, options) ?? choices;
}

/** Version of what a method computes with these choices, 1 at first. Runs and cells carry it, so that results of old code and new are not mixed. */
export function versionOf({ version = 1 }: Pick<Method, "version">, choices: Choices): number {
  return typeof version === "number" ? version : version(choices);
}

/** The interface behind which Hub-Pathway and its rivals stand: same data, same loop, same budgets. */
import type { Hub } from "../hub/index.ts";
import type { TaskData } from "./data.ts";
import type { Evaluation } from "./evaluate.ts";
import type { Learner, Predictor } from "./learner.ts";
import type { TrainOptions } from "./options.ts";
import type { Task } from "./task.ts";
import type { FitResult } from "./trainer.ts";

/** What a method is given. */
export interface MethodContext {
  hub: Hub;
  data: TaskData;
  task: Task;
  options: TrainOptions;
  /** Options of the method itself, as the command line gave them (k, member, aggregation, …). */
  choices: Record<string, unknown>;
  /**
   * Trains a learner to the end and keeps its checkpoint under the given name; a finished fit is only loaded.
   * @param epochs number of passes, when it differs from the run's
   */
  fit(name: string, learner: Learner, epochs?: number): Promise<FitResult>;
  /** Predictions on the validation split. */
  validate(predictor: Predictor): Promise<Evaluation>;
  /** A decision made on validation data: computed once, then read from the run's folder. */
  decide<T>(name: string, compute: () => Promise<T>): Promise<T>;
}

export interface Method {
  readonly name: string;
  /** One line for --help. */
  readonly summary: string;
  /** Trains (or, for a finished run, loads) and returns what predicts. */
  train(context: MethodContext): Promise<Predictor>;
}

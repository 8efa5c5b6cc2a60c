/** A finished run, opened to predict: its folder is all that is needed. */
import { tmpdir } from "node:os";
import { Residency } from "../hub/index.ts";
import { sweepTemporaries, temporaryPath } from "../io/index.ts";
import { answerWords, ChoiceError, type Choices, chosenBy } from "../runtime/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { type KeptSource, loadModel, storedFacts } from "./kept-model.ts";
import type { Predictor } from "./learner.ts";
import { requireK } from "./predict.ts";
import { type ImageRunFolder, imageRun, type RunConfig } from "./run-config.ts";
import { RunFolder } from "./run-folder.ts";
import {
  type Calibration,
  checkRule,
  chooseThreshold,
  isAsked,
  type RejectionRule,
  type Selection,
} from "./selective.ts";
import type { Task } from "./task.ts";

/** A wish for rejection chooses a threshold from what was measured when the run ended. */
export interface OpenRunOptions extends RejectionRule {
  /** Bytes that the members' weights may hold in memory; all of them when left out. */
  hubMemory?: number | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
  /** Device on which it computes (default "cpu"). */
  device?: string | undefined;
  /** Activated models for each image, where another number than in training is wanted. */
  k?: number | undefined;
  /**
   * Probability of an answer at which an image activates no further model, 0 … 1: models are asked in the order of their
   * scores, k of them at most (all when k is left out).
   */
  confidence?: number | undefined;
  /** FLOPs that an image may cost, on average: the best choice of models within them; a confidence can only stop earlier. */
  flops?: number | undefined;
  /** Milliseconds on this machine that an image of a batch may cost, in place of FLOPs. */
  ms?: number | undefined;
  /** Names of the only models that may answer; all of them for every image, where k is left out. */
  models?: readonly string[] | undefined;
}

export interface OpenedRun {
  folder: ImageRunFolder;
  config: RunConfig;
  predictor: Predictor;
  /** As it was trained, with its thresholds of several labels. */
  task: Task;
  /** Of the run's own choice of models; older runs have none. */
  calibration?: Calibration | undefined;
  /** False when other models answer than those that the calibration was measured with. */
  isOwnChoice: boolean;
  /** The threshold that was asked for. */
  rejection?: Selection | undefined;
  dispose(): void;
}

/** Puts a stored predictor together: methods know how. */
export type Restore = (source: KeptSource, imageSize: number) => Predictor;

/**
 * Loads what predicts of a finished run.
 * @throws UserError when there is none, or it is unfinished or damaged; ConfigError for a k, FLOPs or a threshold that it
 * cannot have
 */
export function openRun(path: string, restore: Restore, options: OpenRunOptions = {}): OpenedRun {
  const { device, trust, hubMemory } = options;
  refuseMemoryOn(device, hubMemory);
  checkRule(options);
  const folder = new RunFolder(path, imageRun);
  const config = folder.config();
  folder.requireFinished();
  if (config.task) refuseSureness(config.task, options);
  // Files that a killed process spilled belong to nobody.
  if (hubMemory !== undefined) sweepTemporaries(tmpdir());
  const residency =
    hubMemory === undefined
      ? undefined
      : new Residency({ budget: hubMemory, folder: temporaryPath(tmpdir(), "members") });
  let predictor: Predictor | undefined;
  const dispose = () => {
    predictor?.dispose();
    residency?.dispose();
  };
  try {
    const { imageSize } = config.data.form;
    predictor = loadModel(folder.file("model"), (source) => restore(source, imageSize), { device, trust, residency });
    const { k } = predictor;
    choose(predictor, options);
    const { flops, ms, confidence, models } = options;
    const isOwnChoice = [flops, ms, confidence, models].every((wish) => wish === undefined) && predictor.k === k;
    const run = { folder, config, predictor, ...storedFacts(folder.file("model")), isOwnChoice, dispose };
    return { ...run, rejection: isAsked(options) ? rejectionOf(run, options) : undefined };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** @throws ConfigError for wishes about the probability of one answer, which several labels and numbers do not have */
export function refuseSureness(
  task: NonNullable<RunConfig["task"]>,
  { confidence, coverage, maxError }: OpenRunOptions,
): void {
  if (confidence === undefined && !isAsked({ coverage, maxError })) return;
  throw new ConfigError(
    `--confidence, --coverage and --max-error go by the probability of one answer, and this run answers with ${answerWords[task]}: leave them out`,
  );
}

/** @throws UserError, ConfigError for a run that has no threshold for the wish */
function rejectionOf(run: OpenedRun, rule: RejectionRule): Selection | undefined {
  const { folder, calibration, isOwnChoice } = run;
  if (!isOwnChoice) {
    throw new ConfigError(
      "--coverage and --max-error are measured with the run's own choice of models: leave out --k, --flops, --ms, --confidence and --models",
    );
  }
  if (calibration) return chooseThreshold(calibration, rule);
  throw new UserError(
    `${folder.path} was trained before thresholds were measured: measure them once with ` +
      `\`hub-pathway eval ${folder.path} --coverage 0.9\`, where its images are`,
  );
}

/** @throws ConfigError where the weights that are to be limited are not in main memory */
export function refuseMemoryOn(device: string | undefined, hubMemory: number | undefined): void {
  if (hubMemory === undefined || device === undefined || device === "cpu") return;
  throw new ConfigError(`--hub-memory limits main memory, and the run computes on ${device}: leave one of them out`);
}

function choose(predictor: Predictor, wish: OpenRunOptions): void {
  // Its message knows which members the run did not keep.
  if (wish.k !== undefined) requireK(predictor, wish.k);
  const { isOrdered = false } = predictor;
  const models = wish.models && placesOf(predictor, wish);
  const largestK = models?.length ?? predictor.largestK;
  try {
    const choice = chosenBy(
      { largestK, isOrdered, ...costs(predictor, wish) },
      { ...wish, flops: wish.ms ?? wish.flops },
    );
    if (models) predictor.answerBy?.({ k: models.length, ...choice, models });
    else if (choice && (choice.confidence !== undefined || choice.price)) predictor.answerBy?.(choice);
    else if (choice) predictor.k = choice.k;
  } catch (error) {
    throw error instanceof ChoiceError ? new ConfigError(error.message, { cause: error }) : error;
  }
}

/** Places of the named models. @throws ConfigError for a name that the run does not have, or a run that does not choose */
function placesOf(predictor: Predictor, { models = [], flops, ms }: OpenRunOptions): number[] {
  const { memberNames } = predictor;
  if (!predictor.answerBy) throw new ConfigError("this run does not choose models: leave --models out");
  if (flops !== undefined || ms !== undefined)
    throw new ConfigError("--models, --flops and --ms all choose the models: leave two of them out");
  const kept = memberNames.filter((_, place) => predictor.isKept?.(place) !== false);
  const unknown = models.filter((name) => !kept.includes(name));
  if (models.length > 0 && unknown.length === 0) return [...new Set(models.map((name) => memberNames.indexOf(name)))];
  const why = unknown.length > 0 ? `the run kept no model ${quoted(unknown)}` : "--models names none";
  throw new ConfigError(`${why}; its models are ${kept.join(", ")}`);
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");

/** What choices cost in the unit of a wish. @throws ConfigError for two of them */
function costs(predictor: Predictor, { k, flops, ms }: OpenRunOptions): Pick<Choices, "budgets" | "flops" | "unit"> {
  if (ms === undefined) return { budgets: predictor.budgets, flops: predictor.flopsByK };
  if (!predictor.timedChoices) throw new ConfigError("this run does not choose models: leave --ms out");
  if (k !== undefined || flops !== undefined)
    throw new ConfigError("--ms, --k and --flops all choose the models: leave two of them out");
  return { ...predictor.timedChoices(), unit: "ms" };
}

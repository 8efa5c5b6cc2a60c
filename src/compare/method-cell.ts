/** One cell of a comparison: a method with its choices, one target, one seed, trained and measured. */
import { meanWeightEntropy, routingVerdict } from "../report/index.ts";
import { UserError } from "../torch/index.ts";
import {
  ClassificationTask,
  type Evaluation,
  type Metrics,
  type Predictor,
  pathwayShares,
  rightItems,
  routeInformation,
  summarise,
  versionOf,
} from "../train/index.ts";
import { packBits } from "./bits.ts";
import type { CellId } from "./cell-store.ts";
import { CellTraining, type KFigures } from "./cell-training.ts";
import type { ExperimentRequest } from "./experiment.ts";
import { changesFrom } from "./identity.ts";
import { optionsKey, type Plan, type Protocol, type Setting, targetKey } from "./protocol.ts";
import { type Provenance, provenance } from "./provenance.ts";

/** Raised when the training loop, defaults of its options or of targets, or the measurements would give other figures. */
export const cellVersion = 1;

/** Measurements on one split. */
export interface SplitFigures extends Metrics {
  items: number;
  secondsPerImage: number;
  /** One bit an item, 1 where the most probable class is right, base64: for paired comparisons. */
  right: string;
}

export interface RoutingFigures {
  members: readonly string[];
  /** Share of the activations of each member. */
  shares: number[];
  /** Mutual information of input and activated model, nats. */
  information: number;
  /** Mean entropy of the weights of the activated models, nats. */
  weightEntropy: number;
  /** Expected accuracy along the routes of an image at random; not in older cells, nor where nothing is chosen. */
  permuted?: number;
}

export interface MethodCell {
  version: number;
  plan: Pick<Plan, "name" | "budget" | "epochs" | "choices"> & { method: string };
  protocol: Protocol;
  hubFingerprint: string;
  seed: number;
  /** A hash of the positions on each side of the split. */
  splitHash: string;
  /** A name for what the pixels depend on: file paths and times, in cells from before `content`. */
  pixels?: string;
  /** A name for what the pixels depend on: the content of the images and how they are decoded. */
  content?: string;
  made: Provenance;
  validation: SplitFigures;
  test?: SplitFigures;
  parameters: number;
  inferenceFlops: number;
  trainingFlops: number;
  trainingSeconds: number;
  /** On validation data, for a method that routes. */
  routing?: RoutingFigures;
  byK?: KFigures[];
  /** Choices made on validation data or by ranking. */
  decisions: Record<string, unknown>;
}

/** Measurements on the test split, which only a final run makes: a file apart, which only a final table opens. */
interface TestPart {
  test: SplitFigures;
  /** For each k of the cell. */
  byK: Metrics[];
}

/**
 * The cell of a plan in a setting, computed when it is missing.
 * @throws ConfigError for choices that the method or the hub does not have
 */
export async function methodCell(
  request: ExperimentRequest,
  setting: Setting,
  plan: Plan,
  method = setting.configured(plan),
): Promise<MethodCell> {
  const { name, key } = identify(setting, plan);
  const known = request.cells.read<MethodCell>(name, key);
  if (known && methodCellIds(request, setting, plan).every((id) => request.cells.has(...id))) return known;
  const began = performance.now();
  using training = await CellTraining.open(request, setting, plan, method);
  const { cell, part } = await compute(request, setting, plan, training);
  if (part) await request.cells.cell(testName(name), key, async () => part);
  const kept = await request.cells.cell(name, key, async () => cell);
  const seconds = Math.round((performance.now() - began) / 1000);
  request.say(`${name}: ${(100 * cell.validation.accuracy).toFixed(1)} % on validation, ${seconds} s`);
  // Not before the cell is safe: what it was made of takes long to make again.
  training.clean();
  return kept;
}

/** The cells of a plan in a setting, with that of its test figures for a final request. */
export function methodCellIds({ final }: Pick<ExperimentRequest, "final">, setting: Setting, plan: Plan): CellId[] {
  const { name, key } = identify(setting, plan);
  return withTest({ final }, name, key);
}

/** A cell, and that of its test figures for a final request. */
export const withTest = ({ final }: Pick<ExperimentRequest, "final">, name: string, key: unknown): CellId[] => [
  [name, key],
  ...(final ? [[testName(name), key] as const] : []),
];

/** Name of the cell of test figures. */
export const testName = (name: string): string => `test/${name}`;

/** The finished cell of a plan, with its test figures for a final request; undefined when either is missing. */
export function finishedCell(
  request: ExperimentRequest,
  setting: Setting,
  plan: Plan,
  methodVersion = versionOf(plan.method, plan.choices),
): MethodCell | undefined {
  const { name, key } = identify(setting, plan, methodVersion);
  const cell = request.cells.read<MethodCell>(name, key);
  if (!request.final || !cell) return cell;
  const part = request.cells.read<TestPart>(testName(name), key);
  if (!part) return undefined;
  const byK = cell.byK?.map((one, i) => ({ ...one, ...(part.byK[i] ? { test: part.byK[i] } : {}) }));
  return { ...cell, test: part.test, ...(byK ? { byK } : {}) };
}

/** @throws UserError for test figures of a cell that was not read for a final table, or lost them */
export function figuresOf(cell: MethodCell, split: "validation" | "test"): SplitFigures {
  const figures = cell[split];
  if (figures) return figures;
  throw new UserError(
    `${cell.plan.name}, seed ${cell.seed}, has no ${split} figures: remove its cell and run the experiment again`,
  );
}

function identify(
  setting: Setting,
  plan: Plan,
  methodVersion = versionOf(plan.method, plan.choices),
): { name: string; key: unknown } {
  const { protocol, seed, hub } = setting;
  const { method, choices, epochs } = plan;
  // E counts by the epochs that the plan made of it.
  const key = {
    version: cellVersion,
    hub: hub.fingerprint,
    ...targetKey(protocol.target),
    options: optionsKey(setting.optionsOf(plan)),
    seed,
    method: method.name,
    methodVersion,
    choices: changesFrom(method.defaults ?? {}, choices),
    epochs,
  };
  return { name: `${hub.manifest.name}/${protocol.target.name}/s${seed}-${method.name}-x${epochs}`, key };
}

async function compute(
  request: ExperimentRequest,
  setting: Setting,
  plan: Plan,
  training: CellTraining,
): Promise<{ cell: MethodCell; part: TestPart | undefined }> {
  const { protocol, seed, hub } = setting;
  const { name, budget, epochs, choices } = plan;
  const data = await setting.data();
  const made = provenance();
  const predictor = await training.train();
  try {
    const validation = await training.measure(predictor, "validation");
    const test = request.final ? await training.measure(predictor, "test") : undefined;
    if (test) request.watch?.tested(name, test);
    const sweep = await training.sweep(predictor);
    const cell: MethodCell = {
      version: cellVersion,
      plan: { name, method: plan.method.name, budget, epochs, choices },
      protocol,
      hubFingerprint: hub.fingerprint,
      seed,
      splitHash: data.positionsHash,
      content: data.pixelsKey,
      made,
      validation: figures(validation),
      parameters: predictor.parameters,
      inferenceFlops: summarise("validation", validation, predictor).inferenceFlops,
      trainingFlops: training.run.trainingFlops,
      trainingSeconds: training.run.seconds,
      ...(await routingOf(validation, predictor, training)),
      ...(sweep.length > 0 ? { byK: sweep.map(({ test: _, ...one }) => one) } : {}),
      decisions: training.decisions,
    };
    return { cell, part: test && { test: figures(test), byK: sweep.flatMap((one) => one.test ?? []) } };
  } finally {
    predictor.dispose();
  }
}

function figures(evaluation: Evaluation): SplitFigures {
  const { metrics, probabilities, labels, classes, secondsPerImage } = evaluation;
  const right = packBits(rightItems(probabilities, labels, classes));
  return { ...metrics, items: labels.length, secondsPerImage, right };
}

async function routingOf(
  evaluation: Evaluation,
  predictor: Predictor,
  { run }: CellTraining,
): Promise<{ routing?: RoutingFigures }> {
  const { weights, members } = evaluation;
  if (weights.length === 0) return {};
  const verdict = await routingVerdict(
    predictor,
    run.open("validation", predictor),
    evaluation,
    new ClassificationTask(evaluation.classes),
  );
  return {
    routing: {
      members: predictor.memberNames,
      shares: pathwayShares(weights, members),
      information: routeInformation(weights, members),
      weightEntropy: meanWeightEntropy(weights, members),
      ...(verdict ? { permuted: verdict.permuted } : {}),
    },
  };
}

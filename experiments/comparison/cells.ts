/** Cells of a comparison: one method, one seed, one number of epochs, trained and measured. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type HubMember, loadMembers, openHub } from "../../src/hub/index.ts";
import { writeFileAtomic } from "../../src/io/index.ts";
import { MemberLearner, PathwayLearner } from "../../src/methods/index.ts";
import type { PathwayConfig } from "../../src/pathway/index.ts";
import { seedOf } from "../../src/torch/index.ts";
import {
  ClassificationTask,
  type Emit,
  evaluate,
  fingerprint,
  fit,
  type Learner,
  type Metrics,
  pathwayShares,
  prepareData,
  routeInformation,
  type SplitName,
  type TaskData,
} from "../../src/train/index.ts";
import type { Protocol } from "./protocol.ts";

/** What is measured on one split. */
export interface SplitResult {
  metrics: Metrics;
  /** Row-major [N, C]. */
  probabilities: number[];
  labels: number[];
  secondsPerImage: number;
  /** Share of the activations of each member, and mutual information of input and route in nats. */
  shares?: number[];
  routeInformation?: number;
  /** Weights of the members, row-major [N, m]. */
  weights?: number[];
}

export interface Cell {
  name: string;
  seed: number;
  epochs: number;
  splitHash: string;
  splits: Partial<Record<SplitName, SplitResult>>;
  trainingSeconds: number;
  trainingFlops: number;
  parameters: number;
  inferenceFlops: number;
}

/**
 * Both are predicted while the model is at hand. Whatever chooses looks at validation; the test predictions lie unread
 * until a final table is asked for.
 */
const measured: readonly SplitName[] = ["validation", "test"];

export interface CellRequest {
  protocol: Protocol;
  data: TaskData;
  seed: number;
  emit?: Emit;
  /** Folder of finished cells. */
  folder?: string | undefined;
  /** Measure the validation split after every epoch, for curves. */
  watch?: boolean;
}

/** The data of a seed: it moves split, order and augmentation. */
export function openData(protocol: Protocol, seed: number): Promise<TaskData> {
  return prepareData({ ...protocol.data, seed });
}

/** One member, fine-tuned. */
export function memberCell(request: CellRequest, member: string, epochs: number): Promise<Cell> {
  const key = { kind: "member", member, epochs };
  return cell(request, `${member} x${epochs}`, key, epochs, () => {
    const [loaded] = loadMembers(openHub(request.protocol.hub), { names: [member] }) as [HubMember];
    return new MemberLearner(loaded, task(request), seedOf(request.seed, member));
  });
}

export interface PathwayVariant {
  name: string;
  config: Partial<PathwayConfig>;
  randomRoutes?: boolean;
  randomWeights?: boolean;
}

/** Hub-Pathway, or a variant of it. */
export function pathwayCell(request: CellRequest, variant: PathwayVariant, epochs: number): Promise<Cell> {
  const config = { ...request.protocol.pathway, ...variant.config };
  const key = { kind: "pathway", config, random: variant.randomRoutes ?? false, epochs };
  return cell(request, `${variant.name} x${epochs}`, key, epochs, () => {
    return new PathwayLearner({
      members: loadMembers(openHub(request.protocol.hub)),
      task: task(request),
      config,
      seed: request.seed,
      imageSize: request.data.imageSize,
      randomRoutes: variant.randomRoutes ?? false,
    });
  });
}

function task(request: CellRequest): ClassificationTask {
  return new ClassificationTask(request.data.classes.length, request.protocol.options.labelSmoothing);
}

async function cell(
  request: CellRequest,
  name: string,
  key: unknown,
  epochs: number,
  make: () => Learner,
): Promise<Cell> {
  const { protocol, data, seed } = request;
  const { fingerprint: hub } = openHub(protocol.hub);
  const identity = fingerprint({
    key,
    hub,
    seed,
    split: data.splitHash,
    options: protocol.options,
    data: protocol.data,
  });
  const path = request.folder && join(request.folder, `${name.replaceAll(" ", "-")}-s${seed}-${identity}.json`);
  if (path && existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Cell;
  const learner = make();
  const emit = request.emit ?? (() => {});
  const result = await fit({
    fit: name,
    learner,
    batches: data.train,
    options: { ...protocol.options, epochs, seed },
    checkpoint: undefined,
    identity,
    emit,
    validate: request.watch
      ? async () => (await evaluate(learner, data.open("validation"), data.classes.length)).metrics
      : undefined,
  });
  const splits: Cell["splits"] = {};
  for (const split of measured) splits[split] = await measure(learner, data, split);
  const shares = splits.validation?.shares;
  const finished: Cell = {
    name,
    seed,
    epochs,
    splitHash: data.splitHash,
    splits,
    trainingSeconds: result.seconds,
    trainingFlops: result.trainingFlops,
    parameters: learner.parameters,
    inferenceFlops: learner instanceof PathwayLearner && shares ? learner.pathwayFlops(shares) : learner.inferenceFlops,
  };
  learner.dispose();
  if (path && request.folder) {
    mkdirSync(request.folder, { recursive: true });
    writeFileAtomic(path, [JSON.stringify(finished)]);
  }
  return finished;
}

async function measure(learner: Learner, data: TaskData, split: SplitName): Promise<SplitResult> {
  const evaluation = await evaluate(learner, data.open(split), data.classes.length);
  const round = (values: Float32Array) => Array.from(values, (value) => Number(value.toPrecision(5)));
  const result: SplitResult = {
    metrics: evaluation.metrics,
    probabilities: round(evaluation.probabilities),
    labels: evaluation.labels,
    secondsPerImage: evaluation.secondsPerImage,
  };
  if (evaluation.weights.length === 0) return result;
  const m = learner.memberNames.length;
  return {
    ...result,
    shares: pathwayShares(evaluation.weights, m),
    routeInformation: routeInformation(evaluation.weights, m),
    weights: round(evaluation.weights),
  };
}

/** One cell of a comparison: a method with its choices, one target, one seed, trained and measured. */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findScore } from "../hub/ranking/index.ts";
import { MemberLearner } from "../methods/index.ts";
import {
  argmaxAt,
  ClassificationTask,
  type Evaluation,
  evaluate,
  evaluateVariants,
  type FitChanges,
  fingerprint,
  fit,
  type Learner,
  type MethodContext,
  type Metrics,
  type Predictor,
  pathwayShares,
  rankingPrior,
  reordered,
  routeInformation,
  type SplitName,
  summarise,
  type TaskData,
  type TrainOptions,
} from "../train/index.ts";
import { packBits } from "./bits.ts";
import type { ExperimentRequest } from "./experiment.ts";
import type { Plan, Protocol, Setting } from "./protocol.ts";
import { type Provenance, provenance } from "./provenance.ts";

export const cellVersion = 1;

/** What was measured on one split. */
export interface SplitFigures extends Metrics {
  items: number;
  secondsPerImage: number;
  /** One bit an item, 1 where the most probable class is right, base64: for paired comparisons. */
  right: string;
}

/** What k activated models reach after training, without training again. */
export interface KFigures {
  k: number;
  validation: Metrics;
  test: Metrics;
  inferenceFlops: number;
}

export interface RoutingFigures {
  members: readonly string[];
  /** Share of the activations of each member. */
  shares: number[];
  /** Mutual information of input and activated model, nats. */
  information: number;
  /** Mean entropy of the weights of the activated models, nats. */
  weightEntropy: number;
}

export interface MethodCell {
  version: number;
  plan: Pick<Plan, "name" | "budget" | "epochs" | "choices"> & { method: string };
  protocol: Protocol;
  hubFingerprint: string;
  seed: number;
  splitHash: string;
  made: Provenance;
  validation: SplitFigures;
  /** Measured while the model is at hand; no table shows it before a final one is asked for. */
  test: SplitFigures;
  parameters: number;
  inferenceFlops: number;
  trainingFlops: number;
  trainingSeconds: number;
  /** On validation data, for a method that routes. */
  routing?: RoutingFigures;
  byK?: KFigures[];
  /** What was chosen on validation data or by ranking. */
  decisions: Record<string, unknown>;
}

/** The cell of a plan in a setting, computed when it is missing. */
export async function methodCell(request: ExperimentRequest, setting: Setting, plan: Plan): Promise<MethodCell> {
  const { name, key } = identify(setting, plan);
  return request.cells.cell(name, key, async () => {
    const began = performance.now();
    const cell = await compute(request, setting, plan);
    const seconds = Math.round((performance.now() - began) / 1000);
    request.say(`${name}: ${(100 * cell.validation.accuracy).toFixed(1)} % on validation, ${seconds} s`);
    return cell;
  });
}

/** The finished cell of a plan; undefined when there is none. */
export function finishedCell(request: ExperimentRequest, setting: Setting, plan: Plan): MethodCell | undefined {
  const { name, key } = identify(setting, plan);
  return request.cells.read(name, key);
}

function identify(setting: Setting, plan: Plan): { name: string; key: unknown } {
  const { protocol, seed, hub } = setting;
  const { method, choices, epochs, options = {} } = plan;
  const { hub: _path, ...fixed } = protocol;
  const key = {
    version: cellVersion,
    protocol: { ...fixed, epochs: undefined },
    hub: hub.fingerprint,
    seed,
    method: method.name,
    choices: { ...method.defaults, ...choices },
    epochs,
    options,
  };
  return { name: `${hub.manifest.name}/${protocol.target.name}/s${seed}-${method.name}-x${epochs}`, key };
}

async function compute(request: ExperimentRequest, setting: Setting, plan: Plan): Promise<MethodCell> {
  const { protocol, seed, hub } = setting;
  const data = await setting.data();
  const training = new CellTraining(request, setting, plan, data);
  const { method, choices } = plan;
  method.check(choices, hub.manifest, training.options);
  const predictor = await method.train(await training.context());
  try {
    const [validation, test] = [
      await training.measure(predictor, "validation"),
      await training.measure(predictor, "test"),
    ];
    const summary = summarise("validation", validation, predictor);
    return {
      version: cellVersion,
      plan: { name: plan.name, method: method.name, budget: plan.budget, epochs: plan.epochs, choices },
      protocol,
      hubFingerprint: hub.fingerprint,
      seed,
      splitHash: data.splitHash,
      made: provenance(),
      validation: figures(validation),
      test: figures(test),
      parameters: predictor.parameters,
      inferenceFlops: summary.inferenceFlops,
      trainingFlops: training.flops,
      trainingSeconds: training.seconds,
      ...routingOf(validation, predictor),
      ...(await training.sweep(predictor)),
      decisions: training.decisions,
    };
  } finally {
    predictor.dispose();
    training.clean();
  }
}

/** What a method trains with: fits are kept in the cache while the cell is unfinished, fine-tuned members for others too. */
class CellTraining {
  seconds = 0;
  flops = 0;
  readonly decisions: Record<string, unknown> = {};
  readonly options: TrainOptions;
  readonly #request: ExperimentRequest;
  readonly #setting: Setting;
  readonly #plan: Plan;
  readonly #data: TaskData;
  readonly #own: string[] = [];

  constructor(request: ExperimentRequest, setting: Setting, plan: Plan, data: TaskData) {
    this.#request = request;
    this.#setting = setting;
    this.#plan = plan;
    this.#data = data;
    const { protocol, seed } = setting;
    this.options = { ...protocol.options, ...plan.options, epochs: plan.epochs, seed };
  }

  async context(): Promise<MethodContext> {
    const { hub } = this.#setting;
    const { choices } = this.#plan;
    const data = this.#data;
    return {
      hub,
      data,
      task: new ClassificationTask(data.classes.length, this.options.labelSmoothing),
      options: this.options,
      choices,
      prior: await this.#prior(choices["prior"]),
      fit: (name, learner, changes) => this.#fit(name, learner, changes),
      validate: (predictor) => this.measure(predictor, "validation"),
      decide: async (name, decision) => {
        const value = await decision();
        this.decisions[name] = value;
        return value;
      },
      spend: (flops) => {
        this.flops += flops;
      },
    };
  }

  measure(predictor: Predictor, split: "validation" | "test"): Promise<Evaluation> {
    return evaluate(predictor, this.#open(split), this.#data.classes.length);
  }

  /** Accuracy and cost for each k, where the method has one. */
  async sweep(predictor: Predictor): Promise<{ byK?: KFigures[] }> {
    if (!predictor.pathwayFlops) return {};
    const ks = predictor.memberNames.map((_, i) => i + 1);
    const classes = this.#data.classes.length;
    const variants = ks.map((k) => ({ k }));
    const validation = await evaluateVariants(predictor, this.#open("validation"), classes, variants);
    const test = await evaluateVariants(predictor, this.#open("test"), classes, variants);
    const byK = ks.flatMap((k, i): KFigures[] => {
      const [a, b] = [validation[i], test[i]];
      return a && b ? [{ k, validation: a.metrics, test: b.metrics, inferenceFlops: a.inferenceFlops }] : [];
    });
    return { byK };
  }

  /** Removes what no other cell can use. */
  clean(): void {
    for (const path of this.#own) rmSync(path, { force: true });
  }

  #open(split: SplitName) {
    const limit = split === "train" ? undefined : this.#setting.protocol.target.limits?.[split];
    return this.#data.open(split, limit === undefined ? undefined : Math.min(limit, this.#data.counts[split]));
  }

  async #fit(
    name: string,
    learner: Learner,
    changes: FitChanges = {},
  ): Promise<{ seconds: number; trainingFlops: number }> {
    const { epochs = this.options.epochs, rate = 1, order = 0 } = changes;
    const options = { ...this.options, epochs, lr: this.options.lr * rate };
    const { hub, protocol } = this.#setting;
    const { method, choices } = this.#plan;
    // Plain fine-tuning from one start is the same whichever method asks for it.
    const shared = learner.constructor === MemberLearner;
    const what = shared ? { start: startOf(learner) } : { method: method.name, choices, name };
    const { checkpointSeconds: _, ...decisive } = options;
    const data = { ...protocol.target.data, splitHash: this.#data.splitHash };
    const identity = fingerprint({ what, hub: hub.fingerprint, data, options: decisive, order });
    const folder = join(this.#request.cache, "fits");
    mkdirSync(folder, { recursive: true });
    const checkpoint = join(folder, `${shared ? "shared" : method.name}-${identity}.safetensors`);
    if (!shared) this.#own.push(checkpoint);
    const batches = reordered(this.#data.train, order);
    const result = await fit({ fit: name, learner, batches, options, checkpoint, identity, emit: () => {} });
    this.seconds += result.seconds;
    this.flops += result.trainingFlops;
    return result;
  }

  async #prior(name: unknown): Promise<number[] | undefined> {
    if (name === undefined || name === "uniform") return undefined;
    const { hub, seed } = this.#setting;
    const prior = await rankingPrior(hub, this.#data, findScore(String(name)), { seed });
    this.flops += prior.flops;
    this.decisions["prior"] = prior.members;
    return prior.members.map((member) => member.probability);
  }
}

/** A hash of all weights that a learner starts from. */
function startOf(learner: Learner): string {
  const hash = createHash("sha256");
  for (const [name, value] of learner.module.stateDict()) {
    const bytes = value.detach().to({ device: "cpu" }).contiguous().toTypedArray();
    hash.update(name).update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}

function figures(evaluation: Evaluation): SplitFigures {
  const { metrics, labels, secondsPerImage } = evaluation;
  return { ...metrics, items: labels.length, secondsPerImage, right: packBits(rightOnes(evaluation)) };
}

function rightOnes({ probabilities, labels, classes }: Evaluation): boolean[] {
  return labels.map((label, i) => argmaxAt(probabilities, i * classes, classes) === label);
}

function routingOf({ weights, members }: Evaluation, predictor: Predictor): { routing?: RoutingFigures } {
  if (weights.length === 0) return {};
  const rows = weights.length / members;
  const entropy = weights.reduce((sum, w) => sum - (w > 0 ? w * Math.log(w) : 0), 0) / rows;
  return {
    routing: {
      members: predictor.memberNames,
      shares: pathwayShares(weights, members),
      information: routeInformation(weights, members),
      weightEntropy: entropy,
    },
  };
}

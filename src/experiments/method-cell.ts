/** One cell of a comparison: a method with its choices, one target, one seed, trained and measured. */
import {
  argmaxAt,
  type Evaluation,
  type Metrics,
  type Predictor,
  pathwayShares,
  routeInformation,
  summarise,
} from "../train/index.ts";
import { packBits } from "./bits.ts";
import { CellTraining, type KFigures } from "./cell-training.ts";
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

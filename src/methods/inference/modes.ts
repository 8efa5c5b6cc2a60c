/**
 * Inference modes of a trained run that need no generator: cascades and dynamic selection over its members, whose settings
 * are chosen on validation images. N items, m members, C classes.
 */
import { ConfigError } from "../../torch/index.ts";
import {
  type BatchSource,
  computeMetrics,
  type Evaluation,
  type EvaluationOptions,
  type Predictor,
} from "../../train/index.ts";
import type { InferenceMode } from "../catalog.ts";
import { policyCandidates } from "./candidates.ts";
import {
  type Candidate,
  type Cost,
  Frontier,
  halves,
  type PolicyCandidate,
  type Reached,
  type Side,
  sideOf,
} from "./frontier.ts";
import type { Answered, Answers } from "./policies.ts";
import { membersOf, type RunMembers } from "./run-members.ts";

/** The ways to answer of each mode. */
const kinds: Readonly<Record<Exclude<InferenceMode, "routes">, string>> = {
  cascade: "confidence cascade",
  agreement: "agreement cascade",
  knora: "KNORA-E",
  "meta-des": "META-DES",
  stacking: "stacking",
};

export interface ModeRequest {
  mode: keyof typeof kinds;
  /** FLOPs that an image may cost, on average over the validation images. */
  flops?: number | undefined;
  /** Validation images, on which settings are chosen. */
  known: BatchSource;
  /** The images to measure; the same batches where these are the validation images, each half of which then chooses for the other. */
  asked: BatchSource;
  classes: number;
}

export type ChosenMode = Pick<ModeRequest, "mode" | "flops">;

export interface ModeEvaluation extends Evaluation {
  /** Names of the chosen settings: one, or one for each half of the validation images. */
  settings: string[];
  /** FLOPs of an image, on average, where the settings were chosen. */
  expectedFlops: number;
  /** The same of the images that were measured. */
  inferenceFlops: number;
}

/**
 * Measures a run under a mode. No time is measured: every member answers every image, and the mode is applied afterwards.
 * @throws ConfigError for a run of one member, and for FLOPs that no setting keeps to; Interrupted after the signal
 */
export async function evaluateMode(
  predictor: Predictor,
  { known, asked, classes, ...request }: ModeRequest,
  options: EvaluationOptions = {},
): Promise<ModeEvaluation> {
  const members = membersOf(predictor);
  const validation = await members.answers(known, classes, options);
  const isSame = known === asked;
  const measured = isSame ? validation : await members.answers(asked, classes, options);
  const settings = new Settings(members, request, { validation, test: measured });
  const parts = isSame
    ? halves("validation", validation.labels.length)
    : [[sideOf("validation", validation.labels.length), sideOf("test", measured.labels.length)] as const];
  const found = parts.map(([from, to]) => {
    const best = settings.choose(from);
    return { ...best, items: to.items, outcome: best.candidate.on(from, to) };
  });
  const joined = together(found, measured);
  return {
    ...joined,
    labels: [...measured.labels],
    indices: measured.indices,
    classes,
    weights: weightsOf(joined.used, members.places, predictor.memberNames.length),
    scores: new Float32Array(),
    members: predictor.memberNames.length,
    secondsPerImage: Number.NaN,
    metrics: computeMetrics(joined.probabilities, measured.labels, classes),
    settings: [...new Set(found.map(({ candidate }) => named(candidate, members.places, predictor)))],
    expectedFlops: mean(found.map(({ reached }) => reached.flops)),
    inferenceFlops: mean(joined.used.map((set) => set.reduce((sum, i) => sum + (members.costs[i] ?? 0), 0))),
  };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The settings of a mode, over what members answer alone. */
export class Settings {
  readonly #candidates: readonly PolicyCandidate[];
  readonly #costs: readonly Cost[];
  readonly #request: ChosenMode;

  constructor({ costs }: RunMembers, request: ChosenMode, tables: Parameters<typeof policyCandidates>[0]) {
    this.#request = request;
    this.#costs = costs.map((flops) => ({ flops, milliseconds: 0 }));
    this.#candidates = policyCandidates(tables, this.#costs).filter(({ kind }) => kind === kinds[request.mode]);
  }

  /** The best by known items. @throws ConfigError where none keeps to the FLOPs */
  choose(known: Side): { candidate: PolicyCandidate; reached: Reached } {
    const { mode, flops = Number.POSITIVE_INFINITY } = this.#request;
    const best = new Frontier(this.#candidates, this.#costs, known, known).choose([kinds[mode]], flops);
    if (!best) throw new ConfigError(`no setting of --mode ${mode} answers within --flops ${flops}: allow more`);
    return best;
  }
}

/** Setting with the names of the members in place of their numbers. */
export function named({ name }: Candidate, places: readonly number[], { memberNames }: Predictor): string {
  return name.replace(/(?<=members?(?: \d+)*) (\d+)/g, (_, i) => ` ${memberNames[places[Number(i)] ?? -1]}`);
}

/** The outcomes of parts of the items in the items' order. */
function together(
  parts: readonly { items: Side["items"]; outcome: Answered }[],
  { labels, classes }: Answers,
): { used: number[][]; probabilities: Float32Array } {
  const used = labels.map((): number[] => []);
  const probabilities = new Float32Array(labels.length * classes);
  for (const { items, outcome } of parts) {
    for (const [i, item] of items.entries()) {
      used[item] = outcome.used[i] ?? [];
      probabilities.set(outcome.probabilities.subarray(i * classes, (i + 1) * classes), item * classes);
    }
  }
  return { used, probabilities };
}

/** Equal weights of the members that an item used, [N, m]. */
export function weightsOf(used: readonly (readonly number[])[], places: readonly number[], m: number): Float32Array {
  const weights = new Float32Array(used.length * m);
  for (const [item, set] of used.entries()) for (const i of set) weights[item * m + (places[i] ?? 0)] = 1 / set.length;
  return weights;
}

/**
 * Which models an image asks, in which order, and when it stops: the one rule behind runs, bundles and the server.
 * m models, C classes. Worth of a model: its score less the price of its FLOPs. The k models of the largest worth answer;
 * with a confidence they are asked one after the other until the joined answer is that probable. Weights come from scores alone.
 */
import { BundleError } from "./check.ts";
import type { Bundle } from "./manifest.ts";

/** How many models an image activates, and which first. */
export interface ModelChoice {
  readonly k?: number | undefined;
  /** Probability of the answer at which an image activates no further model, 0 … 1; it always activates k when left out. */
  readonly confidence?: number | undefined;
  /** Nats of loss that a model has to save for each GFLOP that it costs, at least 0: cheap models come first. */
  readonly price?: number | undefined;
  /** Places of the only models that may be asked; all when left out. */
  readonly models?: readonly number[] | undefined;
}

/** A choice of models with what it was worth and what it cost on validation images. */
export interface BudgetChoice extends ModelChoice {
  readonly k: number;
  readonly price: number;
  /** 0 … 1. */
  readonly accuracy: number;
  /** Of an image, on average. */
  readonly flops: number;
  /** Activations of each model for an image, on average, [m]; older runs and bundles have none. */
  readonly uses?: readonly number[] | undefined;
}

/** Which models are activated, and how much each counts. */
export interface Rule extends Pick<Bundle, "k" | "weights" | "shares" | "confidence" | "price"> {
  /** Those that may be activated, by their places among the scores, and their FLOPs for one image, which a price needs. */
  readonly members: readonly { readonly index: number; readonly flops?: number | undefined }[];
}

/** What a caller may ask for: a number of models, an answer that is sure enough, a mean cost. */
export interface Wish {
  readonly k?: number | undefined;
  readonly confidence?: number | undefined;
  readonly flops?: number | undefined;
}

/** What a trained model has to choose from. */
export interface Choices {
  /** Largest k; nothing where no model is chosen. */
  readonly largestK?: number | undefined;
  /** False where models have no order in which they could be asked. */
  readonly isOrdered: boolean;
  /** What answers are, where no probability of one says how sure it is. */
  readonly answers?: string | undefined;
  /** From the cheapest to the most accurate; none where they were not measured. */
  readonly budgets?: readonly BudgetChoice[] | undefined;
  /** FLOPs of an image with 1, 2, … activated models, on average. */
  readonly flops?: readonly number[] | undefined;
  /** What these costs and those of budgets are, where they are no FLOPs: milliseconds on this machine. */
  readonly unit?: "ms" | undefined;
}

/** A wish that cannot be fulfilled. */
export class ChoiceError extends BundleError {
  readonly field: keyof Wish;

  constructor(field: keyof Wish, message: string) {
    super(message);
    this.field = field;
  }
}

/**
 * The choice of models that fulfils a wish; undefined for none, where the model's own stays. Within `flops` it is the most
 * accurate one that was measured, or the largest k; a confidence beside it can only stop earlier.
 * @throws ChoiceError
 */
export function chosenBy(choices: Choices, { k, confidence, flops }: Wish): (ModelChoice & { k: number }) | undefined {
  const first = (["k", "confidence", "flops"] as const).find((one) => ({ k, confidence, flops })[one] !== undefined);
  if (first === undefined) return undefined;
  const { largestK, isOrdered, answers } = choices;
  if (confidence !== undefined && answers !== undefined) {
    const why = `confidence is the probability of one answer, and this model answers with ${answers}`;
    throw new ChoiceError("confidence", `${why}: leave confidence out`);
  }
  if (largestK === undefined) throw new ChoiceError(first, `this model does not choose members: leave ${first} out`);
  if (k !== undefined && flops !== undefined) {
    throw new ChoiceError("flops", "k and flops both choose the number of activated models: leave one of them out");
  }
  if (k !== undefined && !(Number.isInteger(k) && k >= 1 && k <= largestK)) {
    throw new ChoiceError("k", `k is ${k}: it must be a whole number from 1 to ${largestK}`);
  }
  if (confidence !== undefined && !(confidence > 0 && confidence <= 1)) {
    throw new ChoiceError("confidence", `confidence is ${confidence}: it must be above 0 and at most 1`);
  }
  if (confidence !== undefined && !isOrdered) {
    throw new ChoiceError("confidence", "there is no order in which the models could be asked: leave confidence out");
  }
  const choice = flops === undefined ? { k: k ?? largestK } : within(choices, flops);
  if (confidence === undefined) return choice;
  return { ...choice, confidence: Math.min(confidence, choice.confidence ?? 1) };
}

function within({ budgets = [], flops: byK, unit }: Choices, flops: number): ModelChoice & { k: number } {
  const affordable = budgets.filter((one) => one.flops <= flops);
  const measured = affordable.sort((a, b) => a.accuracy - b.accuracy).at(-1);
  if (measured) {
    const { k, price, confidence, models } = measured;
    return { k, price, confidence, models };
  }
  if (!byK) throw new ChoiceError("flops", "the FLOPs of this model's members are not known: choose by k");
  const k = budgets.length > 0 ? 0 : byK.filter((cost) => cost <= flops).length;
  if (k > 0) return { k };
  const cheapest = Math.min(...(budgets.length > 0 ? budgets.map((one) => one.flops) : byK));
  const least = unit === "ms" ? Number(cheapest.toPrecision(2)) : Math.ceil(cheapest);
  throw new ChoiceError(
    "flops",
    `${unit ?? "flops"} is ${flops}: even one model costs ${least} ${unit ?? "FLOPs"} for an image; give at least ${least}`,
  );
}

/** A rule with another choice of models than its own. */
export function ruleBy(rule: Rule, { k = rule.k, confidence, price, models }: ModelChoice): Rule {
  const members = models ? rule.members.filter(({ index }) => models.includes(index)) : rule.members;
  return { ...rule, k, confidence, price, members };
}

/** The k models of the largest worth, ties to the lower index. */
export function routeOf({ members, k, price = 0 }: Rule, scores: ArrayLike<number>): number[] {
  // In 32-bit floats, as scores are, so that ties are the same everywhere.
  const worth = members.map(({ index, flops = 0 }) => {
    return { index, value: Math.fround((scores[index] ?? 0) - Math.fround((price * flops) / 1e9)) };
  });
  worth.sort((a, b) => b.value - a.value || a.index - b.index);
  return worth.slice(0, k).map(({ index }) => index);
}

/** Weights of all models for the scores of an image, zero for those that are not activated; they sum to one. */
export function weightsOf(rule: Rule, scores: Float32Array | undefined): Float32Array {
  const { k, weights, shares: fixed } = rule;
  if (!scores) return fixed ? fixedWeights(rule, fixed) : Float32Array.of(1);
  const route = routeOf(rule, scores);
  const temperature = k > weights.trainedK ? (weights.larger ?? weights.temperature) : weights.temperature;
  const chosen = Float32Array.from(route, (i) => (temperature === "equal" ? 0 : (scores[i] ?? 0) / temperature));
  const shares = softmaxRows(chosen, route.length);
  const all = new Float32Array(scores.length);
  // Above zero: who counts activations must find them all.
  for (const [i, index] of route.entries()) all[index] = Math.max(shares[i] ?? 0, 1e-30);
  return all;
}

/** The same for every image: those of the k models that count most. */
function fixedWeights(rule: Rule, fixed: readonly number[]): Float32Array {
  const route = routeOf(rule, fixed);
  const sum = route.reduce((total, index) => total + (fixed[index] ?? 0), 0);
  return Float32Array.from(fixed, (share, index) => (route.includes(index) ? share / sum : 0));
}

/** An image on its way through the models: those that it asks next, and whether its answer is sure. */
export class Asking {
  /** [m], of the models that were asked so far or are asked now. */
  weights: Float32Array;
  isOpen = true;
  readonly #scores: Float32Array | undefined;
  readonly #asked = new Set<number>();
  #rule: Rule;
  #count: number;

  /** @param scores [m]; nothing where nothing scores */
  constructor(rule: Rule, scores: Float32Array | undefined) {
    this.#rule = rule;
    this.#scores = scores;
    this.#count = rule.confidence === undefined ? this.#most : 1;
    this.weights = this.#weigh();
  }

  /** True when a model has to run on this image now. */
  asks(index: number): boolean {
    return this.isOpen && (this.weights[index] ?? 0) > 0 && !this.#asked.has(index);
  }

  /** Takes the joined answer [C] of the models that it asked so far: it is done, or asks one more. */
  take(probabilities: Float32Array): void {
    for (const [index, weight] of this.weights.entries()) if (weight > 0) this.#asked.add(index);
    const { confidence } = this.#rule;
    const sure = probabilities.reduce((a, b) => Math.max(a, b), 0);
    this.isOpen = confidence !== undefined && this.#count < this.#most && sure < confidence;
    if (!this.isOpen) return;
    this.#count += 1;
    this.weights = this.#weigh();
  }

  /** Asks no more. */
  end(): void {
    this.isOpen = false;
  }

  /** Asks others in place of models that failed and have not answered. @returns false when there are none at all */
  without(failed: ReadonlySet<number>): boolean {
    const members = this.#rule.members.filter(({ index }) => this.#asked.has(index) || !failed.has(index));
    if (members.length === 0) return false;
    this.#rule = { ...this.#rule, members };
    this.#count = Math.min(this.#count, this.#most);
    this.weights = this.#weigh();
    return true;
  }

  get #most(): number {
    return Math.min(this.#rule.k, this.#rule.members.length);
  }

  #weigh(): Float32Array {
    return weightsOf({ ...this.#rule, k: this.#count }, this.#scores);
  }
}

/** Each row of `width` values as probabilities. */
export function softmaxRows(values: Float32Array, width: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width);
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const powers = Array.from(row, (value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    result.set(
      powers.map((power) => power / sum),
      start,
    );
  }
  return result;
}

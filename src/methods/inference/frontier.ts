/**
 * The frontier of accuracy and cost of each way to answer. Its setting is chosen on known items, and measured on others.
 * N items, m members.
 */
import { type Answered, type Answers, type Outcome, type Policy, partOf } from "./policies.ts";

export const splits = ["validation", "test"] as const;
export type Split = (typeof splits)[number];

/** Items of a split. */
export interface Side {
  split: Split;
  items: readonly number[];
}

/** Cost of an image: FLOPs by count, milliseconds by the clock. */
export interface Cost {
  flops: number;
  milliseconds: number;
}

/** All items of a split. */
export function sideOf(split: Split, count: number): Side {
  return { split, items: Array.from({ length: count }, (_, i) => i) };
}

/** One setting of one way to answer, and what it came to. */
export interface Candidate<T extends Outcome = Outcome> {
  kind: string;
  name: string;
  /** Cost of every answer beside the members that it activates. */
  overhead: Cost;
  on(known: Side, asked: Side): T;
}

/** What the chosen setting of a kind came to, as means over the asked items. */
export interface Reached {
  kind: string;
  name: string;
  accuracy: number;
  flops: number;
  milliseconds: number;
  /** Activations of each member by an item, [m]. */
  uses: number[];
}

/** A setting that needs no trained routes. */
export interface PolicyCandidate extends Candidate<Answered> {
  policy: Policy;
}

export function policyCandidate(
  kind: string,
  name: string,
  policy: Policy,
  answers: Readonly<Partial<Record<Split, Answers>>>,
): PolicyCandidate {
  const part = ({ split, items }: Side) => partOf(answers[split] ?? unmeasured(split), items);
  return {
    kind,
    name,
    policy,
    overhead: { flops: 0, milliseconds: 0 },
    on(known, asked) {
      const own = part(known);
      return policy(own)(known === asked ? own : part(asked));
    },
  };
}

/** Answers that are the same whatever is known: those of a trained run. */
export function knownCandidate(
  { kind, name, overhead }: Omit<Candidate, "on">,
  outcomes: Readonly<Partial<Record<Split, Outcome>>>,
): Candidate {
  return {
    kind,
    name,
    overhead,
    on(_, { split, items }) {
      const { right, used } = outcomes[split] ?? unmeasured(split);
      return { right: items.map((i) => right[i] ?? false), used: items.map((i) => used[i] ?? []) };
    },
  };
}

function unmeasured(split: Split): never {
  throw new RangeError(`the ${split} split was not measured`);
}

interface Found<C extends Candidate> {
  candidate: C;
  /** On the known items. */
  reached: Reached;
}

/**
 * The best setting of each kind within each budget, by accuracy on the known items (the cheaper of equals), measured on the
 * asked ones; a kind that no setting keeps within a budget is absent.
 */
export class Frontier<C extends Candidate = Candidate> {
  readonly #known: Side;
  readonly #asked: Side;
  readonly #costs: readonly Cost[];
  readonly #found: readonly Found<C>[];
  readonly #measured = new Map<C, Reached>();

  constructor(candidates: readonly C[], costs: readonly Cost[], known: Side, asked: Side) {
    this.#known = known;
    this.#asked = asked;
    this.#costs = costs;
    this.#found = candidates.map((candidate) => ({ candidate, reached: this.#reached(candidate, known) }));
  }

  /**
   * The best setting by the known items.
   * @param kinds those among which the best is taken as one
   */
  choose(kinds: readonly string[], budget: number): Found<C> | undefined {
    const affordable = this.#found.filter(({ reached }) => kinds.includes(reached.kind) && reached.flops <= budget);
    return affordable.sort((a, b) => b.reached.accuracy - a.reached.accuracy || a.reached.flops - b.reached.flops)[0];
  }

  /** What the best setting comes to on the asked items. */
  best(kinds: readonly string[], budget: number): Reached | undefined {
    const best = this.choose(kinds, budget);
    if (!best) return undefined;
    const before = this.#measured.get(best.candidate) ?? this.#reached(best.candidate, this.#asked);
    this.#measured.set(best.candidate, before);
    return before;
  }

  #reached(candidate: C, asked: Side): Reached {
    const { kind, name, overhead } = candidate;
    const { right, used } = candidate.on(this.#known, asked);
    const uses = this.#costs.map((_, i) => used.filter((set) => set.includes(i)).length / used.length);
    const spent = (of: (cost: Cost) => number) =>
      this.#costs.reduce((sum, cost, i) => sum + (uses[i] ?? 0) * of(cost), of(overhead));
    const accuracy = right.filter(Boolean).length / right.length;
    const flops = spent((cost) => cost.flops);
    return { kind, name, accuracy, flops, milliseconds: spent((cost) => cost.milliseconds), uses };
  }
}

/** Both halves of the items, each known once and asked once. */
export function halves(split: Split, count: number): [known: Side, asked: Side][] {
  const { items } = sideOf(split, count);
  const sides = [0, 1].map((half): Side => ({ split, items: items.filter((i) => i % 2 === half) }));
  const [even, odd] = sides as [Side, Side];
  return [
    [even, odd],
    [odd, even],
  ];
}

/** The mean of what two halves came to. */
export function meanReached(parts: readonly Reached[]): Reached | undefined {
  const [first] = parts;
  if (!first) return undefined;
  const mean = (of: (one: Reached) => number) => parts.reduce((sum, one) => sum + of(one), 0) / parts.length;
  return {
    kind: first.kind,
    name: [...new Set(parts.map(({ name }) => name))].join(" / "),
    accuracy: mean(({ accuracy }) => accuracy),
    flops: mean(({ flops }) => flops),
    milliseconds: mean(({ milliseconds }) => milliseconds),
    uses: first.uses.map((_, i) => mean(({ uses }) => uses[i] ?? 0)),
  };
}

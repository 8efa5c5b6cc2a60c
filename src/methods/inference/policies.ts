/**
 * Ways to answer within a budget that need no routes of a trained generator: fixed members, cascades, and dynamic ensemble
 * selection. They see what each member answers alone. N items, m members, C classes, n neighbours.
 */
import { taken } from "../../runtime/index.ts";
import { argmaxAt, rightItems } from "../../train/index.ts";

/** Answers of all members to the same items. */
export interface Answers {
  /** Probabilities of each member alone, row-major [N, C]. */
  tables: readonly Float32Array[];
  labels: readonly number[];
  classes: number;
}

/** What came of a policy on some items. */
export interface Outcome {
  right: boolean[];
  /** Members that each item activates, [N][…]. */
  used: number[][];
}

export interface Answered extends Outcome {
  /** Row-major [N, C]. */
  probabilities: Float32Array;
}

/** Looks at known items with their labels, once, and then answers asked ones: those themselves too, each as if it were not known. */
export type Policy = (known: Answers) => (asked: Answers) => Answered;

/** Members that an item activates, and its answer: the mean of some of them, or probabilities of its own, [C]. */
type ItemAnswer = { used: number[] } & ({ by: readonly number[] } | { probabilities: Float32Array });

/** The same members for every item, by the mean of their probabilities. */
export function fixedSet(set: readonly number[]): Policy {
  return () => (asked) => outcome(asked, () => ({ used: [...set], by: set }));
}

/**
 * Members in one order for every item, until the answer is that sure: the answer of all that were asked, by their mean, or
 * of the last one alone.
 */
export function confidenceCascade(order: readonly number[], confidence: number, isLastAlone = false): Policy {
  return () => (asked) =>
    outcome(asked, (item) => {
      for (let count = 1; ; count++) {
        const used = order.slice(0, count);
        const by = isLastAlone ? used.slice(-1) : used;
        const said = meanOf(asked, item, by);
        if (count === order.length || (said[argmaxAt(said, 0, said.length)] ?? 0) >= confidence) return { used, by };
      }
    });
}

/**
 * Members in one order for every item, until so many name the same class, whose mean answers; that of all where they do
 * not.
 */
export function agreementCascade(order: readonly number[], votes: number): Policy {
  return () => (asked) =>
    outcome(asked, (item) => {
      const named = new Map<number, number[]>();
      for (const [count, i] of order.entries()) {
        const answer = likeliest(asked, item, i);
        const by = [...(named.get(answer) ?? []), i];
        named.set(answer, by);
        if (by.length === votes) return { used: order.slice(0, count + 1), by };
      }
      return { used: [...order], by: order };
    });
}

/**
 * KNORA-E (Ko, Sabourin, Britto 2008): the members that are right on all n nearest known items, or on the nearest so many
 * where none is. Neighbours are those in what the first member answers, so that the others need not run to be chosen.
 */
export function knoraEliminate(first: number, neighbours: number): Policy {
  return (known) => {
    const isRight = rightBy(known);
    return (asked) =>
      outcome(asked, (item) => {
        const chosen = eliminate(isRight, nearest(known, asked, { first, item, neighbours }));
        return { used: [...new Set([first, ...chosen])], by: chosen };
      });
  };
}

/** True for each member and item that it is right on, [m][N]. */
export function rightBy(known: Answers): boolean[][] {
  return known.tables.map((_, i) => known.labels.map((label, j) => likeliest(known, j, i) === label));
}

/** Members that are right on the nearest items, as many of them as some member is right on; all where none is. */
function eliminate(isRight: readonly (readonly boolean[])[], near: readonly number[]): number[] {
  const all = isRight.map((_, i) => i);
  for (let count = near.length; count >= 1; count--) {
    const able = all.filter((i) => near.slice(0, count).every((j) => isRight[i]?.[j]));
    if (able.length > 0) return able;
  }
  return all;
}

/** Known items by the distance of the first member's probabilities; an item is no neighbour of itself. */
export function nearest(
  known: Answers,
  asked: Answers,
  { first, item, neighbours }: { first: number; item: number; neighbours: number },
): number[] {
  const own = rowOf(asked, first, item);
  const distances = known.labels.map((_, j) => {
    if (known === asked && j === item) return Number.POSITIVE_INFINITY;
    const other = rowOf(known, first, j);
    return own.reduce((sum, value, c) => sum + (value - (other[c] ?? 0)) ** 2, 0);
  });
  const order = distances.map((_, j) => j).sort((a, b) => (distances[a] ?? 0) - (distances[b] ?? 0) || a - b);
  return order.slice(0, Math.min(neighbours, known === asked ? order.length - 1 : order.length));
}

/** Outcome of an answer to each item. */
export function outcome(asked: Answers, answer: (item: number) => ItemAnswer): Answered {
  const { labels, classes } = asked;
  const probabilities = new Float32Array(labels.length * classes);
  const used = labels.map((_, item) => {
    const one = answer(item);
    probabilities.set("by" in one ? meanOf(asked, item, one.by) : one.probabilities, item * classes);
    return one.used;
  });
  return { probabilities, used, right: rightItems(probabilities, labels, classes) };
}

/** What a member says of an item, [C]. */
export function rowOf({ tables, classes }: Answers, i: number, item: number): Float32Array {
  return tables[i]?.subarray(item * classes, (item + 1) * classes) ?? new Float32Array();
}

function meanOf(answers: Answers, item: number, set: readonly number[]): Float32Array {
  const sum = new Float32Array(answers.classes);
  for (const i of set) for (const [c, value] of rowOf(answers, i, item).entries()) sum[c] = (sum[c] ?? 0) + value;
  return sum.map((value) => value / set.length);
}

function likeliest(answers: Answers, item: number, i: number): number {
  return argmaxAt(rowOf(answers, i, item), 0, answers.classes);
}

/** Some of the items, or all in their order. */
export function partOf({ tables, labels, classes }: Answers, items: readonly number[]): Answers {
  const take = (table: Float32Array) => taken(table, labels.length, items);
  return { tables: tables.map(take), labels: items.map((item) => labels[item] ?? -1), classes };
}

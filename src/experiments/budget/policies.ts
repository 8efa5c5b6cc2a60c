/**
 * Ways to answer within a budget that need no routes of a trained generator: fixed members, cascades, and dynamic ensemble
 * selection. They see what each member answers alone. N items, m members, C classes, n neighbours.
 */
import { combinations } from "../../methods/index.ts";
import { taken } from "../../runtime/index.ts";
import { argmaxAt } from "../../train/index.ts";

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

/** Answers to the asked items; known ones, with their labels, may be looked at. */
export type Policy = (known: Answers, asked: Answers) => Outcome;

/** The same members for every item, by the mean of their probabilities. */
export function fixedSet(set: readonly number[]): Policy {
  return (_, asked) => outcome(asked, (item) => ({ used: [...set], answer: likeliest(asked, item, set) }));
}

/**
 * Members in one order for every item, until the answer is that sure: the answer of all that were asked, by their mean, or
 * of the last one alone.
 */
export function confidenceCascade(order: readonly number[], confidence: number, isLastAlone = false): Policy {
  return (_, asked) =>
    outcome(asked, (item) => {
      for (let count = 1; ; count++) {
        const used = order.slice(0, count);
        const said = meanOf(asked, item, isLastAlone ? used.slice(-1) : used);
        const answer = argmaxAt(said, 0, said.length);
        if (count === order.length || (said[answer] ?? 0) >= confidence) return { used, answer };
      }
    });
}

/** Members in one order for every item, until so many name the same class; the mean of all decides where they do not. */
export function agreementCascade(order: readonly number[], votes: number): Policy {
  return (_, asked) =>
    outcome(asked, (item) => {
      const named = new Map<number, number>();
      for (const [count, i] of order.entries()) {
        const answer = likeliest(asked, item, [i]);
        named.set(answer, (named.get(answer) ?? 0) + 1);
        if (named.get(answer) === votes) return { used: order.slice(0, count + 1), answer };
      }
      return { used: [...order], answer: likeliest(asked, item, order) };
    });
}

/**
 * KNORA-E (Ko, Sabourin, Britto 2008): the members that are right on all n nearest known items, or on the nearest so many
 * where none is. Neighbours are those in what the first member answers, so that the others need not run to be chosen.
 */
export function knoraEliminate(first: number, neighbours: number): Policy {
  return (known, asked) => {
    const isRight = known.tables.map((_, i) => known.labels.map((label, j) => likeliest(known, j, [i]) === label));
    return outcome(asked, (item) => {
      const near = nearest(known, asked, { first, item, neighbours });
      const chosen = eliminate(isRight, near);
      return { used: [...new Set([first, ...chosen])], answer: likeliest(asked, item, chosen) };
    });
  };
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
function nearest(
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

/** Cascades of two and of three members, each dearer than the one before or as dear. */
export function risingOrders(costs: readonly number[]): number[][] {
  const rising = costs.map((_, i) => i).sort((a, b) => (costs[a] ?? 0) - (costs[b] ?? 0) || a - b);
  return [2, 3].flatMap((size) => combinations(costs.length, size).map((set) => set.map((at) => rising[at] ?? 0)));
}

/** Sets of one to three members, and all together. */
export function allSets(m: number): number[][] {
  const sizes = [1, 2, 3].filter((size) => size < m);
  return [...sizes.flatMap((size) => combinations(m, size)), Array.from({ length: m }, (_, i) => i)];
}

/** Outcome of an answer to each item. */
function outcome({ labels }: Answers, answer: (item: number) => { used: number[]; answer: number }): Outcome {
  const answers = labels.map((_, item) => answer(item));
  return {
    right: answers.map((one, item) => one.answer === labels[item]),
    used: answers.map(({ used }) => used),
  };
}

function rowOf({ tables, classes }: Answers, i: number, item: number): Float32Array {
  return tables[i]?.subarray(item * classes, (item + 1) * classes) ?? new Float32Array();
}

function meanOf(answers: Answers, item: number, set: readonly number[]): Float32Array {
  const sum = new Float32Array(answers.classes);
  for (const i of set) for (const [c, value] of rowOf(answers, i, item).entries()) sum[c] = (sum[c] ?? 0) + value;
  return sum.map((value) => value / set.length);
}

function likeliest(answers: Answers, item: number, set: readonly number[]): number {
  return argmaxAt(meanOf(answers, item, set), 0, answers.classes);
}

/** Some of the items, or all in their order. */
export function partOf({ tables, labels, classes }: Answers, items: readonly number[]): Answers {
  const take = (table: Float32Array) => taken(table, labels.length, items);
  return { tables: tables.map(take), labels: items.map((item) => labels[item] ?? -1), classes };
}

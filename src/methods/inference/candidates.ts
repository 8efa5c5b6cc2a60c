/** Every setting of each way to answer that needs no generator, for members of given costs. */

import { stops } from "../budget-choices.ts";
import { combinations } from "../ensemble-predictor.ts";
import { type Cost, type PolicyCandidate, policyCandidate, type Split } from "./frontier.ts";
import { metaDes, stacking } from "./learned.ts";
import {
  type Answers,
  agreementCascade,
  confidenceCascade,
  fixedSet,
  knoraEliminate,
  type Policy,
  rightBy,
} from "./policies.ts";

const neighbours = [3, 7, 15];
/** Neighbours of selection by learned competence, as its authors have. */
const metaNeighbours = 7;
/** Members of which all pairs and threes are tried. */
const mostCombined = 12;

/**
 * @param tables what each member answers alone, on both splits
 * @param heads a remark on where the answers are from, for names
 */
export function policyCandidates(
  tables: Readonly<Partial<Record<Split, Answers>>>,
  spent: readonly Cost[],
  heads?: string,
): PolicyCandidate[] {
  const costs = spent.map(({ flops }) => flops);
  const all = costs.map((_, i) => i);
  const remark = heads === undefined ? "" : `, ${heads}`;
  const make = (kind: string, name: string, policy: Policy) =>
    policyCandidate(kind, `${name}${remark}`, policy, tables);
  const firsts = byValue(costs.map((cost) => -cost)).slice(0, 3);
  return [
    ...allSets(costs.length).map((set) => make("fixed members", `members ${set.join(" ")}`, fixedSet(set))),
    ...all.map((i) => make("best member", `member ${i}`, fixedSet([i]))),
    make("ensemble of all", "all", fixedSet(all)),
    ...cascades(costs).map(([kind, name, policy]) => make(kind, name, policy)),
    ...firsts.flatMap((first) => [
      ...neighbours.map((count) =>
        make("KNORA-E", `${count} neighbours in member ${first}`, knoraEliminate(first, count)),
      ),
      make("META-DES", `${metaNeighbours} neighbours in member ${first}`, metaDes(first, metaNeighbours)),
    ]),
    make("stacking", "ridge regression on all", stacking),
  ];
}

function cascades(costs: readonly number[]): [kind: string, name: string, policy: Policy][] {
  const orders = {
    "cheapest first": (known: Answers) => byValue(costs.map((cost, i) => -cost + accuracyOf(known, i))),
    "best first": (known: Answers) => byValue(costs.map((_, i) => accuracyOf(known, i))),
    "best for its cost first": (known: Answers) => byValue(costs.map((cost, i) => accuracyOf(known, i) / cost)),
  };
  const inOrder = (of: (order: readonly number[]) => Policy) =>
    Object.entries(orders).map(([name, order]): [string, Policy] => [name, (known) => of(order(known))(known)]);
  return [
    ...stops.flatMap((stop) =>
      inOrder((order) => confidenceCascade(order, stop)).map(
        ([name, policy]) => ["confidence cascade", `${name}, until ${stop} sure`, policy] as [string, string, Policy],
      ),
    ),
    ...risingOrders(costs).flatMap((order) =>
      stops.flatMap((stop) =>
        [false, true].map((isLast): [string, string, Policy] => {
          const name = `members ${order.join(" ")}, until ${isLast ? "the last" : "their mean"} is ${stop} sure`;
          return ["confidence cascade", name, confidenceCascade(order, stop, isLast)];
        }),
      ),
    ),
    ...[2, 3, 4].flatMap((votes) =>
      inOrder((order) => agreementCascade(order, votes)).map(
        ([name, policy]) => ["agreement cascade", `${name}, until ${votes} agree`, policy] as [string, string, Policy],
      ),
    ),
  ];
}

/** Cascades of two and of three members, each dearer than the one before or as dear; none for many members. */
export function risingOrders(costs: readonly number[]): number[][] {
  if (costs.length > mostCombined) return [];
  const rising = costs.map((_, i) => i).sort((a, b) => (costs[a] ?? 0) - (costs[b] ?? 0) || a - b);
  return [2, 3].flatMap((size) => combinations(costs.length, size).map((set) => set.map((at) => rising[at] ?? 0)));
}

/** Sets of one to three members, of one where they are many, and all together. */
export function allSets(m: number): number[][] {
  const sizes = (m > mostCombined ? [1] : [1, 2, 3]).filter((size) => size < m);
  return [...sizes.flatMap((size) => combinations(m, size)), Array.from({ length: m }, (_, i) => i)];
}

const byValue = (values: readonly number[]): number[] =>
  values.map((_, i) => i).sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b);

function accuracyOf({ tables, ...known }: Answers, i: number): number {
  const [right = []] = rightBy({ ...known, tables: tables.slice(i, i + 1) });
  return right.filter(Boolean).length / right.length;
}

/** Copies of images in a data set: which stay on one side of a split, and which are the user's mistake. */
import type { Item } from "./types.ts";

/** Two images of a data set that are copies of each other. */
export interface DuplicatePair {
  /** Positions, the smaller first. */
  first: number;
  second: number;
  /** Equal files, or almost equal pixels. */
  exact: boolean;
  /** In two classes, in two of the user's own splits, or neither. */
  kind: "conflict" | "splits" | "class";
}

export interface Duplicates {
  /** For each position the first item that has to be on the same side of a split: of one class and one published split. */
  groups: number[];
  /** Each copy with an earlier one: conflicts first, then across splits, exact ones first. */
  pairs: DuplicatePair[];
  /** Classes whose images look almost all alike, so that they are no copies of each other. */
  uniform: { label: number; alike: number; images: number }[];
}

/** The part of a class above which pictures that look alike are the class's look, as with a fixed camera, and no copies. */
const largestPart = 0.2;
const smallestLook = 4;

interface Entry {
  position: number;
  item: Item;
  row: number;
  /** The row whose print this one repeats. */
  leader: number;
}

/** For each row the first row of its look, where rows may become that in the given order. */
export type LeadersOf = (order: readonly number[]) => Int32Array;

/**
 * Finds the copies in a data set.
 * @param rowOf rows of equal content and their prints, by position; -1 for items to leave out
 */
export function findDuplicates(
  items: readonly Item[],
  rowOf: (position: number) => number,
  leadersOf: LeadersOf,
): Duplicates {
  const used = items.flatMap((item, position) => {
    const row = rowOf(position);
    return row < 0 ? [] : [{ position, item, row }];
  });
  const leaders = leadersOf([...new Set(used.map(({ row }) => row))]);
  const entries = used.map((entry): Entry => ({ ...entry, leader: leaders[entry.row] ?? entry.row }));
  const uniform = uniformClasses(entries);
  const looks = new Set(uniform.map(({ label }) => label));
  const groups = items.map((_, position) => position);
  const firstOf = new Map<string, number>();
  for (const { position, item, row, leader } of entries) {
    const { label, split = "" } = item;
    const key = looks.has(label) ? `content ${row} ${label} ${split}` : `${leader} ${label} ${split}`;
    const first = firstOf.get(key);
    if (first === undefined) firstOf.set(key, position);
    else groups[position] = first;
  }
  return { groups, pairs: pairsOf(entries), uniform };
}

/** Different pictures of a class that are near-duplicates of one leader, where they are a large part of the class. */
function uniformClasses(entries: readonly Entry[]): Duplicates["uniform"] {
  const classes = new Map<number, { rows: Set<number>; looks: Map<number, Set<number>> }>();
  for (const { item, row, leader } of entries) {
    const own = classes.get(item.label) ?? { rows: new Set(), looks: new Map() };
    classes.set(item.label, own);
    own.rows.add(row);
    const look = own.looks.get(leader) ?? new Set();
    own.looks.set(leader, look.add(row));
  }
  return [...classes].flatMap(([label, { rows, looks }]) => {
    const alike = [...looks.values()].reduce((most, look) => Math.max(most, look.size), 0);
    const isLook = (alike >= smallestLook && alike > largestPart * rows.size) || (looks.size === 1 && alike > 1);
    return isLook && label >= 0 ? [{ label, alike, images: rows.size }] : [];
  });
}

/** Bounded by a few pairs an item: each with the first one that it repeats in each way. */
function pairsOf(entries: readonly Entry[]): DuplicatePair[] {
  const pairs = new Map<string, DuplicatePair>();
  for (const exact of [true, false]) {
    /** The first item of each class and split, by content or by look. */
    const seen = new Map<number, Entry[]>();
    for (const entry of entries) {
      const key = exact ? entry.row : entry.leader;
      const before = seen.get(key) ?? [];
      seen.set(key, before);
      for (const kind of ["conflict", "splits", "class"] as const) {
        const first = before.find((other) => kindOf(other.item, entry.item) === kind);
        if (!first) continue;
        const name = `${first.position} ${entry.position}`;
        if (!pairs.has(name)) pairs.set(name, { first: first.position, second: entry.position, exact, kind });
        break;
      }
      if (!before.some((other) => kindOf(other.item, entry.item) === "class")) before.push(entry);
    }
  }
  const order = { conflict: 0, splits: 1, class: 2 };
  return [...pairs.values()].sort(
    (a, b) =>
      order[a.kind] - order[b.kind] || Number(b.exact) - Number(a.exact) || a.first - b.first || a.second - b.second,
  );
}

function kindOf(a: Item, b: Item): DuplicatePair["kind"] {
  if (a.label !== b.label && a.label >= 0 && b.label >= 0) return "conflict";
  return a.split === b.split ? "class" : "splits";
}

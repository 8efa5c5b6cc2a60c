/** Splits into train, validation and test: stratified by class, whole groups on one side, decided by the seed alone. */
import { createHash } from "node:crypto";
import { UserError } from "../torch/index.ts";
import { keyedRandom, shuffled } from "./keyed-random.ts";
import type { Dataset, Item } from "./types.ts";

export interface SplitOptions {
  seed: number;
  /** Parts of each class, 0 … 1, where the data set does not fix the split itself. */
  testFraction?: number;
  validationFraction?: number;
  /** Largest number of training images of a class; the rest is not used. */
  trainPerClass?: number | undefined;
  /** Largest number of validation images of a class. */
  validationPerClass?: number | undefined;
}

export interface Split {
  train: number[];
  validation: number[];
  test: number[];
  /** A short hash of the split. */
  hash: string;
}

/**
 * Splits a data set. Published splits of items are kept; without a published validation split it is taken from train.
 * @param usable positions that may be used
 * @param duplicates for each item the representative of its near-duplicates
 * @throws UserError when a class has no training or no validation image left
 */
export function splitDataset(
  dataset: Dataset,
  options: SplitOptions,
  usable: (index: number) => boolean = () => true,
  duplicates?: readonly number[],
): Split {
  const test: number[] = [];
  const validation: number[] = [];
  const train: number[] = [];
  const published = dataset.items.some((item) => item.split !== undefined);
  const hasValidation = dataset.items.some((item) => item.split === "validation");
  const groups = groupItems(dataset, usable, duplicates);
  for (let label = 0; label < dataset.classes.length; label++) {
    const random = keyedRandom(options.seed, label, 0x5917);
    const own = shuffled(
      groups.filter((group) => group.label === label),
      random,
    );
    const size = own.reduce((sum, group) => sum + group.items.length, 0);
    const testQuota = published ? 0 : Math.round(size * (options.testFraction ?? 0.2));
    const validationQuota = hasValidation
      ? 0
      : Math.min(Math.round(size * (options.validationFraction ?? 0.2)), options.validationPerClass ?? size);
    const taken = { test: 0, validation: 0, train: 0 };
    for (const group of own) {
      let side: "train" | "validation" | "test" = group.split ?? "train";
      if (!group.split || (group.split === "train" && !hasValidation)) {
        if (!published && taken.test < testQuota) side = "test";
        else if (taken.validation < validationQuota) side = "validation";
      }
      if (side === "train" && taken.train >= (options.trainPerClass ?? Number.POSITIVE_INFINITY)) continue;
      const room =
        side === "train" ? (options.trainPerClass ?? Number.POSITIVE_INFINITY) - taken.train : Number.POSITIVE_INFINITY;
      const chosen = group.items.slice(0, room);
      taken[side] += chosen.length;
      (side === "test" ? test : side === "validation" ? validation : train).push(...chosen);
    }
    if (taken.train === 0 || taken.validation === 0) {
      const missing = taken.train === 0 ? "training" : "validation";
      throw new UserError(
        `the class "${dataset.classes[label]}" of ${dataset.name} has no ${missing} image: it needs more images`,
      );
    }
  }
  const sorted = [train, validation, test].map((part) => part.sort((a, b) => a - b));
  const hash = createHash("sha256")
    .update(JSON.stringify([dataset.items.length, ...sorted]))
    .digest("hex")
    .slice(0, 16);
  return { train, validation, test, hash };
}

interface Group {
  label: number;
  items: number[];
  split: "train" | "validation" | "test" | undefined;
}

/** Joins items that share a group name or are near-duplicates; a mixed group counts for its first item's class. */
function groupItems(dataset: Dataset, usable: (index: number) => boolean, duplicates?: readonly number[]): Group[] {
  const parent = dataset.items.map((_, i) => i);
  const find = (i: number): number => {
    let root = i;
    while (parent[root] !== root) root = parent[root] ?? root;
    parent[i] = root;
    return root;
  };
  const join = (i: number, j: number): void => {
    const [a, b] = [find(i), find(j)];
    parent[Math.max(a, b)] = Math.min(a, b);
  };
  const firstOf = new Map<string, number>();
  const joinByKey = (key: string, i: number): void => {
    const first = firstOf.get(key);
    if (first === undefined) firstOf.set(key, i);
    else join(first, i);
  };
  const eligible = dataset.items.flatMap((item, i) => (item.label >= 0 && usable(i) ? [i] : []));
  for (const i of eligible) {
    const { group: name, grouped } = dataset.items[i] as Item;
    if (name !== undefined) joinByKey(`group ${name}`, i);
    const twin = grouped ? undefined : duplicates?.[i];
    // Under its own number too, so that chains join; the representative itself may be unusable.
    for (const key of twin === undefined ? [] : [i, twin]) joinByKey(`twin ${key}`, i);
  }
  // A published test image that repeats a training image stays where it was published.
  const groups = new Map<string, Group>();
  for (const i of eligible) {
    const { label, split } = dataset.items[i] as Item;
    const key = `${find(i)} ${split ?? ""}`;
    const group = groups.get(key);
    if (group) group.items.push(i);
    else groups.set(key, { label, items: [i], split });
  }
  return [...groups.values()];
}

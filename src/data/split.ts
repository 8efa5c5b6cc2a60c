/** Splits into train, validation and test: stratified by class or stratum, whole groups on one side, decided by seeds alone. */
import { createHash } from "node:crypto";
import { counted, quoted } from "../io/index.ts";
import { keyedRandom, shuffled, UserError } from "../torch/index.ts";
import type { Dataset, Item } from "./types.ts";

export interface SplitOptions {
  seed: number;
  /** Seed that draws the test side alone, so that no other seed moves it; `seed` draws all sides when left out. */
  testSeed?: number | undefined;
  /** Parts of each class, 0 … 1, where the data set does not fix the split itself. */
  testFraction?: number | undefined;
  validationFraction?: number | undefined;
  /** Largest number of training images of a class; the rest is not used. */
  trainPerClass?: number | undefined;
  /** Largest number of validation images of a class. */
  validationPerClass?: number | undefined;
}

export interface Split {
  train: number[];
  validation: number[];
  test: number[];
  /** A short hash of the positions on each side. */
  hash: string;
}

type Side = "train" | "validation" | "test";

/**
 * Splits a data set. Published splits of items are kept; without a published validation split it is taken from train.
 * @param usable positions that may be used
 * @param duplicates for each item the representative of its near-duplicates
 * @throws UserError when a class (or the whole, where images have no single class) has too few different images to train
 * and to validate with, saying how many
 */
export function splitDataset(
  dataset: Dataset,
  options: SplitOptions,
  usable: (index: number) => boolean = () => true,
  duplicates?: readonly number[],
): Split {
  const sides: Record<Side, number[]> = { train: [], validation: [], test: [] };
  const isPublished = dataset.items.some((item) => item.split !== undefined);
  const isValidated = dataset.items.some((item) => item.split === "validation");
  const groups = groupsByClass(dataset, usable, duplicates);
  const isStrata = dataset.task !== undefined;
  if (isStrata && options.trainPerClass !== undefined)
    throw new UserError(`${dataset.name} has no classes of which --train-per-class could count images: leave it out`);
  for (const label of isStrata ? [...groups.keys()].sort((a, b) => a - b) : dataset.classes.keys()) {
    const all = groups.get(label) ?? [];
    const published = isPublished && dataset.unsplit?.has(label) !== true;
    const hasValidation = published && isValidated;
    const own = published ? ordered(all, label, options.seed) : drawn(all, label, options);
    const { trainPerClass = Number.POSITIVE_INFINITY } = options;
    const made = quotaSides(own, quotasOf(own, options, published, hasValidation));
    const isWhole = made.train.length > 0 && made.validation.length > 0;
    const few = options.testSeed === undefined ? own : ordered(all, label, options.testSeed);
    const chosen = isWhole ? made : smallSides(few, published, hasValidation);
    if (!chosen && isStrata) {
      sides.train.push(...own.filter(isOpen).flatMap((group) => group.items));
      continue;
    }
    if (!chosen) throw tooFew(dataset, dataset.classes[label] ?? "", own, published, hasValidation);
    const limits = { train: trainPerClass, validation: undefined, test: undefined };
    for (const side of ["train", "validation", "test"] as const) {
      const items = chosen[side].flatMap((group) => group.items).slice(0, limits[side]);
      for (const item of items) sides[side].push(item);
    }
  }
  if (isStrata && (sides.train.length === 0 || sides.validation.length === 0)) {
    throw new UserError(
      `${dataset.name} has ${counted(sides.train.length, "training image")} and ${sides.validation.length} to validate with: it needs some of both`,
    );
  }
  const sorted = [sides.train, sides.validation, sides.test].map((part) => part.sort((a, b) => a - b));
  const hash = createHash("sha256")
    .update(JSON.stringify([dataset.items.length, ...sorted]))
    .digest("hex")
    .slice(0, 16);
  return { ...sides, hash };
}

/** The groups of a class in the order in which they are dealt out, test first. */
function drawn(groups: readonly Group[], label: number, { seed, testSeed, testFraction = 0.2 }: SplitOptions): Group[] {
  if (testSeed === undefined) return ordered(groups, label, seed);
  const fixed = ordered(groups, label, testSeed);
  const quota = Math.round(imagesIn(fixed.filter(isOpen)) * testFraction);
  let count = 0;
  for (let taken = 0; count < fixed.length && taken < quota; count++) taken += fixed[count]?.items.length ?? 0;
  return [...fixed.slice(0, count), ...ordered(fixed.slice(count), label, seed)];
}

const ordered = (groups: readonly Group[], label: number, seed: number): Group[] =>
  shuffled(groups, keyedRandom(seed, label, 0x5917));

interface Quotas {
  test: number;
  validation: number;
}

/** Validation counts only what it may take: published test images are none of it. */
function quotasOf(own: readonly Group[], options: SplitOptions, published: boolean, hasValidation: boolean): Quotas {
  const open = imagesIn(own.filter(isOpen));
  const { testFraction = 0.2, validationFraction = 0.2, validationPerClass = Number.POSITIVE_INFINITY } = options;
  return {
    test: published ? 0 : Math.round(open * testFraction),
    validation: hasValidation ? 0 : Math.min(Math.round(open * validationFraction), validationPerClass),
  };
}

/** Whole groups go to test and then to validation until each has its quota; the rest is for training. */
function quotaSides(own: readonly Group[], quotas: Quotas): Record<Side, Group[]> {
  const sides: Record<Side, Group[]> = { train: [], validation: [], test: [] };
  const taken = { test: 0, validation: 0 };
  for (const group of own) {
    if (!isOpen(group)) {
      sides[group.split ?? "train"].push(group);
      continue;
    }
    const wanted = (["test", "validation"] as const).find((side) => taken[side] < quotas[side]);
    sides[wanted ?? "train"].push(group);
    if (wanted) taken[wanted] += group.items.length;
  }
  return sides;
}

/** A class of few or large groups, where quotas leave a side empty: one small group validates, one tests, the rest trains. */
function smallSides(
  own: readonly Group[],
  published: boolean,
  hasValidation: boolean,
): Record<Side, Group[]> | undefined {
  const of = (side: Side) => own.filter(({ split }) => split === side);
  const sides: Record<Side, Group[]> = { train: [], validation: of("validation"), test: of("test") };
  const rising = own.filter(isOpen).sort((a, b) => a.items.length - b.items.length);
  if (!hasValidation) sides.validation.push(...rising.splice(0, 1));
  if (!published && rising.length > 1) sides.test.push(...rising.splice(0, 1));
  sides.train.push(...rising);
  return sides.train.length > 0 && sides.validation.length > 0 ? sides : undefined;
}

/** True when a group may go to any side that is not published. */
const isOpen = ({ split }: Group) => split === undefined || split === "train";

const imagesIn = (groups: readonly Group[]) => groups.reduce((sum, { items }) => sum + items.length, 0);

function tooFew(
  dataset: Dataset,
  name: string,
  own: readonly Group[],
  published: boolean,
  hasValidation: boolean,
): UserError {
  const where = `the class ${quoted(name)} of ${dataset.name}`;
  const open = own.filter(isOpen);
  const images = imagesIn(open);
  if (own.length === 0) return new UserError(`${where} has no image that can be used: repair its files, or remove it`);
  if (images === 0) return new UserError(`${where} has no training image: its images are all in other splits`);
  const count = counted(images, published ? "training image" : "image");
  if (open.length === 1 && images > 1 && !hasValidation) {
    return new UserError(
      `${where} has ${count}, which are all copies of one picture: add different ones, or keep them apart with --duplicates keep`,
    );
  }
  if (hasValidation) return new UserError(`${where} has no validation image: add some to the validation folder`);
  return new UserError(`${where} has only ${count}: it needs at least 2 different ones, to train and to validate with`);
}

interface Group {
  label: number;
  items: number[];
  split: Side | undefined;
}

/** Joins items that share a group name or are near-duplicates; a mixed group counts for its first item's class. */
function groupsByClass(
  dataset: Dataset,
  usable: (index: number) => boolean,
  duplicates?: readonly number[],
): Map<number, Group[]> {
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
    const { group: name } = dataset.items[i] as Item;
    if (name !== undefined) joinByKey(`group ${name}`, i);
    const twin = duplicates?.[i];
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
  const classes = new Map<number, Group[]>();
  for (const group of groups.values()) {
    const own = classes.get(group.label);
    if (own) own.push(group);
    else classes.set(group.label, [group]);
  }
  return classes;
}

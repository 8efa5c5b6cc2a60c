/** Labels of images as they stand in lists: a class, several, or numbers; and the data set that they make. n images, C classes. */
import { listed, quoted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { refuseUntrained } from "./split-names.ts";
import type { Dataset, Item, TaskKind } from "./types.ts";

/** The name of a class, names of any number of classes, or numbers by their names. */
export type Label = string | readonly string[] | ReadonlyMap<string, number>;

/** An image with its label, and where that stands, for messages. */
export interface LabelledImage extends Omit<Item, "label" | "targets"> {
  label: Label;
  where: string;
}

const kindWords: Readonly<Record<TaskKind, string>> = {
  classification: "one class",
  "multi-label": "a list of labels",
  regression: "numbers",
};

function kindOf(label: Label): TaskKind {
  if (typeof label === "string") return "classification";
  return label instanceof Map ? "regression" : "multi-label";
}

/**
 * The data set of labelled images: its classes are all labels, in their order, or the names of the numbers.
 * @param images in the order of the items
 * @throws UserError when there are none, nothing to tell apart, labels of two kinds, one image twice, or splits of some
 * images alone
 */
export function labelledDataset({
  images,
  ...about
}: Pick<Dataset, "name" | "origin" | "notes" | "ignored"> & { images: readonly LabelledImage[] }): Dataset {
  const { origin } = about;
  const [first] = images;
  if (!first) throw new UserError(`${origin} lists no images`);
  const kind = kindOf(first.label);
  const other = images.find(({ label }) => kindOf(label) !== kind);
  if (other) {
    throw new UserError(
      `${other.where}: the label is ${kindWords[kindOf(other.label)]}, and that at ${first.where} is ${kindWords[kind]}: give all images one kind`,
    );
  }
  refuseTwice(images);
  const { classes, items } = encoders[kind](origin, images);
  if (kind === "classification") refuseUntrained(origin, classes, items);
  return {
    ...about,
    ...(kind === "classification" ? {} : { task: kind }),
    classes,
    items,
    licence: "the user's own",
  };
}

function refuseTwice(images: readonly LabelledImage[]): void {
  const seen = new Map<string, string>();
  for (const { id, where } of images) {
    const before = seen.get(id);
    if (before !== undefined) throw new UserError(`${where}: ${quoted(id)} is listed already, at ${before}`);
    seen.set(id, where);
  }
  const unsplit = images.find(({ split }) => split === undefined);
  if (unsplit && images.some(({ split }) => split !== undefined)) {
    throw new UserError(`${unsplit.where}: ${quoted(unsplit.id)} has no split, and other images have one`);
  }
}

type Encoded = Pick<Dataset, "classes" | "items">;
type Encode = (origin: string, images: readonly LabelledImage[]) => Encoded;

const encoders: Readonly<Record<TaskKind, Encode>> = {
  classification(origin, images) {
    const classes = [...new Set(images.map(({ label }) => label as string))].sort();
    const [only] = classes;
    if (classes.length === 1 && only !== undefined) {
      throw new UserError(`${origin} has only one class (${quoted(only)}): there is nothing to tell apart`);
    }
    const places = new Map(classes.map((name, i) => [name, i]));
    const items = images.map(({ label, where: _, ...item }) => ({ ...item, label: places.get(label as string) ?? -1 }));
    return { classes, items };
  },

  "multi-label"(origin, images) {
    const own = images.map(({ label }) => label as readonly string[]);
    const classes = [...new Set(own.flat())].sort();
    if (classes.length === 0) throw new UserError(`${origin}: no image has a label`);
    const isTold = own.some((labels) => new Set(labels).size < classes.length);
    if (!isTold)
      throw new UserError(`${origin}: every image has all labels (${listed(classes)}): there is nothing to tell apart`);
    const places = new Map(classes.map((name, i) => [name, i]));
    const rows = own.map((labels) => {
      const row = new Array<number>(classes.length).fill(0);
      for (const label of labels) row[places.get(label) ?? -1] = 1;
      return row;
    });
    return { classes, items: withTargets(images, rows, rarestLabels(rows)) };
  },

  regression(origin, images) {
    const own = images.map(({ label }) => label as ReadonlyMap<string, number>);
    const classes = [...(own[0]?.keys() ?? [])];
    const rows = own.map((values, i) =>
      classes.map((name) => {
        const value = values.get(name);
        if (value !== undefined && values.size === classes.length) return value;
        const names = [...values.keys()];
        throw new UserError(`${images[i]?.where}: the numbers are ${listed(names)}, and before ${listed(classes)}`);
      }),
    );
    const constant = classes.find((_, c) => rows.every((row) => row[c] === rows[0]?.[c]));
    if (constant !== undefined)
      throw new UserError(`${origin}: all images have the same ${quoted(constant)}: there is nothing to learn`);
    return { classes, items: withTargets(images, rows, quantiles(rows)) };
  },
};

/** Splits that the user gives are whole: strata are for those that are drawn. */
function withTargets(images: readonly LabelledImage[], rows: readonly number[][], strata: readonly number[]): Item[] {
  const isSplit = images.some(({ split }) => split !== undefined);
  return images.map(({ label: _, where: __, ...item }, i) => {
    return { ...item, label: isSplit ? 0 : (strata[i] ?? 0), targets: rows[i] ?? [] };
  });
}

/** Images below which strata are joined, so that each can be on all sides of a split. */
const leastStratum = 5;
/** Strata of numbers at most, and images of each at least. */
const [mostQuantiles, imagesOfQuantile] = [10, 10];

/** Positions of the labels that an image has, of its row [C] of zeros and ones. */
export const labelsIn = (row: readonly number[]): number[] => row.flatMap((value, c) => (value > 0 ? [c] : []));

/** A stratum for each row of labels [n, C]: its rarest label, as rare ones have to be on all sides of a split. */
function rarestLabels(rows: readonly (readonly number[])[]): number[] {
  const counts = new Map<number, number>();
  const countIn = (values: readonly number[], into: Map<number, number>) => {
    for (const value of values) into.set(value, (into.get(value) ?? 0) + 1);
  };
  const own = rows.map(labelsIn);
  for (const labels of own) countIn(labels, counts);
  const frequency = (c: number) => counts.get(c) ?? 0;
  const rarest = own.map((labels) =>
    labels.reduce((least, c) => (least < 0 || frequency(c) < frequency(least) ? c : least), -1),
  );
  const sizes = new Map<number, number>();
  countIn(rarest, sizes);
  const names = new Map<number, number>();
  return rarest.map((label) => {
    const name = (sizes.get(label) ?? 0) < leastStratum ? -1 : label;
    if (!names.has(name)) names.set(name, names.size);
    return names.get(name) ?? 0;
  });
}

/** A stratum for each row of numbers [n, C], by the order of the first of them. */
function quantiles(rows: readonly (readonly number[])[]): number[] {
  const parts = Math.min(mostQuantiles, Math.max(1, Math.floor(rows.length / imagesOfQuantile)));
  const order = [...rows.keys()].sort((a, b) => (rows[a]?.[0] ?? 0) - (rows[b]?.[0] ?? 0) || a - b);
  const strata = new Array<number>(rows.length).fill(0);
  for (const [rank, i] of order.entries()) strata[i] = Math.floor((rank * parts) / rows.length);
  return strata;
}

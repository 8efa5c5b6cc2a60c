/** The data set doctor: what `data check` reports before anyone trains. */
import { counted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { Watched } from "./concurrent.ts";
import { ImageStore } from "./image-store.ts";
import { labelsIn } from "./labels.ts";
import { openDataset } from "./registry.ts";
import { remarksOn } from "./remarks.ts";
import type { Dataset, Ignored, TaskKind } from "./types.ts";
import { duplicatesIn, examplesOf, ignoredNotes, splitUsable } from "./usable.ts";

export interface DatasetReport {
  name: string;
  images: number;
  /** Labels are several of each image, or numbers; one class each when left out. */
  task?: Dataset["task"];
  /** Images of each class; none where labels are numbers. */
  classes: { name: string; images: number }[];
  /** Numbers over all images. */
  numbers?: readonly { name: string; smallest: number; mean: number; largest: number }[];
  /** Images of each of the user's own splits, where there are any. */
  splits: Record<string, number>;
  /** Files that cannot be used, each with the reason. */
  unreadable: { file: string; reason: string }[];
  /** Files that are no part of the data set, by reason. */
  ignored: Ignored[];
  /** Files that are read otherwise than their owner may think, by reason. */
  remarks: Ignored[];
  /** Copies: with two labels first, then in two splits, then in one class. */
  duplicates: { first: string; second: string; exact: boolean; kind: "conflict" | "splits" | "class" }[];
  /** Why training would stop; empty when it would not. */
  refusals: string[];
  warnings: string[];
}

const side = 32;
/** Classes under this size are named. */
const fewImages = 10;
/** Largest class to smallest above which they count as uneven. */
const uneven = 10;

/**
 * Reads every image once.
 * @throws UserError when the folder is no data set at all; Interrupted after the signal
 */
export async function checkDataset(
  nameOrFolder: string,
  onProgress?: Watched["onProgress"],
  signal?: AbortSignal,
  task?: TaskKind,
): Promise<DatasetReport> {
  const dataset = await openDataset(nameOrFolder, { task, onProgress, signal });
  const { items } = dataset;
  const id = (position: number) => items[position]?.id ?? "";
  const store = await ImageStore.open(dataset, { size: side, skipBad: true, onProgress, signal });
  try {
    const unreadable = [...store.unreadable]
      .sort(([a], [b]) => a - b)
      .map(([position, reason]) => ({ file: id(position), reason }));
    const found = duplicatesIn(dataset, store);
    const counts = dataset.task === "regression" ? [] : imagesOfClasses(dataset);
    const warnings = sizeWarnings(counts);
    const refusals =
      unreadable.length > 0
        ? [
            `${counted(unreadable.length, "image")} that cannot be used: repair or remove them, or train with --skip-bad`,
          ]
        : [];
    try {
      const { notes } = splitUsable(dataset, store, found, { seed: 0 });
      warnings.push(...notes);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      refusals.push(error.message);
      warnings.push(...(dataset.notes ?? []), ...ignoredNotes(dataset));
    }
    const remarks = await remarksOn(items, (i) => !store.unreadable.has(i), { signal });
    warnings.push(...remarks.map(remarkText));
    return {
      name: dataset.name,
      images: items.length,
      ...(dataset.task && { task: dataset.task }),
      classes: counts,
      ...(dataset.task === "regression" && { numbers: numbersOf(dataset) }),
      splits: Object.fromEntries(
        countBy(
          items.filter(({ split }) => split),
          ({ split }) => split ?? "",
        ),
      ),
      unreadable,
      ignored: dataset.ignored ?? [],
      remarks,
      duplicates: (found?.pairs ?? []).map(({ first, second, ...rest }) => ({
        first: id(first),
        second: id(second),
        ...rest,
      })),
      refusals,
      warnings,
    };
  } finally {
    store.dispose();
  }
}

const remarkText = (one: Ignored): string => `${counted(one.count, "file")} ${one.reason}: ${examplesOf(one)}`;

function imagesOfClasses({ classes, items }: Dataset): DatasetReport["classes"] {
  const counts = countBy(
    items.flatMap(({ label, targets }) => (targets ? labelsIn(targets) : [label])),
    (label) => label,
  );
  return classes.map((name, label) => ({ name, images: counts.get(label) ?? 0 }));
}

function numbersOf({ classes, items }: Dataset): NonNullable<DatasetReport["numbers"]> {
  return classes.map((name, c) => {
    let [smallest, sum, largest] = [Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY];
    for (const { targets } of items) {
      const value = targets?.[c] ?? 0;
      [smallest, sum, largest] = [Math.min(smallest, value), sum + value, Math.max(largest, value)];
    }
    return { name, smallest, mean: sum / items.length, largest };
  });
}

function countBy<T, K>(values: readonly T[], key: (value: T) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const value of values) counts.set(key(value), (counts.get(key(value)) ?? 0) + 1);
  return counts;
}

function sizeWarnings(classes: readonly { name: string; images: number }[]): string[] {
  const found: string[] = [];
  const small = classes.filter(({ images }) => images < fewImages);
  if (small.length > 0)
    found.push(`few images in: ${small.map(({ name, images }) => `${name} (${images})`).join(", ")}`);
  const sizes = classes.map(({ images }) => images).sort((a, b) => a - b);
  if ((sizes.at(-1) ?? 0) > uneven * (sizes[0] ?? 0)) {
    found.push("the largest class has more than ten times the images of the smallest");
  }
  return found;
}

/** The part of a data set that can be trained on, and its split: one answer for `data check` and for training. */
import { counted, listed, quoted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { type DuplicatePair, type Duplicates, findDuplicates } from "./duplicates.ts";
import type { ImageStore } from "./image-store.ts";
import { type Split, type SplitOptions, splitDataset } from "./split.ts";
import type { Dataset, Ignored } from "./types.ts";

/** Treatment of copies: on one side of each split, or as if they were different images. */
export type DuplicatesPolicy = "group" | "keep";

export interface UsableSplit {
  split: Split;
  /** Remarks for the user: what was left out, and what figures may suffer from. */
  notes: string[];
}

/** Copies in a data set whose images were decoded; undefined where they are not looked for. */
export function duplicatesIn(dataset: Dataset, store: ImageStore): Duplicates | undefined {
  if (dataset.asPublished) return undefined;
  const leadersOf = (order: readonly number[]) => store.leaders(order);
  const rowOf = (i: number) => (store.unreadable.has(i) ? -1 : store.rowOf(i));
  if (dataset.task === undefined) return findDuplicates(dataset.items, rowOf, leadersOf);
  // Strata are no classes: copies are of one whatever their labels are, and a mistake where these differ.
  const { items } = dataset;
  const found = findDuplicates(
    items.map((item) => ({ ...item, label: 0 })),
    rowOf,
    leadersOf,
  );
  const differ = ({ first, second }: DuplicatePair) =>
    items[first]?.targets?.some((value, c) => value !== items[second]?.targets?.[c]) === true;
  const pairs = found.pairs.map((pair) => (pair.exact && differ(pair) ? { ...pair, kind: "conflict" as const } : pair));
  return { ...found, pairs };
}

/**
 * Splits the images that can be used.
 * @throws UserError when one image has two labels, or a class is too small, naming it
 */
export function splitUsable(
  dataset: Dataset,
  store: ImageStore,
  duplicates: Duplicates | undefined,
  { policy = "group", ...options }: SplitOptions & { policy?: DuplicatesPolicy | undefined },
): UsableSplit {
  const pairs = duplicates?.pairs ?? [];
  if (policy === "group") refuseConflicts(dataset, pairs);
  const groups = policy === "group" ? duplicates?.groups : undefined;
  const split = splitDataset(dataset, options, (i) => !store.unreadable.has(i), groups);
  const remarks = duplicates && policy === "group" ? remarksOn(dataset, duplicates) : [];
  const untrained = dataset.task === "multi-label" ? untrainedNotes(dataset, split) : [];
  return { split, notes: [...(dataset.notes ?? []), ...ignoredNotes(dataset), ...remarks, ...untrained] };
}

/** One line on labels that no training image has: they cannot be learned. */
function untrainedNotes({ classes, items }: Dataset, { train }: Split): string[] {
  const missing = classes.filter((_, c) => !train.some((i) => items[i]?.targets?.[c] === 1));
  if (missing.length === 0) return [];
  return [`no training image has the ${missing.length === 1 ? "label" : "labels"} ${listed(missing, 8)}`];
}

function refuseConflicts(dataset: Dataset, pairs: readonly DuplicatePair[]): void {
  const conflicts = pairs.filter(({ kind, exact }) => kind === "conflict" && exact);
  const [first] = conflicts;
  if (!first) return;
  const more = conflicts.length > 1 ? ` (${conflicts.length} such pairs; data check lists them)` : "";
  throw new UserError(
    `${namesOf(dataset, first)} are the same image with two labels${more}: remove the wrong one, ` +
      "or train on both with --duplicates keep",
  );
}

/** Both images of a pair, for messages. */
export function namesOf(dataset: Dataset, { first, second }: DuplicatePair): string {
  return [first, second].map((i) => quoted(dataset.items[i]?.id ?? "")).join(" and ");
}

/** Names that a line shows. */
const mostShown = 3;

/** Some of the files, for messages. */
export function examplesOf({ count, examples }: Ignored): string {
  return `${examples.slice(0, mostShown).map(quoted).join(", ")}${count > mostShown ? ", …" : ""}`;
}

/** One line for each reason that files were left out for. */
export function ignoredNotes({ ignored = [] }: Dataset): string[] {
  return ignored.map((one) => `left out ${counted(one.count, one.unit ?? "file")}, ${one.reason}: ${examplesOf(one)}`);
}

function remarksOn(dataset: Dataset, { pairs, uniform }: Duplicates): string[] {
  const of = (kind: DuplicatePair["kind"]) => pairs.filter((pair) => pair.kind === kind);
  const example = (found: readonly DuplicatePair[]) => `such as ${namesOf(dataset, found[0] as DuplicatePair)}`;
  const [conflicts, across, copies] = [of("conflict"), of("splits"), of("class")];
  const remarks: string[] = [];
  if (conflicts.length > 0)
    remarks.push(`${counted(conflicts.length, "image")} with a look-alike in another class, ${example(conflicts)}`);
  if (across.length > 0) {
    remarks.push(
      `${counted(across.length, "image")} in two splits, ${example(across)}: figures will look better than on new images`,
    );
  }
  for (const { label, alike, images } of uniform) {
    remarks.push(
      `${alike} of ${images} images${dataset.task ? "" : ` of ${quoted(dataset.classes[label] ?? "")}`} look almost the same, as from a fixed camera: ` +
        "they are split one by one",
    );
  }
  const classOf = (i: number) => (dataset.task ? 0 : dataset.items[i]?.label);
  const grouped = copies.filter(({ second }) => !uniform.some(({ label }) => label === classOf(second)));
  if (grouped.length > 0) {
    remarks.push(
      `${counted(grouped.length, "copy", "copies")} of other images${dataset.task ? "" : " of the class"}, ${example(grouped)}: they stay on one side of the split`,
    );
  }
  return remarks;
}

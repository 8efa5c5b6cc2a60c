/** The part of a data set that can be trained on, and its split: one answer for `data check` and for training. */
import { counted, quoted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { type DuplicatePair, type Duplicates, findDuplicates } from "./duplicates.ts";
import type { ImageStore } from "./image-store.ts";
import { type Split, type SplitOptions, splitDataset } from "./split.ts";
import type { Dataset } from "./types.ts";

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
  using prints = store.prints();
  return findDuplicates(dataset.items, (i) => (store.unreadable.has(i) ? -1 : store.rowOf(i)), prints);
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
  return { split, notes: [...(dataset.notes ?? []), ...ignoredNotes(dataset), ...remarks] };
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

/** One line for each reason that files were left out for. */
export function ignoredNotes({ ignored = [] }: Dataset): string[] {
  return ignored.map(({ reason, count, examples }) => {
    const named = examples.map(quoted).join(", ");
    return `left out ${counted(count, "file")}, ${reason}: ${named}${count > examples.length ? ", …" : ""}`;
  });
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
      `${alike} of ${images} images of ${quoted(dataset.classes[label] ?? "")} look almost the same, as from a fixed camera: ` +
        "they are split one by one",
    );
  }
  const grouped = copies.filter(({ second }) => !uniform.some(({ label }) => label === dataset.items[second]?.label));
  if (grouped.length > 0) {
    remarks.push(
      `${counted(grouped.length, "copy", "copies")} of other images of the class, ${example(grouped)}: they stay on one side of the split`,
    );
  }
  return remarks;
}

/** Images that a finished run is measured on, found by content, with classes matched by name. */
import { type ContentHash, contentHashes, type Dataset, openDataset, type Progress } from "../data/index.ts";
import { quoted } from "../io/index.ts";
import { type Tensor, UserError } from "../torch/index.ts";
import { type OwnedBatches, ownedBatches, type SplitName } from "./data.ts";
import { type ImageRunFolder, placeOf, type RunConfig } from "./run-config.ts";
import { matchSplit, readSplit, type SplitMatch } from "./run-split.ts";

export interface RunDataRequest {
  split: SplitName;
  /** Path of the images, when not where the run was trained; other images than the run's may be measured too. */
  data?: string | undefined;
  onProgress?: Progress | undefined;
  device?: string | undefined;
}

/** Labelled images for a run's classes. */
export interface RunData {
  name: string;
  /** The run's. */
  classes: readonly string[];
  imageSize: number;
  /** Names of all images of the data set. */
  ids: readonly string[];
  /** True where these are images that the run recorded, false for others. */
  isRecorded: boolean;
  /** Differences between the images and the run that a reader should know; empty when there are none. */
  remarks: string[];
  /** How many of the run's images of this split are among them; others may be measured too. */
  ownImages: "all" | "some" | "none";
  /** Batches of the images to measure. */
  batches: OwnedBatches;
  /** The same images with another side. The caller disposes them. */
  openAt(imageSize: number): Promise<OwnedBatches>;
  /** Pixels of images, uint8 [n, 3, S, S], by their positions in the data set. */
  pixels(indices: readonly number[]): Promise<Tensor>;
  dispose(): void;
}

/** @throws UserError naming classes that the run does not know, or when none of the images belongs to the split */
export async function openRunData(
  folder: ImageRunFolder,
  config: RunConfig,
  request: RunDataRequest,
): Promise<RunData> {
  const { split, onProgress, device } = request;
  const { form, at } = config.data;
  const source = request.data ?? placeOf(folder.path, at);
  const dataset = await openDataset(source, { task: config.task ?? "classification", onProgress });
  const { labels, targets } = mappedLabels(dataset, config, folder.path);
  const match = matchSplit(
    readSplit(folder.file("split.json")),
    split,
    await hashesOf(dataset, onProgress),
    dataset.items.map((item) => item.id),
  );
  const { indices, remarks } = choose(match, dataset.items, source, request);
  const labelled = indices.filter((index) => (labels[index] ?? -1) >= 0);
  if (labelled.length === 0) throw new UserError(`no ${split} image of ${folder.path} is in ${quoted(source)}`);
  const open = (size: number) =>
    ownedBatches(
      dataset,
      labelled,
      { size, fit: form.fit, skipBad: form.skipBad, onProgress },
      { labels, targets, classes: config.classes.length, device },
    );
  const batches = await open(form.imageSize);
  return {
    name: dataset.name,
    classes: config.classes,
    imageSize: form.imageSize,
    ids: dataset.items.map((item) => item.id),
    isRecorded: match.indices.length > 0,
    remarks,
    ownImages: match.indices.length === 0 ? "none" : match.missing + match.changed === 0 ? "all" : "some",
    batches,
    openAt: open,
    pixels: (positions) => batches.pixels(positions),
    dispose: () => batches.dispose(),
  };
}

/** Hashes of items that can be read. */
async function hashesOf({ items }: Dataset, onProgress: RunDataRequest["onProgress"]): Promise<(string | undefined)[]> {
  const hashes = await contentHashes(items, { onProgress });
  return hashes.map((found: ContentHash) => ("hash" in found ? found.hash : undefined));
}

/** The run's class of each item, or its row of labels or numbers; names count, not their order. */
function mappedLabels(
  dataset: Dataset,
  { classes, task }: RunConfig,
  folder: string,
): { labels: number[]; targets?: number[][] } {
  const known = new Map(classes.map((name, label) => [name, label]));
  const own = dataset.classes.map((name) => known.get(name.normalize("NFC")));
  const unknown = dataset.classes.filter((_, i) => own[i] === undefined);
  if (unknown.length > 0) {
    throw new UserError(
      `${folder} does not know ${some(unknown)} of ${quoted(dataset.name)}: it knows ${some(classes)}; ` +
        "give the folders the names that the run was trained with",
    );
  }
  if (!task) return { labels: dataset.items.map((item) => own[item.label] ?? -1) };
  const missing = classes.filter((_, label) => !own.includes(label));
  if (task === "regression" && missing.length > 0)
    throw new UserError(`${quoted(dataset.name)} lacks ${some(missing)}, which ${folder} answers with`);
  // Labels that no image there has are absent.
  const targets = dataset.items.map((item) => {
    const row = new Array<number>(classes.length).fill(0);
    for (const [i, value] of (item.targets ?? []).entries()) row[own[i] ?? -1] = value;
    return row;
  });
  return { labels: dataset.items.map(({ label }) => label), targets };
}

const mostNames = 8;

function some(names: readonly string[]): string {
  const shown = names.slice(0, mostNames).map(quoted).join(", ");
  const rest = names.length - mostNames;
  return `the class${names.length === 1 ? "" : "es"} ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** The recorded images; of other data all that the run has never seen. */
function choose(
  match: SplitMatch,
  items: Dataset["items"],
  source: string,
  { split, data }: RunDataRequest,
): { indices: number[]; remarks: string[] } {
  const { indices, missing, changed, unknown } = match;
  if (indices.length === 0 && data !== undefined && split !== "train") {
    const published = items.some((item) => item.split !== undefined);
    const own = unknown.filter((index) => !published || items[index]?.split === split);
    const left = items.length - own.length;
    const remarks = [`other images than the run's: ${own.length} are measured`];
    if (left > 0) remarks.push(`${left} images are of another split, or were seen in training, and are left out`);
    return { indices: own, remarks };
  }
  if (indices.length === 0) {
    const advice = split === "train" ? "" : "; name where they are now, or other images to measure, with --data";
    throw new UserError(`none of the run's ${split} images is in ${quoted(source)} as it was${advice}`);
  }
  const remarks: string[] = [];
  if (missing > 0) remarks.push(`${missing} ${split} images of the run are missing`);
  if (changed > 0) remarks.push(`${changed} ${split} images of the run have changed and are left out`);
  if (unknown.length > 0)
    remarks.push(`${unknown.length} images are new and are left out: the run has no split for them`);
  return { indices, remarks };
}

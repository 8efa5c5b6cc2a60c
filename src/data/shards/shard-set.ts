/** Data sets of shards: Parquet files and WebDataset tars, in a folder, by name, or by a pattern such as `train-{000..009}.tar`. */
import { statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { counted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { Watched } from "../concurrent.ts";
import { type LabelCells, labelsOf } from "../label-columns.ts";
import { type Label, type LabelledImage, labelledDataset } from "../labels.ts";
import { mostNames } from "../scan-folder.ts";
import { requireSplit, type Split, splitNamed } from "../split-names.ts";
import type { Bytes, Dataset, Ignored, TaskKind } from "../types.ts";
import { localBytes } from "./bytes.ts";
import { shardEnding } from "./ending.ts";
import { openIndex, type ShardFormat, type ShardIndex } from "./index-file.ts";
import { expanded } from "./pattern.ts";

/** A shard before it is opened. */
export interface ShardPlace {
  /** Its name in the data set, with "/". */
  name: string;
  open(): Promise<Bytes>;
}

/** The shards that a text names: a file, or a pattern with {000..009} or {a,b}; undefined where it names none. */
export function namedShards(source: string): ShardPlace[] | undefined {
  const found = statSync(source, { throwIfNoEntry: false });
  if (/^(-$|pipe:)/.test(source) || found?.isFIFO()) throw isStream(source);
  if (!shardEnding.test(source) || found?.isDirectory()) return undefined;
  const isPattern = /\{[^{}]*(,|\.\.)[^{}]*\}/.test(source);
  if (!found && !isPattern) return undefined;
  const paths = found ? [source] : expanded(source);
  return paths.map((path) => localShard(path, basename(path)));
}

const localShard = (path: string, name: string): ShardPlace => ({ name, open: () => localBytes(resolve(path)) });

const isStream = (source: string): UserError =>
  new UserError(
    `${source} is a stream, and images are read in the order of an index: save it as a file, or name an address that serves ranges`,
  );

/**
 * The data set of shards.
 * @param ignored files beside them
 * @throws UserError when one cannot be read, or they hold no images with labels; Interrupted after the signal
 */
export async function shardSet(
  places: readonly ShardPlace[],
  about: { name: string; origin: string; ignored?: readonly Ignored[] },
  options: Watched & { task?: TaskKind | undefined },
): Promise<Dataset> {
  const { name, origin } = about;
  const format = await formatOf(places, origin);
  const splits = splitsOf(places);
  const images: Unlabelled[] = [];
  /** Parts of shards that are no images. */
  const left: Ignored[] = [];
  const labels = new Set<string>();
  for (const [i, place] of places.entries()) {
    const shard = await place.open();
    const index = await openIndex(shard, format, options);
    const parts = new Map<number, Bytes>();
    for (const image of index.images) {
      const part = parts.get(image.part) ?? format.part(shard, image.part);
      parts.set(image.part, part);
      images.push(placed(image, part, place.name, splits[i]));
    }
    merge(left, index.ignored);
    if (index.labels !== "") labels.add(index.labels);
  }
  if (images.length === 0) {
    const why =
      left.map(({ unit = "file", reason, count }) => `${counted(count, unit)} ${reason}`).join(", ") || "it is empty";
    throw new UserError(
      `${origin} has no image with its bytes and its label (${why}): write both into it, or list files and labels in a CSV`,
    );
  }
  const notes = [`labels come from ${[...labels].join(" and ")}`];
  const ignored = [...(about.ignored ?? []), ...left];
  const own = labelsOf(
    images.map(({ cells, id: path, where }) => ({ label: cells, path, where })),
    options.task,
  );
  const labelled = images.map(({ cells: _, ...image }, i) => ({ ...image, label: own[i] as Label }));
  return labelledDataset({ name, origin, images: labelled, ignored, notes });
}

type Indexed = ShardIndex["images"][number];

type Unlabelled = Omit<LabelledImage, "label"> & { cells: LabelCells };

function placed(image: Indexed, shard: Bytes, file: string, splitOfFile: Split | undefined): Unlabelled {
  const { key, offset, length, sha256, label: cells, split: own, group } = image;
  const where = `${shard.name}, ${key}`;
  const split = own === undefined ? splitOfFile : requireSplit(where, own);
  return {
    id: `${file}/${key}`,
    source: { kind: "shard", shard, offset, length, sha256 },
    cells,
    where,
    ...(split && { split }),
    ...(group !== undefined && { group }),
  };
}

async function formatOf(places: readonly ShardPlace[], origin: string): Promise<ShardFormat> {
  const tars = places.filter(({ name }) => /\.tar$/i.test(name)).length;
  if (tars === places.length) return (await import("./tar.ts")).tar;
  if (tars === 0) return (await import("./parquet.ts")).parquet;
  throw new UserError(`${origin} holds Parquet files and tars: name the ones that are meant`);
}

/** The split that the parts of a shard's name say; none where all are of train, which is what a set without splits is called. */
function splitsOf(places: readonly ShardPlace[]): (Split | undefined)[] {
  const splits = places.map(({ name }) =>
    name
      .split(/[/._ -]+/)
      .map(splitNamed)
      .findLast((split) => split !== undefined),
  );
  return splits.every((split) => split === "train") ? splits.map(() => undefined) : splits;
}

function merge(all: Ignored[], more: readonly Ignored[]): void {
  for (const { reason, count, examples, ...rest } of more) {
    const known = all.find((one) => one.reason === reason);
    if (!known) all.push({ ...rest, reason, count, examples: [...examples] });
    else {
      known.count += count;
      known.examples = [...known.examples, ...examples].slice(0, mostNames);
    }
  }
}

/** Shards of a folder, as the walk through it found them. */
export function folderShards(root: string, found: readonly (readonly string[])[]): ShardPlace[] {
  return found.map((parts) => localShard(join(root, ...parts), parts.join("/")));
}

/** The name of a data set by that of its shards: without ending and number. */
export function nameOfShards(source: string): string {
  const repository = /^hf:datasets\/[^/]+\/([^/@]+)/i.exec(source)?.[1];
  if (repository !== undefined) return repository;
  const path = /^https?:/i.test(source) && URL.canParse(source) ? new URL(source).pathname : source;
  const name = basename(path).replace(shardEnding, "");
  return name.replace(/[-_.]*(\{.*\}|\d+-of-\d+|\d+)$/, "") || basename(resolve(source, ".."));
}

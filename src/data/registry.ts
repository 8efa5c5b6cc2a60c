/** Known data sets by name, folders of images, and published data sets in their own files. */
import { existsSync, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { fetchPackage, packageFolder } from "../fetch/index.ts";
import { holdCached } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { Watched } from "./concurrent.ts";
import { emoji } from "./datasets/emoji.ts";
import { fashionMnist } from "./datasets/fashion-mnist.ts";
import { glyphs, greekCharacters, latinCharacters } from "./datasets/glyphs.ts";
import { desktopIcons, mdiIcons } from "./datasets/icons.ts";
import { openclipart } from "./datasets/openclipart.ts";
import { photographs } from "./datasets/photographs.ts";
import { scripts, scriptsSource } from "./datasets/scripts.ts";
import { imagesOf } from "./image-folder.ts";
import { isLabelledList, labelledList } from "./labelled-list.ts";
import { mixDatasets } from "./mix.ts";
import { publishedDatasets } from "./published/index.ts";
import { scanFolder } from "./scan-folder.ts";
import { remoteShards } from "./shards/remote.ts";
import { folderShards, namedShards, nameOfShards, shardSet } from "./shards/shard-set.ts";
import type { Dataset, KnownDataset, TaskKind } from "./types.ts";

/** Archives that are not read as they are. */
const packed = /\.(zip|gz|tgz|7z|rar|bz2|xz)$/i;

export const knownDatasets: readonly KnownDataset[] = [
  emoji,
  fashionMnist,
  desktopIcons,
  photographs,
  openclipart,
  mdiIcons,
  glyphs,
  latinCharacters,
  greekCharacters,
  scripts,
  scriptsSource,
];

/** Each known data set with its parts. */
const openable = knownDatasets.flatMap((known) => [known, ...(known.parts ?? [])]);

/** @throws UserError for a name that is not listed. */
export function findDataset(name: string): KnownDataset {
  const found = openable.find((candidate) => candidate.name === name);
  if (found) return found;
  throw new UserError(`no data set "${name}"; known are: ${knownDatasets.map((known) => known.name).join(", ")}`);
}

/** True when all packages of a data set are in the cache. */
export function isFetched(known: KnownDataset): boolean {
  return known.packages.every((name) => packageFolder(name) !== undefined);
}

/** Fetches what a known data set needs. */
export async function fetchDataset(name: string, onProgress?: (text: string) => void): Promise<KnownDataset> {
  const known = findDataset(name);
  for (const pack of known.packages) await fetchPackage(pack, onProgress);
  return known;
}

export interface OpenOptions extends Watched {
  /** What the labels are, where their columns leave it open. */
  task?: TaskKind | undefined;
}

/**
 * Opens a known data set by its name, several as A+B, a folder of labelled images or of shards, a file that lists images,
 * shards by name, pattern, address or hf:datasets/owner/name, or NAME:FOLDER, a published data set's own files.
 * @throws UserError when there is none of them, the data set was not fetched, or its files are damaged; Interrupted after
 * the signal, while shards are read for the first time
 */
export async function openDataset(nameOrFolder: string, options: OpenOptions = {}): Promise<Dataset> {
  const { task: asked } = options;
  const dataset = await opened(nameOrFolder, options);
  const { task = "classification" } = dataset;
  if (asked === undefined || asked === task) return dataset;
  throw new UserError(
    `${dataset.origin} has images of one class each: --task ${asked} needs a file that lists other labels`,
  );
}

async function opened(nameOrFolder: string, options: OpenOptions): Promise<Dataset> {
  const known = openable.find((candidate) => candidate.name === nameOrFolder);
  const parts = nameOrFolder.split("+");
  if (parts.length > 1 && parts.every((part) => openable.some(({ name }) => name === part))) {
    return mixDatasets(await Promise.all(parts.map((part) => openDataset(part))));
  }
  if (!known && isLabelledList(nameOrFolder)) return labelledList(nameOrFolder, options.task);
  const shards = known ? undefined : ((await remoteShards(nameOrFolder, options)) ?? namedShards(nameOrFolder));
  if (shards) return shardSet(shards, { name: nameOfShards(nameOrFolder), origin: nameOrFolder }, options);
  if (!known) return existsSync(nameOrFolder) ? openFolder(nameOrFolder, options) : openPublished(nameOrFolder);
  const folders = known.packages.map((name) => packageFolder(name));
  if (folders.some((folder) => folder === undefined)) {
    throw new UserError(`the data set ${known.name} is not fetched: run \`npx hub-pathway data fetch ${known.name}\``);
  }
  for (const folder of folders as string[]) holdCached(folder);
  return { ...(await known.open(folders as string[])), asPublished: true };
}

async function openFolder(folder: string, options: OpenOptions): Promise<Dataset> {
  const root = resolve(folder);
  if (!statSync(root).isDirectory())
    throw new UserError(`${root} is not a folder${packed.test(root) ? ": unpack it" : ""}`);
  const scan = scanFolder(root);
  if (scan.images.length > 0 || scan.shards.length === 0) return imagesOf(root, scan, options.task);
  const about = { name: basename(root), origin: root, ignored: scan.ignored.list };
  return shardSet(folderShards(root, scan.shards), about, options);
}

async function openPublished(source: string): Promise<Dataset> {
  const colon = source.indexOf(":");
  const name = colon < 0 ? source : source.slice(0, colon);
  const published = publishedDatasets.find((candidate) => candidate.name === name);
  if (!published) {
    const names = knownDatasets.map((candidate) => candidate.name).join(", ");
    const formats = publishedDatasets.map((candidate) => candidate.name).join(", ");
    throw new UserError(
      `${source} is neither a folder nor a known data set (${names}), nor NAME:FOLDER with the files of a published one (${formats})`,
    );
  }
  const folder = source.slice(colon + 1);
  const isFolder = colon >= 0 && statSync(folder, { throwIfNoEntry: false })?.isDirectory();
  if (isFolder) return { ...(await published.open(folder)), asPublished: true };
  const wrong = colon < 0 ? `${name} needs its folder` : `there is no folder ${folder}`;
  throw new UserError(
    `${wrong}: give ${name}:FOLDER, where FOLDER holds ${published.layout}, from ${published.origin}`,
  );
}

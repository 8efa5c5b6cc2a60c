/** Known data sets by name, and folders of images. */
import { existsSync } from "node:fs";
import { UserError } from "../torch/index.ts";
import { emoji } from "./datasets/emoji.ts";
import { fashionMnist } from "./datasets/fashion-mnist.ts";
import { glyphs } from "./datasets/glyphs.ts";
import { desktopIcons, mdiIcons } from "./datasets/icons.ts";
import { openclipart } from "./datasets/openclipart.ts";
import { fetchPackage, packageFolder } from "./fetch.ts";
import { imageFolder } from "./image-folder.ts";
import type { Dataset, KnownDataset } from "./types.ts";

export const knownDatasets: readonly KnownDataset[] = [
  emoji,
  fashionMnist,
  desktopIcons,
  openclipart,
  mdiIcons,
  glyphs,
];

/** @throws UserError for a name that is not listed. */
export function findDataset(name: string): KnownDataset {
  const found = knownDatasets.find((candidate) => candidate.name === name);
  if (found) return found;
  throw new UserError(`no data set "${name}"; known are: ${knownDatasets.map((known) => known.name).join(", ")}`);
}

/** Whether all packages of a data set are in the cache. */
export function isFetched(known: KnownDataset): boolean {
  return known.packages.every((name) => packageFolder(name) !== undefined);
}

/** Fetches what a known data set needs. */
export async function fetchDataset(name: string, onProgress?: (text: string) => void): Promise<KnownDataset> {
  const known = findDataset(name);
  for (const pack of known.packages) await fetchPackage(pack, onProgress);
  return known;
}

/**
 * Opens a known data set by its name, or a folder of labelled images.
 * @throws UserError when there is neither, or the data set was not fetched
 */
export async function openDataset(nameOrFolder: string): Promise<Dataset> {
  const known = knownDatasets.find((candidate) => candidate.name === nameOrFolder);
  if (!known) {
    if (existsSync(nameOrFolder)) return imageFolder(nameOrFolder);
    const names = knownDatasets.map((candidate) => candidate.name).join(", ");
    throw new UserError(`${nameOrFolder} is neither a folder nor a known data set (${names})`);
  }
  const folders = known.packages.map((name) => packageFolder(name));
  if (folders.some((folder) => folder === undefined)) {
    throw new UserError(`the data set ${known.name} is not fetched: run \`npx hub-pathway data fetch ${known.name}\``);
  }
  return known.open(folders as string[]);
}

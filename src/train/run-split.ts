/**
 * Images on which a run was trained, chosen and tested, by content: files may move, get other names, or join other
 * images. A training image is never scored as a test image.
 */
import { z } from "zod";
import { readJsonFile, writeFileAtomic } from "../io/index.ts";
import type { SplitName } from "./data.ts";

/** Hash and name of each image of a split. */
const imagesSchema = z.array(z.tuple([z.string().regex(/^[0-9a-f]{32}$/), z.string()]));
const splitSchema = z.object({ train: imagesSchema, validation: imagesSchema, test: imagesSchema });
/** Ten million images with long names. */
const maximumBytes = 2 ** 31 - 1;

export type RunSplit = z.output<typeof splitSchema>;

const splitNames: readonly SplitName[] = ["train", "validation", "test"];

/** Content hashes in a run's files: 128 bits tell any images apart. */
const shortHash = (hash: string) => hash.slice(0, 32);

/**
 * @param items positions of a split's items
 * @param hashes content hash of every item
 */
export function runSplit(
  items: (split: SplitName) => readonly number[],
  hashes: readonly (string | undefined)[],
  ids: readonly string[],
): RunSplit {
  const imagesOf = (split: SplitName): [string, string][] =>
    items(split).flatMap((index): [string, string][] => {
      const hash = hashes[index];
      return hash === undefined ? [] : [[shortHash(hash), ids[index] ?? ""]];
    });
  return { train: imagesOf("train"), validation: imagesOf("validation"), test: imagesOf("test") };
}

export function saveSplit(path: string, split: RunSplit): void {
  function* lines(): Generator<string> {
    for (const [i, name] of splitNames.entries()) {
      yield `${i === 0 ? "{" : ","}"${name}":[\n`;
      for (const [j, image] of split[name].entries()) yield `${j === 0 ? "" : ",\n"}${JSON.stringify(image)}`;
      yield "]\n";
    }
    yield "}\n";
  }
  writeFileAtomic(path, lines());
}

/** @throws UserError when the file is missing or damaged */
export function readSplit(path: string): RunSplit {
  return readJsonFile(path, splitSchema, "the images of a run", { maximumBytes });
}

/** Match of the images at hand with a split that a run recorded. */
export interface SplitMatch {
  /** Positions of the images that belong to the split. */
  indices: number[];
  /** Images of the split that are not there. */
  missing: number;
  /** Images of the split in whose place other content has come. */
  changed: number;
  /** Images that the run has never seen. */
  unknown: number[];
}

/**
 * Finds the images of a split. One that the run has also seen in an earlier role is left out: training before choosing
 * before testing.
 * @param hashes content hash of every image at hand
 */
export function matchSplit(
  recorded: RunSplit,
  split: SplitName,
  hashes: readonly (string | undefined)[],
  ids: readonly string[],
): SplitMatch {
  const roles = rolesOf(recorded);
  const indices: number[] = [];
  const unknown: number[] = [];
  const present = new Set<string>();
  for (const [index, hash] of hashes.entries()) {
    if (hash === undefined) continue;
    const own = shortHash(hash);
    const role = roles.get(own);
    present.add(own);
    if (role === split) indices.push(index);
    else if (role === undefined) unknown.push(index);
  }
  const names = new Set(unknown.map((index) => ids[index]));
  const gone = recorded[split].filter(([hash]) => !present.has(hash));
  const changed = gone.filter(([, id]) => names.has(id));
  const replaced = new Set(changed.map(([, id]) => id));
  return {
    indices,
    missing: gone.length - changed.length,
    changed: changed.length,
    unknown: unknown.filter((index) => !replaced.has(ids[index] ?? "")),
  };
}

/** The first role of each image. */
function rolesOf(recorded: RunSplit): Map<string, SplitName> {
  const roles = new Map<string, SplitName>();
  for (const name of splitNames) {
    for (const [hash] of recorded[name]) if (!roles.has(hash)) roles.set(hash, name);
  }
  return roles;
}

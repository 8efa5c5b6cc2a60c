/** Files of published data sets: what is missing or damaged is said by name, with what to do about it. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";

/** Name of a loader in messages. */
export interface Where {
  /** As after `--data`. */
  name: string;
  layout: string;
  origin: string;
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * The first of some folders under `folder` ("" for itself) that holds a file or folder of the given name.
 * @throws UserError when none does
 */
export function rootWith(folder: string, under: readonly string[], wanted: string, where: Where): string {
  const found = under.map((part) => join(folder, part)).find((root) => hasEntry(root, wanted));
  if (found !== undefined) return found;
  throw new UserError(
    `${folder} has no ${wanted}: ${where.name} needs a folder with ${where.layout}, from ${where.origin}`,
  );
}

function hasEntry(root: string, wanted: string): boolean {
  return statSync(join(root, wanted), { throwIfNoEntry: false }) !== undefined;
}

/** Lines of a text file that are not empty. @throws UserError when it is missing or has none */
export function readLines(path: string, where: Where): string[] {
  if (!isFile(path))
    throw new UserError(`${path} is missing: ${where.name} needs ${where.layout}, from ${where.origin}`);
  const lines = readFileSync(path, "utf8")
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (lines.length === 0) throw new UserError(`${path} is empty: unpack ${where.name} again`);
  return lines;
}

/** Class names, one a line. @throws UserError for a name that comes twice */
export function readClasses(path: string, where: Where): string[] {
  const classes = readLines(path, where);
  const twice = classes.find((name, i) => classes.indexOf(name) !== i);
  if (twice === undefined) return classes;
  throw new UserError(`${path} names the class ${quoted(twice)} twice: unpack ${where.name} again`);
}

/**
 * Refuses a list that names images which are not there; each folder is listed once.
 * @param names paths below `root`, as `list` gives them
 * @throws UserError naming the first one and how many are missing
 */
export function requireImages(root: string, names: readonly string[], list: string): void {
  if (names.length === 0) throw new UserError(`${list} names no images: unpack it again`);
  const outside = names.find((name) => name.startsWith("/") || name.split(/[\\/]/).includes(".."));
  if (outside !== undefined) throw new UserError(`${list} names ${quoted(outside)}, which is not below ${root}`);
  const folders = new Map<string, Set<string>>();
  const missing = names.filter((name) => {
    const folder = dirname(join(root, name));
    let entries = folders.get(folder);
    if (!entries) {
      entries = new Set(isFolder(folder) ? readdirSync(folder) : []);
      folders.set(folder, entries);
    }
    return !entries.has(basename(name));
  });
  const [first] = missing;
  if (first === undefined) return;
  throw new UserError(
    `${list} names ${names.length} images, but ${missing.length} of them are not in ${root}, such as ${quoted(first)}: ` +
      "unpack the images completely",
  );
}

/** A label from a file. @throws UserError when it is none of the classes, naming the file and the entry */
export function requireLabel(label: number, classes: number, file: string, entry: string): number {
  if (Number.isInteger(label) && label >= 0 && label < classes) return label;
  throw new UserError(
    `${file}: ${entry} has the label ${label}, but there are only ${classes} classes, from 0: the file is damaged, get it again`,
  );
}

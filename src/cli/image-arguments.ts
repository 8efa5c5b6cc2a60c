/** Images that a command line names: files, folders, patterns, and standard input. */
import fs from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { kindOfName } from "../data/index.ts";
import type { ImageInput } from "../library/index.ts";
import { UserError } from "../torch/index.ts";

/** Content of standard input: an image, or a list of paths. */
const maximumBytes = 2 ** 29;

/**
 * Images in the order of the arguments. A folder stands for the images below it, a pattern with `*`, `**` or `?` for the
 * files that it fits, `-` for standard input: an image, or paths line by line. What names nothing is given as it is.
 * @throws UserError when standard input is empty or too large
 */
export async function* imagesOf(args: readonly string[], stdin: Readable): AsyncGenerator<ImageInput> {
  for (const arg of args) {
    if (arg === "-") yield* fromInput(await bytesOf(stdin));
    else yield* fromPath(arg);
  }
}

function* fromPath(path: string): Generator<string> {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) yield* orItself(imagesBelow(path), path);
  else if (stat || !/[*?]/.test(path)) yield path;
  else yield* orItself(matching(path), path);
}

/** So that a folder or pattern without images is an error of its own. */
function* orItself(paths: Iterable<string>, itself: string): Generator<string> {
  let any = false;
  for (const path of paths) {
    any = true;
    yield path;
  }
  if (!any) yield itself;
}

function* imagesBelow(folder: string): Generator<string> {
  for (const path of filesBelow(folder)) if (kindOfName(path) === "image") yield path;
}

/** All files below a folder in the order of their names, hidden ones left out; linked folders are not entered. */
function* filesBelow(folder: string): Generator<string> {
  const entries = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.name.startsWith("."));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile() || fs.statSync(path, { throwIfNoEntry: false })?.isFile()) yield path;
  }
}

/** Files that fit a pattern: `*` and `?` inside a name, `**` across folders. */
function* matching(pattern: string): Generator<string> {
  const parts = pattern.split("/");
  const first = parts.findIndex((part) => /[*?]/.test(part));
  const root = parts.slice(0, first).join("/") || (pattern.startsWith("/") ? "/" : ".");
  if (!fs.statSync(root, { throwIfNoEntry: false })?.isDirectory()) return;
  const fits = new RegExp(`^${parts.slice(first).map(partExpression).join("")}$`, "u");
  const prefix = parts.slice(0, first).join("/");
  for (const path of filesBelow(root)) {
    const below = root === "." && prefix === "" ? path : path.slice(join(root, "/").length);
    if (fits.test(below)) yield path;
  }
}

function partExpression(part: string, i: number, all: readonly string[]): string {
  const last = i === all.length - 1;
  if (part === "**") return last ? ".*" : "(?:[^/]+/)*";
  const name = part
    .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  return last ? name : `${name}/`;
}

async function bytesOf(stdin: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    chunks.push(Buffer.from(chunk));
    size += chunks.at(-1)?.length ?? 0;
    if (size > maximumBytes) throw new UserError("standard input is too large for an image or a list of images");
  }
  if (size === 0) throw new UserError("standard input is empty: pipe an image into it, or paths line by line");
  return Buffer.concat(chunks);
}

function* fromInput(bytes: Buffer): Generator<ImageInput> {
  const text = listIn(bytes);
  if (text === undefined) yield bytes;
  else for (const line of text.split(/\r?\n/)) if (line.trim() !== "") yield* fromPath(line);
}

/** Images are binary, but for SVG, which begins with "<". */
function listIn(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") || text.trimStart().startsWith("<") ? undefined : text;
  } catch {
    return undefined;
  }
}

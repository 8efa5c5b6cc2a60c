/**
 * A folder of labelled images: a sub-folder for each class, or train/, validation/ and test/ with such sub-folders. Whatever
 * else is there is said and counted.
 */
import { basename, join, resolve } from "node:path";
import { counted, quoted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { readableKinds } from "./formats.ts";
import { isMetadata, metadataFolder } from "./labelled-list.ts";
import { type FolderScan, type FoundImage, scanFolder } from "./scan-folder.ts";
import { refuseUntrained, type Split, splitNamed } from "./split-names.ts";
import type { Dataset, Ignored, Item, TaskKind } from "./types.ts";

/** An image with its class folder. */
interface Labelled extends FoundImage {
  /** The folder's name as it is written. */
  folder: string;
  split?: Split;
}

interface Layout {
  images: Labelled[];
  /** Class folders that must hold images, as parts. */
  classFolders: (readonly string[])[];
  notes: string[];
}

/** @throws UserError when there is nothing to learn from: no images, one class, or a class without training images */
export function imageFolder(folder: string, asked?: TaskKind): Dataset {
  const root = resolve(folder);
  return imagesOf(root, scanFolder(root), asked);
}

/** The same of a folder that was walked through. */
export function imagesOf(root: string, scan: FolderScan, asked?: TaskKind): Dataset {
  const labelled = metadataFolder(root, childrenOf(scan), asked);
  if (labelled) return { ...labelled, ignored: unlisted(labelled, scan) };
  const layout = hasSplits(root, scan) ? splitLayout(root, scan) : classLayout(scan);
  const images = countedOnce(layout.images, scan);
  const ignored = scan.ignored.list;
  if (images.length === 0) {
    throw new UserError(
      `${root} has no images${holding(ignored)}: expected a sub-folder for each class with ${readableKinds} files`,
    );
  }
  refuseEmpty(root, layout, scan);
  const { names, notes } = classNames(images);
  const classes = [...new Set(names.values())].sort();
  refuseOneClass(root, classes, scan);
  const labels = new Map(classes.map((name, label) => [name, label]));
  const items = images.map(({ parts, folder: own, split }): Item => {
    const source = { kind: "file", path: join(root, ...parts) } as const;
    const label = labels.get(names.get(own) ?? own) ?? -1;
    return { id: parts.join("/"), label, source, ...(split ? { split } : {}) };
  });
  refuseUntrained(root, classes, items);
  const said = [...layout.notes, ...notes];
  return { name: basename(root), classes, items, licence: "the user's own", origin: root, ignored, notes: said };
}

/** What is left out beside a list: files that are no images, and images that it does not name; the list itself is read. */
function unlisted({ items }: Dataset, { images, ignored }: FolderScan): Ignored[] {
  const known = new Set(items.map(({ id }) => id));
  for (const { parts } of images) {
    if (!known.has(parts.join("/"))) ignored.add("images that the list does not name", parts);
  }
  return ignored.list.flatMap(({ count, examples, ...rest }) => {
    const others = examples.filter((name) => !isMetadata(name));
    const left = count - (examples.length - others.length);
    return left > 0 ? [{ ...rest, count: left, examples: others }] : [];
  });
}

const childrenOf = ({ folders }: FolderScan, ...parents: readonly string[]): string[] =>
  folders
    .filter((parts) => parts.length === parents.length + 1 && parents.every((name, i) => parts[i] === name))
    .map((parts) => parts.at(-1) ?? "");

/** True when the folders are splits and not classes; a class may be called "train" when it holds images itself. */
function hasSplits(root: string, scan: FolderScan): boolean {
  const tops = childrenOf(scan);
  const training = tops.filter((name) => splitNamed(name) === "train");
  if (training.some((name) => childrenOf(scan, name).length > 0)) return true;
  const isAllSplits = tops.length > 0 && tops.every((name) => splitNamed(name) !== undefined);
  if (!isAllSplits) return false;
  const [flat] = training;
  throw new UserError(
    flat === undefined
      ? `${root} has ${tops.join(", ")} but no folder train: add one with a sub-folder for each class`
      : `${join(root, flat)} has no sub-folders: put the images of each class into one of their own`,
  );
}

function classLayout({ images, folders, ignored }: FolderScan): Layout {
  const labelled = images.flatMap((image): Labelled[] => {
    const [folder, ...rest] = image.parts;
    if (folder !== undefined && rest.length > 0) return [{ ...image, folder }];
    ignored.add("images beside the class folders", image.parts);
    return [];
  });
  return { images: labelled, classFolders: folders.filter((parts) => parts.length === 1), notes: [] };
}

function splitLayout(root: string, { images, folders, ignored }: FolderScan): Layout {
  const unlabelled = new Map<string, number>();
  const used = new Map<string, Split>();
  const labelled = images.flatMap((image): Labelled[] => {
    const [top = "", folder = "", ...rest] = image.parts;
    const split = splitNamed(top);
    if (split === undefined || folder === "") ignored.add("images outside train, validation and test", image.parts);
    else if (rest.length === 0 && split === "train") ignored.add("training images without a class folder", image.parts);
    else if (rest.length === 0) unlabelled.set(top, (unlabelled.get(top) ?? 0) + 1);
    else {
      used.set(top, split);
      return [{ ...image, folder, split }];
    }
    return [];
  });
  const notes = [...used]
    .filter(([name, split]) => name.toLowerCase() !== split && !/^val(id)?$/i.test(name))
    .map(([name, split]) => `${quoted(name)} is used as the ${split} split`);
  for (const [name, count] of unlabelled) {
    notes.push(
      `${quoted(name)} holds ${counted(count, "image")} without class folders: label them with hub-pathway predict RUN ${join(root, name)}`,
    );
  }
  const isClass = (parts: readonly string[]) => parts.length === 2 && splitNamed(parts[0] ?? "") === "train";
  return { images: labelled, classFolders: folders.filter(isClass), notes };
}

/** A link to an image of the same class and split is left out; one under another label stays, and is found as a copy. */
function countedOnce(images: readonly Labelled[], { ignored }: FolderScan): Labelled[] {
  const paths = new Map<string, Labelled>();
  for (const image of [...images].sort((a, b) => Number(a.linked) - Number(b.linked))) {
    const key = `${image.split ?? ""}\0${image.folder.normalize("NFC")}\0${image.real}`;
    if (paths.has(key)) ignored.add("links to an image that is counted already", image.parts);
    else paths.set(key, image);
  }
  const kept = new Set(paths.values());
  return images.filter((image) => kept.has(image));
}

/** Class names by folder: systems write the same letters in different bytes, so that they are compared after NFC. */
function classNames(images: readonly Labelled[]): { names: Map<string, string>; notes: string[] } {
  const names = new Map<string, string>();
  for (const { folder } of images) names.set(folder, folder.normalize("NFC"));
  const twice = [...names].filter(([folder, name]) => folder !== name && names.has(name));
  const notes = twice.map(([folder, name]) => {
    const forms = [name, folder].map((form) => Buffer.from(form).toString("hex")).join(" and ");
    return `the class ${quoted(name)} is written in two ways, composed and decomposed (bytes ${forms}): they count as one`;
  });
  return { names, notes };
}

function refuseEmpty(root: string, { images, classFolders }: Layout, { ignored }: FolderScan): void {
  const full = new Set(images.map(({ parts, split }) => parts.slice(0, split ? 2 : 1).join("/")));
  const empty = classFolders.find((parts) => !full.has(parts.join("/")));
  if (!empty) return;
  const inside = ignored.list.filter(({ examples }) => examples.some((name) => name.startsWith(`${empty.join("/")}/`)));
  throw new UserError(
    `${join(root, ...empty)} has no images${holding(inside)}: add ${readableKinds} files, or remove the folder if it is no class`,
  );
}

/** Files that are there instead of images. */
function holding(ignored: readonly Ignored[]): string {
  if (ignored.length === 0) return "";
  return ` that are read, but ${ignored.map(({ reason, examples }) => `${quoted(examples[0] ?? "")} (${reason})`).join(", ")}`;
}

function refuseOneClass(root: string, classes: readonly string[], scan: FolderScan): void {
  const [only] = classes;
  if (classes.length !== 1 || only === undefined) return;
  const inside = childrenOf(scan, only);
  const hint =
    inside.length > 1 ? `, or give ${join(root, only)} if its ${inside.length} sub-folders are the classes` : "";
  throw new UserError(
    `${root} has only one class (${quoted(only)}): put each class into a sub-folder of its own${hint}`,
  );
}

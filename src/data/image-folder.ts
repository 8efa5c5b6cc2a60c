/** A folder of labelled images: a sub-folder for each class, or train/ validation/ test/ with such sub-folders. */
import { readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { UserError } from "../torch/index.ts";
import type { Dataset, Item } from "./types.ts";

const extensions = /\.(png|jpe?g|webp|gif|avif|tiff?|svg)$/i;
const splitNames = {
  train: "train",
  val: "validation",
  valid: "validation",
  validation: "validation",
  test: "test",
} as const;

/** @throws UserError when there is nothing to learn from: no images, one class, or a class without training images. */
export function imageFolder(folder: string): Dataset {
  const root = resolve(folder);
  if (!statSync(root).isDirectory()) throw new UserError(`${root} is not a folder`);
  const folders = subFolders(root);
  const splits = folders.filter((name) => name in splitNames) as (keyof typeof splitNames)[];
  const found = splits.includes("train")
    ? splits.flatMap((name) =>
        classItems(join(root, name), `${name}/`).map((item) => ({ ...item, split: splitNames[name] })),
      )
    : classItems(root);
  if (found.length === 0) {
    throw new UserError(
      `${root} has no images: expected a sub-folder for each class with PNG, JPEG, WebP, GIF, AVIF, TIFF or SVG files`,
    );
  }
  const classes = [...new Set(found.map((item) => item.className))].sort();
  if (classes.length === 1) {
    throw new UserError(`${root} has only one class ("${classes[0]}"): put each class into a sub-folder of its own`);
  }
  const items = found.map(({ className, ...item }): Item => ({ ...item, label: classes.indexOf(className) }));
  checkClasses(root, classes, items);
  return { name: basename(root), classes, items, licence: "the user's own", origin: root };
}

function checkClasses(root: string, classes: string[], items: readonly Item[]): void {
  const hasSplits = items.some((item) => item.split !== undefined);
  for (const [label, name] of classes.entries()) {
    const trains = items.some((item) => item.label === label && (!hasSplits || item.split === "train"));
    if (!trains) {
      throw new UserError(
        `${root}: the class "${name}" has no image in train/, only in other splits: add some, or remove the class`,
      );
    }
  }
}

type Found = Omit<Item, "label"> & { className: string };

/** @param prefix of the items' names, relative to the data set */
function classItems(root: string, prefix = ""): Found[] {
  return subFolders(root).flatMap((className) => {
    const names = readdirSync(join(root, className), { recursive: true, encoding: "utf8" });
    const images = names.filter((name) => extensions.test(name)).sort();
    if (images.length === 0) {
      throw new UserError(`${join(root, className)} has no images: add some, or remove the empty class folder`);
    }
    return images.map((name) => {
      const path = join(root, className, name);
      return { id: `${prefix}${className}/${name}`, className, source: { kind: "file", path } as const };
    });
  });
}

function subFolders(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name)
    .sort();
}

/**
 * FGVC Aircraft (Maji et al. 2013): variants of aircraft. The published train and validation lists are the training images,
 * as papers on fine-tuning have it. The 20 rows at the bottom of every image name its owner and are cut off, as its
 * authors ask.
 */
import { join } from "node:path";
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { Dataset, Item, PublishedDataset } from "../types.ts";
import { readClasses, readLines, requireImages, rootWith } from "./files.ts";

const banner = 20;
const lists = { train: "train", val: "train", test: "test" } as const;

export const aircraft: PublishedDataset = {
  name: "aircraft",
  summary: "10,000 photographs of 100 variants of aircraft; train and validation, two thirds, are for training",
  licence: "for non-commercial research only",
  origin: "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
  layout:
    "data/ with variants.txt, images_variant_train.txt, images_variant_val.txt, images_variant_test.txt and images/",
  async open(folder): Promise<Dataset> {
    const { name, licence, origin } = aircraft;
    const root = rootWith(folder, ["data", "fgvc-aircraft-2013b/data", ""], "images_variant_train.txt", aircraft);
    const classes = readClasses(join(root, "variants.txt"), aircraft);
    const items = (["train", "val", "test"] as const).flatMap((list) => partOf(root, list, classes));
    return { name, classes, items, licence, origin };
  },
};

/** Lines of a number and a variant's name, which may have spaces. */
function partOf(root: string, name: keyof typeof lists, classes: readonly string[]): Item[] {
  const list = join(root, `images_variant_${name}.txt`);
  const split = lists[name];
  const items = readLines(list, aircraft).map((line): Item => {
    const [, id = "", variant = ""] = /^(\S+)\s+(.+)$/.exec(line) ?? [];
    const label = classes.indexOf(variant);
    if (label < 0) {
      throw new UserError(
        `${list}: the line ${quoted(line)} names no variant of variants.txt: one of the two is damaged, unpack them again`,
      );
    }
    const path = join(root, "images", `${id}.jpg`);
    return { id, label, split, source: { kind: "file", path, crop: { bottom: banner } } };
  });
  requireImages(
    join(root, "images"),
    items.map((item) => `${item.id}.jpg`),
    list,
  );
  return items;
}

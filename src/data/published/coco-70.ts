/**
 * COCO-70, in one of two forms.
 *
 * - As its authors published it (Transfer-Learning-Library, tllib): cut-out objects under train/ and test/, and
 *   image_list/ with lines "path label", the labels being those of the 70 categories below.
 * - From COCO 2017 itself (Lin et al. 2014): instances_train2017.json, instances_val2017.json and the images. How objects
 *   were chosen is not published in words; this project's reading: the objects of the 70 categories, crowds and boxes with
 *   a side under 32 pixels left out, cut out by their boxes, at most 1,000 a category from the training images and 100 from
 *   the validation images, which are the test split; the first by their numbers. Figures of this form compare with each
 *   other, not with published ones.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { Dataset, Item, PublishedDataset } from "../types.ts";
import { isFile, isFolder, readLines, requireImages, requireLabel } from "./files.ts";
import { jsonArrays } from "./formats/json-arrays.ts";

const categories = (
  "person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|bench|bird|cat|dog|" +
  "horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|suitcase|skis|kite|baseball bat|skateboard|" +
  "surfboard|tennis racket|bottle|wine glass|cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|" +
  "hot dog|pizza|donut|cake|chair|couch|potted plant|bed|dining table|toilet|tv|laptop|remote|keyboard|cell phone|" +
  "microwave|oven|sink|refrigerator|book|clock|vase|teddy bear"
).split("|");

const smallestSide = 32;
const most = { train: 1000, test: 100 };
const years = { train: "train2017", test: "val2017" };

type Split = "train" | "test";

export const coco70: PublishedDataset = {
  name: "coco-70",
  summary: "objects cut out of COCO's photographs, 70 categories, about 1,000 training images each",
  licence: "annotations CC BY 4.0; the images belong to their photographers on Flickr",
  origin: "https://github.com/thuml/Transfer-Learning-Library (COCO70) or https://cocodataset.org",
  layout:
    "image_list/ (train_100.txt, test.txt), train/ and test/, or annotations/ (instances_train2017.json, " +
    "instances_val2017.json), train2017/ and val2017/",
  async open(folder): Promise<Dataset> {
    const { name, licence, origin } = coco70;
    const content = isFolder(join(folder, "image_list")) ? listed(folder) : await annotated(folder);
    return { name, licence, origin, ...content };
  },
};

type Content = Pick<Dataset, "classes" | "items">;

function listed(root: string): Content {
  const full = join(root, "image_list", "train_100.txt");
  const train = isFile(full) ? full : join(root, "image_list", "train.txt");
  return {
    classes: categories,
    items: [...listItems(root, train, "train"), ...listItems(root, join(root, "image_list", "test.txt"), "test")],
  };
}

function listItems(root: string, list: string, split: Split): Item[] {
  const items = readLines(list, coco70).map((line): Item => {
    const [, path = "", label = ""] = /^(.+?)\s+(\d+)$/.exec(line) ?? [];
    if (path === "") throw new UserError(`${list}: the line ${quoted(line)} is not "path label": unpack it again`);
    const one = requireLabel(Number(label), categories.length, list, quoted(path));
    return { id: path, label: one, source: { kind: "file", path: join(root, path) }, ...testOnly(split) };
  });
  requireImages(
    root,
    items.map((item) => item.id),
    list,
  );
  return items;
}

const testOnly = (split: Split): { split?: "test" } => (split === "test" ? { split } : {});

const imageSchema = z.object({ id: z.number(), file_name: z.string(), width: z.number(), height: z.number() });
const categorySchema = z.object({ id: z.number(), name: z.string() });
const annotationSchema = z.object({
  id: z.number(),
  image_id: z.number(),
  category_id: z.number(),
  iscrowd: z.number().optional(),
  bbox: z.tuple([z.number(), z.number(), z.number(), z.number()]),
});

interface Instances {
  path: string;
  images: Map<number, z.output<typeof imageSchema>>;
  categories: z.output<typeof categorySchema>[];
  /** Boxes by the category's name, in order of their numbers. */
  objects: Map<string, z.output<typeof annotationSchema>[]>;
}

async function annotated(root: string): Promise<Content> {
  const parts = { train: await readInstances(root, "train"), test: await readInstances(root, "test") };
  const known = new Set(parts.train.categories.map((category) => category.name));
  const classes = categories.filter((name) => known.has(name));
  if (classes.length === 0)
    throw new UserError(`${parts.train.path} has none of COCO's categories: is it another file?`);
  const items = (["train", "test"] as const).flatMap((split) => {
    const found = objectItems(root, parts[split], split, classes);
    const list = parts[split].path;
    const names = new Set(found.map((item) => (item.source.kind === "file" ? item.source.path : "")));
    const images = imageFolderOf(root, split);
    requireImages(
      images,
      [...names].map((name) => name.slice(images.length + 1)),
      list,
    );
    return found;
  });
  return { classes, items };
}

function imageFolderOf(root: string, split: Split): string {
  const inside = join(root, "images", years[split]);
  return existsSync(inside) ? inside : join(root, years[split]);
}

/** One pass over the file: images and annotations come in either order. */
async function readInstances(root: string, split: Split): Promise<Instances> {
  const path = join(root, "annotations", `instances_${years[split]}.json`);
  if (!isFile(path)) {
    throw new UserError(
      `${root} holds no COCO-70: it needs ${coco70.layout}; ${path} is missing, from ${coco70.origin}`,
    );
  }
  const result: Instances = { path, images: new Map(), categories: [], objects: new Map() };
  const objects = new Map<number, z.output<typeof annotationSchema>[]>();
  for await (const { array, value } of jsonArrays(path, ["images", "categories", "annotations"])) {
    if (array === "images") {
      const image = checked(imageSchema, value, path, "an image");
      result.images.set(image.id, image);
    } else if (array === "categories") result.categories.push(checked(categorySchema, value, path, "a category"));
    else {
      const annotation = checked(annotationSchema, value, path, "an annotation");
      const { category_id, iscrowd = 0, bbox } = annotation;
      if (iscrowd !== 0 || Math.min(bbox[2], bbox[3]) < smallestSide) continue;
      const list = objects.get(category_id);
      if (list) list.push(annotation);
      else objects.set(category_id, [annotation]);
    }
  }
  for (const { id, name } of result.categories) {
    result.objects.set(
      name,
      (objects.get(id) ?? []).sort((a, b) => a.id - b.id),
    );
  }
  return result;
}

function checked<S extends z.ZodType>(schema: S, value: unknown, path: string, what: string): z.output<S> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const { path: keys = [], message = "" } = error.issues[0] ?? {};
  throw new UserError(`${path}: ${what} is not as COCO's are (${keys.join(".")}: ${message}): get the file again`);
}

/** Objects of an image stay on one side of every split. */
function objectItems(root: string, instances: Instances, split: Split, classes: readonly string[]): Item[] {
  const { path, images, objects } = instances;
  const folder = imageFolderOf(root, split);
  return classes.flatMap((name, label) =>
    (objects.get(name) ?? []).slice(0, most[split]).map(({ id, image_id, bbox }): Item => {
      const image = images.get(image_id);
      if (!image) throw new UserError(`${path}: annotation ${id} is of image ${image_id}, which it does not list`);
      const crop = pixelBox(bbox, image.width, image.height);
      if (!crop) throw new UserError(`${path}: the box of annotation ${id} lies outside its image: get the file again`);
      const source = { kind: "file", path: join(folder, image.file_name), crop } as const;
      return {
        id: `${years[split]}/${image.file_name}#${id}`,
        label,
        group: String(image_id),
        source,
        ...testOnly(split),
      };
    }),
  );
}

/** Whole pixels that a box touches, inside the image; undefined when there are none. */
function pixelBox(bbox: readonly [number, number, number, number], width: number, height: number) {
  const [x, y, w, h] = bbox;
  const [left, top] = [Math.max(0, Math.floor(x)), Math.max(0, Math.floor(y))];
  const [right, bottom] = [Math.min(width, Math.ceil(x + w)), Math.min(height, Math.ceil(y + h))];
  return right > left && bottom > top ? { left, top, width: right - left, height: bottom - top } : undefined;
}

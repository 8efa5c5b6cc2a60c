/** CIFAR-100 (Krizhevsky 2009) in its binary or its Python version, with its published test split. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { LazyTensor, quoted, readPickle, type TorchValue } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { Dataset, Item, PublishedDataset } from "../types.ts";
import { isFile, readClasses, requireLabel } from "./files.ts";

const side = 32;
/** Three planes of an image: red, green, blue. */
const imageBytes = 3 * side * side;
/** Before each image of the binary version: its coarse and its fine label. */
const labelBytes = 2;
const splits = ["train", "test"] as const;
type Split = (typeof splits)[number];

export const cifar100: PublishedDataset = {
  name: "cifar-100",
  summary: "60,000 photographs, 32 px, 100 classes; 10,000 are the test split",
  licence: "none stated by its authors",
  origin: "https://www.cs.toronto.edu/~kriz/cifar.html",
  layout:
    "cifar-100-binary/ (train.bin, test.bin, fine_label_names.txt) or cifar-100-python/ (train, test, meta), or one of these itself",
  async open(folder): Promise<Dataset> {
    const { name, licence, origin } = cifar100;
    const { classes, items } = await openVersion(folder);
    return { name, classes, items, licence, origin };
  },
};

type Content = Pick<Dataset, "classes" | "items">;

function openVersion(folder: string): Content | Promise<Content> {
  for (const root of [folder, join(folder, "cifar-100-binary")])
    if (isFile(join(root, "train.bin"))) return binary(root);
  for (const root of [folder, join(folder, "cifar-100-python")]) if (isFile(join(root, "meta"))) return python(root);
  throw new UserError(
    `${folder} holds no CIFAR-100: it needs ${cifar100.layout}; unpack one of the archives of ${cifar100.origin} into it`,
  );
}

function binary(root: string): Content {
  const classes = readClasses(join(root, "fine_label_names.txt"), cifar100);
  const items = splits.flatMap((split) => {
    const path = join(root, `${split}.bin`);
    return binaryLabels(path).map((label, i) =>
      item(split, i, path, i * (labelBytes + imageBytes) + labelBytes, label),
    );
  });
  return { classes, items: checked(items, classes.length) };
}

/** The fine labels of a file of records. */
function binaryLabels(path: string): number[] {
  if (!isFile(path)) throw new UserError(`${path} is missing: unpack cifar-100-binary.tar.gz again`);
  const record = labelBytes + imageBytes;
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    if (size === 0 || size % record !== 0) {
      throw new UserError(
        `${path} has ${size} bytes, which is no whole number of images of ${record} bytes: it is damaged, unpack it again`,
      );
    }
    const head = Buffer.alloc(labelBytes);
    return Array.from({ length: size / record }, (_, i) => {
      readSync(file, head, 0, labelBytes, i * record);
      return head[1] ?? 0;
    });
  } finally {
    closeSync(file);
  }
}

async function python(root: string): Promise<Content> {
  const classes = await pythonClasses(join(root, "meta"));
  const items: Item[] = [];
  for (const split of splits) for (const item of await pythonItems(join(root, split), split)) items.push(item);
  return { classes, items: checked(items, classes.length) };
}

async function pythonClasses(path: string): Promise<string[]> {
  const names = fieldOf((await readPickle(path)).value, "fine_label_names", path);
  if (Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === "string")) return names;
  throw damaged(path, "its fine_label_names are no list of texts");
}

/** The pixels lie in the pickle in one piece: they are read from there. */
async function pythonItems(path: string, split: Split): Promise<Item[]> {
  if (!isFile(path)) throw new UserError(`${path} is missing: unpack cifar-100-python.tar.gz again`);
  const { value, bytes } = await readPickle(path);
  const labels = fieldOf(value, "fine_labels", path);
  const data = fieldOf(value, "data", path);
  if (!Array.isArray(labels)) throw damaged(path, "its fine_labels are no list");
  if (
    !(data instanceof LazyTensor) ||
    data.dtype !== "uint8" ||
    data.shape.length !== 2 ||
    data.shape[1] !== imageBytes
  )
    throw damaged(path, `its data are no array of ${imageBytes} bytes an image`);
  const [count = 0] = data.shape;
  if (count !== labels.length || count === 0) throw damaged(path, `it has ${count} images but ${labels.length} labels`);
  using pixels = await data.read();
  const found = pixels.toTypedArray() as Uint8Array;
  const start = bytes.indexOf(found.subarray(0, imageBytes));
  if (start < 0 || bytes.compare(found, 0, found.length, start, start + found.length) !== 0)
    throw damaged(path, "its pixels do not lie in it as they are");
  return labels.map((label, i) => item(split, i, path, start + i * imageBytes, Number(label)));
}

function fieldOf(root: TorchValue, name: string, path: string): TorchValue {
  const value = root instanceof Map ? root.get(name) : undefined;
  if (value === undefined) throw damaged(path, `it has no ${quoted(name)}`);
  return value;
}

function damaged(path: string, what: string): UserError {
  return new UserError(`${path} is not as CIFAR-100 was published: ${what}; unpack cifar-100-python.tar.gz again`);
}

function item(split: Split, i: number, path: string, offset: number, label: number): Item {
  const source = { kind: "raw", path, offset, width: side, height: side, channels: 3, planar: true } as const;
  return { id: `${split}-${i}`, label, source, ...(split === "test" ? { split } : {}) };
}

function checked(items: Item[], classes: number): Item[] {
  for (const { id, label, source } of items)
    requireLabel(label, classes, source.kind === "raw" ? source.path : "", `the image ${id}`);
  return items;
}

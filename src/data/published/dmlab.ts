/**
 * DMLab, VTAB's frames of DeepMind Lab (Beattie et al. 2016; Zhai et al. 2019), labelled with distance and sign of a reward,
 * in TFRecord files of tf.Example, with the published train, validation and test split. Images stay in the files.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../torch/index.ts";
import type { Dataset, Item, PublishedDataset } from "../types.ts";
import { isFolder, requireLabel } from "./files.ts";
import { parseExample, tfRecords } from "./formats/tf-record.ts";

/** {close, far, very far} x {positive, negative reward}; which number is which its publishers do not say. */
const classes = Array.from({ length: 6 }, (_, i) => `distance and reward ${i}`);
const splits = ["train", "validation", "test"] as const;

export const dmlab: PublishedDataset = {
  name: "dmlab",
  summary: "110,913 frames of a 3D environment, 6 classes of distance and reward; 22,735 are the test split",
  licence: "Apache-2.0 (DeepMind Lab)",
  origin: "https://storage.googleapis.com/dmlab-vtab/dmlab.tar.gz",
  layout: "dmlab-train.tfrecord*, dmlab-validation.tfrecord* and dmlab-test.tfrecord*",
  async open(folder): Promise<Dataset> {
    const { name, licence, origin } = dmlab;
    const root = [folder, join(folder, "dmlab")].find((candidate) => filesOf(candidate, "train").length > 0);
    if (root === undefined) {
      throw new UserError(`${folder} has no dmlab-train.tfrecord: unpack ${origin} into it`);
    }
    const items: Item[] = [];
    for (const split of splits) for (const item of await itemsOf(root, split)) items.push(item);
    return { name, classes, items, licence, origin };
  },
};

/** Shards of a split, as TensorFlow Datasets and the archive name them. */
function filesOf(root: string, split: string): string[] {
  if (!isFolder(root)) return [];
  return readdirSync(root)
    .filter((name) => name.startsWith(`dmlab-${split}.tfrecord`))
    .sort()
    .map((name) => join(root, name));
}

async function itemsOf(root: string, split: (typeof splits)[number]): Promise<Item[]> {
  const files = filesOf(root, split);
  if (files.length === 0)
    throw new UserError(`${join(root, `dmlab-${split}.tfrecord`)} is missing: unpack ${dmlab.origin}`);
  requireShards(files);
  const items: Item[] = [];
  for (const path of files) {
    for await (const record of tfRecords(path)) {
      const where = `record ${record.number}`;
      const features = parseExample(record.bytes, path, where);
      const image = features.get("image")?.bytes[0];
      const label = features.get("label")?.integers[0];
      if (!image || label === undefined) {
        throw new UserError(`${path}: ${where} has no image or no label: is it a file of DMLab? Unpack it again`);
      }
      items.push({
        id: `${split}-${items.length}`,
        label: requireLabel(label, classes.length, path, where),
        split,
        source: { kind: "part", path, offset: record.offset + image.begin, length: image.end - image.begin },
      });
    }
  }
  if (items.length === 0) throw new UserError(`${files[0]} holds no records: unpack ${dmlab.origin} again`);
  return items;
}

/** Names that end in -00003-of-00010 say how many shards there are. */
function requireShards(files: readonly string[]): void {
  const total = Number(/-\d+-of-(\d+)$/.exec(files[0] ?? "")?.[1] ?? files.length);
  if (total === files.length) return;
  throw new UserError(`${files[0]} is one of ${total} files, but ${files.length} are there: unpack all of them`);
}

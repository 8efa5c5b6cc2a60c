/** Tiny data sets in the files of the published ones, made anew for a test: enough images of each class to train on. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { crc32c } from "../../src/data/published/formats/tf-record.ts";

/** A picture of one colour a class, with a stripe that differs from picture to picture. */
function jpeg(label: number, i: number, width = 32, height = 32): Promise<Buffer> {
  const background = { r: 40 + 60 * label, g: 200 - 50 * label, b: (90 * label) % 256 };
  const stripe = `<svg width="${width}" height="${height}"><rect x="${(5 * i) % width}" width="5" height="${height}" fill="hsl(${i * 40},60%,50%)"/></svg>`;
  return sharp({ create: { width, height, channels: 3, background } })
    .composite([{ input: Buffer.from(stripe) }])
    .jpeg()
    .toBuffer();
}

function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** `label` and `i` of so many pictures of each class, class after class. */
function pictures(classes: number, each: number): { label: number; i: number }[] {
  return Array.from({ length: classes * each }, (_, n) => ({ label: Math.floor(n / each), i: n % each }));
}

async function cifar(root: string): Promise<void> {
  for (const [split, each] of [
    ["train", 6],
    ["test", 2],
  ] as const) {
    const records = [];
    for (const { label, i } of pictures(3, each)) {
      const pixels = await sharp(await jpeg(label, i))
        .raw()
        .toBuffer();
      const planes = Buffer.alloc(3072);
      for (let p = 0; p < 1024; p++) for (let c = 0; c < 3; c++) planes[c * 1024 + p] = pixels[p * 3 + c] ?? 0;
      records.push(Buffer.from([0, label]), planes);
    }
    write(join(root, "cifar-100-binary", `${split}.bin`), Buffer.concat(records));
  }
  write(join(root, "cifar-100-binary", "fine_label_names.txt"), "apple\nbear\nclock\n");
}

async function coco(root: string): Promise<void> {
  const categories = ["person", "dog", "vase"].map((name, i) => ({ id: i + 1, name }));
  for (const [year, each] of [
    ["train2017", 6],
    ["val2017", 2],
  ] as const) {
    const all = pictures(3, each);
    for (const [n, { label, i }] of all.entries()) write(join(root, year, `${n}.jpg`), await jpeg(label, i, 64, 48));
    const images = all.map((_, n) => ({ id: n, file_name: `${n}.jpg`, width: 64, height: 48 }));
    const annotations = all.map(({ label }, n) => {
      return { id: n, image_id: n, category_id: label + 1, iscrowd: 0, bbox: [4.5, 3, 40, 40.2] };
    });
    write(join(root, "annotations", `instances_${year}.json`), JSON.stringify({ images, annotations, categories }));
  }
}

async function aircraft(root: string): Promise<void> {
  const variants = ["707-320", "A300B4", "F/A-18"];
  write(join(root, "data", "variants.txt"), `${variants.join("\n")}\n`);
  let number = 100;
  for (const [split, each] of [
    ["train", 4],
    ["val", 2],
    ["test", 2],
  ] as const) {
    const lines = [];
    for (const { label, i } of pictures(3, each)) {
      write(join(root, "data", "images", `${number}.jpg`), await jpeg(label, i, 40, 60));
      lines.push(`${number++} ${variants[label]}\n`);
    }
    write(join(root, "data", `images_variant_${split}.txt`), lines.join(""));
  }
}

/** In folders of classes; the devkit is read elsewhere. */
async function cars(root: string): Promise<void> {
  for (const { label, i } of pictures(3, 8))
    write(join(root, i < 6 ? "train" : "test", `Car ${label}`, `${i}.jpg`), await jpeg(label, i));
}

async function indoors(root: string): Promise<void> {
  const lists: Record<string, string[]> = { Train: [], Test: [] };
  for (const { label, i } of pictures(3, 8)) {
    const name = `room${label}/${i}.jpg`;
    write(join(root, "Images", name), await jpeg(label, i));
    lists[i < 6 ? "Train" : "Test"]?.push(name);
  }
  for (const [name, files] of Object.entries(lists)) write(join(root, `${name}Images.txt`), files.join("\n"));
}

async function dmlab(root: string): Promise<void> {
  for (const [split, each] of [
    ["train", 4],
    ["validation", 1],
    ["test", 1],
  ] as const) {
    const records = [];
    for (const { label, i } of pictures(6, each)) records.push(tfRecord(example(await jpeg(label, i), label)));
    write(join(root, `dmlab-${split}.tfrecord`), Buffer.concat(records));
  }
}

/** A message's field of bytes. */
export function protobufField(number: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const length = [];
  for (let rest = body.length; length.length === 0 || rest > 0; rest >>>= 7)
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), body]);
}

/** tf.Example with an image and a label, which is not packed. */
export function example(image: Buffer, label: number): Buffer {
  const feature = (name: string, value: Buffer) =>
    protobufField(1, protobufField(1, Buffer.from(name)), protobufField(2, value));
  return protobufField(
    1,
    feature("image", protobufField(1, protobufField(1, image))),
    feature("label", protobufField(3, Buffer.from([8, label]))),
  );
}

export function tfRecord(bytes: Buffer): Buffer {
  const masked = (part: Buffer) => {
    const crc = crc32c(part);
    const result = Buffer.alloc(4);
    result.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
    return result;
  };
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, masked(length), bytes, masked(bytes)]);
}

async function euroSat(root: string): Promise<void> {
  const classes = ["Forest", "River", "SeaLake"];
  for (const { label, i } of pictures(3, 8))
    write(join(root, "2750", classes[label] ?? "", `${classes[label]}_${i}.jpg`), await jpeg(label, i));
}

export const publishedWriters: Readonly<Record<string, (root: string) => Promise<void>>> = {
  "cifar-100": cifar,
  "coco-70": coco,
  aircraft,
  "stanford-cars": cars,
  "mit-indoors": indoors,
  dmlab,
  eurosat: euroSat,
};

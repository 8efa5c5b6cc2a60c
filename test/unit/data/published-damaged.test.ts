/** Missing, cut or contradictory parts of a published data set are refused by the file's name. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { decodeImage, type Item, openDataset } from "../../../src/data/index.ts";
import { jsonArrays } from "../../../src/data/published/formats/json-arrays.ts";
import { readMat } from "../../../src/data/published/formats/mat-file.ts";
import { crc32c, tfRecords } from "../../../src/data/published/formats/tf-record.ts";
import { memory, UserError } from "../../../src/torch/index.ts";
import { example, tfRecord } from "../../support/published-data.ts";
import { assertRefused, outcome } from "../../support/refusal.ts";
import { unpackedFixtures } from "../../support/unpacked.ts";
import { temporaryCache, temporaryFolder } from "./support.ts";

temporaryCache();
const fixtures = unpackedFixtures("published");
const root = temporaryFolder();
let copies = 0;

interface Copy {
  source: string;
  path(...parts: string[]): string;
}

/** A fixture that a test may damage. */
function copy(fixture: string, name = fixture): Copy {
  const folder = join(root, `${copies++}`);
  cpSync(join(fixtures, fixture), folder, { recursive: true });
  return { source: `${name}:${folder}`, path: (...parts) => join(folder, ...parts) };
}

/** The refusal must be for the user, name the file and say what. */
async function refused({ source }: Copy, file: string, pattern: RegExp): Promise<void> {
  const { handles } = memory();
  await assertRefused(async () => void (await openDataset(source)), file, pattern);
  assert.equal(memory().handles, handles);
}

function edit(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, "utf8")));
}

function cut(path: string, bytes = 100): void {
  truncateSync(path, readFileSync(path).length - bytes);
}

test("names and folders that are not there", async () => {
  const missing = join(root, "nowhere");
  const refuse = (source: string, pattern: RegExp) =>
    assert.rejects(openDataset(source), (error: unknown) => error instanceof UserError && pattern.test(error.message));
  await refuse(`cifar-100:${missing}`, /no folder .*nowhere: give cifar-100:FOLDER.*train\.bin.*toronto/);
  await refuse("dmlab", /dmlab needs its folder: give dmlab:FOLDER/);
  await refuse("dmlab:", /there is no folder/);
  await refuse(`cifar-10:${missing}`, /neither a folder nor a known data set.*NAME:FOLDER.*cifar-100, coco-70/);
  const empty = join(root, "empty");
  mkdirSync(empty);
  for (const name of ["cifar-100", "coco-70", "aircraft", "stanford-cars", "mit-indoors", "dmlab", "eurosat"]) {
    await refuse(`${name}:${empty}`, /empty.*https:\/\//);
  }
});

test("CIFAR-100: binary files", async () => {
  const short = copy("cifar-100/cifar-100-binary", "cifar-100");
  cut(short.path("train.bin"));
  await refused(short, short.path("train.bin"), /no whole number of images/);
  const label = copy("cifar-100/cifar-100-binary", "cifar-100");
  const bytes = readFileSync(label.path("test.bin"));
  bytes[1] = 200;
  writeFileSync(label.path("test.bin"), bytes);
  await refused(label, label.path("test.bin"), /test-0 has the label 200, but there are only 3 classes/);
  const half = copy("cifar-100/cifar-100-binary", "cifar-100");
  rmSync(half.path("test.bin"));
  await refused(half, half.path("test.bin"), /is missing/);
  const names = copy("cifar-100/cifar-100-binary", "cifar-100");
  writeFileSync(names.path("fine_label_names.txt"), "a\nb\na\n");
  await refused(names, names.path("fine_label_names.txt"), /"a" twice/);
  const changed = copy("cifar-100/cifar-100-binary", "cifar-100");
  const { items } = await openDataset(changed.source);
  cut(changed.path("test.bin"));
  await assertRefused(
    async () => void (await decodeImage(items.at(-1) as Item, { size: 32, channels: 3, pixelLimit: 1e6 })),
    changed.path("test.bin"),
    /changed since it was opened/,
  );
});

test("CIFAR-100: pickles", async () => {
  const short = copy("cifar-100/cifar-100-python", "cifar-100");
  cut(short.path("train"));
  await refused(short, short.path("train"), /ends too early/);
  const code = copy("cifar-100/cifar-100-python", "cifar-100");
  writeFileSync(code.path("meta"), "cos\nsystem\n(S'echo'\ntR.");
  await refused(code, code.path("meta"), /os\.system|system/);
  const other = copy("cifar-100/cifar-100-python", "cifar-100");
  cpSync(other.path("meta"), other.path("train"));
  await refused(other, other.path("train"), /it has no "fine_labels"/);
  const labels = copy("cifar-100/cifar-100-python", "cifar-100");
  const pickle = readFileSync(labels.path("test"), "latin1");
  // The labels [1, 2] are K\x01 and K\x02 in a list.
  assert.ok(pickle.includes("K\x01K\x02e"));
  writeFileSync(labels.path("test"), pickle.replace("K\x01K\x02e", "K\x01e"), "latin1");
  await refused(labels, labels.path("test"), /2 images but 1 labels/);
  const wrong = copy("cifar-100/cifar-100-python", "cifar-100");
  writeFileSync(wrong.path("test"), pickle.replace("K\x01K\x02e", "K\x01K\x63e"), "latin1");
  await refused(wrong, wrong.path("test"), /label 99/);
});

test("Aircraft", async () => {
  const data = ["fgvc-aircraft-2013b", "data"];
  const image = copy("aircraft");
  rmSync(image.path(...data, "images", "0034496.jpg"));
  await refused(image, image.path(...data, "images_variant_test.txt"), /1 of them are not in .*"0034496\.jpg": unpack/);
  const variant = copy("aircraft");
  edit(variant.path(...data, "images_variant_val.txt"), (text) => text.replace("A300B4", "A300B9"));
  await refused(variant, variant.path(...data, "images_variant_val.txt"), /A300B9.*names no variant/);
  const list = copy("aircraft");
  rmSync(list.path(...data, "images_variant_test.txt"));
  await refused(list, list.path(...data, "images_variant_test.txt"), /is missing/);
  const empty = copy("aircraft");
  writeFileSync(empty.path(...data, "images_variant_train.txt"), "\n");
  await refused(empty, empty.path(...data, "images_variant_train.txt"), /is empty/);
  const flat = copy("aircraft");
  const tiny = flat.path(...data, "images", "0034496.jpg");
  cpSync(join(fixtures, "eurosat/eurosat/2750/Forest/Forest_1.jpg"), tiny);
  const { items } = await openDataset(flat.source);
  const item = items.find((one) => one.id === "0034496") as Item;
  await assertRefused(
    async () => void (await decodeImage(item, { size: 8, channels: 3, pixelLimit: 1e6 })),
    tiny,
    /8 x 8 pixels, which do not hold 20 rows at the bottom/,
  );
});

test("Stanford Cars", async () => {
  const train = ["stanford_cars", "devkit", "cars_train_annos.mat"];
  const tests = ["stanford_cars", "cars_test_annos_withlabels.mat"];
  const image = copy("cars", "stanford-cars");
  rmSync(image.path("stanford_cars", "cars_train", "00002.jpg"));
  await refused(image, image.path(...train), /"00002\.jpg"/);
  const unlabelled = copy("cars", "stanford-cars");
  rmSync(unlabelled.path(...tests));
  await refused(unlabelled, unlabelled.path(...tests), /is missing.*devkit's own test annotations have no labels/);
  const short = copy("cars", "stanford-cars");
  cut(short.path(...train), 50);
  await refused(short, short.path(...train), /cannot be read as a MAT file: it ends too early/);
  const swapped = copy("cars", "stanford-cars");
  cpSync(swapped.path("stanford_cars", "devkit", "cars_meta.mat"), swapped.path(...tests));
  await refused(swapped, swapped.path(...tests), /has no variable annotations/);
  const label = copy("cars", "stanford-cars");
  const bytes = readFileSync(label.path(...tests));
  // The class of the second image: a small element of one uint8.
  const at = bytes.lastIndexOf(Buffer.from([2, 0, 1, 0, 3, 0, 0, 0]));
  assert.ok(at > 0);
  bytes[at + 4] = 9;
  writeFileSync(label.path(...tests), bytes);
  await refused(label, label.path(...tests), /"00002\.jpg", less 1, has the label 8, but there are only 3 classes/);
  const folders = join(root, "folders");
  for (const [split, one] of [
    ["train", "BMW X5"],
    ["train", "Fiat 500"],
    ["test", "BMW X5"],
  ] as const) {
    mkdirSync(join(folders, "car_data", split, one), { recursive: true });
    cpSync(image.path("stanford_cars", "cars_train", "00001.jpg"), join(folders, "car_data", split, one, "1.jpg"));
  }
  const byFolder = await openDataset(`stanford-cars:${folders}`);
  assert.deepEqual(
    byFolder.items.map((item) => [item.label, item.split]),
    [
      [0, "test"],
      [0, "train"],
      [1, "train"],
    ],
  );
});

test("MIT-Indoors", async () => {
  const image = copy("mit-indoors");
  rmSync(image.path("Images", "kitchen"), { recursive: true });
  await refused(image, image.path("TrainImages.txt"), /2 of them are not in .*"kitchen\/a b\.jpg"/);
  const outside = copy("mit-indoors");
  edit(outside.path("TestImages.txt"), () => "../secret.jpg\n");
  await refused(outside, outside.path("TestImages.txt"), /not below/);
  const odd = copy("mit-indoors");
  edit(odd.path("TestImages.txt"), () => "1.jpg\n");
  await refused(odd, odd.path("TestImages.txt"), /not CLASS\/FILE/);
  const untrained = copy("mit-indoors");
  mkdirSync(untrained.path("Images", "attic"));
  cpSync(untrained.path("Images", "kitchen", "c.jpg"), untrained.path("Images", "attic", "1.jpg"));
  edit(untrained.path("TestImages.txt"), () => "attic/1.jpg\n");
  await refused(untrained, untrained.path("TestImages.txt"), /nothing of its class/);
});

test("DMLab", async () => {
  const short = copy("dmlab");
  cut(short.path("dmlab-test.tfrecord"), 10);
  await refused(short, short.path("dmlab-test.tfrecord"), /record 1 ends too early/);
  const flipped = copy("dmlab");
  const bytes = readFileSync(flipped.path("dmlab-validation.tfrecord"));
  bytes[400] = (bytes[400] as number) ^ 1;
  writeFileSync(flipped.path("dmlab-validation.tfrecord"), bytes);
  await refused(flipped, flipped.path("dmlab-validation.tfrecord"), /record 0 has a wrong checksum/);
  const text = copy("dmlab");
  writeFileSync(text.path("dmlab-test.tfrecord"), "this is no record, whatever its name says");
  await refused(text, text.path("dmlab-test.tfrecord"), /record 0 has a wrong length/);
  const shard = copy("dmlab");
  rmSync(shard.path("dmlab-train.tfrecord-00001-of-00002"));
  await refused(shard, shard.path("dmlab-train.tfrecord-00000-of-00002"), /one of 2 files, but 1 are there/);
  const noTest = copy("dmlab");
  rmSync(noTest.path("dmlab-test.tfrecord"));
  await refused(noTest, noTest.path("dmlab-test.tfrecord"), /is missing/);
  const label = copy("dmlab");
  writeFileSync(label.path("dmlab-test.tfrecord"), tfRecord(example(Buffer.from("JPEG"), 6)));
  await refused(label, label.path("dmlab-test.tfrecord"), /record 0 has the label 6, but there are only 6 classes/);
  const without = copy("dmlab");
  writeFileSync(without.path("dmlab-test.tfrecord"), tfRecord(Buffer.from([0x0a, 0])));
  await refused(without, without.path("dmlab-test.tfrecord"), /record 0 has no image or no label/);
  const broken = copy("dmlab");
  writeFileSync(broken.path("dmlab-test.tfrecord"), tfRecord(Buffer.from([0x0a, 200, 1])));
  await refused(broken, broken.path("dmlab-test.tfrecord"), /record 0 is no tf\.Example/);
});

test("a label that is not packed is read, and checksums are CRC-32C's (RFC 3720)", async () => {
  const plain = copy("dmlab");
  writeFileSync(plain.path("dmlab-test.tfrecord"), tfRecord(example(Buffer.from("JPEG"), 4)));
  const { items } = await openDataset(plain.source);
  assert.equal(items.at(-1)?.label, 4);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
});

test("COCO-70", async () => {
  const train = ["annotations", "instances_train2017.json"];
  const image = copy("coco", "coco-70");
  rmSync(image.path("train2017", "000000000012.jpg"));
  await refused(image, image.path(...train), /"000000000012\.jpg"/);
  const short = copy("coco", "coco-70");
  cut(short.path(...train));
  await refused(short, short.path(...train), /cannot be read as JSON: it ends too early/);
  const box = copy("coco", "coco-70");
  edit(box.path(...train), (text) => text.replace(/"bbox": \[\s*10(\.0)?,/, '"bbox": [900,'));
  await refused(box, box.path(...train), /box of annotation 501 lies outside/);
  const unlisted = copy("coco", "coco-70");
  edit(unlisted.path(...train), (text) => text.replace('"image_id": 9,', '"image_id": 10,'));
  await refused(unlisted, unlisted.path(...train), /is of image 10, which it does not list/);
  const kind = copy("coco", "coco-70");
  edit(kind.path(...train), (text) => text.replace('"category_id": 18', '"category_id": "dog"'));
  await refused(kind, kind.path(...train), /an annotation is not as COCO's are \(category_id/);
  const list = copy("coco-list", "coco-70");
  edit(list.path("image_list", "test.txt"), (text) => text.replace(" 69", " 70"));
  await refused(list, list.path("image_list", "test.txt"), /label 70, but there are only 70 classes/);
  const line = copy("coco-list", "coco-70");
  edit(line.path("image_list", "test.txt"), () => "nothing\n");
  await refused(line, line.path("image_list", "test.txt"), /not "path label"/);
});

test("EuroSAT: a class without images", async () => {
  const bare = copy("eurosat/eurosat", "eurosat");
  for (const i of [1, 2]) rmSync(bare.path("2750", "River", `River_${i}.jpg`));
  await refused(bare, bare.path("2750", "River"), /has no images/);
});

test("every byte of a MAT file or a TFRecord may be wrong", async () => {
  const cases: [string, (path: string) => Promise<void> | void][] = [
    ["cars/stanford_cars/cars_test_annos_withlabels.mat", (path) => void readMat(path)],
    ["cars/stanford_cars/devkit/cars_train_annos.mat", (path) => void readMat(path)],
    [
      "dmlab/dmlab-validation.tfrecord",
      async (path) => {
        for await (const _ of tfRecords(path));
      },
    ],
  ];
  const path = join(root, "changed");
  let refusals = 0;
  for (const [file, open] of cases) {
    const bytes = readFileSync(join(fixtures, file));
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ (at % 2 ? 0xff : 0x40);
      writeFileSync(path, at % 9 === 0 ? changed.subarray(0, at) : changed);
      if (await outcome(open, path)) refusals += 1;
    }
  }
  assert.ok(refusals > 300, `${refusals} refusals`);
});

test("a MAT file cannot ask for more than it holds", async () => {
  const path = join(root, "bomb.mat");
  const header = Buffer.alloc(128);
  header.write("MATLAB 5.0 MAT-file");
  header.write("IM", 126);
  const element = (type: number, data: Buffer) => {
    const tag = Buffer.alloc(8);
    tag.writeUInt32LE(type);
    tag.writeUInt32LE(data.length, 4);
    return Buffer.concat([tag, data, Buffer.alloc((8 - (data.length % 8)) % 8)]);
  };
  const ints = (...values: number[]) => Buffer.from(Int32Array.from(values).buffer);
  const cells = element(
    14,
    Buffer.concat([element(6, ints(1, 0)), element(5, ints(1 << 30, 1)), element(1, Buffer.from("x"))]),
  );
  writeFileSync(path, Buffer.concat([header, cells]));
  await assertRefused((file) => void readMat(file), path, /impossible sizes/);
  const zeros = deflateSync(Buffer.alloc(400 << 20));
  writeFileSync(path, Buffer.concat([header, element(15, zeros)]));
  await assertRefused((file) => void readMat(file), path, /compressed form is damaged/);
  writeFileSync(path, "MATLAB 7.3 MAT-file, Platform: GLNXA64".padEnd(200));
  await assertRefused((file) => void readMat(file), path, /version 7\.3, which is HDF5/);
});

test("JSON is followed over the borders of pieces", async () => {
  const path = join(root, "large.json");
  const objects = Array.from({ length: 3000 }, (_, i) => ({
    id: i,
    text: `é"[{${"x".repeat(i % 900)}`,
    deep: { a: [{}] },
  }));
  writeFileSync(
    path,
    JSON.stringify({ skipped: [{ id: -1 }], note: { wanted: [{ id: -2 }] }, wanted: objects, plain: 1 }),
  );
  const found = [];
  for await (const { array, value } of jsonArrays(path, ["wanted"])) {
    assert.equal(array, "wanted");
    found.push(value);
  }
  assert.deepEqual(found, objects);
  for (const text of ["", "[]", "{}}", '{"wanted":[{"id":}]}', '{"wanted":[']) {
    writeFileSync(path, text);
    await assertRefused(
      async (file) => {
        for await (const _ of jsonArrays(file, ["wanted"]));
      },
      path,
      /cannot be read as JSON/,
    );
  }
});

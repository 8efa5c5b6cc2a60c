/** Characters of ten writing systems: which font is on which side, and which characters a font file has. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readFontFile } from "../../../src/data/datasets/font-file.ts";
import { scriptList, sideOf } from "../../../src/data/datasets/scripts.ts";
import { findDataset, type Item, splitDataset } from "../../../src/data/index.ts";
import { temporaryFolder } from "./support.ts";

const u16 = (...values: number[]) => Buffer.from(values.flatMap((value) => [(value >> 8) & 255, value & 255]));
const u32 = (...values: number[]) => u16(...values.flatMap((value) => [value >>> 16, value & 0xffff]));

/** A font file with a name and the table `cmap` alone. */
function fontBytes(family: string, style: string, cmap: Buffer): Buffer {
  const texts = [family, style].map((text) => Buffer.from(text, "utf16le").swap16());
  const [first, second] = texts as [Buffer, Buffer];
  const record = (name: number, length: number, offset: number) => u16(3, 1, 0x409, name, length, offset);
  const names = Buffer.concat([
    u16(0, 2, 6 + 2 * 12),
    record(1, first.length, 0),
    record(2, second.length, first.length),
    ...texts,
  ]);
  const start = 12 + 2 * 16;
  const entry = (tag: string, offset: number, length: number) =>
    Buffer.concat([Buffer.from(tag), u32(0, offset, length)]);
  return Buffer.concat([
    u32(0x00010000),
    u16(2, 0, 0, 0),
    entry("cmap", start, cmap.length),
    entry("name", start + cmap.length, names.length),
    cmap,
    names,
  ]);
}

/** Format 4 for the characters, a segment each, by a difference or, as some fonts have it, by a list of glyphs. */
function segments(text: string, missing = ""): Buffer {
  const points = [...text].map((one) => one.codePointAt(0) ?? 0).sort((a, b) => a - b);
  const count = points.length + 1;
  const glyphs = points.map((point, i) => (missing.includes(String.fromCodePoint(point)) ? 0 : i + 1));
  // Even segments count from a difference, odd ones look their glyph up behind the table.
  const deltas = points.map((point, i) => (i % 2 === 0 ? ((glyphs[i] ?? 0) - point) & 0xffff : 0));
  const offsets = points.map((_, i) => (i % 2 === 0 ? 0 : 2 * (count - i) + 2 * i));
  const body = u16(...points, 0xffff, 0, ...points, 0xffff, ...deltas, 1, ...offsets, 0, ...glyphs);
  return Buffer.concat([u16(0, 1, 3, 1), u32(12), u16(4, 14 + body.length, 0, 2 * count, 0, 0, 0), body]);
}

function write(path: string, bytes: Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

test("a font's name, and its characters of both encodings; a character that maps to no glyph is none", () => {
  const path = join(temporaryFolder(), "a.ttf");
  write(path, fontBytes("Some Sans ", "BoldOblique", segments("ABकഖ", "ABखഖ".slice(3))));
  const { font, characters } = readFontFile(path);
  assert.equal(font, "Some Sans, Bold Oblique");
  assert.deepEqual([...characters].map((point) => String.fromCodePoint(point)).join(""), "ABक");
  const groups = Buffer.concat([
    u16(0, 1, 3, 10),
    u32(12),
    u16(12, 0),
    u32(40, 0, 2, 0x41, 0x43, 7, 0x1f600, 0x1f601, 0),
  ]);
  write(path, fontBytes("Other", "Book", groups));
  assert.deepEqual(readFontFile(path), { font: "Other, Regular", characters: new Set([0x41, 0x42, 0x43, 0x1f601]) });
});

test("a font file that is cut off is refused", () => {
  const path = join(temporaryFolder(), "a.ttf");
  const whole = fontBytes("Some Sans", "Regular", segments("AB"));
  for (const length of [3, 30, 60, 100]) {
    write(path, whole.subarray(0, length));
    assert.throws(() => readFontFile(path), RangeError, `${length} bytes`);
  }
});

test("families of fonts are on one side alone, over all scripts", () => {
  const filesOf = (side: "source" | "train") => new Set(scriptList.flatMap((script) => script[side].files));
  const [source, train] = [[...filesOf("source")], [...filesOf("train")]];
  const clash = source.filter((own) => train.some((other) => own.startsWith(other) || other.startsWith(own)));
  assert.deepEqual(clash, []);
  for (const script of scriptList) {
    const faces = ["FreeSans.ttf", "FreeSerifBold.ttf", "NotoSans-Bold.ttf", "NotoSerifThai-Regular.ttf"];
    assert.deepEqual(
      faces.map((file) => sideOf(script, file)),
      ["validation", "validation", "test", "test"],
    );
    const others = ["FreeMono.ttf", "NotoSans-Thin.ttf", "Lato-Hairline.ttf", "Unknown.ttf"];
    assert.deepEqual(
      others.map((file) => sideOf(script, file)),
      others.map(() => undefined),
    );
    for (const family of [...source, ...train]) assert.ok(!/^(Free|Noto)/.test(family), family);
  }
});

test("no character is in two scripts", () => {
  const all = scriptList.flatMap(({ characters }) => [...characters]);
  assert.equal(new Set(all).size, all.length);
  assert.ok(all.length > 250 && all.length < 400, `${all.length} classes`);
});

/** Folders of the packages of a set, with a font of each side that has these characters. */
function fontFolders(name: string, text: string): string[] {
  const root = temporaryFolder();
  const { packages } = findDataset(name);
  for (const file of ["Garuda.ttf", "Loma.ttf", "Kinnari.ttf", "FreeSerif.ttf", "NotoSansThai-Bold.ttf"]) {
    const own = packages.find((one) => one.includes(file.slice(0, 4).toLowerCase())) ?? packages[0] ?? "";
    write(join(root, own, file), fontBytes(file, "", segments(text)));
  }
  return packages.map((own) => {
    mkdirSync(join(root, own), { recursive: true });
    return join(root, own);
  });
}

test("a script alone: its sides by family, and only characters that a font has", async () => {
  const { items, classes } = await findDataset("scripts-thai").open(fontFolders("scripts-thai", "กขA"));
  assert.deepEqual([classes[0], classes.length], ["ก", 42]);
  const found = items.map(({ id, label, split }) => `${id} ${label} ${split}`).sort();
  const wanted = ["FreeSerif.ttf validation", "Kinnari.ttf train", "Loma.ttf train", "NotoSansThai-Bold.ttf test"];
  assert.deepEqual(
    found,
    wanted.flatMap((line) => {
      const [file, side] = line.split(" ");
      return [`${file}:ก 0 ${side}`, `${file}:ข 1 ${side}`];
    }),
  );
  const source = await findDataset("scripts-source-thai").open(fontFolders("scripts-source-thai", "ก"));
  assert.deepEqual(
    source.items.map(({ id, group }) => [id, group]),
    [["Garuda.ttf:ก", "Garuda.ttf"]],
  );
});

test("all scripts side by side: classes carry their script, and each font its side", async () => {
  const folders = fontFolders("scripts", "กขAΔ");
  const { items, classes } = await findDataset("scripts").open(folders);
  assert.equal(
    classes.length,
    scriptList.reduce((sum, { characters }) => sum + [...characters].length, 0),
  );
  const sides = new Map(items.map(({ id, split }) => [id, split]));
  assert.equal(sides.get("thai/Loma.ttf:ก"), "train");
  assert.equal(sides.get("greek/FreeSerif.ttf:Δ"), "validation");
  assert.ok(
    items.every(({ label, source }) => source.kind === "glyph" && classes[label]?.endsWith(`: ${source.text}`)),
  );
});

test("in a mix, a part that publishes its whole split keeps it, and the others are split by the seed", () => {
  const item = (i: number, label: number, split?: Item["split"]): Item => ({
    id: `${i}`,
    label,
    source: { kind: "file", path: `/nowhere/${i}` },
    ...(split ? { split } : {}),
  });
  const sides = ["train", "train", "validation", "test"] as const;
  const items = [...sides.map((side, i) => item(i, 0, side)), ...Array.from({ length: 10 }, (_, i) => item(4 + i, 1))];
  const dataset = { name: "mix", classes: ["a", "b"], items, unsplit: new Set([1]), licence: "", origin: "" };
  for (const seed of [0, 1]) {
    const { train, validation, test } = splitDataset(dataset, { seed, validationFraction: 0.2, testFraction: 0.2 });
    const published = [train, validation, test].map((own) => own.filter((i) => i < 4));
    assert.deepEqual(published, [[0, 1], [2], [3]]);
    assert.deepEqual([train.length, validation.length, test.length], [2 + 6, 1 + 2, 1 + 2]);
  }
});

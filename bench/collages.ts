/** Pictures that are put together from packaged ones, and lists of what is in them: several labels, or numbers. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { decodeImage, type Item, openDataset } from "../src/data/index.ts";
import { keyedRandom, shuffled } from "../src/torch/index.ts";

/** Side of a collage, and of the pictures as they are decoded, pixels. */
const [side, decoded] = [48, 64];
/** Pictures of which collages are made, and the first Greek letters, each a label of its own. */
const source = "emoji+greek";
const mostLetters = 6;
const white = { r: 255, g: 255, b: 255 };

export type TargetKind = "multi-label" | "regression";

/** Images of each split. */
export const counts = { train: 480, validation: 160, test: 260 };

interface Picture {
  label: string;
  item: Item;
}

/**
 * Writes images of one kind of pictures each, emoji or Greek letters, and their list. A picture is in the images of one split alone.
 * With several labels there are one to three pictures in quarters of an image; with numbers there is one, turned and scaled.
 * @returns the list
 */
export async function writeCollages(folder: string, kind: TargetKind, seed: number): Promise<string> {
  const { classes, items } = await openDataset(source);
  const usable = items.map((item) => ({ item, label: classes[item.label] ?? "" }));
  const letters = new Set(classes.filter((name) => /^greek|\p{Script=Greek}/u.test(name)).slice(0, mostLetters));
  const isLetter = ({ label }: Picture): boolean => /\p{Script=Greek}/u.test(label);
  const kinds = [
    usable.filter((one) => !isLetter(one)),
    usable.filter((one) => isLetter(one) && (kind === "regression" || letters.has(one.label))),
  ];
  const random = keyedRandom(seed, kind === "regression" ? 1 : 2);
  const parts = kinds.map((all) => splitOf(shuffled(all, random)));
  mkdirSync(join(folder, "images"), { recursive: true });
  const lines = [`file,split,${kind === "regression" ? "value_tilt,value_size" : "labels"}`];
  for (const split of ["train", "validation", "test"] as const) {
    for (let i = 0; i < counts[split]; i++) {
      const pictures = parts[i % 2]?.[split] ?? [];
      const draw = (): Picture => pictures[Math.floor(random() * pictures.length)] as Picture;
      const file = `images/${split}-${i}.png`;
      const [image, said] = kind === "regression" ? await single(draw(), random) : await several(draw, random);
      await image.png().toFile(join(folder, file));
      lines.push(`${file},${split},${said}`);
    }
  }
  const list = join(folder, "list.csv");
  writeFileSync(list, lines.join("\n"));
  return list;
}

/** Three fifths, a fifth and a fifth. */
function splitOf(all: readonly Picture[]) {
  const [first, second] = [Math.floor(0.6 * all.length), Math.floor(0.8 * all.length)];
  return { train: all.slice(0, first), validation: all.slice(first, second), test: all.slice(second) };
}

async function pixelsOf({ item }: Picture): Promise<Sharp> {
  const bytes = await decodeImage(item, { size: decoded, channels: 3, pixelLimit: 1e8 });
  return sharp(bytes, { raw: { width: decoded, height: decoded, channels: 3 } });
}

const blank = (): Sharp => sharp({ create: { width: side, height: side, channels: 3, background: white } });

async function several(draw: () => Picture, random: () => number): Promise<[Sharp, string]> {
  const half = side / 2;
  const places = shuffled([0, 1, 2, 3], random).slice(0, 1 + Math.floor(3 * random()));
  const drawn = places.map((place) => ({ place, picture: draw() }));
  const layers = await Promise.all(
    drawn.map(async ({ place, picture }) => {
      const input = await (await pixelsOf(picture)).resize(half, half).png().toBuffer();
      return { input, left: half * (place % 2), top: half * Math.floor(place / 2) };
    }),
  );
  const labels = [...new Set(drawn.map(({ picture }) => picture.label))];
  return [blank().composite(layers), labels.join("|")];
}

async function single(picture: Picture, random: () => number): Promise<[Sharp, string]> {
  const tilt = Math.round(120 * random() - 60);
  const size = Math.round(18 + 16 * random());
  const turned = await (await pixelsOf(picture)).rotate(tilt, { background: white }).png().toBuffer();
  // What was the picture's side becomes the size, whatever room its corners need.
  const { width = decoded } = await sharp(turned).metadata();
  const drawn = Math.min(side, Math.round((size * width) / decoded));
  const input = await sharp(turned).resize(drawn, drawn).png().toBuffer();
  const [left, top] = [0, 0].map(() => Math.floor(random() * (side - drawn + 1)));
  return [blank().composite([{ input, left: left ?? 0, top: top ?? 0 }]), `${tilt},${size}`];
}

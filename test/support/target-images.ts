/** Drawings with several labels or with numbers, and the lists that name them, made anew for a test. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";

const side = 32;

const shapes: Record<string, (x: number, y: number) => string> = {
  circle: (x, y) => `<circle cx="${x}" cy="${y}" r="5" fill="red"/>`,
  square: (x, y) => `<rect x="${x - 5}" y="${y - 5}" width="10" height="10" fill="blue"/>`,
  cross: (x, y) => `<path d="M${x - 5} ${y}h10M${x} ${y - 5}v10" stroke="green" stroke-width="3"/>`,
};

async function draw(path: string, hue: number, content: string): Promise<void> {
  const ground = `<rect width="${side}" height="${side}" fill="hsl(${hue},40%,90%)"/>`;
  const svg = `<svg width="${side}" height="${side}">${ground}${content}</svg>`;
  await sharp(Buffer.from(svg)).png().toFile(path);
}

/** Writes DIR/labels.csv and images with any of three shapes; returns the list. */
export async function writeLabelImages(folder: string, count: number): Promise<string> {
  mkdirSync(join(folder, "shapes"), { recursive: true });
  const lines = ["file,labels"];
  for (let i = 0; i < count; i++) {
    const own = Object.keys(shapes).filter((_, c) => ((i >> c) & 1) === 1);
    const parts = own.map((name, j) => shapes[name]?.(7 + 9 * j + ((i * 5) % 4), 8 + ((i * 7 + j * 5) % 16)));
    await draw(join(folder, "shapes", `${i}.png`), i * 31, parts.join(""));
    lines.push(`shapes/${i}.png,${own.join("|")}`);
  }
  const list = join(folder, "labels.csv");
  writeFileSync(list, lines.join("\n"));
  return list;
}

/** Writes DIR/places.csv and images with a dot, whose place is said in two units; returns the list. */
export async function writeNumberImages(folder: string, count: number): Promise<string> {
  mkdirSync(join(folder, "dots"), { recursive: true });
  const lines = ["file,value_x,value_y"];
  for (let i = 0; i < count; i++) {
    const [x, y] = [4 + ((i * 37) % 24), 4 + ((i * 53) % 23)];
    await draw(join(folder, "dots", `${i}.png`), i * 31, `<circle cx="${x}" cy="${y}" r="4" fill="black"/>`);
    lines.push(`dots/${i}.png,${x + 0.5},${1000 + 10 * y}`);
  }
  const list = join(folder, "places.csv");
  writeFileSync(list, lines.join("\n"));
  return list;
}

/** A small hub and a small folder of images on disk, made anew for a test. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { createBackbone } from "../../src/models/index.ts";
import { Generator } from "../../src/torch/index.ts";
import { writeHub, writeMember } from "./hub-files.ts";

const architectures: [string, string, Record<string, unknown>][] = [
  ["small-resnet", "resnet", { layers: [1, 1], width: 8, stem: "small", stemStride: 2 }],
  ["small-convnext", "convnext", { depths: [1, 1], dims: [8, 16], patch: 4, layerScale: 0.1 }],
  ["other-resnet", "resnet", { layers: [1, 1], width: 12, stem: "small", stemStride: 2 }],
];

/** A temporary folder that is removed with the process. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-test-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes DIR/hub.json with three random members of 24 px; returns DIR. */
export function writeSmallHub(folder: string): string {
  return writeHub(join(folder, "hub"), "small", (dir) =>
    architectures.map(([name, architecture, config], i) => {
      using generator = new Generator(i + 1);
      using backbone = createBackbone(architecture, config, { generator });
      const { featureWidth } = backbone;
      return writeMember(dir, { name, architecture, config, featureWidth, size: 24, tensors: backbone.stateDict() });
    }),
  );
}

const shapes: Record<string, (x: number, y: number, r: number, colour: string) => string> = {
  circle: (x, y, r, colour) => `<circle cx="${x}" cy="${y}" r="${r}" fill="${colour}"/>`,
  square: (x, y, r, colour) => `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}" fill="${colour}"/>`,
  stripe: (x, y, r, colour) =>
    `<rect x="0" y="${y - r / 3}" width="32" height="${(2 * r) / 3}" fill="${colour}"/><rect x="${x}" y="0" width="1" height="1"/>`,
};

/** Writes DIR/CLASS/NUMBER.png, drawings of three shapes in many colours; returns DIR. */
export async function writeShapeImages(folder: string, perClass: number): Promise<string> {
  const dir = join(folder, "images");
  for (const [name, draw] of Object.entries(shapes)) {
    mkdirSync(join(dir, name), { recursive: true });
    for (let i = 0; i < perClass; i++) {
      const [x, y, r] = [10 + ((i * 7) % 13), 10 + ((i * 5) % 12), 5 + ((i * 3) % 5)];
      const svg = `<svg width="32" height="32"><rect width="32" height="32" fill="hsl(${i * 31},40%,90%)"/>${draw(x, y, r, `hsl(${i * 47},80%,40%)`)}</svg>`;
      await sharp(Buffer.from(svg))
        .png()
        .toFile(join(dir, name, `${i}.png`));
    }
  }
  return dir;
}

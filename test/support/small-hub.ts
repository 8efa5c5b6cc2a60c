/** A small hub and a small folder of images on disk, made anew for a test. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { writeSafetensors } from "../../src/io/index.ts";
import { createBackbone } from "../../src/models/index.ts";
import { Generator } from "../../src/torch/index.ts";

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
  const dir = join(folder, "hub");
  mkdirSync(dir, { recursive: true });
  const members = architectures.map(([name, architecture, config], i) => {
    using generator = new Generator(i + 1);
    const backbone = createBackbone(architecture, config, { generator });
    const file = `${name}.safetensors`;
    writeSafetensors(join(dir, file), backbone.stateDict());
    const sha256 = createHash("sha256")
      .update(readFileSync(join(dir, file)))
      .digest("hex");
    const { featureWidth } = backbone;
    backbone.dispose();
    return {
      name,
      architecture,
      config,
      weights: { file, format: "safetensors", sha256 },
      featureWidth,
      input: { size: 24, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      pretraining: { data: "none", paradigm: "random" },
      licence: "test",
      source: "test",
    };
  });
  writeFileSync(join(dir, "hub.json"), JSON.stringify({ version: 1, name: "small", members }));
  return dir;
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

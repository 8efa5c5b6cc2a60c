/** A hub whose members differ in what they can see, and images whose class is just that: their redness. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { createBackbone } from "../../src/models/index.ts";
import { Generator, keyedRandom, noGrad, randn, scope } from "../../src/torch/index.ts";
import { writeHub, writeMember } from "./hub-files.ts";

/** S. */
export const sourceClasses = 5;

const config = { layers: [1, 1], width: 8, stem: "small", stemStride: 2 };
const members = [
  { name: "blind", seesRed: false, seed: 1 },
  { name: "seeing", seesRed: true, seed: 1 },
  { name: "also-blind", seesRed: false, seed: 2 },
];

/** Writes DIR/hub.json with three random networks, of which one alone has weights for red; returns DIR. */
export function writeColourHub(folder: string, withClassifier = true): string {
  return writeHub(join(folder, "hub"), "colours", (dir) =>
    members.map(({ name, seesRed, seed }) => {
      using generator = new Generator(seed);
      using backbone = createBackbone("resnet", config, { generator });
      const { featureWidth } = backbone;
      const more = withClassifier ? { classifier: "classifier", keyMap: { drop: ["classifier."] } } : {};
      return scope(() => {
        const tensors = backbone.stateDict();
        if (!seesRed) noGrad(() => tensors.get("conv1.weight")?.narrow(1, 0, 1).zero_());
        if (withClassifier) {
          tensors.set("classifier.weight", randn([sourceClasses, featureWidth], { generator }));
          tensors.set("classifier.bias", randn([sourceClasses], { generator }));
        }
        return writeMember(dir, { name, architecture: "resnet", config, featureWidth, size: 24, tensors, more });
      });
    }),
  );
}

const side = 24;
const redness = { dark: 40, middle: 120, red: 200 };

/** Writes DIR/CLASS/NUMBER.png, patches of random green and blue, and red as the class has it; returns DIR. */
export async function writeColourImages(folder: string, perClass: number): Promise<string> {
  const dir = join(folder, "colours");
  for (const [label, [name, level]] of Object.entries(redness).entries()) {
    mkdirSync(join(dir, name), { recursive: true });
    for (let i = 0; i < perClass; i++) {
      const random = keyedRandom(label, i);
      const patches = Array.from({ length: 36 }, () => [level + 50 * random(), 255 * random(), 255 * random()]);
      const pixels = Uint8Array.from({ length: 3 * side * side }, (_, at) => {
        const [x, y, channel] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side), at % 3];
        return patches[6 * (y >> 2) + (x >> 2)]?.[channel] ?? 0;
      });
      await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
        .png()
        .toFile(join(dir, name, `${i}.png`));
    }
  }
  return dir;
}

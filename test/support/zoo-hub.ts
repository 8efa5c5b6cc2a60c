/** A hub of three networks of one architecture with classifiers of pre-training, and runs on it. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "../../src/io/index.ts";
import { findMethod } from "../../src/methods/index.ts";
import { createBackbone } from "../../src/models/index.ts";
import { Generator, randn } from "../../src/torch/index.ts";
import { defaultTrainOptions, type TrainRequest } from "../../src/train/index.ts";
import { temporaryFolder, writeShapeImages } from "./small-hub.ts";

const config = { layers: [1, 1], width: 8, stem: "small", stemStride: 2 };
export const zooNames = ["first", "second", "third"] as const;
/** Classes of pre-training. */
export const sourceClasses = 5;

/** Writes DIR/zoo/hub.json with three random members of 24 px; returns the hub's folder. */
export function writeZooHub(folder: string): string {
  const dir = join(folder, "zoo");
  mkdirSync(dir, { recursive: true });
  const members = zooNames.map((name, i) => {
    using generator = new Generator(i + 11);
    const backbone = createBackbone("resnet", config, { generator });
    const { featureWidth } = backbone;
    using weight = randn([sourceClasses, featureWidth], { generator });
    using bias = randn([sourceClasses], { generator });
    const file = `${name}.safetensors`;
    const tensors = new Map([...backbone.stateDict(), ["fc.weight", weight] as const, ["fc.bias", bias] as const]);
    writeSafetensors(join(dir, file), tensors);
    backbone.dispose();
    const sha256 = createHash("sha256")
      .update(readFileSync(join(dir, file)))
      .digest("hex");
    return {
      name,
      architecture: "resnet",
      config,
      weights: { file, format: "safetensors", sha256 },
      keyMap: { drop: ["fc."] },
      classifier: "fc",
      featureWidth,
      input: { size: 24, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      pretraining: { data: "none", paradigm: "random" },
      licence: "test",
      source: "test",
    };
  });
  writeFileSync(join(dir, "hub.json"), JSON.stringify({ version: 1, name: "zoo", members }));
  return dir;
}

/** Makes requests of runs on that hub and on drawings of three shapes, in a folder of their own. */
export async function zooRequests(
  perClass = 24,
): Promise<(out: string, method: string, more?: Partial<TrainRequest>) => TrainRequest> {
  const folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const hub = writeZooHub(folder);
  const source = await writeShapeImages(folder, perClass);
  return (out, method, more = {}) => ({
    method: findMethod(method),
    choices: {},
    hub,
    data: {
      source,
      imageSize: 24,
      split: { validationFraction: 0.25, testFraction: 0.25 },
      augment: "standard",
      batchSize: 12,
      seed: 3,
    },
    options: { ...defaultTrainOptions, epochs: 3, batchSize: 12, seed: 3, lr: 3e-3 },
    out: join(folder, out),
    resume: false,
    emit: () => {},
    ...more,
  });
}

/** A hub of three networks of one architecture with classifiers of pre-training, and runs on it. */
import { join } from "node:path";
import { findMethod } from "../../src/methods/index.ts";
import { createBackbone } from "../../src/models/index.ts";
import { Generator, randn } from "../../src/torch/index.ts";
import type { Choices, TrainRequest } from "../../src/train/index.ts";
import { writeHub, writeMember } from "./hub-files.ts";
import { temporaryFolder, writeShapeImages } from "./small-hub.ts";
import { trainRequest } from "./train-request.ts";

const config = { layers: [1, 1], width: 8, stem: "small", stemStride: 2 };
export const zooNames = ["first", "second", "third"] as const;
/** Classes of pre-training. */
export const sourceClasses = 5;

/** Writes DIR/zoo/hub.json with three random members of 24 px; returns the hub's folder. */
export function writeZooHub(folder: string): string {
  return writeHub(join(folder, "zoo"), "zoo", (dir) =>
    zooNames.map((name, i) => {
      using generator = new Generator(i + 11);
      using backbone = createBackbone("resnet", config, { generator });
      const { featureWidth } = backbone;
      using weight = randn([sourceClasses, featureWidth], { generator });
      using bias = randn([sourceClasses], { generator });
      const tensors = new Map([...backbone.stateDict(), ["fc.weight", weight] as const, ["fc.bias", bias] as const]);
      const more = { keyMap: { drop: ["fc."] }, classifier: "fc" };
      return writeMember(dir, { name, architecture: "resnet", config, featureWidth, size: 24, tensors, more });
    }),
  );
}

/** Makes requests of runs on that hub and on drawings of three shapes, in a folder of their own. */
export async function zooRequests(
  perClass = 24,
): Promise<(out: string, method: string, more?: Partial<TrainRequest>) => TrainRequest> {
  const folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const hub = writeZooHub(folder);
  const source = await writeShapeImages(folder, perClass);
  return (out, method, more = {}) => {
    const usual = trainRequest({ folder, hub, images: source }, out);
    const data = { ...usual.data, split: { validationFraction: 0.25, testFraction: 0.25 } };
    const options = { ...usual.options, lr: 3e-3 };
    return { ...usual, method: findMethod(method), choices: {}, data, options, ...more };
  };
}

/** For runs of every method on that hub: small ones, and members where a method needs one. */
export const methodChoices: Readonly<Record<string, Choices>> = {
  "hub-pathway": { k: 2, generatorWidth: 4 },
  "random-routing": { k: 2, generatorWidth: 4 },
  "random-members": { k: 2, generatorWidth: 4 },
  dense: { generatorWidth: 4 },
  delta: { images: 6, member: "first" },
  "from-scratch": { member: "second" },
  "linear-probe": { member: "second" },
  "l2-sp": { member: "third" },
  bss: { member: "third" },
  "co-tuning": { member: "first" },
  soup: { member: "second", size: 2 },
  "greedy-ensemble": { rounds: 5 },
};

/**
 * Recipes of the members of the repository's hubs: network and source data. Targets (emoji, Fashion-MNIST, desktop
 * icons; for the specialists Greek letters, for the members that know scripts the fonts of `scripts`) never appear.
 */
import type { ObjectiveName } from "./objectives.ts";

export interface Recipe {
  name: string;
  architecture: string;
  config: Record<string, unknown>;
  objective: ObjectiveName;
  /** Data sets learned from together; labels of several become one list of classes. */
  data: readonly string[];
  /** Paradigm in hub.json. */
  paradigm: string;
  epochs: number;
  batchSize: number;
  lr: number;
  precision: "float32" | "bfloat16";
  /** Side of the input, pixels. */
  size?: number;
}

/** Side of the inputs of members that do not say another, pixels. */
export const imageSize = 48;

const resnet = { layers: [2, 2, 2, 2], width: 20, stem: "small", stemStride: 2 };
const mobilenet = { width: 0.75, lastChannels: 256, stemStride: 2 };
const convnext = { depths: [2, 2, 3, 1], dims: [24, 48, 96, 192], patch: 2, layerScale: 1 };

const starter: readonly Recipe[] = [
  {
    name: "resnet-clipart-supervised",
    architecture: "resnet",
    config: resnet,
    objective: "classification",
    data: ["openclipart"],
    paradigm: "supervised classification of drawings by folder",
    epochs: 40,
    batchSize: 96,
    lr: 2e-3,
    precision: "bfloat16",
  },
  {
    name: "resnet-clipart-contrastive",
    architecture: "resnet",
    config: resnet,
    objective: "contrastive",
    data: ["openclipart"],
    paradigm: "self-supervised: contrastive (SimCLR)",
    epochs: 24,
    batchSize: 160,
    lr: 2e-3,
    precision: "bfloat16",
  },
  {
    name: "resnet-clipart-segmentation",
    architecture: "resnet",
    config: resnet,
    objective: "segmentation",
    data: ["openclipart"],
    paradigm: "dense prediction: foreground segmentation from the alpha channel",
    epochs: 20,
    batchSize: 96,
    lr: 2e-3,
    precision: "bfloat16",
  },
  {
    name: "mobilenet-glyphs-supervised",
    architecture: "mobilenet-v2",
    config: mobilenet,
    objective: "classification",
    data: ["glyphs"],
    paradigm: "supervised classification of rendered characters",
    epochs: 14,
    batchSize: 96,
    lr: 3e-3,
    precision: "float32",
  },
  {
    name: "resnet-icons-supervised",
    architecture: "resnet",
    config: { layers: [1, 1, 1, 1], width: 28, stem: "small", stemStride: 2 },
    objective: "classification",
    data: ["mdi-icons"],
    paradigm: "supervised classification of one-colour icons by tag",
    epochs: 24,
    batchSize: 96,
    lr: 2e-3,
    precision: "bfloat16",
  },
  {
    name: "convnext-icons-supervised",
    architecture: "convnext",
    config: convnext,
    objective: "classification",
    data: ["mdi-icons", "openclipart"],
    paradigm: "supervised classification of icons by tag and drawings by folder",
    epochs: 14,
    batchSize: 96,
    lr: 6e-4,
    precision: "bfloat16",
  },
];

/** Beside the starter hub's three ResNets of this shape: one more paradigm and two more kinds of pictures. */
const sameArchitecture: readonly Recipe[] = [
  ...starter.slice(0, 3),
  {
    name: "resnet-glyphs-supervised",
    architecture: "resnet",
    config: resnet,
    objective: "classification",
    data: ["glyphs"],
    paradigm: "supervised classification of rendered characters",
    epochs: 12,
    batchSize: 96,
    lr: 2e-3,
    precision: "bfloat16",
  },
  {
    name: "resnet-icons-contrastive",
    architecture: "resnet",
    config: resnet,
    objective: "contrastive",
    data: ["mdi-icons"],
    paradigm: "self-supervised: contrastive (SimCLR)",
    epochs: 20,
    batchSize: 160,
    lr: 2e-3,
    precision: "bfloat16",
  },
];

const starterMember = (name: string) => starter.filter((recipe) => recipe.name === name);

/** Members that know one kind of picture each: Latin characters, drawings, icons. Greek ones are a target for them. */
const specialists: readonly Recipe[] = [
  {
    name: "resnet-latin-supervised",
    architecture: "resnet",
    config: resnet,
    objective: "classification",
    data: ["latin"],
    paradigm: "supervised classification of rendered Latin characters",
    epochs: 16,
    batchSize: 96,
    lr: 2e-3,
    precision: "bfloat16",
  },
  ...starterMember("resnet-clipart-supervised"),
  ...starterMember("resnet-clipart-contrastive"),
  ...starterMember("resnet-icons-supervised"),
];

/** Scripts that members know, two each; epochs by the number of their images, so that all learn equally long. */
const knownScripts: readonly (readonly [string, string, number])[] = [
  ["latin", "cyrillic", 84],
  ["greek", "hebrew", 93],
  ["arabic", "thai", 117],
  ["devanagari", "bengali", 466],
  ["georgian", "malayalam", 170],
];

/** Small members that know two writing systems each; `scripts` has the same characters in other fonts. */
const scriptMembers: readonly Recipe[] = knownScripts.map(([first, second, epochs]) => ({
  name: `narrow-${first}-${second}`,
  architecture: "resnet",
  config: { layers: [1, 1, 1], width: 6, stem: "small", stemStride: 2 },
  objective: "classification",
  data: [first, second].map((script) => `scripts-source-${script}`),
  paradigm: `supervised classification of rendered ${first} and ${second} characters`,
  epochs,
  batchSize: 64,
  lr: 3e-3,
  precision: "float32",
  size: 32,
}));

/** The hubs of this repository by name; those with a recipe in common have the same weights. */
export const hubRecipes: Readonly<Record<string, readonly Recipe[]>> = {
  starter,
  "same-architecture": sameArchitecture,
  specialists,
  scripts: scriptMembers,
};

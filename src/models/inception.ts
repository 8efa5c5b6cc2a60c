/**
 * Inception-v3 (Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, "Rethinking the Inception Architecture for Computer Vision", CVPR
 * 2016). Parameter names are torchvision's, which timm has too.
 */
import { z } from "zod";
import type { BackboneOptions } from "./backbone.ts";
import { averagePool, BranchNetwork, conv, down, maxPool, type Part, type Step } from "./blocks/branches.ts";
import type { Family } from "./family.ts";
import { imagenetInput, type Preset, type PresetInput } from "./preset.ts";

export const inceptionConfig = z.strictObject({});

export type InceptionConfig = z.input<typeof inceptionConfig>;

/** torchvision's weights turn ImageNet's normalisation into this one inside the network. */
const input: PresetInput = { ...imagenetInput, size: 299, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

export const inceptionPresets: Readonly<Record<string, Preset>> = {
  inception_v3: { architecture: "inception-v3", config: {}, input, classifier: "fc", library: "torchvision" },
};

type Rows = readonly (readonly Step[])[];

const wide: readonly [number, number] = [1, 7];
const high: readonly [number, number] = [7, 1];

/** The paper's figure 5, at 35 x 35 pixels. */
const blockA = (pooled: number): Rows => [
  [conv("branch1x1", 64)],
  [conv("branch5x5_1", 48), conv("branch5x5_2", 64, 5)],
  [conv("branch3x3dbl_1", 64), conv("branch3x3dbl_2", 96, 3), conv("branch3x3dbl_3", 96, 3)],
  [averagePool, conv("branch_pool", pooled)],
];

const blockB: Rows = [
  [down("branch3x3", 384)],
  [conv("branch3x3dbl_1", 64), conv("branch3x3dbl_2", 96, 3), down("branch3x3dbl_3", 96)],
  [maxPool],
];

/** The paper's figure 6, at 17 x 17 pixels. */
const blockC = (inner: number): Rows => [
  [conv("branch1x1", 192)],
  [conv("branch7x7_1", inner), conv("branch7x7_2", inner, wide), conv("branch7x7_3", 192, high)],
  [
    conv("branch7x7dbl_1", inner),
    conv("branch7x7dbl_2", inner, high),
    conv("branch7x7dbl_3", inner, wide),
    conv("branch7x7dbl_4", inner, high),
    conv("branch7x7dbl_5", 192, wide),
  ],
  [averagePool, conv("branch_pool", 192)],
];

const blockD: Rows = [
  [conv("branch3x3_1", 192), down("branch3x3_2", 320)],
  [
    conv("branch7x7x3_1", 192),
    conv("branch7x7x3_2", 192, wide),
    conv("branch7x7x3_3", 192, high),
    down("branch7x7x3_4", 192),
  ],
  [maxPool],
];

const fork = (a: string, b: string): Step => ({ fork: [[conv(a, 384, [1, 3])], [conv(b, 384, [3, 1])]] });

/** The paper's figure 7, at 8 x 8 pixels. */
const blockE: Rows = [
  [conv("branch1x1", 320)],
  [conv("branch3x3_1", 384), fork("branch3x3_2a", "branch3x3_2b")],
  [conv("branch3x3dbl_1", 448), conv("branch3x3dbl_2", 384, 3), fork("branch3x3dbl_3a", "branch3x3dbl_3b")],
  [averagePool, conv("branch_pool", 192)],
];

const valid = (name: string, out: number): Step => ({ name, out, kernel: [3, 3], valid: true });

const parts: readonly Part[] = [
  ["", [[down("Conv2d_1a_3x3", 32), valid("Conv2d_2a_3x3", 32), conv("Conv2d_2b_3x3", 64, 3), maxPool]]],
  ["", [[conv("Conv2d_3b_1x1", 80), valid("Conv2d_4a_3x3", 192), maxPool]]],
  ["Mixed_5b", blockA(32)],
  ["Mixed_5c", blockA(64)],
  ["Mixed_5d", blockA(64)],
  ["Mixed_6a", blockB],
  ["Mixed_6b", blockC(128)],
  ["Mixed_6c", blockC(160)],
  ["Mixed_6d", blockC(160)],
  ["Mixed_6e", blockC(192)],
  ["Mixed_7a", blockD],
  ["Mixed_7b", blockE],
  ["Mixed_7c", blockE],
];

/** Inception-v3; [B, 3, H, W] of at least 75 pixels a side to [B, 2048]. */
export class InceptionV3 extends BranchNetwork {
  constructor(config: InceptionConfig, options: BackboneOptions) {
    inceptionConfig.parse(config);
    super(parts, options);
  }
}

/** Recognition of Inception-v3's weights. */
export const inceptionFamily: Family = {
  architecture: "inception-v3",
  anchor: "Mixed_5b.branch1x1.conv.weight",
  infer: () => [{}],
  foreign: /^(Conv2d|Mixed)_/,
  input: () => input,
};

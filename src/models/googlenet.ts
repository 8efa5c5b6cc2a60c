/**
 * GoogLeNet with BatchNorm (Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke & Rabinovich, "Going Deeper with
 * Convolutions", CVPR 2015). Parameter names, and 3x3 where the paper has 5x5, are torchvision's.
 */
import { z } from "zod";
import type { BackboneOptions } from "./backbone.ts";
import { BranchNetwork, conv, type Part, type Step } from "./blocks/branches.ts";
import type { Family } from "./family.ts";
import { imagenetInput, type Preset, type PresetInput } from "./preset.ts";

export const googlenetConfig = z.strictObject({});

export type GoogLeNetConfig = z.input<typeof googlenetConfig>;

/** torchvision's weights turn ImageNet's normalisation into this one inside the network. */
const input: PresetInput = { ...imagenetInput, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

export const googlenetPresets: Readonly<Record<string, Preset>> = {
  googlenet: { architecture: "googlenet", config: {}, input, classifier: "fc", library: "torchvision" },
};

/** Name, and channels of the branches: 1x1; 1x1 and 3x3; the same again; 1x1 after pooling. */
const modules: readonly (readonly [string, ...number[]])[] = [
  ["3a", 64, 96, 128, 16, 32, 32],
  ["3b", 128, 128, 192, 32, 96, 64],
  ["4a", 192, 96, 208, 16, 48, 64],
  ["4b", 160, 112, 224, 24, 64, 64],
  ["4c", 128, 128, 256, 24, 64, 64],
  ["4d", 112, 144, 288, 32, 64, 64],
  ["4e", 256, 160, 320, 32, 128, 128],
  ["5a", 256, 160, 320, 32, 128, 128],
  ["5b", 384, 192, 384, 48, 128, 128],
];

const pool = (kernel: number, stride: number, padding: number): Step => {
  return { pool: "max", kernel, stride, padding, ceil: true };
};

function partsOf(): Part[] {
  const parts: Part[] = [
    ["", [[{ name: "conv1", out: 64, kernel: [7, 7], stride: 2 }, pool(3, 2, 0)]]],
    ["", [[conv("conv2", 64), conv("conv3", 192, 3), pool(3, 2, 0)]]],
  ];
  for (const [name, one = 0, inner = 0, three = 0, innerAgain = 0, again = 0, pooled = 0] of modules) {
    const branches = [
      [conv("branch1", one)],
      [conv("branch2.0", inner), conv("branch2.1", three, 3)],
      [conv("branch3.0", innerAgain), conv("branch3.1", again, 3)],
      [pool(3, 1, 1), conv("branch4.1", pooled)],
    ];
    parts.push([`inception${name}`, branches]);
    if (name === "3b") parts.push(["", [[pool(3, 2, 0)]]]);
    if (name === "4e") parts.push(["", [[pool(2, 2, 0)]]]);
  }
  return parts;
}

/** GoogLeNet; [B, 3, H, W] to [B, 1024]. */
export class GoogLeNet extends BranchNetwork {
  constructor(config: GoogLeNetConfig, options: BackboneOptions) {
    googlenetConfig.parse(config);
    super(partsOf(), options);
  }
}

/** Recognition of GoogLeNet's weights. */
export const googlenetFamily: Family = {
  architecture: "googlenet",
  anchor: "inception3a.branch1.conv.weight",
  infer: () => [{}],
  foreign: /^(conv|inception)/,
  input: () => input,
};

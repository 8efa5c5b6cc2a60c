/** Small variants of every architecture. */

/** Name, configuration, and side of the map at 32 pixels. */
export const smallNetworks: [string, Record<string, unknown>, number][] = [
  ["resnet", { width: 8, layers: [1, 1, 1] }, 2],
  ["resnet", { width: 8, layers: [1, 2], stem: "small", stemStride: 2, block: "bottleneck" }, 8],
  ["resnet", { width: 8, layers: [1, 1, 2], block: "bottleneck", groups: 2, widthPerGroup: 32, dilated: 1 }, 4],
  ["resnet", { width: 32, layers: [1, 1], stem: "small", stemStride: 2, norm: "group" }, 8],
  ["resnetv2", { width: 32, layers: [1, 2] }, 4],
  ["resnetv2", { width: 8, layers: [1, 1], norm: "batch" }, 4],
  ["mobilenet-v2", { width: 0.25, lastChannels: 32 }, 1],
  [
    "mobilenet-v2",
    {
      width: 0.25,
      lastChannels: 32,
      stemStride: 1,
      stages: [
        [1, 16, 1, 1],
        [4, 24, 2, 2],
      ],
    },
    16,
  ],
  [
    "mobilenet-v3",
    {
      hidden: 32,
      blocks: [
        [3, 16, 16, true, "relu", 1],
        [5, 32, 24, true, "hardswish", 2],
        [5, 64, 24, false, "hardswish", 1],
      ],
    },
    8,
  ],
  ["mobilenet-v3", { variant: "small", width: 0.25, stemStride: 1 }, 2],
  [
    "efficientnet",
    {
      width: 0.5,
      depth: 1.5,
      dropPath: 0.5,
      stages: [
        [1, 3, 1, 16, 1],
        [4, 5, 2, 24, 1],
      ],
    },
    8,
  ],
  ["efficientnet", { width: 0.1, depth: 0.1, stemStride: 1, eps: 1e-3, momentum: 0.01 }, 2],
  ["mnasnet", { width: 0.25, lastChannels: 32 }, 1],
  ["mnasnet", { width: 0.25, lastChannels: 32, stemStride: 1, stages: [[3, 5, 2, 24, 2]] }, 16],
  ["densenet", { growth: 4, layers: [2, 2], width: 8, bottleneck: 2 }, 4],
  ["densenet", { growth: 4, layers: [2, 1, 1], width: 8, stem: "small", stemStride: 2 }, 4],
  ["regnet", { depths: [1, 2], widths: [16, 24], stemWidth: 8 }, 4],
  ["regnet", { depths: [1, 1], widths: [4, 16], groupWidth: 8, squeeze: false, stemWidth: 8, stemStride: 1 }, 8],
  ["convnext", { depths: [1, 2], dims: [8, 16], patch: 2, layerScale: 0.1, dropPath: 0.2 }, 8],
  ["swin", { patch: 2, dim: 8, depths: [2, 2], heads: [1, 2], window: 4, dropPath: 0.2 }, 8],
  ["swin", { patch: 4, dim: 8, depths: [2], heads: [2], window: 3, mlpRatio: 2 }, 8],
  ["vit", { image: 32, patch: 8, dim: 16, depth: 2, heads: 2, dropPath: 0.2 }, 4],
  ["vit", { image: 32, patch: 8, dim: 16, depth: 2, heads: 2, pool: "avg", mlpRatio: 2 }, 4],
  [
    "vit",
    { image: 32, patch: 8, dim: 16, depth: 2, heads: 2, registers: 1, positions: "rotary", attentionBias: false },
    4,
  ],
  [
    "vit",
    { image: 32, patch: 8, dim: 16, depth: 1, heads: 2, distilled: true, patchPositions: true, preNorm: true },
    4,
  ],
  ["vit", { image: 32, patch: 8, dim: 16, depth: 1, heads: 2, pool: "attention", registers: 2 }, 4],
  [
    "vit",
    {
      image: 32,
      patch: 8,
      dim: 16,
      depth: 1,
      heads: 2,
      gated: true,
      rotaryGrid: 16,
      mlpNorm: true,
      attentionNorm: true,
    },
    4,
  ],
  ["convnext", { depths: [1, 1], dims: [8, 16], stem: "overlap", responseNorm: true }, 4],
  ["resnet", { width: 8, layers: [1, 1], stem: "deep", stemWidths: [4, 4, 16], averageDown: true, attention: "se" }, 4],
  ["resnet", { width: 8, layers: [1, 1], block: "bottleneck", strideAt: "1x1", firstStride: 2, attention: "eca" }, 2],
  [
    "efficientnet",
    {
      fused: 1,
      stemWidth: 8,
      lastWidth: 16,
      stages: [
        [4, 3, 2, 8, 2],
        [2, 3, 2, 16, 1],
      ],
    },
    4,
  ],
  ["vgg", { stages: [[4], [8, { out: 8, kernel: 5, padding: 2 }]], norm: true, grid: 2, hidden: 16 }, 8],
  ["squeezenet", { version: "1.1" }, 1],
  ["shufflenet-v2", { depths: [2, 1], widths: [8, 16], stemWidth: 8, headWidth: 24 }, 2],
  ["googlenet", {}, 1],
  [
    "mobile-blocks",
    {
      stemWidth: 8,
      stages: [
        [{ type: "conv", kernel: 3, out: 8, activation: "relu" }],
        [{ type: "separable", kernel: 3, out: 8, activated: true }],
        [
          { type: "inverted", kernel: 5, hidden: 16, out: 8, stride: 2, squeeze: 4 },
          { type: "fused", kernel: 3, hidden: 16, out: 8 },
        ],
        [{ type: "universal", kernel: 0, startKernel: 3, hidden: 16, out: 16, stride: 2, scaled: true }],
      ],
      padding: "same",
      headWidth: 24,
      head: "normed",
      dropPath: 0.2,
    },
    4,
  ],
];

/** Configurations of architectures from the names and shapes of their weights alone. */
import { rotaryHeads } from "../blocks/rotary.ts";
import { type Config, count, type Family, type Guess, type Shapes } from "../family.ts";
import { googlenetFamily } from "../googlenet.ts";
import { inceptionFamily } from "../inception.ts";
import { isDisguised } from "../known-networks.ts";
import { maxvitFamily } from "../maxvit.ts";
import { mobileBlocksFamily } from "../mobile-kinds.ts";
import { clipInput, imagenetInput, type PresetInput } from "../preset.ts";
import { attentionCell } from "../resnet.ts";
import { resnetv2Family } from "../resnetv2.ts";
import { shufflenetFamily } from "../shufflenet.ts";
import { squeezenetFamily } from "../squeezenet.ts";
import { vggFamily } from "../vgg.ts";

const usualInput = (): PresetInput => imagenetInput;

function inferResNet(shapes: Shapes, name: string): Config[] {
  if (isDisguised(name)) return [];
  const found = stemOf(shapes);
  const depth = (stage: number): number => count(shapes, (i) => `layer${stage + 1}.${i}.conv1.weight`);
  const stages = count(shapes, (i) => `layer${i + 1}.0.conv1.weight`);
  if (!found || stages > 6) return [];
  const { width, ...stem } = found;
  const layers = Array.from({ length: stages }, (_, stage) => depth(stage));
  // Without statistics its norms may be BatchNorms that were not saved whole: only a name tells.
  const norm = /^resnet\d+_gn/.test(name) && !shapes.has("bn1.running_mean") ? { norm: "group" } : {};
  const pool = poolOf(shapes, layers);
  if (!pool) return [];
  const common = { layers, ...(width === 64 ? {} : { width }), ...stem, ...variantOf(shapes), ...norm, ...pool };
  if (!shapes.has("layer1.0.conv3.weight")) return [{ ...common, block: "basic" }];
  const [inner = 0, perGroup = 0] = shapes.get("layer1.0.conv2.weight") ?? [];
  const groups = inner / perGroup;
  const widthPerGroup = Math.ceil((64 * perGroup) / width);
  const grouped = { ...(groups === 1 ? {} : { groups }), ...(widthPerGroup === 64 ? {} : { widthPerGroup }) };
  return [{ ...common, block: "bottleneck", ...grouped }];
}

function stemOf(shapes: Shapes): { width: number; stem?: string; stemWidths?: number[] } | undefined {
  const [single = 0, , kernel] = shapes.get("conv1.weight") ?? [];
  if (kernel === 7) return { width: single };
  if (kernel === 3) return { width: single, stem: "small" };
  const deep = [0, 3, 6].map((i) => shapes.get(`conv1.${i}.weight`));
  if (deep.some((shape) => shape?.[2] !== 3)) return undefined;
  const [first = 0, second = 0, third = 0] = deep.map((shape) => shape?.[0] ?? 0);
  const bottleneck = shapes.get("layer1.0.conv3.weight")?.[0];
  const width = bottleneck === undefined ? (shapes.get("layer1.0.conv2.weight")?.[0] ?? 0) : bottleneck / 4;
  const stemWidths = [first, second, ...(third === width ? [] : [third])];
  return { width, stem: "deep", ...(String(stemWidths) === "32,32" ? {} : { stemWidths }) };
}

/** Attention that pools and the strides that go with it, where there is some; undefined for one of another kind than CLIP's. */
function poolOf(shapes: Shapes, layers: readonly number[]): Config | undefined {
  const [positions] = shapes.get("attnpool.positional_embedding") ?? [];
  if (positions === undefined) return {};
  const side = Math.sqrt(positions - 1);
  if (!(side > 0) || !Number.isInteger(side)) return undefined;
  const embedding = shapes.get("attnpool.c_proj.weight")?.[0];
  return { averageDown: "all", embedding, image: side * attentionCell(layers) };
}

function variantOf(shapes: Shapes): Config {
  const averages = [...shapes.keys()].some(
    (key) => /^layer\d\.0\.downsample\.1\.weight$/.test(key) && is4d(shapes, key),
  );
  const attention = shapes.has("layer1.0.se.fc1.weight")
    ? "se"
    : shapes.has("layer1.0.se.conv.weight")
      ? "eca"
      : "none";
  return { ...(averages ? { averageDown: true } : {}), ...(attention === "none" ? {} : { attention }) };
}

const is4d = (shapes: Shapes, key: string): boolean => shapes.get(key)?.length === 4;

function inferConvNeXt(shapes: Shapes): Config[] {
  const block = (stage: number, i: number): string => `features.${2 * stage + 1}.${i}.block.0.weight`;
  const stages = count(shapes, (stage) => block(stage, 0));
  const indices = Array.from({ length: stages }, (_, stage) => stage);
  const depths = indices.map((stage) => count(shapes, (i) => block(stage, i)));
  const dims = indices.map((stage) => shapes.get(block(stage, 0))?.[0] ?? 0);
  const [half = 0, , patch = 0] = shapes.get("features.0.0.weight") ?? [];
  const overlaps = shapes.get("features.0.1.weight")?.length === 4;
  const overlapWidth = half * 2 === dims[0] ? {} : { overlapWidth: half };
  const stem = overlaps ? { stem: "overlap", ...overlapWidth } : patch === 4 ? {} : { patch };
  return [{ depths, dims, ...stem, ...(shapes.has("features.1.0.block.4.weight") ? { responseNorm: true } : {}) }];
}

function inferSwin(shapes: Shapes, name: string): Config[] {
  const at = (stage: number, i: number, rest: string): string => `features.${2 * stage + 1}.${i}.attn.${rest}`;
  const stages = count(shapes, (stage) => at(stage, 0, "qkv.weight"));
  const indices = Array.from({ length: stages }, (_, stage) => stage);
  const depths = indices.map((stage) => count(shapes, (i) => at(stage, i, "qkv.weight")));
  const second = shapes.has(at(0, 0, "logit_scale"));
  const headsOf = (stage: number): number | undefined =>
    second
      ? shapes.get(at(stage, 0, "logit_scale"))?.[0]
      : shapes.get(at(stage, 0, "relative_position_bias_table"))?.[1];
  const [dim = 0, , patch = 0] = shapes.get("features.0.0.weight") ?? [];
  const ratio = (shapes.get("features.1.0.mlp.0.weight")?.[0] ?? 0) / dim;
  const sides = indices.map((stage) => {
    const [rows = 0] = shapes.get(at(stage, 0, "relative_position_bias_table")) ?? [];
    const [, side = Math.sqrt(rows)] = shapes.get(at(stage, 0, "relative_coords_table")) ?? [];
    return (side + 1) / 2;
  });
  const seen: Config = second && sides[0] === 0.5 ? windowsOfName(name, patch, stages) : { window: together(sides) };
  return [
    {
      ...(second ? { version: 2 } : {}),
      patch,
      dim,
      depths,
      heads: indices.map((stage) => headsOf(stage) ?? 0),
      ...(second || seen["window"] !== 7 ? seen : {}),
      ...(ratio === 4 ? {} : { mlpRatio: ratio }),
    },
  ];
}

/** One number for equal ones. */
const together = (sides: readonly number[]): number | readonly number[] =>
  sides.every((side) => side === sides[0]) ? (sides[0] ?? 0) : sides;

/**
 * Windows of a Swin of version 2 from its name in timm, such as swinv2_base_window12to16_192to256: no larger than the map of each
 * stage, in pre-training too. Nothing where the name is another.
 */
function windowsOfName(name: string, patch: number, stages: number): Config {
  const found = /^swinv2_.*window(\d+)(?:to(\d+))?_(\d+)(?:to(\d+))?/.exec(name)?.slice(1);
  if (!found) return {};
  const [before = 0, now = before, small = 0, large = small] = found.map((digits) => digits && Number(digits));
  const windows = (window: number, size: number) =>
    together(Array.from({ length: stages }, (_, stage) => Math.min(window, size / patch / 2 ** stage)));
  const window = windows(Number(now), Number(large));
  return { window, ...(before === now ? {} : { pretrainedWindow: windows(Number(before), Number(small)) }) };
}

/** Side of the images that a Swin was trained with: from the mask of its shifted windows, else usual for its window. */
function swinSize({ version, window: sides = 7, patch: given }: Config, shapes: Shapes): number {
  const [window = 7] = [sides].flat() as number[];
  const patch = Number(given);
  const mask = [...shapes].find(([key]) => /(^|\.)layers\.0\.blocks\.1\.(attn\.)?attn_mask$/.test(key));
  const side = Math.sqrt(mask?.[1][0] ?? 0) * window * patch;
  if (side > 0 && Number.isInteger(side)) return side;
  if (version === 2) return window === 24 ? 384 : window === 12 ? 192 : 256;
  return window === 12 ? 384 : 224;
}

function guessSwin({ version, window }: Config): Guess[] {
  if (version !== 2 || window !== undefined) return [];
  const question =
    "the weights do not say how large the windows of this Swin Transformer V2 are: say it with --arch, such as " +
    "swinv2_tiny_window8_256, or with --config '{\"window\":8}' (in stages whose map is smaller: [16,16,16,8]), " +
    'and "pretrainedWindow" where pre-training had others (12to16: [12,12,12,6])';
  return [{ key: "window", question }];
}

/** Heads of published networks by the width of their tokens; they leave no trace in shapes. */
const usualHeads: Readonly<Record<number, number>> = {
  192: 3,
  384: 6,
  768: 12,
  1024: 16,
  1152: 16,
  1280: 16,
  1408: 16,
  1536: 24,
  1664: 16,
  1792: 16,
};

/** Patches along a side in the pre-training of every published EVA-02: 224 pixels in patches of 14. */
const evaGrid = 16;

function inferViT(shapes: Shapes, name: string): Config[] {
  const [dim = 0, , patch = 0] = shapes.get("patch_embed.proj.weight") ?? [];
  const depth = count(shapes, (i) => `blocks.${i}.attn.qkv.weight`);
  // The names and shapes of EVA-02's enormous network are these, but its norms follow its branches.
  if (dim === 1792 && depth === 64) return [];
  const [classToken, distilled] = ["cls_token", "dist_token"].map((key) => shapes.has(key));
  const registers = shapes.get("reg_token")?.[1] ?? 0;
  const pool = shapes.has("attn_pool.latent")
    ? "attention"
    : classToken && !shapes.has("fc_norm.weight")
      ? "token"
      : "avg";
  const prefix = (classToken ? 1 : 0) + (distilled ? 1 : 0) + registers;
  if (!shapes.has("pos_embed")) return inferRotary(shapes, { dim, patch, depth, registers, classToken });
  const positions = shapes.get("pos_embed")?.[1] ?? 0;
  const isSquare = (length: number): boolean => length > 0 && Number.isInteger(Math.sqrt(length));
  const patchPositions = prefix > 0 && !isSquare(positions - prefix);
  const side = Math.sqrt(patchPositions ? positions : positions - prefix);
  if (!Number.isInteger(side)) return [];
  const [hidden = 0] = shapes.get("blocks.0.mlp.fc1.weight") ?? [];
  const [, inner = 0] = shapes.get("blocks.0.mlp.fc2.weight") ?? [];
  const rotary = shapes.has("rope_embed.periods");
  const heads = rotary ? rotaryHeads(dim) : (usualHeads[dim] ?? Math.max(1, Math.floor(dim / 64)));
  const config = { image: side * patch, patch, dim, depth, heads };
  const normAfterPool = shapes.has("fc_norm.weight");
  return [
    {
      ...config,
      ...(inner === 4 * dim ? {} : { mlpRatio: inner / dim }),
      ...(pool === "token" ? {} : { pool }),
      ...(classToken && pool !== "token" ? { classToken } : {}),
      ...(distilled ? { distilled } : {}),
      ...(registers > 0 ? { registers } : {}),
      ...(patchPositions ? { patchPositions } : {}),
      ...(normAfterPool === (pool === "avg") ? {} : { normAfterPool }),
      // CLIP's norms have PyTorch's epsilon, all others timm's.
      ...(shapes.has("norm_pre.weight") ? { preNorm: true, eps: 1e-5 } : {}),
      ...(shapes.has("blocks.0.ls1.gamma") ? { layerScale: true } : {}),
      ...(hidden === 2 * inner ? { gated: true } : {}),
      ...(rotary ? { rotaryGrid: evaGrid } : {}),
      ...(shapes.has("blocks.0.mlp.norm.weight") ? { mlpNorm: true } : {}),
      ...(shapes.has("blocks.0.attn.norm.weight") ? { attentionNorm: true } : {}),
      ...(shapes.has("blocks.0.attn.qkv.bias") ? {} : { attentionBias: false }),
      ...(/quickgelu/.test(name) ? { activation: "quick_gelu" } : {}),
    },
  ];
}

interface Rotating {
  dim: number;
  patch: number;
  depth: number;
  registers: number;
  classToken: boolean | undefined;
}

/** DINOv3: others without learned positions have no class token, or no registers, or another norm. */
function inferRotary(shapes: Shapes, { dim, patch, depth, registers, classToken }: Rotating): Config[] {
  const scaled = shapes.has("blocks.0.ls1.gamma");
  if (!classToken || registers === 0 || !scaled || shapes.has("fc_norm.weight") || patch === 0) return [];
  const [hidden = 0] = shapes.get("blocks.0.mlp.fc1.weight") ?? [];
  const [, inner = 0] = shapes.get("blocks.0.mlp.fc2.weight") ?? [];
  return [
    {
      image: 14 * patch,
      patch,
      dim,
      depth,
      heads: rotaryHeads(dim),
      ...(inner === 4 * dim ? {} : { mlpRatio: inner / dim }),
      registers,
      positions: "rotary",
      layerScale: true,
      ...(hidden === 2 * inner ? { gated: true } : {}),
      ...(shapes.has("blocks.0.attn.qkv.bias") ? {} : { attentionBias: false }),
      eps: 1e-5,
    },
  ];
}

/** Widths of the space that CLIP projects images and texts into: a layer to one of them is no classifier. */
const textWidths: readonly number[] = [512, 640, 768, 1024, 1280];

const halfInput: PresetInput = {
  ...imagenetInput,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
  interpolation: "bicubic",
};

function guessViT({ dim, heads, preNorm, positions, rotaryGrid }: Config, name: string): Guess[] {
  if (/^(vit|deit3?)_/.test(name) || positions === "rotary" || rotaryGrid !== undefined) return [];
  const width = Number(dim);
  // CLIP's towers of up to 1024 have heads of 64 channels.
  const isUsual = usualHeads[width] !== undefined || (preNorm === true && width <= 1024 && width % 64 === 0);
  return [
    ...(isUsual
      ? []
      : [
          {
            key: "heads",
            question:
              `the weights do not say how many heads their attention has (tokens are ${dim} wide: ${heads} at 64 channels ` +
              `each): say it with --config '{"heads":${heads}}'`,
          },
        ]),
    ...(preNorm === true
      ? [
          {
            key: "activation",
            question:
              "the weights do not say whether their perceptrons have QuickGELU, as those that OpenAI, MetaCLIP and DFN " +
              'trained, or GELU, as most of open_clip: say it with --config \'{"activation":"quick_gelu"}\' or ' +
              '\'{"activation":"gelu"}\'',
          },
        ]
      : []),
  ];
}

function inferDenseNet(shapes: Shapes): Config[] {
  const block = (i: number, layer = 1): string => `features.denseblock${i + 1}.denselayer${layer}`;
  const blocks = count(shapes, (i) => `${block(i)}.conv1.weight`);
  const layers = Array.from({ length: blocks }, (_, i) => count(shapes, (k) => `${block(i, k + 1)}.conv1.weight`));
  const [width = 0, , kernel] = shapes.get("features.conv0.weight") ?? [];
  const [growth = 0, inner = 0] = shapes.get(`${block(0)}.conv2.weight`) ?? [];
  if (kernel !== 7 && kernel !== 3) return [];
  return [{ growth, layers, width, bottleneck: inner / growth, ...(kernel === 7 ? {} : { stem: "small" }) }];
}

function inferRegNet(shapes: Shapes): Config[] {
  const at = (stage: number, i: number, rest: string): string =>
    `trunk_output.block${stage + 1}.block${stage + 1}-${i}.f.${rest}`;
  const stages = count(shapes, (stage) => at(stage, 0, "a.0.weight"));
  const indices = Array.from({ length: stages }, (_, stage) => stage);
  const depths = indices.map((stage) => count(shapes, (i) => at(stage, i, "a.0.weight")));
  const widths = indices.map((stage) => shapes.get(at(stage, 0, "a.0.weight"))?.[0] ?? 0);
  const [, groupWidth = 0] = shapes.get(at(stages - 1, 0, "b.0.weight")) ?? [];
  const squeeze = shapes.has(at(0, 0, "se.fc1.weight"));
  return [{ depths, widths, groupWidth, squeeze, stemWidth: shapes.get("stem.0.weight")?.[0] ?? 0 }];
}

/** Multipliers that torchvision, timm and Keras publish. */
const mobileWidths = [1, 0.1, 0.25, 0.35, 0.5, 0.75, 1.1, 1.2, 1.3, 1.4, 2];

function inferMobileNetV2(shapes: Shapes): Config[] {
  const features = count(shapes, (i) => (i === 0 ? "features.0.0.weight" : `features.${i}.conv.0.0.weight`));
  const lastChannels = shapes.get(`features.${features}.0.weight`)?.[0];
  if (lastChannels === undefined) return [];
  return mobileWidths.flatMap((width) => [{ width }, { width, lastChannels }]);
}

/** Families whose configurations can be told from shapes; others are recognised as presets. */
export const families: readonly Family[] = [
  {
    architecture: "resnet",
    anchor: "layer1.0.conv1.weight",
    infer: inferResNet,
    foreign: /^(conv\d|bn\d|norm\d?|layer\d|stem|maxpool|attnpool)/,
    input: ({ stem, image }) => ({
      ...imagenetInput,
      ...(stem === "small" ? { size: 32 } : image === undefined ? {} : { size: Number(image) }),
    }),
  },
  {
    architecture: "convnext",
    anchor: "features.1.0.block.0.weight",
    infer: inferConvNeXt,
    foreign: /^features/,
    nested: /^classifier\./,
    input: usualInput,
  },
  {
    architecture: "swin",
    anchor: "features.1.0.attn.qkv.weight",
    infer: inferSwin,
    named: /^swinv2_/,
    guess: guessSwin,
    foreign: /^(absolute_pos_embed|features)/,
    input: (config, shapes) => ({ ...imagenetInput, interpolation: "bicubic", size: swinSize(config, shapes) }),
  },
  {
    architecture: "vit",
    anchor: "blocks.0.attn.qkv.weight",
    infer: inferViT,
    foreign: /^(dist_token|reg|storage_tokens|norm|fc_norm|ln_pre|rope|rel_pos|pos_|attn_pool)/,
    named: /^(vit|deit3?|eva02)_/,
    // A classifier of its own belongs to the distillation token.
    hasLinearClassifier: ({ distilled, preNorm, attentionNorm }, classes) =>
      distilled !== true && !((preNorm === true || attentionNorm === true) && textWidths.includes(classes)),
    guess: guessViT,
    input: ({ image, preNorm, positions }) => ({
      ...(preNorm === true
        ? clipInput
        : positions === "rotary"
          ? { ...imagenetInput, interpolation: "bicubic" }
          : halfInput),
      size: Number(image),
    }),
  },
  {
    architecture: "mobilenet-v2",
    anchor: "features.1.conv.0.0.weight",
    infer: inferMobileNetV2,
    foreign: /^features/,
    input: usualInput,
  },
  {
    architecture: "densenet",
    anchor: "features.denseblock1.denselayer1.conv1.weight",
    infer: inferDenseNet,
    foreign: /^features/,
    input: ({ stem }) => (stem === "small" ? { ...imagenetInput, size: 32 } : imagenetInput),
  },
  {
    architecture: "regnet",
    anchor: "trunk_output.block1.block1-0.f.a.0.weight",
    infer: inferRegNet,
    foreign: /^(stem|trunk_output|s\d\.)/,
    input: usualInput,
  },
  resnetv2Family,
  mobileBlocksFamily,
  vggFamily,
  squeezenetFamily,
  shufflenetFamily,
  googlenetFamily,
  inceptionFamily,
  maxvitFamily,
];

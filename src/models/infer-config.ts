/** Configurations of architectures from the names and shapes of their weights alone. */
import { imagenetInput, type PresetInput } from "./preset.ts";

type Shapes = ReadonlyMap<string, readonly number[]>;
type Config = Record<string, unknown>;

/** How an architecture is recognised in its own key names. */
export interface Family {
  readonly architecture: string;
  /** A key that every network of the family has. */
  readonly anchor: string;
  /** Configurations that may fit; whether they do is for the caller to check, shape by shape. */
  readonly infer: (shapes: Shapes) => Config[];
  /** Keys beside the backbone's own that mean another network, whose features this one would not compute. */
  readonly foreign?: RegExp;
  /** Keys inside the backbone's own modules that are known to be no part of it. */
  readonly nested?: RegExp;
  /** Input of weights that are no preset. */
  readonly input: (config: Config) => PresetInput;
}

const usualInput = (): PresetInput => imagenetInput;

/** Number of consecutive indices from 0 on for which a key exists. */
function count(shapes: Shapes, key: (index: number) => string): number {
  let n = 0;
  while (shapes.has(key(n))) n += 1;
  return n;
}

function inferResNet(shapes: Shapes): Config[] {
  const [width = 0, , kernel] = shapes.get("conv1.weight") ?? [];
  const stem = kernel === 7 ? {} : kernel === 3 ? { stem: "small" } : undefined;
  const depth = (stage: number): number => count(shapes, (i) => `layer${stage + 1}.${i}.conv1.weight`);
  const stages = count(shapes, (i) => `layer${i + 1}.0.conv1.weight`);
  if (!stem || stages > 6) return [];
  const layers = Array.from({ length: stages }, (_, stage) => depth(stage));
  const common = { layers, ...(width === 64 ? {} : { width }), ...stem };
  if (!shapes.has("layer1.0.conv3.weight")) return [{ ...common, block: "basic" }];
  const [inner = 0, perGroup = 0] = shapes.get("layer1.0.conv2.weight") ?? [];
  const groups = inner / perGroup;
  const widthPerGroup = Math.ceil((64 * perGroup) / width);
  const grouped = { ...(groups === 1 ? {} : { groups }), ...(widthPerGroup === 64 ? {} : { widthPerGroup }) };
  return [{ ...common, block: "bottleneck", ...grouped }];
}

function inferConvNeXt(shapes: Shapes): Config[] {
  const block = (stage: number, i: number): string => `features.${2 * stage + 1}.${i}.block.0.weight`;
  const stages = count(shapes, (stage) => block(stage, 0));
  const indices = Array.from({ length: stages }, (_, stage) => stage);
  const depths = indices.map((stage) => count(shapes, (i) => block(stage, i)));
  const dims = indices.map((stage) => shapes.get(block(stage, 0))?.[0] ?? 0);
  const patch = shapes.get("features.0.0.weight")?.[2] ?? 0;
  return [{ depths, dims, ...(patch === 4 ? {} : { patch }) }];
}

function inferSwin(shapes: Shapes): Config[] {
  const table = (stage: number, i: number): string =>
    `features.${2 * stage + 1}.${i}.attn.relative_position_bias_table`;
  const stages = count(shapes, (stage) => table(stage, 0));
  const indices = Array.from({ length: stages }, (_, stage) => stage);
  const depths = indices.map((stage) => count(shapes, (i) => table(stage, i)));
  const heads = indices.map((stage) => shapes.get(table(stage, 0))?.[1] ?? 0);
  const [dim = 0, , patch = 0] = shapes.get("features.0.0.weight") ?? [];
  const window = (Math.sqrt(shapes.get(table(0, 0))?.[0] ?? 0) + 1) / 2;
  const hidden = shapes.get("features.1.0.mlp.0.weight")?.[0] ?? 0;
  const ratio = hidden / dim;
  return [
    { patch, dim, depths, heads, ...(window === 7 ? {} : { window }), ...(ratio === 4 ? {} : { mlpRatio: ratio }) },
  ];
}

function inferViT(shapes: Shapes): Config[] {
  const [dim = 0, , patch = 0] = shapes.get("patch_embed.proj.weight") ?? [];
  const depth = count(shapes, (i) => `blocks.${i}.attn.qkv.weight`);
  const token = shapes.has("cls_token");
  const side = Math.sqrt((shapes.get("pos_embed")?.[1] ?? 0) - (token ? 1 : 0));
  const mlpRatio = (shapes.get("blocks.0.mlp.fc1.weight")?.[0] ?? 0) / dim;
  if (!Number.isInteger(side)) return [];
  // Heads leave no trace in shapes; nearly all published networks have 64 channels a head, ViT-huge has 80.
  const heads = dim === 1280 ? 16 : Math.max(1, Math.floor(dim / 64));
  const config = { image: side * patch, patch, dim, depth, heads };
  return [{ ...config, ...(mlpRatio === 4 ? {} : { mlpRatio }), ...(token ? {} : { pool: "avg" }) }];
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
    foreign: /^(conv\d|bn\d|norm\d?|layer\d|stem|attnpool)/,
    input: ({ stem }) => (stem === "small" ? { ...imagenetInput, size: 32 } : imagenetInput),
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
    anchor: "features.1.0.attn.relative_position_bias_table",
    infer: inferSwin,
    foreign: /^(absolute_pos_embed|features)/,
    input: () => ({ ...imagenetInput, interpolation: "bicubic" }),
  },
  {
    architecture: "vit",
    anchor: "blocks.0.attn.qkv.weight",
    infer: inferViT,
    foreign: /^(dist_token|reg|storage_tokens|norm|fc_norm|ln_pre|rope|rel_pos|pos_|attn_pool)/,
    input: ({ image }) => ({
      size: Number(image),
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
      interpolation: "bicubic",
    }),
  },
  {
    architecture: "mobilenet-v2",
    anchor: "features.1.conv.0.0.weight",
    infer: inferMobileNetV2,
    foreign: /^features/,
    input: usualInput,
  },
];

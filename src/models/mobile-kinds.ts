/**
 * The published networks of mobile blocks, told from names and shapes. What shapes do not tell (strides, activations) follows
 * from the kind, and the kind from the first block of every stage.
 */

import type { MobileBlocksConfig } from "./blocks/mobile-blocks.ts";
import { type Config, count, type Family, type Shapes } from "./family.ts";
import { imagenetInput } from "./preset.ts";

type Block = MobileBlocksConfig["stages"][number][number];

interface Kind {
  /**
   * First block of each stage: c(onv), s(eparable), i(nverted), f(used) with the side of its kernel, u(niversal); + where it
   * squeezes. Later stages that only deep variants have are in brackets.
   */
  stages: string;
  /** Strides of the stages. */
  strides: string;
  config: Config;
  /** Number of first stages that have ReLU whatever the network has. */
  relu?: number;
  /** Separable blocks with an activation at their end. */
  activated?: boolean;
  /**
   * "always" when only TensorFlow's weights, whose padding differs, have these shapes; "also" when others have them
   * too.
   */
  tensorflow?: "always" | "also";
}

const relu6 = { activation: "relu6" };
const relu = { activation: "relu" };
const silu = { activation: "silu" };
const hard = { activation: "hardswish", squeezeActivation: "relu", gate: "hardsigmoid" };
const usual = "1222121";

const kinds: readonly Kind[] = [
  // EfficientNet and TinyNet; EfficientNet-Lite.
  { stages: "s3+ i3+ i5+ i3+ i5+ i5+ i3+", strides: usual, config: silu, tensorflow: "also" },
  { stages: "s3 i3 i5 i3 i5 i5 i3", strides: usual, config: relu6, tensorflow: "also" },
  // EfficientNet-EdgeTPU.
  { stages: "f3 f3 f3 i5 i5 i5", strides: "122212", config: relu, tensorflow: "also" },
  // EfficientNetV2 of its authors, and timm's own reading of the paper.
  { stages: "c3 f3 f3 i3+ i3+ i3+ (i3+)", strides: "1222121", config: silu, tensorflow: "always" },
  { stages: "f3 f3 f3 i3+ i3+ i3+", strides: "122212", config: silu },
  { stages: "c3 f3 f3 i3+ i3+", strides: "12222", config: silu },
  // MobileNetV1, V2.
  { stages: "s3 s3 s3 s3 s3", strides: "12222", config: relu6, activated: true },
  { stages: "s3 i3 i3 i3 i3 i3 i3", strides: usual, config: relu6 },
  // MobileNetV3 large and small, and their minimal variants.
  { stages: "s3 i3 i5+ i3 i3+ i5+ c1", strides: usual, config: hard, relu: 3, tensorflow: "also" },
  { stages: "s3+ i3 i5+ i5+ i5+ c1", strides: "222121", config: hard, relu: 2, tensorflow: "also" },
  { stages: "s3 i3 i3 i3 i3 i3 c1", strides: usual, config: relu, tensorflow: "always" },
  { stages: "s3 i3 i3 i3 i3 c1", strides: "222121", config: relu, tensorflow: "always" },
  // MobileNetV4 without attention.
  { stages: "c3 c3 u u c1", strides: "22221", config: relu },
  { stages: "f3 u u u c1", strides: "22221", config: relu },
  // MNASNet B1, A1 and small; FBNet-C; Single-Path NAS; LCNet.
  { stages: "s3 i3 i5 i5 i3 i5 i3", strides: usual, config: relu },
  { stages: "s3 i3 i5+ i3 i3+ i5+ i3", strides: usual, config: relu },
  { stages: "s3 i3 i3 i5+ i3+ i5+ i3", strides: usual, config: relu },
  { stages: "i3 i3 i5 i5 i5 i5 i3", strides: usual, config: { ...relu, eps: 1e-3 } },
  { stages: "s3 i3 i5 i5 i5 i5 i3", strides: usual, config: relu },
  { stages: "s3 s3 s3 s3 s5 s5+", strides: "122212", config: hard, activated: true },
];

const tensorflow = { padding: "same", eps: 1e-3 };

/** Convolution that marks a block's type. */
const marks = [
  ["conv_exp", "fused"],
  ["conv_pwl", "inverted"],
  ["conv_dw", "separable"],
  ["pw_exp.conv", "universal"],
  ["conv", "conv"],
] as const;

function infer(shapes: Shapes, name: string): Config[] {
  const stages = count(shapes, (i) => `blocks.${i}.0.${markAt(shapes, `blocks.${i}.0.`)?.[0]}.weight`);
  const plain = Array.from({ length: stages }, (_, i) => blocksOf(shapes, i));
  const kind = kindOf(plain);
  if (!kind) return [];
  const head = shapes.get("conv_head.weight")?.[0];
  const isPooled = head !== undefined && !shapes.has("bn2.weight");
  // timm's own MobileNetV3, whose norms and squeezing are others.
  if (isPooled && !shapes.has("conv_head.bias") && !shapes.has("norm_head.weight")) return [];
  const blocks = plain.map((stage, i) => stage.map((block, j) => ({ ...block, ...ofKind(kind, i, j) })));
  const kindOfHead = shapes.has("norm_head.weight") ? "normed" : isPooled ? "pooled" : "map";
  return [
    {
      stemWidth: shapes.get("conv_stem.weight")?.[0] ?? 0,
      stages: blocks,
      ...kind.config,
      ...(head === undefined ? {} : { headWidth: head, head: kindOfHead }),
      ...(shapes.has("conv_head.bias") ? { headBias: true } : {}),
      ...(kind.tensorflow === "always" || (kind.tensorflow && /^tf_/.test(name)) ? tensorflow : {}),
    },
  ];
}

function kindOf(stages: readonly (readonly Block[])[]): Kind | undefined {
  const found = signature(stages);
  return kinds.find((kind) => matches(kind.stages, found));
}

function matches(pattern: string, found: string): boolean {
  const [required = "", optional = ""] = pattern.split(" (");
  return found === required || (optional !== "" && found === `${required} ${optional.slice(0, -1)}`);
}

function markAt(shapes: Shapes, prefix: string): (typeof marks)[number] | undefined {
  return marks.find(([mark]) => shapes.has(`${prefix}${mark}.weight`));
}

const kernelAt = (shapes: Shapes, key: string): number => shapes.get(`${key}.weight`)?.[2] ?? 0;

const letters = { conv: "c", separable: "s", inverted: "i", fused: "f", universal: "u" } as const;

/** First blocks of stages, as `Kind.stages` writes them. */
function signature(stages: readonly (readonly Block[])[]): string {
  return stages
    .map(([block]) => {
      if (!block || block.type === "universal") return "u";
      return `${letters[block.type]}${block.kernel}${block.squeeze ? "+" : ""}`;
    })
    .join(" ");
}

function blocksOf(shapes: Shapes, stage: number): Block[] {
  const prefix = (i: number): string => `blocks.${stage}.${i}.`;
  const blocks = count(shapes, (i) => `${prefix(i)}${markAt(shapes, prefix(i))?.[0]}.weight`);
  return Array.from({ length: blocks }, (_, i) => blockOf(shapes, prefix(i)));
}

/** Options of a block that shapes do not show. */
function ofKind(kind: Kind, stage: number, index: number): Partial<Block> {
  return {
    ...(index === 0 && kind.strides[stage] === "2" ? { stride: 2 } : {}),
    ...(stage < (kind.relu ?? 0) ? { activation: "relu" } : {}),
    ...(kind.activated ? { activated: true } : {}),
  };
}

function blockOf(shapes: Shapes, prefix: string): Block {
  const width = (key: string, at = 0): number => shapes.get(`${prefix}${key}.weight`)?.[at] ?? 0;
  const [, type = "conv"] = markAt(shapes, prefix) ?? [];
  const squeeze = width("se.conv_reduce");
  const common = squeeze > 0 ? { squeeze } : {};
  const groups = (key: string): object => (width(key, 1) > 1 ? { groupWidth: width(key, 1) } : {});
  if (type === "conv") {
    const kernel = kernelAt(shapes, `${prefix}conv`);
    // Only those that stand for a whole block have a shortcut.
    return { type, kernel, out: width("conv"), ...(kernel === 1 ? { shortcut: false } : {}) };
  }
  if (type === "universal") {
    const [kernel, startKernel] = ["dw_mid.conv", "dw_start.conv"].map((key) => kernelAt(shapes, prefix + key));
    const scaled = shapes.has(`${prefix}layer_scale.gamma`) ? { scaled: true } : {};
    const sizes = { hidden: width("pw_exp.conv"), out: width("pw_proj.conv"), ...scaled };
    return { type, kernel: kernel ?? 0, ...(startKernel ? { startKernel } : {}), ...sizes };
  }
  if (type === "fused") {
    return {
      type,
      kernel: kernelAt(shapes, `${prefix}conv_exp`),
      hidden: width("conv_exp"),
      out: width("conv_pwl"),
      ...common,
    };
  }
  const kernel = kernelAt(shapes, `${prefix}conv_dw`);
  if (type === "separable") return { type, kernel, out: width("conv_pw"), ...common, ...groups("conv_dw") };
  return { type, kernel, hidden: width("conv_pw"), out: width("conv_pwl"), ...common, ...groups("conv_dw") };
}

const named =
  /^(tf_)?(efficientnet|efficientnetv2|mobilenetv[1-4]|mnasnet|semnasnet|fbnetc|spnasnet|lcnet|tinynet|test_efficientnet)(_|$)/;

/** timm's networks of mobile blocks. */
export const mobileBlocksFamily: Family = {
  architecture: "mobile-blocks",
  anchor: "conv_stem.weight",
  infer,
  named,
  foreign: /^(conv_|bn\d|blocks|norm_)/,
  guess: ({ stages, padding }, name) => {
    const isTold = padding !== undefined || named.test(name);
    if (isTold || kindOf(stages as Block[][])?.tensorflow !== "also") return [];
    const question =
      "timm has weights of these shapes with symmetric padding (efficientnet_b0, ...) and with TensorFlow's " +
      "(tf_efficientnet_b0, ...): say its full name with --arch";
    return [{ key: "padding", question }];
  },
  input: () => ({ ...imagenetInput, interpolation: "bicubic" }),
};

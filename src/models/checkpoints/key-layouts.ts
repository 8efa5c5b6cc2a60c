/**
 * Layouts of convolutional networks, Swin and MaxViT, and the list of all. The names are facts of transformers 5 (both those of its
 * files and of its modules), timm 1.0 and torchvision 0.28.
 */
import { UserError } from "../../torch/index.ts";
import { clipInput } from "../preset.ts";
import { type KeyLayout, layout, seenAs, type Target } from "./layout.ts";
import { part, vitLayouts } from "./vit-layouts.ts";

/** Feature index of a stage of ConvNeXt or Swin, and of the downsampling before it. */
const stage = (index: string): number => 2 * Number(index) + 1;
const before = (index: string): number => 2 * Number(index);

const column = (name: string): Target => ({ name, view: "column" });

const transformersConvnext = layout({
  name: "transformers-convnext",
  architecture: "convnext",
  anchors: ["encoder.stages.0.layers.0.dwconv.weight"],
  input: { interpolation: "bicubic" },
  rules: [
    [/^embeddings\.patch_embeddings\./, "features.0.0."],
    [/^embeddings\.layernorm\./, "features.0.1."],
    [
      /^encoder\.stages\.(\d+)\.downsampling_layer\.(\d)\.(\w+)$/,
      (i = "", step, kind) => `features.${before(i)}.${step}.${kind}`,
    ],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer_scale_parameter$/,
      (i = "", k) => column(`features.${stage(i)}.${k}.layer_scale`),
    ],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.(dwconv|layernorm|pwconv1|pwconv2)\.(\w+)$/,
      (i = "", k, step, kind) => {
        const at = { dwconv: 0, layernorm: 2, pwconv1: 3, pwconv2: 5 }[step as "dwconv"];
        return `features.${stage(i)}.${k}.block.${at}.${kind}`;
      },
    ],
    [/^layernorm\./, "classifier.0."],
  ],
});

const matrix = (name: string): Target => ({ name, view: "matrix" });

const timmConvnext = layout({
  name: "timm-convnext",
  architecture: "convnext",
  anchors: ["stages.0.blocks.0.conv_dw.weight"],
  input: { interpolation: "bicubic" },
  nested: /^head\.(fc|pre_logits)\./,
  rules: [
    [/^stem\.([012])\./, "features.0.$1."],
    [/^stages\.(\d+)\.downsample\.(\d)\.(\w+)$/, (i = "", step, kind) => `features.${before(i)}.${step}.${kind}`],
    [/^stages\.(\d+)\.blocks\.(\d+)\.gamma$/, (i = "", k) => column(`features.${stage(i)}.${k}.layer_scale`)],
    [
      // The small networks have 1x1 convolutions where the others have linear layers.
      /^stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.weight$/,
      (i = "", k, which) => matrix(`features.${stage(i)}.${k}.block.${which === "1" ? 3 : 5}.weight`),
    ],
    [
      /^stages\.(\d+)\.blocks\.(\d+)\.(conv_dw|norm|mlp\.fc1|mlp\.grn|mlp\.fc2)\.(\w+)$/,
      (i = "", k, step, kind) => {
        const at = { conv_dw: 0, norm: 2, "mlp.fc1": 3, "mlp.grn": 4, "mlp.fc2": 5 }[step as "norm"];
        return `features.${stage(i)}.${k}.block.${at}.${kind}`;
      },
    ],
    [/^head\.norm\./, "classifier.0."],
  ],
});

/** RegNet's names in timm, apart from the head. */
const timmRegnet = layout({
  name: "timm-regnet",
  architecture: "regnet",
  anchors: ["s1.b1.conv1.conv.weight"],
  input: { interpolation: "bicubic" },
  rules: [
    [/^stem\.conv\./, "stem.0."],
    [/^stem\.bn\./, "stem.1."],
    [
      /^s(\d+)\.b(\d+)\.(conv[123]|downsample)\.(conv|bn)\.(\w+)$/,
      (s, b, step, layer, kind) => {
        const place = { conv1: "f.a", conv2: "f.b", conv3: "f.c", downsample: "proj" }[step as "conv1"];
        return `trunk_output.block${s}.block${s}-${Number(b) - 1}.${place}.${layer === "conv" ? 0 : 1}.${kind}`;
      },
    ],
    [/^s(\d+)\.b(\d+)\.se\.(.+)$/, (s, b, rest) => `trunk_output.block${s}.block${s}-${Number(b) - 1}.f.se.${rest}`],
  ],
});

const transformersResnet = layout({
  name: "transformers-resnet",
  architecture: "resnet",
  anchors: ["embedder.embedder.convolution.weight"],
  rules: [
    [/^embedder\.embedder\.convolution\./, "conv1."],
    [/^embedder\.embedder\.normalization\./, "bn1."],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.(convolution|normalization)\.(\w+)$/,
      (i, k, step, kind) => `layer${Number(i) + 1}.${k}.downsample.${step === "convolution" ? 0 : 1}.${kind}`,
    ],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d)\.(convolution|normalization)\.(\w+)$/,
      (i, k, j, step, kind) =>
        `layer${Number(i) + 1}.${k}.${step === "convolution" ? "conv" : "bn"}${Number(j) + 1}.${kind}`,
    ],
  ],
});

/** Place of a convolution of CLIP's stem, or of the norm behind it, in the deep stem of the other ResNets. */
const stemPlace = (layer: string, i: string): string => {
  if (layer === "conv") return `conv1.${3 * (Number(i) - 1)}`;
  return i === "3" ? "bn1" : `conv1.${3 * Number(i) - 2}`;
};

/** ResNets by the names of CLIP's authors, which open_clip has too. */
const openaiClipResnet = layout({
  name: "openai-clip-resnet",
  architecture: "resnet",
  input: seenAs(clipInput, "bicubic"),
  anchors: ["attnpool.positional_embedding"],
  rules: [
    [/^(conv|bn)([123])\.(\w+)$/, (layer = "", i = "", kind) => `${stemPlace(layer, i)}.${kind}`],
    [/^(layer\d+\.\d+\.downsample)\.([01])\.(\w+)$/, (at, i, kind) => `${at}.${Number(i) + 1}.${kind}`],
    [/^(layer\d+|attnpool)\./, "$1."],
  ],
});

/** The same by timm's names. */
const timmClipResnet = layout({
  name: "timm-clip-resnet",
  architecture: "resnet",
  input: seenAs(clipInput, "bicubic"),
  anchors: ["head.pos_embed"],
  rules: [
    [/^stem\.conv([123])\.(conv|bn)\.(\w+)$/, (i = "", layer = "", kind) => `${stemPlace(layer, i)}.${kind}`],
    [
      /^stages\.(\d+)\.(\d+)\.shortcut\.conv\.(conv|bn)\.(\w+)$/,
      (i, k, layer, kind) => `layer${Number(i) + 1}.${k}.downsample.${layer === "conv" ? 1 : 2}.${kind}`,
    ],
    [
      /^stages\.(\d+)\.(\d+)\.conv([123])_(?:1x1|kxk)\.(conv|bn)\.(\w+)$/,
      (i, k, which, layer, kind) => `layer${Number(i) + 1}.${k}.${layer}${which}.${kind}`,
    ],
    [/^head\.pos_embed$/, "attnpool.positional_embedding"],
    [/^head\.([qkv])\./, "attnpool.$1_proj."],
    [/^head\.proj\./, "attnpool.c_proj."],
  ],
});

/** DenseNet's names in the files that torchvision publishes, which its code renames. */
const publishedDensenet = layout({
  name: "torchvision-densenet-published",
  architecture: "densenet",
  anchors: ["features.denseblock1.denselayer1.norm.1.weight"],
  rules: [
    [/^(features\.denseblock\d+\.denselayer\d+\.(?:norm|conv))\.(\d\..+)$/, "$1$2"],
    [/^features\./, "features."],
  ],
});

/** VGG's names in timm, whose hidden layers are convolutions over the whole map. */
const timmVgg = layout({
  name: "timm-vgg",
  architecture: "vgg",
  anchors: ["pre_logits.fc1.weight"],
  rules: [
    [/^pre_logits\.fc([12])\.weight$/, (which) => matrix(`classifier.${which === "1" ? 0 : 3}.weight`)],
    [/^pre_logits\.fc([12])\.bias$/, (which) => `classifier.${which === "1" ? 0 : 3}.bias`],
    [/^features\./, "features."],
  ],
});

/** timm's names, and those of the authors' own files, whose merging of patches is at a stage's end. */
const swinLayout = (name: string, anchors: string[], merging: (index: string) => number): KeyLayout =>
  layout({
    name,
    architecture: "swin",
    anchors,
    withoutKeyBias: true,
    nested: /\.attn_mask$/,
    rules: [
      [/^patch_embed\.proj\./, "features.0.0."],
      [/^patch_embed\.norm\./, "features.0.2."],
      [/^layers\.(\d+)\.downsample\.(\w+)\.(\w+)$/, (i = "", step, kind) => `features.${merging(i)}.${step}.${kind}`],
      [
        /^layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_index$/,
        (i = "", k) => ({ name: `features.${stage(i)}.${k}.attn.relative_position_index`, view: "flat" }),
      ],
      [
        /^layers\.(\d+)\.blocks\.(\d+)\.attn\.([qv])_bias$/,
        (i = "", k, which) => ({
          name: `features.${stage(i)}.${k}.attn.qkv.bias`,
          part: which === "q" ? 0 : 2,
        }),
      ],
      [
        /^layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc(1|2)\.(\w+)$/,
        (i = "", k, which, kind) => `features.${stage(i)}.${k}.mlp.${which === "1" ? 0 : 3}.${kind}`,
      ],
      [
        /^layers\.(\d+)\.blocks\.(\d+)\.((?:attn|norm1|norm2)\..+)$/,
        (i = "", k, rest) => `features.${stage(i)}.${k}.${rest}`,
      ],
      [/^norm\./, "norm."],
    ],
  });

const timmSwin = swinLayout("timm-swin", ["layers.0.blocks.0.attn.qkv.weight"], before);
const originalSwin = swinLayout("original-swin", ["layers.0.downsample.reduction.weight"], (i) => before(i) + 2);

const swinPlace = (i: string | undefined, k: string | undefined, rest: string): string =>
  `features.${stage(i ?? "")}.${k}.${rest}`;

/** Both versions in transformers, whose merging of patches is at a stage's end. */
const transformersSwin = layout({
  name: "transformers-swin",
  architecture: "swin",
  anchors: ["self.query", "q_proj"].map((query) => `encoder.layers.0.blocks.0.attention.${query}.weight`),
  withoutKeyBias: true,
  nested: /^embeddings\.mask_token$/,
  rules: [
    [/^embeddings\.patch_embeddings\.projection\./, "features.0.0."],
    [/^embeddings\.norm\./, "features.0.2."],
    [
      /^encoder\.layers\.(\d+)\.downsample\.(\w+)\.(\w+)$/,
      (i = "", step, kind) => `features.${before(i) + 2}.${step}.${kind}`,
    ],
    [
      /^encoder\.layers\.(\d+)\.blocks\.(\d+)\.attention\.(?:self\.)?(query|key|value|[qkv]_proj)\.(\w+)$/,
      (i, k, which = "", kind) => ({ name: swinPlace(i, k, `attn.qkv.${kind}`), part: part(which) }),
    ],
    [
      /^encoder\.layers\.(\d+)\.blocks\.(\d+)\.attention\.(?:output\.dense|o_proj)\.(\w+)$/,
      (i, k, kind) => swinPlace(i, k, `attn.proj.${kind}`),
    ],
    [
      /^encoder\.layers\.(\d+)\.blocks\.(\d+)\.attention\.(?:self\.)?continuous_position_bias_mlp\.(\d\.\w+)$/,
      (i, k, rest) => swinPlace(i, k, `attn.cpb_mlp.${rest}`),
    ],
    [
      /^encoder\.layers\.(\d+)\.blocks\.(\d+)\.attention\.(?:self\.)?relative_position_index$/,
      (i, k) => ({ name: swinPlace(i, k, "attn.relative_position_index"), view: "flat" }),
    ],
    [
      /^encoder\.layers\.(\d+)\.blocks\.(\d+)\.attention\.(?:self\.)?(logit_scale|relative_\w+)$/,
      (i, k, kind) => swinPlace(i, k, `attn.${kind}`),
    ],
    [
      /^encoder\.layers\.(\d+)\.blocks\.(\d+)\.layernorm_(before|after)\.(\w+)$/,
      (i, k, which, kind) => swinPlace(i, k, `norm${which === "before" ? 1 : 2}.${kind}`),
    ],
    [
      /^encoder\.layers\.(\d+)\.blocks\.(\d+)\.(intermediate\.dense|output\.dense|mlp\.fc[12])\.(\w+)$/,
      (i, k, which = "", kind) => swinPlace(i, k, `mlp.${/^inter|1$/.test(which) ? 0 : 3}.${kind}`),
    ],
    [/^layernorm\./, "norm."],
  ],
});

/** Steps of MaxViT's convolution and attention in timm, and in torchvision. */
const maxvitSteps = {
  pre_norm: "pre_norm",
  conv1_1x1: "conv_a.0",
  norm1: "conv_a.1",
  conv2_kxk: "conv_b.0",
  norm2: "conv_b.1",
  "se.fc1": "squeeze_excitation.fc1",
  "se.fc2": "squeeze_excitation.fc2",
  conv3_1x1: "conv_c",
} as const;
const maxvitAttention = {
  norm1: "attn_layer.0",
  "attn.qkv": "attn_layer.1.to_qkv",
  "attn.proj": "attn_layer.1.merge",
  norm2: "mlp_layer.0",
  "mlp.fc1": "mlp_layer.1",
  "mlp.fc2": "mlp_layer.3",
} as const;

const maxvitBranch = (branch = ""): string => (branch === "block" ? "window_attention" : "grid_attention");

/** MaxViT's names in timm, for the authors' weights from TensorFlow. */
const timmMaxvit = layout({
  name: "timm-maxvit",
  architecture: "maxvit",
  anchors: ["stages.0.blocks.0.attn_grid.attn.rel_pos.relative_position_bias_table"],
  config: { variant: "tensorflow" },
  input: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  nested: /^head\.fc\./,
  rules: [
    [/^stem\.conv1\./, "stem.0.0."],
    [/^stem\.norm1\./, "stem.0.1."],
    [/^stem\.conv2\./, "stem.1.0."],
    [/^stages\.(\d+)\.blocks\.(\d+)\.conv\.shortcut\.expand\./, "blocks.$1.layers.$2.layers.MBconv.proj.1."],
    [
      /^stages\.(\d+)\.blocks\.(\d+)\.conv\.(pre_norm|conv[13]_1x1|conv2_kxk|norm[12]|se\.fc[12])\.(\w+)$/,
      (s, k, step, kind) =>
        `blocks.${s}.layers.${k}.layers.MBconv.layers.${maxvitSteps[step as keyof typeof maxvitSteps]}.${kind}`,
    ],
    [
      /^stages\.(\d+)\.blocks\.(\d+)\.attn_(block|grid)\.attn\.rel_pos\.relative_position_bias_table$/,
      (s, k, branch) => ({
        name: `blocks.${s}.layers.${k}.layers.${maxvitBranch(branch)}.attn_layer.1.relative_position_bias_table`,
        view: "offsets",
      }),
    ],
    [
      /^stages\.(\d+)\.blocks\.(\d+)\.attn_(block|grid)\.(norm[12]|attn\.qkv|attn\.proj|mlp\.fc[12])\.(\w+)$/,
      (s, k, branch, step, kind) => {
        const place = maxvitAttention[step as keyof typeof maxvitAttention];
        return `blocks.${s}.layers.${k}.layers.${maxvitBranch(branch)}.${place}.${kind}`;
      },
    ],
    [/^head\.norm\./, "classifier.2."],
    [/^head\.pre_logits\.fc\./, "classifier.3."],
  ],
});

/** All layouts that differ from the architectures' own names. */
export const keyLayouts: readonly KeyLayout[] = [
  ...vitLayouts,
  transformersConvnext,
  timmConvnext,
  timmRegnet,
  timmVgg,
  transformersResnet,
  openaiClipResnet,
  timmClipResnet,
  publishedDensenet,
  timmSwin,
  originalSwin,
  transformersSwin,
  timmMaxvit,
];

/** The layout of a name. @throws UserError naming the known ones */
export function keyLayout(name: string): KeyLayout {
  const found = keyLayouts.find((layout) => layout.name === name);
  if (found) return found;
  throw new UserError(
    `unknown key layout "${name}": known are ${keyLayouts.map((layout) => layout.name).join(", ")}; ` +
      "leave it out for weights that have the architecture's own names",
  );
}

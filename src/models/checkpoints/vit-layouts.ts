/** Layouts of Vision Transformers in torchvision, transformers, the authors' files of DINOv2, and CLIP's. */
import { rotaryHeads, rotaryPeriods } from "../blocks/rotary.ts";
import { clipInput, imagenetInput } from "../preset.ts";
import { type Algebra, type KeyLayout, type LayoutParts, layout, seenAs, type Target } from "./layout.ts";

/** Position of query, key or value among the three, by its first letter. */
export const part = (name: string): number => ["q", "k", "v"].indexOf(name.charAt(0));

/** Rules that transformers' ViT and DINOv2 have in common. */
const transformersRules: LayoutParts["rules"] = [
  [/^embeddings\.cls_token$/, "cls_token"],
  [/^embeddings\.position_embeddings$/, "pos_embed"],
  [/^embeddings\.patch_embeddings\.projection\./, "patch_embed.proj."],
  [
    /^(?:encoder\.layer|layers)\.(\d+)\.attention\.(?:attention\.)?(query|key|value|[qkv]_proj)\.(\w+)$/,
    (i = "", which = "", kind) => ({ name: `blocks.${i}.attn.qkv.${kind}`, part: part(which) }),
  ],
  [/^(?:encoder\.layer|layers)\.(\d+)\.attention\.(?:output\.dense|o_proj)\./, "blocks.$1.attn.proj."],
  [/^layernorm\./, "norm."],
];

const transformersVit = layout({
  name: "transformers-vit",
  architecture: "vit",
  anchors: ["embeddings.patch_embeddings.projection.weight"],
  config: { eps: 1e-12 },
  input: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], interpolation: "bilinear" },
  nested: /^embeddings\.mask_token$/,
  rules: [
    ...transformersRules,
    [/^(?:encoder\.layer|layers)\.(\d+)\.layernorm_before\./, "blocks.$1.norm1."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.layernorm_after\./, "blocks.$1.norm2."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.(?:intermediate\.dense|mlp\.fc1)\./, "blocks.$1.mlp.fc1."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.(?:output\.dense|mlp\.fc2)\./, "blocks.$1.mlp.fc2."],
  ],
});

const torchvisionVit = layout({
  name: "torchvision-vit",
  architecture: "vit",
  anchors: ["encoder.layers.encoder_layer_0.ln_1.weight"],
  input: seenAs(imagenetInput, "bilinear"),
  rules: [
    [/^class_token$/, "cls_token"],
    [/^encoder\.pos_embedding$/, "pos_embed"],
    [/^conv_proj\./, "patch_embed.proj."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.ln_(1|2)\./, "blocks.$1.norm$2."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_/, "blocks.$1.attn.qkv."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\./, "blocks.$1.attn.proj."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\./, "blocks.$1.mlp.fc1."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\./, "blocks.$1.mlp.fc2."],
    [/^encoder\.ln\./, "norm."],
  ],
});

/** Name of the buffer with the periods of rotary positions. */
const periodsName = "rope_embed.periods";

const tokens = (name: string): Target => ({ name, view: "tokens" });

/** Names of CLIP's authors, which open_clip has too; the projection into the space of texts stays out. */
const openaiClip = layout({
  name: "openai-clip",
  architecture: "vit",
  anchors: ["class_embedding"],
  config: { eps: 1e-5 },
  input: seenAs(clipInput, "bicubic"),
  rules: [
    [/^class_embedding$/, () => tokens("cls_token")],
    [/^positional_embedding$/, () => tokens("pos_embed")],
    [/^conv1\./, "patch_embed.proj."],
    [/^ln_pre\./, "norm_pre."],
    [/^ln_post\./, "norm."],
    [/^transformer\.resblocks\.(\d+)\.ln_([12])\./, "blocks.$1.norm$2."],
    [/^transformer\.resblocks\.(\d+)\.ls_([12])\./, "blocks.$1.ls$2."],
    [/^transformer\.resblocks\.(\d+)\.attn\.in_proj_/, "blocks.$1.attn.qkv."],
    [/^transformer\.resblocks\.(\d+)\.attn\.out_proj\./, "blocks.$1.attn.proj."],
    [/^transformer\.resblocks\.(\d+)\.mlp\.c_fc\./, "blocks.$1.mlp.fc1."],
    [/^transformer\.resblocks\.(\d+)\.mlp\.c_proj\./, "blocks.$1.mlp.fc2."],
  ],
});

/** The blocks that transformers' CLIP and SigLIP have in common. */
const clipBlocks: LayoutParts["rules"] = [
  [/^embeddings\.patch_embedding\./, "patch_embed.proj."],
  [/^embeddings\.position_embedding\.weight$/, () => tokens("pos_embed")],
  [
    /^encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(\w+)$/,
    (i = "", which = "", kind) => ({ name: `blocks.${i}.attn.qkv.${kind}`, part: part(which) }),
  ],
  [/^encoder\.layers\.(\d+)\.self_attn\.out_proj\./, "blocks.$1.attn.proj."],
  [/^encoder\.layers\.(\d+)\.layer_norm([12])\./, "blocks.$1.norm$2."],
  [/^encoder\.layers\.(\d+)\.mlp\.fc([12])\./, "blocks.$1.mlp.fc$2."],
];

const transformersClip = layout({
  name: "transformers-clip",
  architecture: "vit",
  anchors: ["embeddings.class_embedding"],
  config: { eps: 1e-5 },
  input: seenAs(clipInput, "bicubic"),
  nested: /^embeddings\.position_ids$/,
  rules: [
    ...clipBlocks,
    [/^embeddings\.class_embedding$/, () => tokens("cls_token")],
    // Its authors' spelling.
    [/^pre_layrnorm\./, "norm_pre."],
    [/^post_layernorm\./, "norm."],
  ],
});

const transformersSiglip = layout({
  name: "transformers-siglip",
  architecture: "vit",
  anchors: ["head.probe"],
  config: { activation: "gelu_tanh" },
  nested: /^embeddings\.position_ids$/,
  rules: [
    ...clipBlocks,
    [/^post_layernorm\./, "norm."],
    [/^head\.probe$/, "attn_pool.latent"],
    [/^head\.attention\.in_proj_(\w+)$/, (kind) => ({ name: `attn_pool.q.${kind}`, rest: `attn_pool.kv.${kind}` })],
    [/^head\.attention\.out_proj\./, "attn_pool.proj."],
    [/^head\.layernorm\./, "attn_pool.norm."],
    [/^head\.mlp\.fc([12])\./, "attn_pool.mlp.fc$1."],
  ],
});

/** DINOv2's authors' files of networks with registers or gated perceptrons; the others have timm's names. */
const originalDinov2 = layout({
  name: "original-dinov2",
  architecture: "vit",
  anchors: ["register_tokens", "blocks.0.mlp.w12.weight"],
  input: seenAs(imagenetInput, "bicubic"),
  rules: [
    [/^register_tokens$/, "reg_token"],
    [/^blocks\.(\d+)\.mlp\.w12\./, "blocks.$1.mlp.fc1."],
    [/^blocks\.(\d+)\.mlp\.w3\./, "blocks.$1.mlp.fc2."],
    [/^(cls_token|pos_embed|patch_embed|blocks|norm)\b/, "$1"],
  ],
  complete: placeClassToken,
});

const transformersDinov2 = layout({
  name: "transformers-dinov2",
  architecture: "vit",
  anchors: ["encoder.layer.0.layer_scale1.lambda1", "layers.0.layer_scale1.lambda1"],
  input: seenAs(imagenetInput, "bicubic"),
  nested: /^embeddings\.mask_token$/,
  rules: [
    ...transformersRules,
    [/^embeddings\.register_tokens$/, "reg_token"],
    [/^(?:encoder\.layer|layers)\.(\d+)\.layer_scale([12])\.lambda1$/, "blocks.$1.ls$2.gamma"],
    [/^(?:encoder\.layer|layers)\.(\d+)\.norm([12])\./, "blocks.$1.norm$2."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.mlp\.(?:fc1|weights_in)\./, "blocks.$1.mlp.fc1."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.mlp\.(?:fc2|weights_out)\./, "blocks.$1.mlp.fc2."],
  ],
  complete: placeClassToken,
});

/** Registers have no positions: the class token takes its own, so that only patches have some. */
function placeClassToken<T>(converted: Map<string, T>, algebra: Algebra<T>): void {
  const [token, positions] = [converted.get("cls_token"), converted.get("pos_embed")];
  if (!converted.has("reg_token") || token === undefined || positions === undefined) return;
  const length = algebra.shape(positions)[1] ?? 0;
  converted.set("cls_token", algebra.add(token, algebra.part(positions, 1, 0, 1)));
  converted.set("pos_embed", algebra.part(positions, 1, 1, length - 1));
}

const gatedPart = (i: string | undefined, kind: string | undefined, part: number): Target => ({
  name: `blocks.${i}.mlp.fc1.${kind}`,
  part,
  of: 2,
});

/** Gated perceptrons in the authors' files of DINOv3 and EVA-02. */
const gatedRules: LayoutParts["rules"] = [
  [/^blocks\.(\d+)\.mlp\.w([12])\.(\w+)$/, (i, which, kind) => gatedPart(i, kind, which === "1" ? 0 : 1)],
  [/^blocks\.(\d+)\.mlp\.w3\./, "blocks.$1.mlp.fc2."],
];

/** timm's ViTs of its file eva.py, and the names of EVA-02's authors, who store the angles of their rotary positions. */
const evaParts: Omit<LayoutParts, "name" | "anchors"> = {
  architecture: "vit",
  nested: /^(blocks\.\d+\.attn\.)?rope\.freqs_(cos|sin)$/,
  rules: [
    [/^blocks\.(\d+)\.gamma_([12])$/, "blocks.$1.ls$2.gamma"],
    [/^blocks\.(\d+)\.attn\.inner_attn_ln\./, "blocks.$1.attn.norm."],
    [/^blocks\.(\d+)\.mlp\.ffn_ln\./, "blocks.$1.mlp.norm."],
    [
      /^blocks\.(\d+)\.attn\.([qv])_bias$/,
      (i = "", which = "") => ({ name: `blocks.${i}.attn.qkv.bias`, part: part(which) }),
    ],
    [
      /^blocks\.(\d+)\.attn\.([qkv])_proj\.(\w+)$/,
      (i = "", which = "", kind) => ({ name: `blocks.${i}.attn.qkv.${kind}`, part: part(which) }),
    ],
    [/^blocks\.(\d+)\.mlp\.fc1_([gx])\.(\w+)$/, (i, which, kind) => gatedPart(i, kind, which === "g" ? 0 : 1)],
    ...gatedRules,
    [/^(cls_token|reg_token|pos_embed|patch_embed|blocks|norm|fc_norm)\b/, "$1"],
  ],
  withoutKeyBias: true,
  complete: (converted, algebra) => {
    addPeriods(converted, algebra);
    addEvaPeriods(converted, algebra);
  },
};

/** DINOv3's names in timm. */
const timmEva = layout({
  ...evaParts,
  name: "timm-eva",
  anchors: ["blocks.0.gamma_1"],
  input: seenAs(imagenetInput, "bicubic"),
});

/** Names of EVA's giant and of EVA-02, whose branches are not scaled; they see images as CLIP does. */
const timmEva02 = layout({
  ...evaParts,
  name: "timm-eva02",
  anchors: ["blocks.0.attn.q_bias", "blocks.0.attn.q_proj.weight"],
  input: seenAs(clipInput, "bicubic"),
});

/** DINOv3's authors' files, in which a mask takes the keys' biases away. */
const originalDinov3 = layout({
  name: "original-dinov3",
  architecture: "vit",
  anchors: ["storage_tokens"],
  input: seenAs(imagenetInput, "bicubic"),
  nested: /\.bias_mask$/,
  rules: [
    [/^storage_tokens$/, "reg_token"],
    ...gatedRules,
    [
      /^(cls_token|patch_embed|blocks\.\d+\.(?:norm[12]|ls[12]|mlp|attn\.(?:proj|qkv)\.(?:weight|bias)$)|norm|rope_embed)\b/,
      "$1",
    ],
  ],
  complete: (converted, algebra) => {
    for (const [name, bias] of [...converted]) {
      if (!name.endsWith(".attn.qkv.bias")) continue;
      const third = (algebra.shape(bias)[0] ?? 0) / 3;
      const query = algebra.part(bias, 0, 0, third);
      converted.set(name, algebra.join([query, algebra.zeros(query), algebra.part(bias, 0, 2 * third, third)]));
    }
    addPeriods(converted, algebra);
  },
});

const transformersDinov3 = layout({
  name: "transformers-dinov3",
  architecture: "vit",
  anchors: ["embeddings.register_tokens"],
  input: seenAs(imagenetInput, "bilinear"),
  nested: /^embeddings\.mask_token$/,
  rules: [
    [/^embeddings\.cls_token$/, "cls_token"],
    [/^embeddings\.register_tokens$/, "reg_token"],
    [/^embeddings\.patch_embeddings\.(weight|bias)$/, "patch_embed.proj.$1"],
    [
      /^(?:model\.)?layer\.(\d+)\.attention\.([qkv])_proj\.(\w+)$/,
      (i = "", which = "", kind) => ({ name: `blocks.${i}.attn.qkv.${kind}`, part: part(which) }),
    ],
    [/^(?:model\.)?layer\.(\d+)\.attention\.o_proj\./, "blocks.$1.attn.proj."],
    [/^(?:model\.)?layer\.(\d+)\.layer_scale([12])\.lambda1$/, "blocks.$1.ls$2.gamma"],
    [/^(?:model\.)?layer\.(\d+)\.norm([12])\./, "blocks.$1.norm$2."],
    [/^(?:model\.)?layer\.(\d+)\.mlp\.gate_proj\.(\w+)$/, (i, kind) => gatedPart(i, kind, 0)],
    [/^(?:model\.)?layer\.(\d+)\.mlp\.up_proj\.(\w+)$/, (i, kind) => gatedPart(i, kind, 1)],
    [/^(?:model\.)?layer\.(\d+)\.mlp\.down_proj\./, "blocks.$1.mlp.fc2."],
    [/^norm\./, "norm."],
  ],
  withoutKeyBias: true,
  complete: addPeriods,
});

/** The periods of rotary positions, which other packages compute anew. */
function addPeriods<T>(converted: Map<string, T>, algebra: Algebra<T>): void {
  const token = converted.get("cls_token");
  if (converted.has("pos_embed") || converted.has(periodsName) || token === undefined) return;
  const dim = algebra.shape(token)[2] ?? 0;
  const count = dim / rotaryHeads(dim) / 4;
  if (!Number.isInteger(count) || count > 256) return;
  converted.set(
    periodsName,
    algebra.numbers(count, "float32", () => rotaryPeriods(count)),
  );
}

/** The periods of EVA-02, by which it is told from EVA's giant: its perceptrons have gates, and its heads 64 channels. */
function addEvaPeriods<T>(converted: Map<string, T>, algebra: Algebra<T>): void {
  const rows = (name: string): number => {
    const found = converted.get(name);
    return found === undefined ? 0 : (algebra.shape(found)[0] ?? 0);
  };
  const [hidden, output] = [rows("blocks.0.mlp.fc1.bias"), converted.get("blocks.0.mlp.fc2.weight")];
  const isGated = output !== undefined && hidden === 2 * (algebra.shape(output)[1] ?? 0);
  if (!isGated || !converted.has("pos_embed") || converted.has("blocks.0.ls1.gamma")) return;
  converted.set(
    periodsName,
    algebra.numbers(16, "float32", () => rotaryPeriods(16, "eva02")),
  );
}

export const vitLayouts: readonly KeyLayout[] = [
  transformersVit,
  torchvisionVit,
  openaiClip,
  transformersClip,
  transformersSiglip,
  originalDinov2,
  transformersDinov2,
  timmEva,
  timmEva02,
  originalDinov3,
  transformersDinov3,
];

/** What `proposeArchitecture` says of the files in layouts.jsonl, by their names. */
import type { Proposal } from "../../src/models/index.ts";

const smallVit = { image: 32, patch: 8, dim: 64, depth: 2, heads: 2 };

const smallResnet = { layers: [1, 2, 1, 1], width: 16, stem: "deep" };

const resnetv2 = {
  classifier: "head.fc",
  input: { size: 224, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], interpolation: "bilinear" },
} satisfies Partial<Proposal>;

const swinV2 = { version: 2, patch: 4, dim: 24, depths: [2, 2, 1] };

const clipMean = [0.48145466, 0.4578275, 0.40821073] as const;
const clipStd = [0.26862954, 0.26130258, 0.27577711] as const;
const tower = { image: 32, patch: 8, dim: 128, depth: 2, heads: 2 };
const clipResnet = {
  config: {
    layers: [1, 1, 1, 1],
    width: 16,
    stem: "deep",
    stemWidths: [8, 8],
    averageDown: "all",
    embedding: 24,
    image: 64,
    block: "bottleneck",
  },
  layout: "timm-clip-resnet",
  paradigm: "image-text contrastive (CLIP)",
  input: { size: 64, mean: clipMean, std: clipStd, interpolation: "bicubic" },
} satisfies Partial<Proposal>;
/** The size of the images is not told: 14 patches, as of 224 pixels. */
const dinov3 = {
  config: {
    image: 112,
    patch: 8,
    dim: 128,
    depth: 2,
    heads: 2,
    registers: 3,
    positions: "rotary",
    layerScale: true,
    eps: 1e-5,
  },
  layout: "timm-eva",
};
const eva02 = {
  config: { ...tower, mlpRatio: 341 / 128, gated: true, rotaryGrid: 16 },
  layout: "timm-eva02",
  classifier: "head",
  input: { size: 32, mean: clipMean, std: clipStd, interpolation: "bicubic" },
} satisfies Partial<Proposal>;
const dinov2 = {
  config: { ...tower, mlpRatio: 2, layerScale: true },
  layout: "transformers-dinov2",
  paradigm: "self-supervised: self-distillation (DINOv2)",
  leftOut: ["embeddings.mask_token"],
};

/** Expected fields of the proposals; heads and activations come from the hints. */
export const expectedProposals: Record<string, Partial<Proposal>> = {
  resnet50: {
    preset: "resnet50",
    config: { layers: [3, 4, 6, 3], block: "bottleneck" },
    prefix: "",
    drop: ["fc."],
    classifier: "fc",
    paradigm: "supervised classification",
    leftOut: ["fc"],
  },
  moco_v1: {
    preset: "resnet50",
    prefix: "module.encoder_q.",
    drop: ["fc."],
    paradigm: "self-supervised: contrastive (MoCo)",
    leftOut: ["module.encoder_q.fc", "module.encoder_k", "module.queue", "module.queue_ptr"],
  },
  moco_v2: {
    preset: "resnet50",
    prefix: "module.encoder_q.",
    drop: ["fc."],
    paradigm: "self-supervised: contrastive (MoCo v2)",
    leftOut: ["module.encoder_q.fc", "module.encoder_k", "module.queue", "module.queue_ptr"],
  },
  mask_rcnn: {
    preset: "resnet50",
    prefix: "backbone.body.",
    drop: [],
    paradigm: "instance segmentation (Mask R-CNN)",
    leftOut: ["backbone.fpn", "rpn", "roi_heads"],
  },
  keypoint_rcnn: {
    preset: "resnet50",
    prefix: "backbone.body.",
    drop: [],
    paradigm: "keypoint detection (Keypoint R-CNN)",
    leftOut: ["backbone.fpn", "rpn", "roi_heads"],
  },
  deeplabv3: {
    preset: "resnet50",
    config: { layers: [3, 4, 6, 3], block: "bottleneck", dilated: 2 },
    prefix: "backbone.",
    drop: [],
    paradigm: "semantic segmentation (DeepLabV3)",
    leftOut: ["classifier", "aux_classifier"],
  },
  transformers_vit: {
    config: { image: 32, patch: 8, dim: 128, depth: 2, heads: 2, mlpRatio: 2, eps: 1e-12 },
    prefix: "vit.",
    drop: [],
    layout: "transformers-vit",
    classifier: "classifier",
    input: { size: 32, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], interpolation: "bilinear" },
    leftOut: ["classifier"],
  },
  transformers_vit_modules: { prefix: "", drop: ["pooler."], layout: "transformers-vit", leftOut: ["pooler"] },
  torchvision_vit: {
    config: { image: 32, patch: 8, dim: 128, depth: 2, heads: 2, mlpRatio: 2 },
    prefix: "",
    drop: ["heads."],
    layout: "torchvision-vit",
    classifier: "heads.head",
    input: { size: 32, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], interpolation: "bilinear" },
  },
  transformers_convnext: {
    config: { depths: [1, 2], dims: [16, 32] },
    prefix: "convnext.",
    layout: "transformers-convnext",
    classifier: "classifier",
  },
  transformers_resnet: {
    config: { layers: [1, 2], block: "bottleneck", width: 16 },
    prefix: "resnet.",
    layout: "transformers-resnet",
    classifier: "classifier.1",
  },
  transformers_resnet_basic: {
    config: { layers: [1, 2], block: "basic", width: 16 },
    layout: "transformers-resnet",
    classifier: "classifier.1",
  },
  timm_convnext: {
    config: { depths: [1, 1, 2, 1], dims: [8, 16, 24, 32] },
    drop: ["head.fc."],
    layout: "timm-convnext",
    classifier: "head.fc",
  },
  timm_swin: {
    config: { patch: 4, dim: 24, depths: [2, 2, 1], heads: [1, 2, 4], window: 4 },
    drop: ["head."],
    layout: "timm-swin",
    classifier: "head.fc",
  },
  timm_vit_dinov2: { config: { ...smallVit, layerScale: true }, classifier: "head" },
  timm_vit_registers: {
    config: { ...smallVit, registers: 2, patchPositions: true, layerScale: true },
    classifier: "head",
  },
  timm_vit_deit3: { config: { ...smallVit, patchPositions: true, layerScale: true }, classifier: "head" },
  timm_vit_clip: { config: { ...smallVit, preNorm: true, eps: 1e-5, activation: "quick_gelu" }, classifier: "head" },
  openai_clip: {
    // Its additional keys say that OpenAI trained it, and so which activation it has.
    config: { ...tower, preNorm: true, eps: 1e-5, activation: "quick_gelu" },
    prefix: "visual.",
    layout: "openai-clip",
    paradigm: "image-text contrastive (CLIP)",
    input: {
      size: 32,
      mean: clipMean,
      std: clipStd,
      interpolation: "bicubic",
    },
    leftOut: [
      "positional_embedding",
      "text_projection",
      "logit_scale",
      "visual.proj",
      "transformer",
      "token_embedding",
      "ln_final",
      "input_resolution",
      "context_length",
      "vocab_size",
    ],
  },
  open_clip: {
    config: { ...tower, preNorm: true, eps: 1e-5, activation: "gelu" },
    prefix: "visual.",
    layout: "openai-clip",
    paradigm: "image-text contrastive (CLIP)",
  },
  clip_resnet: {
    ...clipResnet,
    config: { ...clipResnet.config, layers: [1, 2, 1, 1] },
    prefix: "visual.",
    layout: "openai-clip-resnet",
    leftOut: ["positional_embedding", "text_projection", "logit_scale", "transformer", "token_embedding", "ln_final"],
  },
  clip_resnet_timm: clipResnet,
  resized_clip_resnet: clipResnet,
  transformers_clip: {
    config: { ...tower, mlpRatio: 2, preNorm: true, eps: 1e-5, activation: "quick_gelu" },
    prefix: "vision_model.",
    layout: "transformers-clip",
    paradigm: "image-text contrastive (CLIP)",
    leftOut: ["logit_scale", "text_model", "text_projection", "visual_projection"],
  },
  transformers_siglip: {
    config: { ...tower, mlpRatio: 2, pool: "attention", activation: "gelu_tanh" },
    prefix: "vision_model.",
    layout: "transformers-siglip",
    paradigm: "image-text contrastive (SigLIP)",
  },
  transformers_dinov2: dinov2,
  transformers_dinov2_gated: { ...dinov2, config: { ...dinov2.config, mlpRatio: 1.375, gated: true } },
  transformers_dinov2_registers: { ...dinov2, config: { ...dinov2.config, registers: 3, patchPositions: true } },
  timm_dinov3: { ...dinov3, config: { ...dinov3.config, attentionBias: false } },
  timm_dinov3_bias: dinov3,
  timm_dinov3_gated: { ...dinov3, config: { ...dinov3.config, gated: true, attentionBias: false } },
  timm_eva02: { ...eva02, config: { ...eva02.config, pool: "avg", classToken: true, mlpNorm: true } },
  resized_eva02: { ...eva02, config: { ...eva02.config, pool: "avg", classToken: true, mlpNorm: true } },
  timm_eva02_small: { ...eva02, config: { ...eva02.config, pool: "avg", classToken: true } },
  timm_eva02_clip: { ...eva02, config: { ...eva02.config, mlpNorm: true, attentionNorm: true } },
  original_eva02: {
    ...eva02,
    config: { ...eva02.config, pool: "avg", classToken: true, mlpNorm: true },
    leftOut: ["head", "rope", "blocks.0.attn.rope", "blocks.1.attn.rope"],
  },
  original_eva02_small: { ...eva02, config: { ...eva02.config, pool: "avg", classToken: true } },
  original_eva02_clip: { ...eva02, config: { ...eva02.config, mlpNorm: true, attentionNorm: true } },
  original_dinov3: {
    ...dinov3,
    layout: "original-dinov3",
    paradigm: "self-supervised: self-distillation (DINOv3)",
    leftOut: ["blocks.0.attn.qkv.bias_mask", "blocks.1.attn.qkv.bias_mask", "mask_token"],
  },
  transformers_dinov3: {
    config: { ...dinov3.config, mlpRatio: 2 },
    layout: "transformers-dinov3",
    paradigm: "self-supervised: self-distillation (DINOv3)",
    leftOut: ["embeddings.mask_token"],
  },
  transformers_dinov3_gated: { config: { ...dinov3.config, mlpRatio: 2, gated: true }, layout: "transformers-dinov3" },
  resized_clip: { config: { ...tower, preNorm: true, eps: 1e-5, activation: "quick_gelu" }, layout: "openai-clip" },
  resized_dinov2_registers: {
    config: { ...smallVit, registers: 3, patchPositions: true, layerScale: true },
    layout: "original-dinov2",
  },
  original_dinov2_registers: {
    config: { ...smallVit, registers: 3, patchPositions: true, layerScale: true },
    layout: "original-dinov2",
    leftOut: ["mask_token"],
  },
  original_dinov2_gated: {
    config: { ...smallVit, mlpRatio: 2, layerScale: true, gated: true },
    layout: "original-dinov2",
  },
  timm_vit_siglip: { config: { ...smallVit, pool: "attention" }, classifier: "head" },
  timm_vit_gap: { config: { ...smallVit, pool: "avg", classToken: true }, classifier: "head" },
  timm_vit_gated: { config: { ...smallVit, mlpRatio: 2, layerScale: true, gated: true }, classifier: "head" },
  timm_deit_distilled: { config: { ...smallVit, distilled: true }, drop: ["head.", "head_dist."] },
  timm_resnet_d: {
    config: { ...smallResnet, stemWidths: [8, 8], averageDown: true, block: "basic" },
    classifier: "fc",
  },
  timm_resnet_t: {
    config: { ...smallResnet, stemWidths: [6, 8], averageDown: true, block: "bottleneck" },
    classifier: "fc",
  },
  timm_resnet_se: {
    config: { ...smallResnet, stemWidths: [8, 8], attention: "se", block: "bottleneck" },
    classifier: "fc",
  },
  timm_resnet_eca: {
    config: { ...smallResnet, stemWidths: [8, 8], attention: "eca", block: "basic" },
    classifier: "fc",
  },
  timm_resnet_gn: { config: { layers: [1, 1], block: "bottleneck", norm: "group" }, classifier: "fc" },
  timm_resnetv2_bit: { ...resnetv2, config: { layers: [1, 2], width: 32 } },
  timm_resnetv2: { ...resnetv2, config: { layers: [1, 2], width: 32, norm: "batch" } },
  timm_vgg: { config: { stages: [[8], [16, 16]], norm: true, hidden: 32 }, layout: "timm-vgg" },
  published_densenet: {
    config: { growth: 8, layers: [2, 3], width: 16, bottleneck: 4 },
    layout: "torchvision-densenet-published",
    classifier: "classifier",
  },
  timm_swin_v2: {
    config: {
      ...swinV2,
      heads: [1, 2, 4],
      window: [8, 8, 4],
      pretrainedWindow: [4, 4, 2],
    },
    layout: "timm-swin",
    classifier: "head.fc",
  },
  original_swin_v2: {
    config: { ...swinV2, heads: [1, 2, 4], window: 4 },
    layout: "original-swin",
    classifier: "head",
    input: { size: 256, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], interpolation: "bicubic" },
  },
  transformers_swin: {
    config: { patch: 4, dim: 24, depths: [2, 2, 1], heads: [1, 2, 4], window: 4 },
    layout: "transformers-swin",
    classifier: "classifier",
  },
  transformers_swin_v2: {
    config: { ...swinV2, heads: [1, 2, 4], window: [8, 8, 4], pretrainedWindow: [4, 4, 2] },
    layout: "transformers-swin",
    classifier: "classifier",
  },
  transformers_swin_v2_modules: {
    config: { ...swinV2, heads: [1, 2, 4], window: 4 },
    layout: "transformers-swin",
    classifier: "classifier",
  },
  maxvit: {
    config: { stemWidth: 32, widths: [32, 64], depths: [1, 2], partition: 3, variant: "tensorflow" },
    layout: "timm-maxvit",
    classifier: "head.fc",
    input: { size: 24, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], interpolation: "bicubic" },
  },
  original_swin: {
    config: { patch: 4, dim: 24, depths: [2, 2, 1], heads: [1, 2, 4], window: 4 },
    drop: ["head.", "layers.0.blocks.1.attn_mask"],
    layout: "original-swin",
    classifier: "head",
  },
};

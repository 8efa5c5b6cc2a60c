/** Clues in the keys of a state dict beside the backbone: the method of training, and the place of the classifier. */

import { imagenetInput, type PresetInput } from "../preset.ts";

type Shape = readonly number[];
type Shapes = ReadonlyMap<string, Shape>;

/** Method by which weights were trained, as their keys show it. */
export interface Method {
  /** In the words of a hub's manifest. */
  paradigm: string;
  /** Input of the method's published weights, where it is not that of other weights of the network. */
  input?: Partial<PresetInput>;
  /** Configuration in which the method's published networks differ from others of the same shapes. */
  config?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const { mean, std } = imagenetInput;
const imagenet = { input: { mean, std } };

/** Key patterns of training methods, the most telling first. */
const methods: readonly (readonly [RegExp, Method])[] = [
  [/(^|\.)encoder_k\..*fc\.0\.weight$/, { paradigm: "self-supervised: contrastive (MoCo v2)" }],
  [/(^|\.)encoder_k\./, { paradigm: "self-supervised: contrastive (MoCo)" }],
  [
    /(^|\.)(momentum|base)_encoder\./,
    // Its ViTs have 12 heads in every size.
    { paradigm: "self-supervised: contrastive (MoCo v3)", ...imagenet, config: { vit: { heads: 12 } } },
  ],
  [/(^|\.)online_\w+\./, { paradigm: "self-supervised: prediction of a moving average (BYOL)" }],
  [
    /(^|\.)teacher(_\w+)?\.|(^|\.)head\.last_layer\.(weight|parametrizations)/,
    { paradigm: "self-supervised: distillation from a moving average (DINO)", ...imagenet },
  ],
  [/(^|\.)decoder_embed\./, { paradigm: "self-supervised: masked autoencoding", ...imagenet }],
  [
    // OpenAI's files say for how many words of text their other tower is.
    /(^|\.)context_length$/,
    { paradigm: "image-text contrastive (CLIP)", config: { vit: { activation: "quick_gelu" } } },
  ],
  [/(?<!attn\.)\blogit_bias$/, { paradigm: "image-text contrastive (SigLIP)" }],
  [
    /(?<!attn\.)\blogit_scale$|(^|\.)attnpool\.positional_embedding$|^head\.pos_embed$/,
    { paradigm: "image-text contrastive (CLIP)" },
  ],
  [
    /(^|\.)storage_tokens$|(^|\.)layer\.0\.attention\.q_proj\.weight$/,
    { paradigm: "self-supervised: self-distillation (DINOv3)", ...imagenet },
  ],
  [
    /(^|\.)register_tokens$|\.0\.layer_scale1\.lambda1$/,
    { paradigm: "self-supervised: self-distillation (DINOv2)", ...imagenet },
  ],
  [/(^|\.)roi_heads\.mask_predictor\./, { paradigm: "instance segmentation (Mask R-CNN)" }],
  [/(^|\.)roi_heads\.keypoint_predictor\./, { paradigm: "keypoint detection (Keypoint R-CNN)" }],
  [/(^|\.)roi_heads\.box_predictor\./, { paradigm: "object detection (Faster R-CNN)" }],
  [/(^|\.)head\.regression_head\./, { paradigm: "object detection (one stage)" }],
  [/(^|\.)classifier\.0\.convs\.0\.0\.weight$/, { paradigm: "semantic segmentation (DeepLabV3)" }],
];

/** Files of ViTs that were trained with ImageNet's mean and deviation begin so: DINO, MAE, DeiT. */
const imagenetNames = /^(dino|mae|deit)/;

/** Method by which the network was trained; undefined where the keys do not show it. */
export function methodOf(shapes: Shapes, prefix: string, classifier: string | undefined): Method | undefined {
  const keys = [...shapes.keys()];
  const found = methods.find(([pattern]) => keys.some((key) => pattern.test(key)));
  if (found) return found[1];
  if (isFullyConvolutional(shapes, prefix)) return { paradigm: "semantic segmentation (FCN)" };
  return classifier === undefined ? undefined : { paradigm: "supervised classification" };
}

/** Input of weights whose name tells it. */
export function inputOfName(name: string): Partial<PresetInput> {
  return imagenetNames.test(name) ? imagenet.input : {};
}

const firstLayer =
  /(^|\.)(conv1(\.0)?|conv_stem|stem\.(0|conv|0\.0|conv1\.conv)|features\.(0|0\.0|conv0)|layers\.0|patch_embed\.proj|conv_proj|patch_embeddings(\.projection)?|embedder\.convolution|Conv2d_1a_3x3\.conv|conv1\.conv)\.weight$/;

/** Keys of first convolutions, which take an image, with their number of channels. */
export function firstLayers(shapes: Shapes): [key: string, channels: number][] {
  return [...shapes].flatMap(([key, shape]) => {
    const [, channels = 0] = shape;
    return shape.length === 4 && firstLayer.test(key) ? [[key, channels]] : [];
  });
}

/** True when torchvision's DeepLabV3 or FCN has its backbone below the prefix: both dilate its last two stages. */
export function isDilated(shapes: Shapes, prefix: string): boolean {
  const parent = parentOf(prefix, "backbone.");
  if (parent === undefined) return false;
  return shapes.has(`${parent}classifier.0.convs.0.0.weight`) || isFullyConvolutional(shapes, prefix);
}

/** A 3x3 convolution, BatchNorm, and a 1x1 convolution to the classes, beside the backbone. */
function isFullyConvolutional(shapes: Shapes, prefix: string): boolean {
  const parent = parentOf(prefix, "backbone.");
  if (parent === undefined) return false;
  return shapes.get(`${parent}classifier.0.weight`)?.[2] === 3 && shapes.get(`${parent}classifier.4.weight`)?.[2] === 1;
}

function parentOf(prefix: string, last: string): string | undefined {
  const isLast = prefix === last || prefix.endsWith(`.${last}`);
  return isLast ? prefix.slice(0, -last.length) : undefined;
}

const classifierName = /^(fc|head|head\.fc|heads\.head|classifier|classifier\.\d+)\.weight$/;

/** Classification heads of self-supervised networks are projections, not classes. */
const selfSupervised = /(^|\.)(encoder_[qk]|momentum_encoder|online_\w+|student|teacher|decoder_embed)\./;

/**
 * Key, without ".weight", of a linear classifier of `width` features that lies below the prefix or beside the backbone
 * at a level above it.
 */
export function findClassifier(
  shapes: Shapes,
  prefix: string,
  width: number,
  used: ReadonlySet<string>,
): string | undefined {
  for (const key of shapes.keys()) if (selfSupervised.test(key)) return undefined;
  const segments = prefix.split(".").slice(0, -1);
  for (let level = segments.length; level >= 0; level--) {
    const above = segments.slice(0, level).map((segment) => `${segment}.`);
    const beginning = above.join("");
    for (const [key, shape] of shapes) {
      if (!key.startsWith(beginning) || used.has(key) || !classifierName.test(key.slice(beginning.length))) continue;
      const [classes = 0, features, ...kernel] = shape;
      const linear = shape.length === 2 || (shape.length === 4 && kernel.every((size) => size === 1));
      if (linear && classes > 1 && features === width) return key.replace(/\.weight$/, "");
    }
  }
  return undefined;
}

const copies = /(^|\.)(encoder_k|momentum\w*|\w+_momentum|target\w*|\w+_target|ema\w*|\w+_ema|student\w*)\./;

/**
 * 1 for a prefix of a network that only helped to train another (a momentum encoder, a student whose average is kept),
 * else 0.
 */
export function doubtOf(prefix: string): number {
  return copies.test(prefix) ? 1 : 0;
}

/** What the keys of a state dict beside the backbone tell: how it was trained, and where its classifier lies. */

type Shape = readonly number[];
type Shapes = ReadonlyMap<string, Shape>;

/** Key patterns of training methods, the most telling first. */
const paradigms: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)encoder_k\..*fc\.0\.weight$/, "self-supervised: contrastive (MoCo v2)"],
  [/(^|\.)encoder_k\./, "self-supervised: contrastive (MoCo)"],
  [/(^|\.)momentum_encoder\./, "self-supervised: contrastive (MoCo v3)"],
  [/(^|\.)online_\w+\./, "self-supervised: prediction of a moving average (BYOL)"],
  [/(^|\.)teacher(_\w+)?\./, "self-supervised: distillation from a moving average (DINO)"],
  [/(^|\.)decoder_embed\./, "self-supervised: masked autoencoding"],
  [/(^|\.)roi_heads\.mask_predictor\./, "instance segmentation (Mask R-CNN)"],
  [/(^|\.)roi_heads\.keypoint_predictor\./, "keypoint detection (Keypoint R-CNN)"],
  [/(^|\.)roi_heads\.box_predictor\./, "object detection (Faster R-CNN)"],
  [/(^|\.)head\.regression_head\./, "object detection (one stage)"],
  [/(^|\.)classifier\.0\.convs\.0\.0\.weight$/, "semantic segmentation (DeepLabV3)"],
];

/** How the network was trained, in the words of a hub's manifest; undefined where the keys do not tell. */
export function paradigmOf(shapes: Shapes, prefix: string, classifier: string | undefined): string | undefined {
  const keys = [...shapes.keys()];
  const found = paradigms.find(([pattern]) => keys.some((key) => pattern.test(key)));
  if (found) return found[1];
  if (isFullyConvolutional(shapes, prefix)) return "semantic segmentation (FCN)";
  return classifier === undefined ? undefined : "supervised classification";
}

/** Whether torchvision's DeepLabV3 or FCN has its backbone below the prefix: both dilate its last two stages. */
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

/** Interface of a hub's members that methods need. */
import type { Module } from "../nn/index.ts";
import type { Tensor } from "../torch/index.ts";

/**
 * Features [n, d] of a batch's images that were computed before, by the named member and for the given rows of the batch
 * (all when left out); undefined where there are none.
 */
export type StoredFeatures = (member: string, rows?: readonly number[]) => Tensor | undefined;

/** A pre-trained model as the pathway sees it. */
export interface PathwayMember {
  readonly name: string;
  /** Width d of its features. */
  readonly featureWidth: number;
  /** Its parameters, buffers and BatchNorm policy. */
  readonly backbone: Module;
  /** FLOPs of one forward pass of one image (a multiply-add counts as two). */
  readonly flops: number;
  /** Images [n, 3, H, W] in [0, 1] to features [n, d]; does the member's own resizing and normalisation first. */
  features(images: Tensor): Tensor;
  /**
   * A copy of the member's first stages as they are now, for a generator that sees through them: images [n, 3, H, W] in
   * [0, 1] to a feature map [n, c, h, w], always as in evaluation. Training the member does not change it.
   */
  copyStem?(): Module;
  /** Channels c of such a map; undefined for an architecture without first stages of their own. */
  readonly stemWidth?: number | undefined;
}

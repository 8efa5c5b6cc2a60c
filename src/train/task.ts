/** Task of learning: the loss of one row and the measure of a good prediction. n rows, C outputs. */
import { ops, type Tensor } from "../torch/index.ts";

/** Targets of a batch: class numbers int64 [B], or probabilities [B, C] when images were mixed. */
export type Targets = Tensor;

export interface Task {
  readonly kind: "classification";
  /** Width C of a head. */
  readonly outputs: number;
  /** Loss of each row, [n]. */
  rowLoss(logits: Tensor, targets: Targets): Tensor;
  /** Probabilities [n, C] from logits, as a user reads them. */
  probabilities(logits: Tensor): Tensor;
}

/** Single-label classification by cross-entropy. */
export class ClassificationTask implements Task {
  readonly kind = "classification";
  readonly outputs: number;
  readonly labelSmoothing: number;

  constructor(classes: number, labelSmoothing = 0.1) {
    this.outputs = classes;
    this.labelSmoothing = labelSmoothing;
  }

  /** Cross-entropy in float32, or wider, whatever the logits' type. */
  rowLoss(logits: Tensor, targets: Targets): Tensor {
    const wide = logits.dtype === "float64" ? logits : logits.to({ dtype: "float32" });
    return ops.cross_entropy_loss(wide, targets, undefined, reduction.none, -100, this.labelSmoothing);
  }

  probabilities(logits: Tensor): Tensor {
    return logits.to({ dtype: "float32" }).softmax(1);
  }
}

/** ATen's numbers for the reductions of a loss. */
const reduction = { none: 0 };

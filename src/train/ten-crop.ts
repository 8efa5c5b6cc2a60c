/**
 * Ten-crop evaluation (Krizhevsky et al. 2012): probabilities are the mean over the four corners and the centre of an
 * image, each as it is and mirrored. B batch, C classes, m models, S side of a crop, R side of the image.
 *
 * A run keeps its image size S as the crop's; the images come larger, with R = S * 256/224, the published proportion.
 */
import { ops, scope, type Tensor } from "../torch/index.ts";
import type { Prediction, Predictor } from "./learner.ts";

/** R for crops of the given side. */
export function tenCropSide(size: number): number {
  return Math.round((size * 256) / 224);
}

const crops = 10;

/** A predictor over crops of another; its cost for an image is ten times the other's. */
export class TenCrop implements Predictor {
  readonly #inner: Predictor;
  readonly #size: number;
  readonly pathwayFlops?: NonNullable<Predictor["pathwayFlops"]>;

  /** @param size S */
  constructor(inner: Predictor, size: number) {
    this.#inner = inner;
    this.#size = size;
    if (inner.pathwayFlops) this.pathwayFlops = (shares, k) => crops * (inner.pathwayFlops?.(shares, k) ?? 0);
  }

  get memberNames(): readonly string[] {
    return this.#inner.memberNames;
  }

  get parameters(): number {
    return this.#inner.parameters;
  }

  get inferenceFlops(): number {
    return crops * this.#inner.inferenceFlops;
  }

  /**
   * From images [B, 3, R, R], the means over crops [B, 3, S, S]; a model is activated that any crop activates.
   * @throws RangeError when the images are smaller than a crop
   */
  predict(images: Tensor): Prediction {
    return scope(() => {
      const predictions = this.#corners(images).flatMap(([top, left]) =>
        [false, true].map((mirrored) => scope(() => this.#inner.predict(this.#crop(images, top, left, mirrored)))),
      );
      const mean = (part: keyof Prediction): Tensor | undefined => {
        const tensors = predictions.flatMap((prediction) => prediction[part] ?? []);
        return tensors.length === crops ? ops.stack(tensors).mean([0]) : undefined;
      };
      const [probabilities, weights, scores] = [mean("probabilities") as Tensor, mean("weights"), mean("scores")];
      return { probabilities, ...(weights && { weights }), ...(scores && { scores }) };
    });
  }

  #crop(images: Tensor, top: number, left: number, mirrored: boolean): Tensor {
    const crop = images.narrow(2, top, this.#size).narrow(3, left, this.#size);
    return mirrored ? crop.flip([3]) : crop;
  }

  /** Upper left corners of the five crops. */
  #corners(images: Tensor): [top: number, left: number][] {
    const [bottom, right] = [images.size(2) - this.#size, images.size(3) - this.#size];
    if (bottom < 0 || right < 0) {
      throw new RangeError(`images of ${images.shape.slice(2).join(" x ")} hold no crops of ${this.#size} pixels`);
    }
    return [
      [0, 0],
      [0, right],
      [bottom, 0],
      [bottom, right],
      [Math.floor(bottom / 2), Math.floor(right / 2)],
    ];
  }

  eval(): void {
    this.#inner.eval();
  }

  /** The other predictor stays its owner's. */
  dispose(): void {}
}

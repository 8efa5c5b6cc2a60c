/** Limits on what a file may make a run allocate and compute. The figures are this project's choice. */
import { type Tensor, UserError } from "../../torch/index.ts";
import type { Batch, Reference } from "../batch.ts";

/** Elements of one tensor, for each image: 256 MiB of float32. */
const maximumElements = 2 ** 26;
/** Elements alive at a time in the run that checks a model, for each image: 256 MiB. */
const liveElements = 2 ** 26;
/** Elements made, and multiply-adds, in that run, for each image. */
const madeElements = 2 ** 30;
const workOfImage = 1e11;

/** The shapes of a step's tensors in a run with the batch that the graph fixes, and the batches. */
export interface FixedShapes extends Omit<Reference, "outers"> {
  readonly batch: Batch;
}

/** What steps are told of a run; refuses tensors that are too large before they are made. */
export class Guard {
  /** Set while a run has another batch than the graph's own. */
  reference: FixedShapes | undefined;
  protected readonly images: number;

  constructor(images: number) {
    this.images = Math.max(images, 1);
  }

  /** A tensor of this shape is about to be made. @throws UserError when it is too large for the number of images */
  shape(shape: readonly number[]): void {
    const elements = shape.reduce((product, size) => product * size, 1);
    if (elements <= maximumElements * this.images) return;
    throw new UserError(`it would make a tensor of shape [${shape.join(", ")}], which is too large`);
  }

  /** Multiply-adds are about to be done. */
  work(_multiplyAdds: number): void {}

  /** A step has made tensors. */
  made(_tensors: readonly Tensor[]): void {}

  released(_tensor: Tensor): void {}
}

/** Also adds up: for the one run that decides whether a model is accepted. */
export class Budget extends Guard {
  #live = 0;
  #made = 0;
  #work = 0;
  readonly #counted = new Map<Tensor, number>();

  override shape(shape: readonly number[]): void {
    super.shape(shape);
    const elements = shape.reduce((product, size) => product * size, 1);
    const most = liveElements * this.images;
    if (this.#live + elements > most) {
      throw new UserError(`with it, the model would hold more than ${most} numbers at a time`);
    }
  }

  override work(multiplyAdds: number): void {
    this.#work += multiplyAdds;
    if (this.#work <= workOfImage * this.images) return;
    throw new UserError(`the model needs more than ${workOfImage} multiply-adds an image, which is not supported`);
  }

  override made(tensors: readonly Tensor[]): void {
    for (const tensor of tensors) {
      if (tensor.kept || this.#counted.has(tensor)) continue;
      const elements = tensor.numel();
      this.#counted.set(tensor, elements);
      this.#live += elements;
      this.#made += elements;
    }
    const live = liveElements * this.images;
    if (this.#made > madeElements * this.images)
      throw new UserError("the model makes too many tensors to be supported");
    if (this.#live > live) throw new UserError(`the model holds more than ${live} numbers at a time`);
  }

  override released(tensor: Tensor): void {
    this.#live -= this.#counted.get(tensor) ?? 0;
    this.#counted.delete(tensor);
  }
}

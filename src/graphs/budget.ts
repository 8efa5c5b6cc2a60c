/**
 * Limits on what one run of a graph may take: a hostile file must not fill the memory or keep the machine busy for hours.
 * The figures are this project's choice, the same for all formats.
 */
import { UserError } from "../torch/index.ts";
import { shapeText, sizeOf } from "./values.ts";

/** Elements that may be live at once for an image of 224 x 224: 256 MiB in float32; VGG-16 needs a tenth. */
const elementsPerImage = 2 ** 26;
/** Multiply-adds for an image of 224 x 224; the largest published vision transformers take a quarter. */
const workPerImage = 2 ** 40;
/** Multiply-adds that take as long as writing one element to memory, roughly. */
const workPerElement = 2 ** 6;

/** The refusal of something that takes too much. */
export class OverBudget extends UserError {}

export class Budget {
  readonly #elements: number;
  readonly #work: number;
  #live = 0;
  #done = 0;

  /** For n images of `pixels` pixels each. */
  constructor(images: number, pixels: number) {
    const scale = Math.max(images, 1) * Math.max(pixels / 224 ** 2, 1);
    this.#elements = elementsPerImage * scale;
    this.#work = workPerImage * scale;
  }

  /**
   * Refuses a tensor before it is made.
   * @param work multiply-adds that it takes
   * @throws UserError when its shape is impossible, it would not fit beside those that are live, or the run takes too long
   */
  allow(shape: readonly number[], work = 0): void {
    const size = sizeOf(shape);
    if (shape.some((side) => !(side >= 0))) {
      throw new UserError(`it would make a tensor of the impossible shape ${shapeText(shape)}`);
    }
    if (this.#live + size > this.#elements || shape.some((side) => side > Number.MAX_SAFE_INTEGER)) {
      throw new OverBudget(
        `it would make a tensor of shape ${shapeText(shape)}; ` +
          `at most ${this.#elements} elements may be in use at once for these images`,
      );
    }
    this.#done += work + size * workPerElement;
    if (this.#done <= this.#work) return;
    throw new OverBudget(`it takes the network over ${this.#work} multiply-adds for these images`);
  }

  hold(elements: number): void {
    this.#live += elements;
  }

  release(elements: number): void {
    this.#live -= elements;
  }
}

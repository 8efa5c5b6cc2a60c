/** What one run of a graph may take: a hostile file must not fill the memory or keep the machine busy for hours. */
import { UserError } from "../torch/index.ts";
import { shapeText, sizeOf } from "./values.ts";

/** Elements that may be live at once for an image of 224 x 224: 256 MiB in float32; VGG-16 needs a tenth. */
const elementsPerImage = 2 ** 26;
/** Multiply-adds for an image of 224 x 224; the largest published vision transformers take a quarter. */
const workPerImage = 2 ** 40;

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
   * @throws UserError when it would not fit beside those that are live
   */
  allow(shape: readonly number[], who: string): void {
    const size = sizeOf(shape);
    if (this.#live + size <= this.#elements && shape.every((side) => side <= Number.MAX_SAFE_INTEGER)) return;
    throw new UserError(
      `${who} would make a tensor of shape ${shapeText(shape)}; ` +
        `at most ${this.#elements} elements may be in use at once for these images`,
    );
  }

  /** Refuses a computation of `work` multiply-adds before it is done. */
  spend(work: number, who: string): void {
    this.#done += work;
    if (this.#done <= this.#work) return;
    throw new UserError(`${who} takes the network over ${this.#work} multiply-adds for these images`);
  }

  hold(elements: number): void {
    this.#live += elements;
  }

  release(elements: number): void {
    this.#live -= elements;
  }
}

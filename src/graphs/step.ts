/** One step of a network over named values, what it sees of the run that it is part of, and its part in a chain (chains.ts). V names a value. */
import type { BatchNorm2d, Filtering } from "../nn/index.ts";
import type { Dtype, Tensor } from "../torch/index.ts";
import type { Reference } from "./batch.ts";
import type { Budget } from "./budget.ts";
import type { Links } from "./features.ts";
import type { Value } from "./values.ts";

/** One operator or layer. */
export interface Step<V> extends Links<V> {
  /** Name in messages. */
  readonly label: string;
  /** True where the backward pass does not need the result, so that its only reader may overwrite it. */
  readonly isOverwritable?: boolean;
  /** Its part in a chain of steps that can run as one. */
  readonly link?: Link | undefined;
  /**
   * Computes the outputs; parameters may be what the function closes over.
   * @throws UserError for inputs that it cannot take; the program says which step of which file it was
   */
  readonly run: (inputs: readonly (Value | undefined)[], context: Context) => Value | readonly Value[];
}

/** The run that a step is part of, as the step sees it. */
export class Context {
  /** Dtype of the images, in which all floating arithmetic is done. */
  readonly dtype: Dtype;
  readonly device: string;
  /** Set when this run's batch is not the file's. */
  readonly reference: Reference | undefined;
  /** True when input 0 may be overwritten: nothing else reads it, and autograd does not need it. */
  readonly mayOverwrite: boolean;
  /** True for an input that is the same in every run. */
  readonly isConstant: (input: number) => boolean;
  /** Set by a step that knows how its result holds the images (see `Place.outer`). */
  outer: number | undefined;
  readonly #budget: Budget;

  constructor(run: RunState, parts: Pick<Context, "reference" | "mayOverwrite" | "isConstant">) {
    this.dtype = run.dtype;
    this.device = run.device;
    this.#budget = run.budget;
    this.reference = parts.reference;
    this.mayOverwrite = parts.mayOverwrite;
    this.isConstant = parts.isConstant;
  }

  /** Refuses a tensor that would be too large, see `Budget.allow`. */
  allow(shape: readonly number[], work = 0): void {
    this.#budget.allow(shape, work);
  }
}

interface RunState {
  readonly dtype: Dtype;
  readonly device: string;
  readonly budget: Budget;
}

/** Dimension of the channels in a value. */
export type Channel = 1 | 3;

/** Activations that a chain ends with. */
export type RectifierName = "relu" | "relu6";

/** A convolution of images [n, C, H, W]. */
export interface Convolved extends Filtering {
  readonly x: Tensor;
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
}

export interface Convolution {
  readonly kind: "convolution";
  readonly channel: Channel;
  readonly of: (inputs: readonly (Value | undefined)[], context: Context) => Convolved;
  /** An activation that is part of the step: nothing follows then. */
  readonly activation?: RectifierName | undefined;
}

/** What a convolution's channels go through. */
export type Layer = { readonly channel: Channel } & (
  | { readonly kind: "norm"; readonly norm: BatchNorm2d }
  | { readonly kind: "scale" | "shift"; readonly by: Tensor }
);

/** A step's part in a chain; its first input is what comes before. */
export type Link = Convolution | Layer | { readonly kind: "activation"; readonly activation: RectifierName };

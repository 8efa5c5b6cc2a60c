/** Arguments and result of a builder of layers. */

import { quoted } from "../../../io/index.ts";
import type { BatchNorm2d } from "../../../nn/index.ts";
import type { Tensor } from "../../../torch/index.ts";
import type { Layout } from "../../graph-model.ts";
import type { Context, Link } from "../../step.ts";
import { type Activation, activationNamed } from "../activations.ts";
import type { Fields } from "../json.ts";
import type { NormSpec, WeightLayout } from "../parameters.ts";
import { linked, type TensorRun } from "../step.ts";

/** Sizes that a weight must have; undefined where any will do. */
export type Expected = readonly (number | undefined)[];

export interface Layer {
  readonly name: string;
  readonly config: Fields;
  /** A weight of the layer by its short name, checked. @throws UserError when it is missing or has another shape */
  weight(name: string, shape: Expected | undefined, layout?: WeightLayout): Tensor;
  /** Its BatchNorm, given the short names of the weights. */
  norm(spec: Pick<NormSpec, "epsilon" | "momentum"> & { center: boolean; scale: boolean }): BatchNorm2d;
}

/** Tensors of one call to tensors; a layer that is called twice uses the same weights. */
export type Call = TensorRun<Tensor>;

export type Builder = (layer: Layer) => Call;

/** A layer of one input. */
export function unary(fn: (x: Tensor, context: Context) => Tensor, link?: Link): Call {
  return linked((inputs, context) => fn(only(inputs), context), link);
}

export function only(inputs: readonly Tensor[]): Tensor {
  const [x] = inputs;
  if (!x || inputs.length !== 1) throw new RangeError(`${inputs.length} inputs where one is needed`);
  return x;
}

export function layoutOf(config: Fields): Layout {
  return config.choice("data_format", ["channels_last", "channels_first"], "channels_last") === "channels_last"
    ? "NHWC"
    : "NCHW";
}

/** The activation at the end of a layer. */
export function activationOf(config: Fields, fallback = "linear"): Activation {
  const name = config.string("activation", fallback);
  return activationNamed(name) ?? config.fail(`the activation ${quoted(name)} is not supported`);
}

/** Its name, in lower case without underscores. */
export function activationNameOf(config: Fields): string {
  return config.string("activation", "linear").replaceAll("_", "").toLowerCase();
}

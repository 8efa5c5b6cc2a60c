/** A graph of a file before and after it is built, the same for ONNX and TensorFlow.js. V names a value. */
import type { BatchNorm2d } from "../nn/index.ts";
import type { Tensor } from "../torch/index.ts";
import type { Structure } from "./features.ts";
import type { GraphImages } from "./graph-model.ts";
import type { Plan } from "./program.ts";

/** A graph as the reader of its format understands it, before anything of it is computed. */
export interface GraphFile<V> {
  readonly file: string;
  /** All files that make up the model, this one first. */
  readonly files: readonly string[];
  readonly structure: Structure<V>;
  readonly images: GraphImages;
  /** Dimension of the channels in its maps. */
  readonly channel: 1 | 3;
  readonly nameOf: (value: V) => string;
  readonly valueOf: (name: string) => V | undefined;
  /** The network that computes some values, which can be computed; the caller disposes it. */
  readonly build: (wanted: readonly V[]) => Network<V>;
}

/** A graph ready to run, and its tensors. */
export interface Network<V> extends Plan<V> {
  /** Trained tensors and layers, and what is saved beside them, by their names in the file. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly buffers: ReadonlyMap<string, Tensor>;
  readonly norms: ReadonlyMap<string, BatchNorm2d>;
  /** The same with only what some values need; the rest is disposed. */
  narrowed(wanted: readonly V[]): Network<V>;
  /** Disposes what is part of the graph and not of the state. */
  release(): void;
  /** Disposes everything, where no model comes of it. */
  dispose(): void;
}

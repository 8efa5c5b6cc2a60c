/** What the readers of formats that bring their own graph (ONNX, TensorFlow.js, TorchScript) give. n images, d features. */
import { Module } from "../nn/index.ts";
import type { Tensor } from "../torch/index.ts";

export interface GraphModelOptions {
  /** Name of the tensor that serves as features; the reader's own choice when left out. */
  features?: string | undefined;
  device?: string | undefined;
  /** Side of the images in pixels where the file does not fix it (default 224): only for finding the feature width. */
  size?: number | undefined;
}

/** What a graph says about the images it takes. */
export interface GraphInput {
  name: string;
  layout: "NCHW" | "NHWC";
  /** Side of the square input in pixels, when the graph fixes it. */
  size: number | undefined;
}

/**
 * A trainable network read from a file: its weights are parameters, its BatchNorm layers are BatchNorm2d, so that the
 * hub's policy reaches them.
 */
export abstract class GraphModel extends Module {
  abstract readonly input: GraphInput;
  /** The tensor that serves as features. */
  abstract readonly featuresName: string;
  /** Width d of the features. */
  abstract readonly featureWidth: number;
  /** Tensors that could serve as features, the reader's choice first. */
  abstract readonly candidates: readonly string[];
  /** All files that make up the model, the one that names the others first. */
  abstract readonly files: readonly string[];

  /** Images [n, 3, H, W], normalised as the model expects whatever its own layout, to features [n, d]; maps are averaged over space. */
  abstract override forward(images: Tensor): Tensor;

  /** Scores of its own classes [n, S] from images, when the graph goes on to a classifier. */
  classify(_images: Tensor): Tensor | undefined {
    return undefined;
  }
}

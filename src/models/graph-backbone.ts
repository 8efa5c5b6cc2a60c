/** Backbones that a file brings along: ONNX, TensorFlow.js and TorchScript behind the interface of the architectures. */
import { type GraphModel, type GraphModelOptions, openOnnx, openTfjs, openTorchScript } from "../graphs/index.ts";
import { type Tensor, UserError } from "../torch/index.ts";
import { Backbone } from "./backbone.ts";
import type { GraphFormat } from "./graph-formats.ts";

const openers: Readonly<Record<GraphFormat, (path: string, options: GraphModelOptions) => GraphModel>> = {
  onnx: openOnnx,
  tfjs: openTfjs,
  torchscript: openTorchScript,
};

/** A network read from a file; its parameters appear under their names in the file. */
export class GraphBackbone extends Backbone {
  readonly graph: GraphModel;
  readonly featureWidth: number;

  constructor(graph: GraphModel) {
    super();
    this.graph = this.module("graph", graph);
    this.featureWidth = graph.featureWidth;
  }

  override forward(x: Tensor): Tensor {
    return this.graph.forward(x);
  }

  override classify(x: Tensor): Tensor | undefined {
    return this.graph.classify(x);
  }

  /** @throws UserError always: where the graph's pooling begins is not known */
  override forwardMap(_x: Tensor): Tensor {
    throw new UserError("a network that was read from a graph file gives no feature map, only pooled features");
  }

  override dispose(): void {
    this.graph.dispose();
  }
}

/** Opens a graph file. @throws UserError naming the file and what is wrong with it */
export function openGraphBackbone(format: GraphFormat, path: string, options: GraphModelOptions = {}): GraphBackbone {
  return new GraphBackbone(openers[format](path, options));
}

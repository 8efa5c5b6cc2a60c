/** Layer classes of Keras that are supported, by their names in the topology. */
import * as convolution from "./convolution.ts";
import * as elementwise from "./elementwise.ts";
import type { Builder } from "./layer.ts";
import * as shape from "./shape.ts";

export const builders: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ["Activation", elementwise.activation],
  ["ActivityRegularization", elementwise.identity],
  ["Add", elementwise.add],
  ["AlphaDropout", elementwise.identity],
  ["Average", elementwise.average],
  ["AveragePooling2D", convolution.averagePooling2d],
  ["BatchNormalization", elementwise.batchNormalization],
  ["Concatenate", shape.concatenate],
  ["Conv2D", convolution.conv2d],
  ["Conv2DTranspose", convolution.conv2dTranspose],
  ["Cropping2D", shape.cropping2d],
  ["Dense", convolution.dense],
  ["DepthwiseConv2D", convolution.depthwiseConv2d],
  ["Dropout", elementwise.identity],
  ["ELU", elementwise.elu],
  ["Flatten", shape.flatten],
  ["GaussianDropout", elementwise.identity],
  ["GaussianNoise", elementwise.identity],
  ["GlobalAveragePooling2D", convolution.globalAveragePooling2d],
  ["GlobalMaxPooling2D", convolution.globalMaxPooling2d],
  ["LayerNormalization", elementwise.layerNormalization],
  ["LeakyReLU", elementwise.leakyRelu],
  ["Maximum", elementwise.maximum],
  ["MaxPooling2D", convolution.maxPooling2d],
  ["Minimum", elementwise.minimum],
  ["Multiply", elementwise.multiply],
  ["PReLU", elementwise.preluLayer],
  ["Permute", shape.permute],
  ["ReLU", elementwise.relu],
  ["RepeatVector", shape.repeatVector],
  ["Rescaling", elementwise.rescaling],
  ["Reshape", shape.reshape],
  ["Resizing", shape.resizingLayer],
  ["SeparableConv2D", convolution.separableConv2d],
  ["Softmax", elementwise.softmax],
  ["SpatialDropout2D", elementwise.identity],
  ["Subtract", elementwise.subtract],
  ["ThresholdedReLU", elementwise.thresholdedRelu],
  ["UpSampling2D", shape.upSampling2d],
  ["ZeroPadding2D", shape.zeroPadding2d],
]);

/** Layers that multiply by weights. */
export const productLayers: ReadonlySet<string> = new Set([
  "Conv2D",
  "Conv2DTranspose",
  "Dense",
  "DepthwiseConv2D",
  "SeparableConv2D",
]);

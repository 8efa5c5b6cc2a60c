/**
 * The networks of @vladmandic/face-api, written down from its sources: the package has them as code over weight files.
 * Names of weights are those of its files.
 */
import type { GraphWriter } from "./graph-writer.ts";

/** Builds a network over "images" and gives its outputs, the first of which decides on the features. */
export type FaceNet = (graph: GraphWriter) => string[];

/** Depthwise and pointwise convolution with a bias (common/depthwiseSeparableConv.ts). */
function separable(g: GraphWriter, x: string, name: string, stride: number): string {
  const filtered = g.depthwise(`${name}/depthwise`, x, `${name}/depthwise_filter`, stride);
  return g.bias(name, g.convolution(`${name}/pointwise`, filtered, `${name}/pointwise_filter`, 1), `${name}/bias`);
}

/** Full convolution with a bias. */
function full(g: GraphWriter, x: string, name: string, stride: number): string {
  return g.bias(name, g.convolution(`${name}/product`, x, `${name}/filters`, stride), `${name}/bias`);
}

/** Four convolutions, each of which reads the sum of all before it (faceFeatureExtractor/denseBlock.ts). */
function denseBlock(g: GraphWriter, x: string, name: string, isFirst: boolean): string {
  const first = isFirst ? full(g, x, `${name}/conv0`, 2) : separable(g, x, `${name}/conv0`, 2);
  let sum = g.relu(first);
  let input = sum;
  for (const conv of ["conv1", "conv2", "conv3"]) {
    sum = g.add(`${name}/${conv}/sum`, sum, separable(g, input, `${name}/${conv}`, 1));
    input = g.relu(sum);
  }
  return input;
}

function denselyConnected(g: GraphWriter): string {
  let x = "images";
  for (const block of ["dense0", "dense1", "dense2", "dense3"]) x = denseBlock(g, x, block, block === "dense0");
  return g.spatialMean("pooled", x);
}

/** Seven expressions (faceExpressionNet). */
export const faceExpression: FaceNet = (g) => {
  return [g.softmax("expressions", g.dense("fc", denselyConnected(g), "fc/weights", "fc/bias"))];
};

/** The features behind the positions of 68 points (faceLandmarkNet), and those positions. */
export const faceLandmarks: FaceNet = (g) => {
  const pooled = denselyConnected(g);
  return [pooled, g.dense("landmarks", pooled, "fc/weights", "fc/bias")];
};

/** xception/TinyXception.ts with two main blocks; gender and age from its pooled features (ageGenderNet). */
export const faceAgeGender: FaceNet = (g) => {
  const reduction = (x: string, name: string, activates: boolean): string => {
    const first = separable(g, activates ? g.relu(x) : x, `${name}/separable_conv0`, 1);
    const second = separable(g, g.relu(first), `${name}/separable_conv1`, 1);
    const pooled = g.pool(`${name}/pool`, "MaxPool", second, 3, 2, "SAME");
    return g.add(name, pooled, full(g, x, `${name}/expansion_conv`, 2));
  };
  const main = (x: string, name: string): string => {
    let y = x;
    for (const conv of ["separable_conv0", "separable_conv1", "separable_conv2"]) {
      y = separable(g, g.node(`${name}/${conv}/input`, "Relu", [y]), `${name}/${conv}`, 1);
    }
    return g.add(name, y, x);
  };
  let x = g.relu(full(g, "images", "entry_flow/conv_in", 2));
  x = reduction(x, "entry_flow/reduction_block_0", false);
  x = reduction(x, "entry_flow/reduction_block_1", true);
  x = main(main(x, "middle_flow/main_block_0"), "middle_flow/main_block_1");
  x = reduction(x, "exit_flow/reduction_block", true);
  x = g.relu(separable(g, x, "exit_flow/separable_conv", 1));
  const pooled = g.spatialMean("pooled", x);
  const gender = g.softmax("gender", g.dense("fc/gender", pooled, "fc/gender/weights", "fc/gender/bias"));
  return [gender, g.dense("age", pooled, "fc/age/weights", "fc/age/bias")];
};

/** dlib's residual network, 128 numbers a face (faceRecognitionNet), for images of 150 pixels. */
export const faceRecognition: FaceNet = (g) => {
  const scaled = (x: string, name: string, stride: number): string => {
    const padding = stride === 1 ? "SAME" : "VALID";
    const product = g.convolution(`${name}/product`, x, `${name}/conv/filters`, stride, padding);
    const biased = g.bias(`${name}/biased`, product, `${name}/conv/bias`);
    const scale = g.node(`${name}/scaled`, "Mul", [biased, g.weight(`${name}/scale/weights`)]);
    return g.node(name, "AddV2", [scale, g.weight(`${name}/scale/biases`)]);
  };
  const twice = (x: string, name: string, stride: number): string => {
    return scaled(g.relu(scaled(x, `${name}/conv1`, stride)), `${name}/conv2`, 1);
  };
  const residual = (x: string, name: string): string => g.relu(g.add(name, twice(x, name, 1), x));
  // Sides are known, so that what the package decides while it runs is decided here.
  let side = Math.floor((Math.floor((150 - 7) / 2) + 1 - 3) / 2) + 1;
  const residualDown = (x: string, name: string, channels: number): string => {
    const shortcut = g.pool(`${name}/pool`, "AvgPool", x, 2, 2, "VALID");
    const [made, pooled] = [Math.floor((side - 3) / 2) + 1, Math.floor(side / 2)];
    side = pooled;
    const long = twice(x, name, 2);
    const fitted = made === pooled ? long : g.pad(`${name}/fitted`, long, pooled - made, 0);
    const widened = channels > 0 ? g.pad(`${name}/widened`, shortcut, 0, channels) : shortcut;
    return g.relu(g.add(name, widened, fitted));
  };
  let x = g.relu(scaled("images", "conv32_down", 2));
  x = g.pool("conv32_down/pool", "MaxPool", x, 3, 2, "VALID");
  for (const name of ["conv32_1", "conv32_2", "conv32_3"]) x = residual(x, name);
  x = residualDown(x, "conv64_down", 32);
  for (const name of ["conv64_1", "conv64_2", "conv64_3"]) x = residual(x, name);
  x = residualDown(x, "conv128_down", 64);
  for (const name of ["conv128_1", "conv128_2"]) x = residual(x, name);
  x = residualDown(x, "conv256_down", 128);
  for (const name of ["conv256_1", "conv256_2"]) x = residual(x, name);
  x = residualDown(x, "conv256_down_out", 0);
  return [g.dense("embedding", g.spatialMean("pooled", x), "fc")];
};

/** The MobileNetV1 of the face detector (ssdMobilenetv1/mobileNetV1.ts), without the detector's own layers. */
export const faceDetection: FaceNet = (g) => {
  const pointwise = (x: string, i: number, stride: number): string => {
    const name = `MobilenetV1/Conv2d_${i}_pointwise`;
    const product = g.convolution(`${name}/product`, x, `${name}/weights`, stride);
    return g.node(`${name}/relu6`, "Relu6", [g.bias(name, product, `${name}/convolution_bn_offset`)]);
  };
  let x = pointwise("images", 0, 2);
  for (let i = 1; i <= 13; i++) {
    const name = `MobilenetV1/Conv2d_${i}_depthwise`;
    const filtered = g.depthwise(name, x, `${name}/depthwise_weights`, [2, 4, 6, 12].includes(i) ? 2 : 1);
    const normalised = g.batchNorm(`${name}/BatchNorm`, filtered, 0.0010000000474974513);
    x = pointwise(g.node(`${name}/relu6`, "Relu6", [normalised]), i, 1);
  }
  return [g.spatialMean("pooled", x)];
};

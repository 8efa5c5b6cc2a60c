/** Formats that bring a network along: ONNX and TensorFlow.js. */
import { toBinary } from "@bufbuild/protobuf";
import type { GraphModel } from "../../src/graphs/graph-model.ts";
import { openOnnx, openTfjs } from "../../src/graphs/index.ts";
import { ModelProtoSchema } from "../../src/graphs/onnx/onnx-pb.generated.ts";
import { inferenceMode, scope, type Tensor, zeros } from "../../src/torch/index.ts";
import { floats, ints, model } from "../fixtures/onnx/builder.ts";
import { fileSize, networkBytes, networkNames, weightsOf } from "../fixtures/onnx/networks.ts";
import { mutateBytes } from "./bytes.ts";
import { contentOf, type Files, type Format, withFile } from "./format.ts";
import { mutateJson } from "./json.ts";
import { mutateProtobuf } from "./protobuf.ts";
import type { Random } from "./random.ts";

const side = 16;
/** Running larger images would test patience alone. */
const maximumSide = 64;

function run(opened: GraphModel): void {
  try {
    const sides = opened.input.sides ?? [side, side];
    const images = (): Tensor => zeros([1, 3, ...sides]);
    if (Math.max(...sides) <= maximumSide) scope(() => void inferenceMode(() => opened.eval().forward(images())));
  } finally {
    opened.dispose();
  }
}

// ---- ONNX

const onnxName = "model.onnx";
/** Large files are read slowly, and hold nothing that small ones do not. */
const maximumGraph = 12_000;
const maximumSeed = 100_000;

export const onnxFormat: Format = {
  name: "onnx",
  seeds: () => {
    const conv = { op: "Conv", inputs: ["image", "w"], outputs: ["c"] };
    const tail = [
      { op: "Relu", inputs: ["c"], outputs: ["r"] },
      { op: "GlobalAveragePool", inputs: ["r"], outputs: ["p"] },
      { op: "Reshape", inputs: ["p", "shape"] },
    ];
    const small = model({
      nodes: [conv, ...tail],
      initializers: [floats("w", [2, 3, 1, 1], [1, 2, 3, 4, 5, 6]), ints("shape", [-1, 2])],
    });
    const names = networkNames().filter((name) => fileSize(name) <= maximumGraph);
    // Their weights take far longer to make than all the cases of a test.
    const few = names.filter((name) => 4 * weightsOf(name) < maximumSeed);
    const networks = few.map((name) => Buffer.from(networkBytes(name)));
    return [Buffer.from(toBinary(ModelProtoSchema, small)), ...networks]
      .filter((bytes) => bytes.length < maximumSeed)
      .map((bytes) => new Map([[onnxName, bytes]]));
  },
  mutate: (random, files, other) => {
    const bytes = contentOf(files, onnxName);
    const changed = random.chance(0.8)
      ? mutateProtobuf(random, bytes)
      : mutateBytes(random, bytes, contentOf(other, onnxName));
    return new Map([[onnxName, changed]]);
  },
  open: (path) => run(openOnnx(path, { size: side })),
};

// ---- TensorFlow.js

const modelName = "model.json";
const shardName = "shard.bin";

interface Weight {
  name: string;
  shape: number[];
  dtype: string;
}

function tfjsFiles(json: object, weights: Weight[], integers: number[] = []): Files {
  const sizes = weights.map(({ shape }) => 4 * shape.reduce((product, size) => product * size, 1));
  const shard = Buffer.alloc(sizes.reduce((total, size) => total + size, 0));
  for (let at = 0; at < shard.length; at += 4) shard.writeFloatLE(0.5, at);
  for (const [i, value] of integers.entries()) shard.writeInt32LE(value, shard.length - 4 * (integers.length - i));
  const whole = { ...json, weightsManifest: [{ paths: [shardName], weights }] };
  return new Map([
    [modelName, Buffer.from(JSON.stringify(whole))],
    [shardName, shard],
  ]);
}

function graphSeed(): Files {
  const type = { type: "DT_FLOAT" };
  const text = (value: string) => ({ s: Buffer.from(value).toString("base64") });
  const list = (...values: number[]) => ({ list: { i: values.map(String) } });
  const shape = { shape: { dim: ["-1", "8", "8", "3"].map((size) => ({ size })) } };
  const constant = (name: string, kind = "DT_FLOAT") => ({ name, op: "Const", attr: { dtype: { type: kind } } });
  const windows = {
    strides: list(1, 1, 1, 1),
    dilations: list(1, 1, 1, 1),
    padding: text("SAME"),
    data_format: text("NHWC"),
  };
  const statistics = ["gamma", "beta", "mean", "variance"];
  const node = [
    { name: "x", op: "Placeholder", attr: { dtype: type, shape } },
    ...["kernel", ...statistics, "depthwise", "matrix"].map((name) => constant(name)),
    constant("axes", "DT_INT32"),
    { name: "conv", op: "Conv2D", input: ["x", "kernel"], attr: windows },
    {
      name: "norm",
      op: "FusedBatchNormV3",
      input: ["conv", ...statistics],
      attr: { epsilon: { f: 0.001 }, is_training: { b: false } },
    },
    { name: "relu", op: "Relu6", input: ["norm"], attr: { T: type } },
    { name: "deep", op: "DepthwiseConv2dNative", input: ["relu", "depthwise"], attr: windows },
    { name: "pool", op: "MaxPool", input: ["deep"], attr: { ...windows, ksize: list(1, 2, 2, 1) } },
    { name: "mean", op: "Mean", input: ["pool", "axes"], attr: { keep_dims: { b: false } } },
    { name: "scores", op: "MatMul", input: ["mean", "matrix"], attr: { T: type } },
  ];
  const weights: Weight[] = [
    { name: "kernel", shape: [3, 3, 3, 4], dtype: "float32" },
    ...statistics.map((name) => ({ name, shape: [4], dtype: "float32" })),
    { name: "depthwise", shape: [3, 3, 4, 1], dtype: "float32" },
    { name: "matrix", shape: [4, 2], dtype: "float32" },
    { name: "axes", shape: [2], dtype: "int32" },
  ];
  return tfjsFiles({ format: "graph-model", modelTopology: { node } }, weights, [1, 2]);
}

function layersSeed(): Files {
  const layer = (class_name: string, name: string, config: object = {}) => ({
    class_name,
    config: { name, ...config },
  });
  const windows = {
    kernel_size: [3, 3],
    strides: [1, 1],
    padding: "same",
    data_format: "channels_last",
    use_bias: false,
  };
  const layers = [
    layer("InputLayer", "x", { batch_input_shape: [null, 8, 8, 3], dtype: "float32" }),
    layer("Conv2D", "conv", { ...windows, filters: 4, activation: "linear" }),
    layer("BatchNormalization", "norm", { axis: -1, epsilon: 0.001, center: true, scale: true }),
    layer("Activation", "relu", { activation: "relu" }),
    layer("DepthwiseConv2D", "deep", { ...windows, depth_multiplier: 1 }),
    layer("MaxPooling2D", "pool", { pool_size: [2, 2], strides: [2, 2], padding: "valid" }),
    layer("GlobalAveragePooling2D", "mean"),
    layer("Dense", "scores", { units: 2, activation: "softmax", use_bias: true }),
  ];
  const weights: Weight[] = [
    { name: "conv/kernel", shape: [3, 3, 3, 4], dtype: "float32" },
    ...["gamma", "beta", "moving_mean", "moving_variance"].map((name) => ({
      name: `norm/${name}`,
      shape: [4],
      dtype: "float32",
    })),
    { name: "deep/depthwise_kernel", shape: [3, 3, 4, 1], dtype: "float32" },
    { name: "scores/kernel", shape: [4, 2], dtype: "float32" },
    { name: "scores/bias", shape: [2], dtype: "float32" },
  ];
  const topology = { class_name: "Sequential", config: { name: "chain", layers } };
  return tfjsFiles({ format: "layers-model", modelTopology: topology }, weights);
}

function mutateTfjs(random: Random, files: Files, other: Files): Files {
  const name = random.chance(0.15) ? shardName : modelName;
  const bytes = contentOf(files, name);
  if (name === shardName || random.chance(0.1)) {
    return withFile(files, name, mutateBytes(random, bytes, contentOf(other, name)));
  }
  return withFile(files, name, Buffer.from(mutateJson(random, bytes.toString())));
}

export const tfjsFormat: Format = {
  name: "tfjs",
  seeds: () => [graphSeed(), layersSeed()],
  mutate: mutateTfjs,
  open: (path) => run(openTfjs(path, { size: side })),
};

/**
 * Training steps of a ResNet of basic blocks in TensorFlow.js, written with its operators: the other side of bench/tfjs-step.ts.
 * Weights have torchvision's names.
 */
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import type * as core from "@tensorflow/tfjs-core";

type Tf = typeof core;

/** Weights in PyTorch's order of dimensions, and BatchNorm's vectors. */
export type Weights = ReadonlyMap<string, { values: Float32Array; shape: readonly number[] }>;

/**
 * TensorFlow.js with its WebAssembly backend, from a folder in which the user has installed @tensorflow/tfjs and
 * @tensorflow/tfjs-backend-wasm: the parts that this project's tests use have no gradients.
 */
export async function loadTfjs(folder: string): Promise<Tf> {
  const require = createRequire(join(resolve(folder), "index.js"));
  const tf = require("@tensorflow/tfjs") as Tf;
  const wasm = require("@tensorflow/tfjs-backend-wasm") as typeof import("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  await tf.setBackend("wasm");
  addFilterGradient(tf);
  return tf;
}

/** The gradient of filters, which this backend lacks: a convolution of the images by the gradients. */
function addFilterGradient(tf: Tf): void {
  tf.registerKernel({
    kernelName: "Conv2DBackpropFilter",
    backendName: "wasm",
    kernelFunc: ({ inputs, attrs }) => {
      const { x, dy } = inputs as { x: core.Tensor4D; dy: core.Tensor4D };
      const { strides, pad, filterShape } = attrs as unknown as {
        strides: number | [number, number];
        pad: number;
        filterShape: [number, number, number, number];
      };
      return tf.tidy(() => {
        const images = tf.transpose(x, [3, 1, 2, 0]);
        const gradients = tf.transpose(dy, [1, 2, 0, 3]);
        const all = tf.conv2d(images, gradients as core.Tensor4D, 1, pad, "NHWC", strides, "floor");
        const [height, width, inputs, outputs] = filterShape;
        return tf.transpose(tf.slice(all, [0, 0, 0, 0], [inputs, height, width, outputs]), [1, 2, 0, 3]);
      });
    },
  });
}

/** A step of training: its loss. @param layers blocks of each stage @param images [B, H, W, 3] */
export function tfjsStep(
  tf: Tf,
  weights: Weights,
  { layers, stride, lr, momentum }: { layers: readonly number[]; stride: number; lr: number; momentum: number },
  batch: { images: Float32Array; shape: [number, number, number, number]; targets: Int32Array; classes: number },
): () => number {
  const variables = new Map(
    [...weights].map(([name, { values, shape }]) => {
      const given = tf.tensor(values, [...shape]);
      return [name, tf.variable(shape.length === 4 ? tf.transpose(given, [2, 3, 1, 0]) : given)];
    }),
  );
  const variable = (name: string) => variables.get(name) as core.Variable;
  const images = tf.tensor4d(batch.images, batch.shape);
  const targets = tf.oneHot(tf.tensor1d(batch.targets, "int32"), batch.classes);
  const conv = (x: core.Tensor4D, name: string, stride: number): core.Tensor4D => {
    const filter = variable(`${name}.weight`) as core.Tensor as core.Tensor4D;
    return tf.conv2d(x, filter, stride, Math.floor((filter.shape[0] as number) / 2), "NHWC", 1, "floor");
  };
  const norm = (x: core.Tensor4D, name: string): core.Tensor4D => {
    const { mean, variance } = tf.moments(x, [0, 1, 2]);
    const [offset, scale] = [variable(`${name}.bias`), variable(`${name}.weight`)] as unknown as core.Tensor1D[];
    return tf.batchNorm4d(x, mean as core.Tensor1D, variance as core.Tensor1D, offset, scale, 1e-5);
  };
  const block = (x: core.Tensor4D, name: string, stride: number): core.Tensor4D => {
    const hidden = tf.relu(norm(conv(x, `${name}.conv1`, stride), `${name}.bn1`));
    const y = norm(conv(hidden, `${name}.conv2`, 1), `${name}.bn2`);
    const shortcut = variables.has(`${name}.downsample.0.weight`)
      ? norm(conv(x, `${name}.downsample.0`, stride), `${name}.downsample.1`)
      : x;
    return tf.relu(tf.add(y, shortcut));
  };
  const loss = (): core.Scalar => {
    let x = tf.relu(norm(conv(images, "conv1", stride), "bn1"));
    for (const [stage, blocks] of layers.entries())
      for (let i = 0; i < blocks; i++) x = block(x, `layer${stage + 1}.${i}`, stage > 0 && i === 0 ? 2 : 1);
    const head = tf.transpose(variable("head.weight")) as core.Tensor2D;
    const logits = tf.add(tf.matMul(tf.mean(x, [1, 2]) as core.Tensor2D, head), variable("head.bias"));
    return tf.losses.softmaxCrossEntropy(targets, logits);
  };
  const optimizer = tf.train.momentum(lr, momentum);
  return () => {
    const value = tf.tidy(() => optimizer.minimize(loss, true, [...variables.values()]) as core.Scalar);
    const [read] = value.dataSync();
    value.dispose();
    return read as number;
  };
}

/** TensorFlow.js layers, class by class, against tfjs-layers on the same file and image. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { openTfjs, readTfjsWeights } from "../../../src/graphs/tfjs/index.ts";
import { noGrad, scope, type Tensor } from "../../../src/torch/index.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { type Body, on, type SymbolicTensor, spread } from "../../fixtures/tfjs/layers-builder.ts";
import {
  core,
  images,
  layers as K,
  runLayers,
  saveLayers,
  temporaryFolder,
  writeModel,
} from "../../fixtures/tfjs/oracle.ts";
import { assertClose } from "../../support/numeric.ts";

const { layers: L } = K;
const folder = temporaryFolder();
after(folder.remove);
let models = 0;

interface Options {
  shape?: [number, number, number];
  layout?: "NHWC" | "NCHW";
  shards?: number;
  /** Said in the file, where TensorFlow.js saves a layer without it and then cannot load its own file. */
  said?: Readonly<Record<string, unknown>>;
}

/** A model of one body; whatever it gives is laid out in one row, so that every number is compared. */
async function saved(body: Body, { shape = [9, 9, 3], shards = 1, said }: Options = {}): Promise<string> {
  const input = K.input({ shape });
  const output = body(input);
  const row = on(L.reshape({ targetShape: [-1], name: "row" }), output);
  const model = spread(K.model({ inputs: input, outputs: row }));
  const path = await saveLayers(folder.path, `model${models++}`, model, shards);
  if (said) say(path, said);
  return path;
}

/** Adds to the configuration of every layer. */
function say(path: string, said: object): void {
  const json = JSON.parse(readFileSync(path, "utf8")) as {
    modelTopology: { config: { layers: { config: object }[] } };
  };
  for (const layer of json.modelTopology.config.layers) Object.assign(layer.config, said);
  writeFileSync(path, JSON.stringify(json));
}

async function agrees(body: Body, options: Options = {}): Promise<void> {
  const { shape = [9, 9, 3], layout = "NHWC" } = options;
  const path = await saved(body, options);
  using x = seeded("image", layout === "NHWC" ? [2, 3, shape[0], shape[1]] : [2, ...shape], "float32");
  const expected = await runLayers(path, x, undefined, layout);
  using opened = openTfjs(path, { features: "row" });
  opened.eval();
  assert.equal(opened.input.layout, layout);
  scope(() =>
    noGrad(() => {
      const features = opened.forward(x);
      assert.deepEqual([...features.shape], expected.shape, String(body));
      assertClose(features, [...expected.values], 1e-5, String(body));
    }),
  );
}

/** Two bodies that give the same; weights are drawn by the names of layers. */
async function same(one: Body, other: Body): Promise<void> {
  using x = seeded("image", [2, 3, 9, 9], "float32");
  using first = openTfjs(await saved(one), { features: "row" }).eval();
  using second = openTfjs(await saved(other), { features: "row" }).eval();
  scope(() => noGrad(() => assertClose(first.forward(x), second.forward(x), 1e-6)));
}

describe("layers of TensorFlow.js", () => {
  it("convolve with every padding, stride, dilation and even kernels", async () => {
    const kernels: [number | [number, number], number | [number, number], number][] = [
      [3, 1, 1],
      [3, 2, 1],
      [2, 2, 1],
      [2, 1, 1],
      [4, 3, 1],
      [3, 1, 2],
      [1, 2, 1],
      [[3, 5], [2, 1], 1],
    ];
    for (const size of [8, 9]) {
      for (const [kernelSize, strides, dilationRate] of kernels) {
        for (const padding of ["valid", "same"] as const) {
          const config = { filters: 4, kernelSize, strides, dilationRate, padding };
          await agrees((x) => on(L.conv2d(config), x), { shape: [size, size, 3] });
        }
      }
    }
  });

  it("convolve each channel for itself, with multipliers, and in two steps", async () => {
    for (const padding of ["valid", "same"] as const) {
      for (const strides of [1, 2]) {
        await agrees((x) => on(L.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, strides, padding }), x));
        const config = { filters: 5, kernelSize: 3, depthMultiplier: 2, strides, padding, activation: "relu" } as const;
        await agrees((x) => on(L.separableConv2d(config), x), { shape: [8, 8, 3], said: { depth_multiplier: 2 } });
      }
      await agrees((x) => on(L.separableConv2d({ filters: 5, kernelSize: 3, dilationRate: 2, padding }), x));
    }
    // TensorFlow.js' layer leaves the dilation out, which its operator has.
    for (const padding of ["valid", "same"] as const) {
      const path = await saved((x) =>
        on(L.depthwiseConv2d({ kernelSize: 3, dilationRate: 2, padding, name: "dw" }), x),
      );
      using x = seeded("image", [2, 3, 9, 9], "float32");
      const stored = readTfjsWeights(path);
      const [kernel, bias] = ["dw/depthwise_kernel", "dw/bias"].map((name) => {
        const weight = stored.get(name) as Tensor;
        return core.tensor(weight.toNumbers(), [...weight.shape]);
      });
      const given = images(x, "NHWC") as import("@tensorflow/tfjs-core").Tensor4D;
      const expected = core.add(core.depthwiseConv2d(given, kernel as never, 1, padding, "NHWC", 2), bias as never);
      using model = openTfjs(path, { features: "row" }).eval();
      scope(() => noGrad(() => assertClose(model.forward(x), [...expected.dataSync()], 1e-5, padding)));
      for (const weight of stored.values()) weight.dispose();
    }
  });

  it("convolve backwards: overlapping, touching and apart", async () => {
    for (const [kernelSize, strides] of [
      [3, 2],
      [2, 2],
      [4, 2],
      [3, 1],
      [2, 3],
    ] as const) {
      for (const padding of ["valid", "same"] as const) {
        const config = { filters: 4, kernelSize, strides, padding };
        await agrees((x) => on(L.conv2dTranspose(config), x), { shape: [5, 5, 3] });
      }
    }
  });

  it("pool with padding that no average counts", async () => {
    for (const padding of ["valid", "same"] as const) {
      for (const [poolSize, strides] of [
        [2, 2],
        [3, 2],
        [3, 1],
        [2, 1],
      ] as const) {
        await agrees((x) => on(L.maxPooling2d({ poolSize, strides, padding }), x), { shape: [8, 8, 3] });
        await agrees((x) => on(L.averagePooling2d({ poolSize, strides, padding }), x), { shape: [8, 8, 3] });
      }
    }
    await agrees((x) => on(L.globalAveragePooling2d({}), x));
    await agrees((x) => on(L.globalMaxPooling2d({}), x));
  });

  it("have every activation, as layers and inside others", async () => {
    const names = "linear relu relu6 elu selu sigmoid hardSigmoid softplus softsign tanh softmax swish mish gelu";
    for (const activation of names.split(" ")) {
      await agrees((x) => on(L.activation({ activation: activation as "relu" }), x), { shape: [4, 4, 3] });
    }
    await agrees((x) => on(L.conv2d({ filters: 3, kernelSize: 2, activation: "selu" }), x));
    await agrees((x) => on(L.reLU({ maxValue: 0.4 }), x));
    await agrees((x) => on(L.reLU({}), x));
    await agrees((x) => on(L.leakyReLU({ alpha: 0.1 }), x));
    await agrees((x) => on(L.prelu({}), x));
    await agrees((x) => on(L.prelu({ sharedAxes: [1, 2] }), x));
    await agrees((x) => on(L.elu({}), x));
    await agrees((x) => on(L.thresholdedReLU({ theta: 0.2 }), x));
    await agrees((x) => on(L.softmax({ axis: -1 }), x));
    // TensorFlow.js only has the last axis: turned images say what another one gives.
    const turned = (x: SymbolicTensor): SymbolicTensor => on(L.permute({ dims: [1, 3, 2] }), x);
    await same(
      (x) => on(L.softmax({ axis: 2 }), x),
      (x) => turned(on(L.softmax({ axis: -1 }), turned(x))),
    );
  });

  it("normalise, with and without scale and centre", async () => {
    for (const [center, scale] of [
      [true, true],
      [false, true],
      [true, false],
    ] as const) {
      await agrees((x) => on(L.batchNormalization({ center, scale, epsilon: 0.01 }), x));
    }
    // On the first axis of images TensorFlow.js normalises wrongly: turned images say what is right.
    const turned = (x: SymbolicTensor): SymbolicTensor => on(L.permute({ dims: [3, 2, 1] }), x);
    await same(
      (x) => on(L.batchNormalization({ axis: 1, name: "norm" }), x),
      (x) => turned(on(L.batchNormalization({ axis: 3, name: "norm" }), turned(x))),
    );
    await agrees((x) => on(L.batchNormalization({}), on(L.dense({ units: 4 }), on(L.flatten(), x))));
    await agrees((x) => on(L.layerNormalization({}), x));
    await agrees((x) => on(L.layerNormalization({ axis: [2, 3], center: false }), x));
  });

  it("reshape, pad, crop and enlarge", async () => {
    await agrees((x) => on(L.flatten(), x));
    await agrees((x) => on(L.reshape({ targetShape: [27, -1] }), x));
    await agrees((x) => on(L.permute({ dims: [3, 1, 2] }), x));
    await agrees((x) => on(L.repeatVector({ n: 3 }), on(L.flatten(), x)));
    await agrees((x) => on(L.zeroPadding2d({ padding: 2 }), x));
    await agrees((x) =>
      on(
        L.zeroPadding2d({
          padding: [
            [0, 1],
            [2, 3],
          ],
        }),
        x,
      ),
    );
    await agrees((x) =>
      on(
        L.cropping2D({
          cropping: [
            [1, 2],
            [0, 3],
          ],
        }),
        x,
      ),
    );
    await agrees((x) => on(L.upSampling2d({ size: [2, 3] }), x));
    await agrees((x) => on(L.upSampling2d({ size: [2, 2], interpolation: "bilinear" }), x));
    await agrees((x) => on(L.rescaling({ scale: 1 / 127.5, offset: -1 }), x));
  });

  it("resize as Keras does where TensorFlow.js cannot run its own layer", async () => {
    using x = seeded("image", [2, 3, 9, 9], "float32");
    for (const [method, height, width] of [
      ["bilinear", 5, 7],
      ["bilinear", 12, 4],
      ["nearest", 5, 7],
      ["nearest", 20, 4],
    ] as const) {
      const batch_input_shape = [null, 9, 9, 3];
      const chain = [
        {
          class_name: "Resizing",
          config: { name: "resized", height, width, interpolation: method, batch_input_shape },
        },
        { class_name: "Reshape", config: { name: "row", target_shape: [-1] } },
      ];
      const modelTopology = { class_name: "Sequential", config: { name: "chain", layers: chain } };
      const path = writeModel(folder.path, `model${models++}`, { modelTopology, weights: [] });
      using model = openTfjs(path);
      const given = images(x, "NHWC") as import("@tensorflow/tfjs-core").Tensor4D;
      const resize = method === "nearest" ? core.image.resizeNearestNeighbor : core.image.resizeBilinear;
      const expected = resize(given, [height, width], false, true).dataSync();
      scope(() => noGrad(() => assertClose(model.forward(x), [...expected], 1e-6, `${method} ${height} x ${width}`)));
    }
  });

  it("merge branches, of fewer dimensions too", async () => {
    const branches = (x: SymbolicTensor): SymbolicTensor[] => [
      on(L.conv2d({ filters: 4, kernelSize: 1 }), x),
      on(L.conv2d({ filters: 4, kernelSize: 3, padding: "same" }), x),
      on(L.conv2d({ filters: 4, kernelSize: 1, activation: "relu" }), x),
    ];
    for (const layer of [L.add(), L.multiply(), L.average(), L.maximum(), L.minimum(), L.concatenate()]) {
      await agrees((x) => on(layer, branches(x)));
    }
    await agrees((x) => on(L.concatenate({ axis: 1 }), branches(x)));
    // Squeeze and excitation: [n, 4] scales [n, h, w, 4].
    await agrees((x) => {
      const [first = x] = branches(x);
      return on(L.multiply(), [first, on(L.dense({ units: 4 }), on(L.globalAveragePooling2d({}), first))]);
    });
  });

  it("multiply matrices in any number of dimensions", async () => {
    await agrees((x) => on(L.dense({ units: 5, activation: "sigmoid" }), x));
    await agrees((x) => on(L.dense({ units: 5, useBias: false }), on(L.flatten(), x)));
  });

  it("rest where they drop or disturb", async () => {
    for (const layer of [L.dropout({ rate: 0.5 }), L.gaussianNoise({ stddev: 1 }), L.alphaDropout({ rate: 0.5 })]) {
      await agrees((x) => on(layer, x), { shape: [4, 4, 3] });
    }
  });

  it("take images with the channels first", async () => {
    const dataFormat = "channelsFirst";
    const options: Options = { shape: [3, 9, 9], layout: "NCHW" };
    // TensorFlow.js' own "same" convolution is wrong for channels first, so only "valid" can be compared.
    await agrees((x) => on(L.conv2d({ filters: 4, kernelSize: 3, strides: 2, dataFormat }), x), options);
    await agrees((x) => on(L.maxPooling2d({ poolSize: 3, strides: 2, dataFormat }), x), options);
    await agrees((x) => on(L.flatten({ dataFormat }), x), options);
    await agrees((x) => on(L.upSampling2d({ size: [2, 2], dataFormat }), x), options);
    await agrees((x) => on(L.zeroPadding2d({ padding: [1, 2], dataFormat }), x), options);
    await agrees((x) => on(L.globalMaxPooling2d({ dataFormat }), x), options);
  });
});

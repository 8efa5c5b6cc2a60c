/** Whole TensorFlow.js models: stored weights, features, training, and what is refused. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openTfjs, readTfjsWeights } from "../../../src/graphs/tfjs/index.ts";
import { BatchNorm2d, setBatchNormPolicy } from "../../../src/nn/index.ts";
import {
  disposeTree,
  grad,
  inferenceMode,
  memory,
  noGrad,
  scope,
  type Tensor,
  UserError,
} from "../../../src/torch/index.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { attr, GraphBuilder } from "../../fixtures/tfjs/graph-builder.ts";
import {
  core,
  layers as K,
  quantise,
  runGraph,
  runLayers,
  type Stored,
  saveLayers,
  temporaryFolder,
  writeModel,
} from "../../fixtures/tfjs/oracle.ts";
import { assertClose, assertGradients, assertNoLeak } from "../../support/numeric.ts";

const folder = temporaryFolder();
after(folder.remove);
let models = 0;

const window = (stride: number) => ({
  strides: attr.ints([1, stride, stride, 1]),
  dilations: attr.ints([1, 1, 1, 1]),
  padding: attr.text("SAME"),
  data_format: attr.text("NHWC"),
});

/** Images in bytes' range, convolution, BatchNorm, a folded scale, pooling and a classifier of 3 classes. */
function classifier(): GraphBuilder {
  const g = new GraphBuilder([-1, 12, 12, 3]);
  g.node("centred", "Sub", ["x", g.constant("centre", [0.1, 0.2, 0.3])]);
  g.node("stem", "Conv2D", ["centred", g.weight("kernel", [3, 3, 3, 4], 0.4)], window(2));
  const statistics = [g.weight("gamma", [4], 0.2, 1), g.weight("beta", [4]), g.weight("mean", [4], 0.2)];
  g.node("norm", "FusedBatchNormV3", ["stem", ...statistics, g.weight("variance", [4], 0.3, 1)], {
    epsilon: attr.float(1e-3),
    data_format: attr.text("NHWC"),
    is_training: attr.bool(false),
  });
  g.node("active", "Relu6", ["norm"]);
  g.node("depthwise", "DepthwiseConv2dNative", ["active", g.weight("dw", [3, 3, 4, 2])], window(1));
  g.node("scaled", "Mul", ["depthwise", g.weight("scale", [8])]);
  g.node("shifted", "AddV2", ["scaled", g.weight("shift", [8])]);
  g.node("pooled", "Mean", ["shifted", g.ints("space", [1, 2])], { keep_dims: attr.bool(false) });
  g.node("logits", "MatMul", ["pooled", g.weight("matrix", [8, 3])]);
  g.node("biased", "BiasAdd", ["logits", g.weight("bias", [3])], { data_format: attr.text("NHWC") });
  g.node("scores", "Softmax", ["biased"]);
  return g;
}

function savedClassifier(shards = 1): string {
  return classifier().write(folder.path, `graph${models++}`, { shards });
}

async function savedLayers(shards = 1): Promise<string> {
  const model = K.sequential({
    layers: [
      K.layers.conv2d({ filters: 6, kernelSize: 3, strides: 2, padding: "same", inputShape: [12, 12, 3] }),
      K.layers.batchNormalization({}),
      K.layers.reLU({}),
      K.layers.globalAveragePooling2d({ name: "pooled" }),
      K.layers.dense({ units: 3 }),
    ],
  });
  model.setWeights(
    model.weights.map((weight, i) => {
      using values = seeded(`weight ${i}`, weight.shape as number[]);
      const shift = weight.originalName.endsWith("variance") ? 1.5 : 0;
      return core.tensor(
        values.toNumbers().map((value) => value * 0.5 + shift),
        weight.shape as number[],
      );
    }),
  );
  return saveLayers(folder.path, `layers${models++}`, model, shards);
}

describe("weights of TensorFlow.js models", () => {
  for (const dtype of ["uint8", "uint16", "float16"] as Stored[]) {
    it(`are restored from ${dtype} as TensorFlow.js does, over several shards`, async () => {
      using x = seeded("image", [3, 3, 12, 12], "float32");
      const graph = savedClassifier(3);
      quantise(graph, dtype);
      const layers = await savedLayers(4);
      quantise(layers, dtype);
      const exact = await runGraph(savedClassifier(), x, "scores");
      for (const [path, expected] of [
        [graph, await runGraph(graph, x, "scores")],
        [layers, await runLayers(layers, x)],
      ] as const) {
        using model = openTfjs(path).eval();
        scope(() => noGrad(() => assertClose(model.classify(x) as Tensor, [...expected.values], 1e-5, path)));
      }
      // Fewer bits are not the same numbers: what was compared above was really quantised.
      const rounded = await runGraph(graph, x, "scores");
      assert.notDeepEqual([...rounded.values], [...exact.values]);
    });
  }

  it("are read one by one, in TensorFlow's layouts, from a model or a bare manifest", () => {
    const weights = [
      { name: "kernel", shape: [2, 1, 3], dtype: "float32", values: [1, 2, 3, 4, 5, 6] },
      { name: "steps", shape: [3], dtype: "int32", values: [-1, 70000, 2] },
      { name: "mask", shape: [2], dtype: "bool", values: [1, 0] },
      { name: "bytes", shape: [2], dtype: "uint8", values: [255, 7] },
      { name: "scalar", shape: [], dtype: "float32", values: [0.5] },
      { name: "none", shape: [0, 4], dtype: "float32", values: [] },
      { name: "few bits", shape: [3], dtype: "float32", values: [0, 100, 255], quantization: q("uint8", 0.5, -10) },
      { name: "whole", shape: [3], dtype: "int32", values: [0, 3, 255], quantization: q("uint8", 1, -100) },
    ];
    const path = writeModel(folder.path, `weights${models++}`, { modelTopology: {}, weights, shards: 5 });
    const manifest = join(path, "..", "weights_manifest.json");
    const { weightsManifest } = JSON.parse(readFileSync(path, "utf8")) as { weightsManifest: unknown };
    writeFileSync(manifest, JSON.stringify(weightsManifest));
    for (const file of [path, manifest]) {
      const read = readTfjsWeights(file);
      const plain = [...read].map(([name, tensor]) => [name, tensor.dtype, tensor.shape, tensor.toNumbers()]);
      disposeTree(read);
      assert.deepEqual(plain, [
        ["kernel", "float32", [2, 1, 3], [1, 2, 3, 4, 5, 6]],
        ["steps", "int32", [3], [-1, 70000, 2]],
        ["mask", "bool", [2], [1, 0]],
        ["bytes", "uint8", [2], [255, 7]],
        ["scalar", "float32", [], [0.5]],
        ["none", "float32", [0, 4], []],
        ["few bits", "float32", [3], [-10, 40, 117.5]],
        ["whole", "int32", [3], [-100, -97, 155]],
      ]);
    }
  });
});

describe("graph models", () => {
  it("give pooled features before the classifier, and scores, for batches of any number", async () => {
    const path = savedClassifier(2);
    using model = openTfjs(path).eval();
    assert.equal(model.featuresName, "pooled");
    assert.equal(model.featureWidth, 8);
    assert.equal(model.candidates[0], "pooled");
    assert.ok(model.candidates.includes("shifted"));
    assert.deepEqual(model.input, { name: "x", layout: "NHWC", channels: 3, sides: [12, 12] });
    assert.equal(model.files.length, 3);
    for (const n of [1, 2, 5]) {
      using x = seeded("image", [n, 3, 12, 12], "float32");
      const [features, scores] = [await runGraph(path, x, "pooled"), await runGraph(path, x, "scores")];
      scope(() =>
        noGrad(() => {
          assert.deepEqual(model.forward(x).shape, [n, 8]);
          assertClose(model.forward(x), [...features.values], 1e-5);
          assertClose(model.classify(x) as Tensor, [...scores.values], 1e-5);
        }),
      );
    }
  });

  it("average a map that was asked for by name, and name the candidates for one that is not there", async () => {
    const path = savedClassifier();
    using x = seeded("image", [2, 3, 12, 12], "float32");
    const pooled = await runGraph(path, x, "pooled");
    using model = openTfjs(path, { features: "shifted" }).eval();
    scope(() => noGrad(() => assertClose(model.forward(x), [...pooled.values], 1e-5)));
    for (const wish of ["nothing", "x", "kernel"]) {
      assert.throws(
        () => openTfjs(path, { features: wish }),
        (error) => error instanceof UserError && /no node makes such a tensor.*"pooled"/.test(error.message),
      );
    }
  });

  it("train weights but not what prepares the images, and have BatchNorm layers that follow a policy", () => {
    using model = openTfjs(savedClassifier());
    const names = [...model.namedParameters().keys()].sort();
    assert.deepEqual(names, ["bias", "dw", "kernel", "matrix", "norm.bias", "norm.weight", "scale", "shift"]);
    assert.ok(model.stateDict().has("centre"));
    assert.deepEqual(model.namedParameters().get("dw")?.shape, [8, 1, 3, 3]);
    const [norm, ...more] = model.modules().filter((part) => part instanceof BatchNorm2d);
    assert.equal(more.length, 0);
    using x = seeded("image", [8, 3, 12, 12], "float32");
    const before = norm?.running_mean.toNumbers();
    setBatchNormPolicy(model, "running");
    scope(() => void model.forward(x));
    assert.deepEqual(norm?.running_mean.toNumbers(), before);
    setBatchNormPolicy(model, "batch");
    scope(() => void model.forward(x));
    assert.notDeepEqual(norm?.running_mean.toNumbers(), before);
  });

  it("have the gradients that finite differences give, for every parameter", () => {
    using model = openTfjs(savedClassifier());
    model.eval().to({ dtype: "float64" });
    using x = seeded("image", [2, 3, 12, 12]);
    using mix = seeded("mix", [2, 3]);
    const loss = (): Tensor => (model.classify(x) as Tensor).mul(mix).sum();
    const named = model.namedParameters();
    scope(() => {
      const gradients = grad([loss()], [...named.values()]);
      for (const [k, [name, parameter]] of [...named].entries()) {
        const exact = gradients[k]?.contiguous().toNumbers() ?? [];
        const values = Float64Array.from(parameter.contiguous().toNumbers());
        for (const i of [0, Math.floor(values.length / 2), values.length - 1]) {
          const at = (shift: number): number => {
            const moved = values.slice();
            moved[i] = (moved[i] ?? 0) + shift;
            return scope(() =>
              noGrad(() => {
                parameter.copyFrom(moved);
                return loss().item();
              }),
            );
          };
          const numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
          at(0);
          assert.ok(Math.abs((exact[i] ?? Number.NaN) - numeric) < 1e-8, `${name}[${i}]: ${exact[i]} and ${numeric}`);
        }
      }
    });
  });

  it("leave away what they cannot run behind the features, and list all of it where it is asked for", () => {
    const g = classifier();
    g.node("sorted", "TopKV2", ["scores", g.ints("k", [2], [])]);
    g.node("kept", "NonMaxSuppressionV3", ["sorted"]);
    g.node("kept_too", "NonMaxSuppressionV3", ["sorted"]);
    const path = g.write(folder.path, `graph${models++}`);
    assert.throws(() => openTfjs(path, { features: "kept" }), /not supported: NonMaxSuppressionV3, TopKV2$/);
    using model = openTfjs(path);
    assert.equal(model.featuresName, "pooled");
    assert.match(model.notes.join(), /^left away: the outputs "kept", "kept_too" and what only they need .*TopKV2/);
  });

  it("are cut at the signature's outputs, unsupported operators behind them included", async () => {
    const g = classifier();
    g.node("sorted", "TopKV2", ["scores", g.ints("k", [2], [])]);
    const signature = {
      inputs: { x: { name: "x:0" } },
      outputs: { pooled: { name: "pooled:0" } },
    };
    const path = g.write(folder.path, `graph${models++}`, { signature });
    using x = seeded("image", [2, 3, 12, 12], "float32");
    const pooled = await runGraph(path, x, "pooled");
    using model = openTfjs(path).eval();
    scope(() => noGrad(() => assertClose(model.forward(x), [...pooled.values], 1e-5)));
  });

  it("take any number of images where they are made for one: rewritten, or else one by one", async () => {
    const conv = (g: GraphBuilder, x: string): string =>
      g.node("conv", "Conv2D", [x, g.weight("kernel", [3, 3, 3, 4])], {
        ...window(2),
      });
    const up = (g: GraphBuilder): string =>
      g.node("up", "Conv2DBackpropInput", [g.ints("size", [1, 8, 8, 5]), g.weight("deconv", [2, 2, 5, 4]), "conv"], {
        strides: attr.ints([1, 2, 2, 1]),
        padding: attr.text("SAME"),
      });
    const rewritten = new GraphBuilder();
    conv(rewritten, "x");
    up(rewritten);
    rewritten.node("rows", "Reshape", ["up", rewritten.ints("flat", [1, 64, 5])]);
    rewritten.weight("token", [1, 1, 5]);
    rewritten.node("tokens", "ConcatV2", ["token", "rows", rewritten.ints("axis", [1], [])]);
    rewritten.node("mixed", "Reshape", ["tokens", rewritten.ints("vector", [1, 325])]);
    rewritten.node("y", "MatMul", ["mixed", rewritten.weight("matrix", [325, 3])]);
    const single = new GraphBuilder();
    single.node("first", "StridedSlice", ["x", ...[[0], [1], [1]].map((at, i) => single.ints(`at${i}`, at))], {
      shrink_axis_mask: attr.int(1),
    });
    single.node("again", "ExpandDims", ["first", single.ints("axis", [0], [])]);
    conv(single, "again");
    single.node("pooled", "Mean", ["conv", single.ints("axes", [1, 2])]);
    single.node("y", "MatMul", ["pooled", single.weight("matrix", [4, 3])]);
    for (const [g, features, oneByOne] of [
      [rewritten, "mixed", false],
      [single, "pooled", true],
    ] as const) {
      const path = g.write(folder.path, `graph${models++}`);
      using x = seeded("image", [3, 3, 8, 8], "float32");
      using model = openTfjs(path).eval();
      assert.equal(model.featuresName, features);
      assert.equal(
        model.notes.some((note) => /one by one/.test(note)),
        oneByOne,
      );
      for (let i = 0; i < 3; i++) {
        using image = x.narrow(0, i, 1);
        const [expected, scores] = [await runGraph(path, image, features), await runGraph(path, image, "y")];
        scope(() =>
          noGrad(() => {
            assertClose(model.forward(x).narrow(0, i, 1), [...expected.values], 1e-5);
            assertClose((model.classify(x) as Tensor).narrow(0, i, 1), [...scores.values], 1e-5);
          }),
        );
      }
      model.to({ dtype: "float64" });
      using images = seeded("image", [2, 3, 8, 8]);
      using mix = seeded("mix", [2, 3]);
      assertGradients(() => (model.classify(images) as Tensor).mul(mix).sum(), model.parameters(), 1e-6);
    }
  });

  it("leave nothing behind", () => {
    const path = savedClassifier();
    using x = seeded("image", [2, 3, 12, 12], "float32");
    assertNoLeak(() => {
      using model = openTfjs(path);
      scope(() => {
        model.forward(x).sum().backward();
        model.classify(x);
      });
    });
    using model = openTfjs(path).eval();
    const { bytes } = memory();
    for (let i = 0; i < 3; i++) scope(() => void inferenceMode(() => model.forward(x)));
    assert.equal(memory().bytes, bytes);
  });
});

function q(dtype: string, scale: number, min: number): { dtype: string; scale: number; min: number } {
  return { dtype, scale, min };
}

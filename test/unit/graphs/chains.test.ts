/** Convolutions that run together with what follows them, against tfjs-converter, finite differences, and counts of operators. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openOnnx } from "../../../src/graphs/index.ts";
import { openTfjs } from "../../../src/graphs/tfjs/index.ts";
import { BatchNorm2d, FoldedNorms } from "../../../src/nn/index.ts";
import { inferenceMode, memory, noGrad, scope, standIn, type Tensor } from "../../../src/torch/index.ts";
import { floats, model } from "../../fixtures/onnx/builder.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { attr, GraphBuilder } from "../../fixtures/tfjs/graph-builder.ts";
import { runGraph, temporaryFolder } from "../../fixtures/tfjs/oracle.ts";
import { called } from "../../support/calls.ts";
import { assertClose } from "../../support/numeric.ts";
import { weights, workplace } from "../../support/onnx-agreement.ts";

const folder = temporaryFolder();
after(folder.remove);

const windowed = {
  strides: attr.ints([1, 1, 1, 1]),
  dilations: attr.ints([1, 1, 1, 1]),
  padding: attr.text("SAME"),
  data_format: attr.text("NHWC"),
};

/** Three chains: with a bias, scale, shift and activation; of single channels with a norm; and one that has all in its own step. */
function chains(): GraphBuilder {
  const g = new GraphBuilder();
  const first = g.node("first", "Conv2D", ["x", g.weight("kernel", [3, 3, 3, 4])], windowed);
  const biased = g.node("biased", "BiasAdd", [first, g.weight("bias", [4])], { data_format: attr.text("NHWC") });
  const scaled = g.node("scaled", "Mul", [g.weight("scale", [4], 1, 1.5), biased]);
  const shifted = g.node("shifted", "AddV2", [scaled, g.weight("shift", [4])]);
  const rectified = g.node("rectified", "Relu6", [shifted]);
  const deep = g.node("deep", "DepthwiseConv2dNative", [rectified, g.weight("deep_kernel", [3, 3, 4, 1])], windowed);
  const statistics = [g.weight("gamma", [4], 1, 1), g.weight("beta", [4]), g.weight("mean", [4])];
  const norm = { epsilon: attr.float(0.01), data_format: attr.text("NHWC"), is_training: attr.bool(false) };
  const normed = g.node("normed", "FusedBatchNormV3", [deep, ...statistics, g.weight("variance", [4], 0.4, 1)], norm);
  const own = [g.weight("own_kernel", [1, 1, 4, 5]), g.weight("own_bias", [5])];
  const fused = { ...windowed, fused_ops: attr.texts(["BiasAdd", "Relu"]), num_args: attr.int(1) };
  const last = g.node("last", "_FusedConv2D", [g.node("positive", "Relu", [normed]), ...own], fused);
  g.node("features", "Mean", [last, g.ints("pixels", [1, 2])]);
  return g;
}

function open(name: string) {
  const path = chains().write(folder.path, name);
  return { path, model: openTfjs(path, { features: "features" }).eval() };
}

const computing = (fn: () => void): string[] =>
  called(fn).filter((name) => /conv|norm|relu|hardtanh|mul|add/.test(name));

test("without gradients a chain is one operator, and gives what tfjs gives", async () => {
  const { path, model } = open("folded");
  using x = seeded("image", [2, 3, 8, 8], "float32");
  const expected = await runGraph(path, x, "features");
  const { handles } = memory();
  const folds = new FoldedNorms();
  const run = (): void => scope(() => assertClose(model.forward(x), [...expected.values], 1e-5));
  noGrad(run);
  inferenceMode(() => folds.run(run));
  const names = computing(() => inferenceMode(() => folds.run(() => scope(() => void model.forward(x)))));
  assert.deepEqual(names, new Array(3).fill("mkldnn::_convolution_pointwise"));
  // Statistics of the batch are computed layer by layer.
  for (const part of model.modules()) if (part instanceof BatchNorm2d) part.train();
  const trained = computing(() => inferenceMode(() => folds.run(() => scope(() => void model.forward(x)))));
  assert.deepEqual(
    trained.filter((name) => /norm|pointwise/.test(name)),
    ["mkldnn::_convolution_pointwise", "aten::batch_norm", "mkldnn::_convolution_pointwise"],
  );
  folds.dispose();
  assert.equal(memory().handles, handles, "live handles");
  model.dispose();
});

test("an ONNX convolution is one operator with its activation and a short bias that is not trained", () => {
  const nodes = [
    // No gradient passes it.
    { op: "Round", inputs: ["given"], outputs: ["b"] },
    { op: "Conv", inputs: ["image", "w", "b"], outputs: ["c"] },
    { op: "Relu", inputs: ["c"], outputs: ["r"] },
    { op: "GlobalAveragePool", inputs: ["r"], outputs: ["p"] },
    { op: "Flatten", inputs: ["p"], outputs: ["features"] },
  ];
  const initializers = [weights("w", [4, 3, 3, 3]), floats("given", [4], [0.6, 1.2, -3, 2])];
  const bytes = model({ nodes, initializers, outputs: ["features"] });
  using opened = openOnnx(workplace.write(bytes), { size: 8 });
  opened.eval();
  using x = seeded("image", [2, 3, 8, 8], "float32");
  using folds = new FoldedNorms();
  scope(() => {
    const plain = noGrad(() => opened.forward(x));
    const folded = (): void => {
      inferenceMode(() => folds.run(() => assertClose(opened.forward(x), plain.toNumbers(), 1e-5)));
    };
    folded();
    assert.deepEqual(computing(folded), ["mkldnn::_convolution_pointwise"]);
  });
});

test("a value that two steps read, or that is wanted, is not taken in", async () => {
  const g = chains();
  g.node("beside", "Mean", ["biased", g.ints("rows", [1, 2])]);
  g.node("both", "ConcatV2", ["features", "beside", g.ints("axis", [1], [])]);
  const path = g.write(folder.path, "two-readers");
  using x = seeded("image", [2, 3, 8, 8], "float32");
  const expected = await runGraph(path, x, "both");
  using model = openTfjs(path, { features: "both" }).eval();
  using folds = new FoldedNorms();
  const names = computing(() => {
    inferenceMode(() => folds.run(() => scope(() => assertClose(model.forward(x), [...expected.values], 1e-5))));
  });
  assert.ok(names.includes("aten::hardtanh"), "the first chain ends where its value is read twice");
  using inner = openTfjs(path, { features: "shifted" }).eval();
  const map = await runGraph(path, x, "shifted");
  inferenceMode(() =>
    folds.run(() =>
      scope(() => {
        const channels = 4;
        const means = Array.from({ length: 2 * channels }, (_, i) => {
          const own = [...map.values].slice(Math.floor(i / channels) * 256, (Math.floor(i / channels) + 1) * 256);
          return own.filter((_, k) => k % channels === i % channels).reduce((a, b) => a + b, 0) / 64;
        });
        assertClose(inner.forward(x), means, 1e-5);
      }),
    ),
  );
});

test("one channel that a vector makes many, and weights made anew, are computed layer by layer", async () => {
  const g = new GraphBuilder();
  const first = g.node("first", "Conv2D", ["x", g.weight("kernel", [3, 3, 3, 1])], windowed);
  const many = g.node("many", "AddV2", [first, g.weight("shift", [5])]);
  g.node("features", "Mean", [g.node("positive", "Relu", [many]), g.ints("pixels", [1, 2])]);
  const path = g.write(folder.path, "many");
  using x = seeded("image", [2, 3, 8, 8], "float32");
  const expected = await runGraph(path, x, "features");
  using model = openTfjs(path, { features: "features" }).eval();
  using folds = new FoldedNorms();
  inferenceMode(() => folds.run(() => scope(() => assertClose(model.forward(x), [...expected.values], 1e-5))));
  const [weight] = model.parameters() as [Tensor];
  const names = computing(() => {
    inferenceMode(() => folds.run(() => scope(() => standIn([[weight, weight.mul(1)]], () => void model.forward(x)))));
  });
  assert.ok(names.includes("aten::conv2d"));
});

test("gradients through a chain, whose activations overwrite, are those of finite differences", () => {
  const { model } = open("gradients");
  model.to({ dtype: "float64" });
  using x = seeded("image", [2, 3, 8, 8], "float64");
  const loss = (): Tensor => model.forward(x).square().sum();
  scope(() => {
    loss().backward();
    for (const [name, weight] of model.namedParameters()) {
      const { grad } = weight;
      assert.ok(grad, name);
      for (const isLast of [false, true]) {
        // One entry, the first or the last in all dimensions.
        const oneOf = (tensor: Tensor): Tensor =>
          weight.shape.reduce((part, size, dim) => part.narrow(dim, isLast ? size - 1 : 0, 1), tensor);
        const entry = oneOf(weight.detach());
        const moved = (by: number): number => {
          entry.add_(by);
          const value = noGrad(() => loss().item());
          entry.sub_(by);
          return value;
        };
        const expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assertClose(oneOf(grad), [expected], 1e-6, name);
      }
    }
  });
  model.dispose();
});

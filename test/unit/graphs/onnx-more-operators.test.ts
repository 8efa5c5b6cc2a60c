/** Sampling, angles, places batch by batch, and onnxruntime's own fused operators, against onnxruntime on the same file. */
import { test } from "node:test";
import type { NodeSpec } from "../../fixtures/onnx/builder.ts";
import { floats, ints } from "../../fixtures/onnx/builder.ts";
import { agrees, one, weights } from "../../support/onnx-agreement.ts";

test("samples at places of a grid in every way, and moves a grid", async () => {
  const conv = { op: "Conv", inputs: ["image", "w"], outputs: ["c"] };
  const turned = { op: "Transpose", inputs: ["c"], outputs: ["grid"], attributes: { perm: [0, 2, 3, 1] } };
  const sample = { op: "GridSample", inputs: ["image", "grid"] };
  for (const mode of ["linear", "nearest", "cubic"]) {
    for (const padding_mode of ["zeros", "border", "reflection"]) {
      const attributes = { mode, padding_mode, align_corners: mode === "linear" ? 1 : 0 };
      const nodes = [conv, turned, { ...sample, attributes }];
      await agrees({ nodes, initializers: [weights("w", [2, 3, 1, 1])], tolerance: 1e-4 });
    }
  }
  const shared = { ...sample, attributes: { mode: "bilinear" } };
  await agrees({ nodes: [shared], initializers: [weights("grid", [2, 4, 5, 2])], opset: 16, fixed: false });
  const pooled = { op: "GlobalAveragePool", inputs: ["image"], outputs: ["p"] };
  const rows = { op: "Flatten", inputs: ["p"], outputs: ["r"] };
  const gemm = { op: "Gemm", inputs: ["r", "h"], outputs: ["six"] };
  const theta = { op: "Reshape", inputs: ["six", "two_by_three"], outputs: ["theta"] };
  for (const align_corners of [0, 1]) {
    const grid: NodeSpec = { op: "AffineGrid", inputs: ["theta", "size"], attributes: { align_corners } };
    const initializers = [weights("h", [3, 6]), ints("two_by_three", [-1, 2, 3]), ints("size", [2, 3, 4, 5])];
    await agrees({ nodes: [pooled, rows, gemm, theta, grid], initializers, fixed: false });
  }
});

test("angles, shrinking, and places batch by batch", async () => {
  for (const op of ["Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh"]) await one(op);
  const two = { op: "Add", inputs: ["image", "two"], outputs: ["x"] };
  await agrees({ nodes: [two, { op: "Acosh", inputs: ["x"] }], initializers: [floats("two", [], [2.5])] });
  await one("Shrink", { lambd: { float: 0.3 }, bias: { float: 0.1 } });
  const index = ints("index", [0, 3, 2, 1, 1, 0, 2, 2, 0, 1, 1, 3], [2, 3, 2]);
  for (const batch_dims of [1, 2]) {
    const places = batch_dims === 1 ? index : ints("index", [0, 3, 2, 1, 1, 0], [2, 3, 1]);
    const nodes = [{ op: "GatherND", inputs: ["image", "index"], attributes: { batch_dims } }];
    await agrees({ nodes, initializers: [places], fixed: false });
  }
});

test("operators of onnxruntime's own domain", async () => {
  const domain = "com.microsoft";
  const conv = [weights("w", [4, 3, 3, 3]), weights("b", [4])];
  const activations = [
    ["Relu"],
    ["Sigmoid"],
    ["Tanh"],
    ["LeakyRelu", [0.25]],
    ["Clip", [-0.25, 0.5]],
    ["HardSigmoid", [0.25, 0.5]],
  ] as const;
  for (const [activation, params] of activations) {
    const attributes = { activation, ...(params ? { activation_params: [...params] } : {}) };
    await agrees({ nodes: [{ op: "FusedConv", domain, inputs: ["image", "w", "b"], attributes }], initializers: conv });
  }
  const rows = { op: "Flatten", inputs: ["image"], outputs: ["rows"] };
  const gemm = { op: "FusedGemm", domain, inputs: ["rows", "m", "c"], attributes: { activation: "Relu", transB: 1 } };
  await agrees({ nodes: [rows, gemm], initializers: [weights("m", [5, 147]), weights("c", [5])], tolerance: 1e-4 });
  const product = {
    op: "FusedMatMul",
    domain,
    inputs: ["image", "m"],
    attributes: { alpha: { float: 0.5 }, transB: 1 },
  };
  await agrees({ nodes: [product], initializers: [weights("m", [4, 7])] });
  const bias = weights("bias", [7]);
  await agrees({ nodes: [{ op: "BiasGelu", domain, inputs: ["image", "bias"] }], initializers: [bias] });
  await agrees({
    nodes: [{ op: "FastGelu", domain, inputs: ["image", "bias"] }],
    initializers: [bias],
    tolerance: 1e-4,
  });
  await agrees({ nodes: [{ op: "Gelu", domain, inputs: ["image"] }] });
  await agrees({ nodes: [{ op: "QuickGelu", domain, inputs: ["image"] }] });
  const flat = { op: "Reshape", inputs: ["image", "shape"], outputs: ["x"] };
  const twice = { op: "Mul", inputs: ["x", "x"], outputs: ["y"] };
  const inputs = ["x", "y", "gamma", "beta", "shift"];
  const norm = { op: "SkipLayerNormalization", domain, inputs, attributes: { epsilon: { float: 1e-3 } } };
  const all = [ints("shape", [0, 21, 7]), weights("gamma", [7]), weights("beta", [7]), weights("shift", [7])];
  await agrees({ nodes: [flat, twice, norm], initializers: all });
  const both = { ...norm, outputs: ["normal", "", "", "sum"] };
  const sum = { op: "Add", inputs: ["normal", "sum"] };
  await agrees({ nodes: [flat, twice, both, sum], initializers: all });
});

/** Operators of networks against onnxruntime on the same file, over their attributes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { openOnnx } from "../../../src/graphs/index.ts";
import type { TensorProto } from "../../../src/graphs/onnx/onnx-pb.generated.ts";
import { UserError } from "../../../src/torch/index.ts";
import { type AttributeValue, float, floats, ints, model, type NodeSpec } from "../../fixtures/onnx/builder.ts";
import { agrees, one, weights, workplace } from "../../support/onnx-agreement.ts";

describe("convolutions", () => {
  test("with padding of every kind, strides, dilations and groups", async () => {
    const pads = fc.oneof(
      fc.record({ pads: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 4, maxLength: 4 }) }),
      fc.record({ auto_pad: fc.constantFrom("SAME_UPPER", "SAME_LOWER", "VALID") }),
    );
    const pair = (max: number) => fc.array(fc.integer({ min: 1, max }), { minLength: 2, maxLength: 2 });
    const property = fc.asyncProperty(pads, pair(3), pair(3), pair(2), fc.constantFrom(1, 3), fc.boolean(), run);
    async function run(
      padding: { pads: number[] } | { auto_pad: string },
      kernel: number[],
      strides: number[],
      wished: number[],
      group: number,
      bias: boolean,
    ): Promise<void> {
      // onnxruntime has no SAME padding beside dilations.
      const dilations = "pads" in padding ? wished : [1, 1];
      const weight = weights("w", [6, 3 / group, ...kernel]);
      await one("Conv", { ...padding, strides, dilations, group }, bias ? [weight, weights("b", [6])] : [weight]);
    }
    await fc.assert(property, { numRuns: 20, seed: 1 });
  });

  test("over one and three dimensions", async () => {
    const flat = { op: "Reshape", inputs: ["image", "shape"], outputs: ["flat"] };
    const shape1 = ints("shape", [-1, 3, 49]);
    const conv1 = {
      op: "Conv",
      inputs: ["flat", "w", "b"],
      attributes: { strides: [2], pads: [1, 2], dilations: [2] },
    };
    await agrees({ nodes: [flat, conv1], initializers: [shape1, weights("w", [4, 3, 3]), weights("b", [4])] });
    const conv3 = { op: "Conv", inputs: ["flat", "w"], attributes: { strides: [1, 2, 1], pads: [1, 1, 1, 0, 1, 2] } };
    await agrees({
      nodes: [flat, conv3],
      initializers: [ints("shape", [-1, 1, 3, 7, 7]), weights("w", [2, 1, 2, 3, 3])],
    });
  });

  test("transposed", async () => {
    const cases: [Record<string, AttributeValue>, number[]][] = [
      [{ strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 0] }, [3, 4, 3, 3]],
      [{ strides: [2, 3], pads: [0, 1, 1, 2] }, [3, 4, 3, 4]],
      [{ strides: [2, 2], dilations: [2, 1], group: 3 }, [3, 2, 3, 3]],
      [{ strides: [2, 2], auto_pad: "SAME_UPPER" }, [3, 4, 3, 3]],
      [{ strides: [2, 2], auto_pad: "SAME_LOWER" }, [3, 4, 4, 3]],
      [{ strides: [2, 2], auto_pad: "VALID" }, [3, 4, 3, 3]],
      [{ strides: [3, 3], output_shape: [20, 21] }, [3, 4, 3, 3]],
      [{}, [3, 4, 2, 2]],
    ];
    for (const [attributes, dims] of cases) {
      const out = (dims[1] ?? 1) * (attributes["group"] === 3 ? 3 : 1);
      await one("ConvTranspose", attributes, [weights("w", dims), weights("b", [out])]);
      await one("ConvTranspose", attributes, [weights("w", dims)]);
    }
  });
});

test("pooling with padding, ceilings, dilation, and padding that counts", async () => {
  const pads = fc.oneof(
    fc.record({ pads: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 4, maxLength: 4 }) }),
    fc.record({ auto_pad: fc.constantFrom("SAME_UPPER", "SAME_LOWER", "VALID") }),
  );
  const pair = (least: number, most: number) =>
    fc.array(fc.integer({ min: least, max: most }), { minLength: 2, maxLength: 2 });
  const property = fc.asyncProperty(
    fc.constantFrom("MaxPool", "AveragePool"),
    pads,
    pair(2, 4),
    pair(1, 3),
    fc.boolean(),
    fc.boolean(),
    fc.integer({ min: 5, max: 9 }),
    async (op, padding, kernel_shape, strides, ceil, counts, side) => {
      // onnxruntime refuses SAME padding of windows smaller than their stride, and ignores ceilings with it.
      fc.pre("pads" in padding || kernel_shape.every((size, i) => size >= (strides[i] ?? 1)));
      const ceil_mode = "pads" in padding && ceil ? 1 : 0;
      const more = op === "MaxPool" ? {} : { count_include_pad: counts ? 1 : 0 };
      await one(op, { ...padding, kernel_shape, strides, ceil_mode, ...more }, [], { side });
    },
  );
  await fc.assert(property, { numRuns: 40, seed: 2 });
  await one("MaxPool", { kernel_shape: [2, 3], dilations: [2, 2], pads: [1, 1, 0, 1] });
  await one("AveragePool", { kernel_shape: [2, 3], dilations: [2, 2], pads: [1, 1, 0, 1] });
  for (const op of ["GlobalAveragePool", "GlobalMaxPool"]) await one(op);
  const flat = { op: "Reshape", inputs: ["image", "shape"], outputs: ["flat"] };
  for (const op of ["MaxPool", "AveragePool"]) {
    const attributes = { kernel_shape: [3], strides: [2], pads: [1, 1] };
    await agrees({ nodes: [flat, { op, inputs: ["flat"], attributes }], initializers: [ints("shape", [0, 3, -1])] });
  }
});

test("normalisations", async () => {
  const pair = [weights("scale", [3]), weights("shift", [3])];
  const statistics = [...pair, weights("mean", [3]), floats("variance", [3], [0.5, 1, 2])];
  await one("BatchNormalization", { epsilon: 1e-3 }, statistics);
  await one("InstanceNormalization", { epsilon: 1e-3 }, pair);
  await one("LRN", { size: 3, alpha: 0.1, beta: 0.6, bias: 1.5 });
  await one("LRN", { size: 5, alpha: 0.1 });
  for (const p of [1, 2]) for (const axis of [-1, 1]) await one("LpNormalization", { p, axis });
  await one("MeanVarianceNormalization", { axes: [2, 3] });
  await one("LayerNormalization", { axis: -1, epsilon: 1e-3 }, [weights("scale", [7]), weights("shift", [7])]);
  await one("LayerNormalization", { axis: 1 }, [weights("scale", [3, 7, 7]), weights("shift", [3, 7, 7])]);
  await one("LayerNormalization", { axis: 2 }, [weights("scale", [7, 7])]);
  await one("GroupNormalization", { num_groups: 3 }, pair, { opset: 21 });
  await one("GroupNormalization", { num_groups: 1 }, pair, { opset: 21 });
});

test("activations", async () => {
  const cases: [string, Record<string, AttributeValue>?][] = [
    ["Relu"],
    ["LeakyRelu", { alpha: 0.3 }],
    ["Elu", { alpha: 0.7 }],
    ["Selu"],
    ["Selu", { alpha: 1.5, gamma: float(2) }],
    ["Celu", { alpha: float(2) }],
    ["Sigmoid"],
    ["HardSigmoid"],
    ["HardSigmoid", { alpha: 1 / 6, beta: 0.5 }],
    ["HardSwish"],
    ["Tanh"],
    ["Softplus"],
    ["Softsign"],
    ["Mish"],
    ["Gelu"],
    ["Gelu", { approximate: "tanh" }],
    ["ThresholdedRelu", { alpha: 0.25 }],
    ["Softmax", { axis: 1 }],
    ["Softmax"],
    ["LogSoftmax", { axis: -2 }],
    ["Erf"],
    ["Exp"],
    ["Abs"],
    ["Neg"],
    ["Floor"],
    ["Ceil"],
    ["Round"],
    ["Sign"],
    ["Sin"],
    ["Cos"],
    ["Reciprocal"],
  ];
  for (const [op, attributes = {}] of cases) await one(op, attributes);
  await one("PRelu", {}, [weights("slope", [3, 1, 1])]);
  await one("Clip", {}, [floats("min", [], [-0.3]), floats("max", [], [0.4])]);
  await one("Clip", { min: -0.5, max: 0.25 }, [], { opset: 10 });
  await one("Softmax", { axis: 1 }, [], { opset: 11 });
  await agrees({ nodes: [{ op: "Clip", inputs: ["image", "", "max"] }], initializers: [floats("max", [], [0.4])] });
  const conv = { op: "Conv", inputs: ["image", "w"], outputs: ["c"] };
  for (const op of ["Relu", "Clip"]) {
    // An operator that overwrites its input must not touch a value that others read.
    const inputs = op === "Clip" ? ["c", "min", "max"] : ["c"];
    const nodes = [conv, { op, inputs, outputs: ["r"] }, { op: "Add", inputs: ["r", "c"] }];
    const bounds = [floats("min", [], [-0.3]), floats("max", [], [0.4])];
    await agrees({ nodes, initializers: [weights("w", [2, 3, 2, 2]), ...bounds] });
    const chain = [conv, { op, inputs, outputs: ["r"] }, { op: "Add", inputs: ["r", "r"] }];
    await agrees({ nodes: chain, initializers: [weights("w", [2, 3, 2, 2]), ...bounds] });
  }
});

test("arithmetic with broadcasting", async () => {
  for (const op of ["Add", "Sub", "Mul", "Div", "Min", "Max", "Sum", "Mean"]) {
    for (const dims of [[3, 1, 1], [7], [], [1, 1, 1, 1], [1, 3, 7, 7]]) await one(op, {}, [weights("w", dims)]);
    const reversed = { op, inputs: ["w", "image"] };
    for (const dims of [[3, 1, 1], []]) await agrees({ nodes: [reversed], initializers: [weights("w", dims)] });
  }
  await agrees({
    nodes: [
      { op: "Abs", inputs: ["image"], outputs: ["a"] },
      { op: "Pow", inputs: ["a", "p"] },
    ],
    initializers: [floats("p", [], [1.7])],
  });
  await one("Pow", {}, [floats("p", [], [2])]);
  await one("Mod", { fmod: 1 }, [floats("d", [], [0.3])]);
  for (const exclusive of [0, 1]) {
    for (const reverse of [0, 1]) await one("CumSum", { exclusive, reverse }, [ints("axis", [2], [])]);
  }
  for (const op of ["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"]) {
    await agrees({
      nodes: [
        { op, inputs: ["image", "w"], outputs: ["c"] },
        { op: "Not", inputs: ["c"], outputs: ["d"] },
        { op: "Where", inputs: ["d", "image", "w"] },
      ],
      initializers: [weights("w", [3, 1, 1])],
    });
  }
});

test("reductions", async () => {
  const kinds = ["Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp"];
  for (const kind of kinds) {
    for (const keepdims of [0, 1]) {
      await one(`Reduce${kind}`, { keepdims }, [ints("axes", [-1, 1])]);
      await one(`Reduce${kind}`, { keepdims, axes: [2] }, [], { opset: 11 });
    }
  }
  for (const op of ["ArgMax", "ArgMin"]) {
    const cast = { op: "Cast", inputs: ["at"], attributes: { to: 1 } };
    for (const axis of [1, -1])
      await agrees({ nodes: [{ op, inputs: ["image"], outputs: ["at"], attributes: { axis } }, cast] });
  }
  const topK = { op: "TopK", inputs: ["image", "k"], outputs: ["out", "at"], attributes: { axis: 2, largest: 0 } };
  await agrees({ nodes: [topK], initializers: [ints("k", [3])] });
});

test("matrix products", async () => {
  const rows = { op: "Flatten", inputs: ["image"], outputs: ["rows"] };
  for (const transB of [0, 1]) {
    const b = weights("b", transB ? [5, 147] : [147, 5]);
    for (const c of [weights("c", [5]), weights("c", [1, 5]), floats("c", [], [0.5])]) {
      for (const attributes of [{ transB }, { transB, alpha: 0.5, beta: 0.25 }]) {
        const gemm = { op: "Gemm", inputs: ["rows", "b", "c"], attributes };
        await agrees({ nodes: [rows, gemm], initializers: [b, c], tolerance: 1e-4 });
      }
    }
  }
  await one("MatMul", {}, [weights("b", [7, 4])]);
  await one("MatMul", {}, [weights("b", [7])]);
  await one("MatMul", {}, [weights("b", [3, 7, 4])]);
  await agrees({ nodes: [{ op: "MatMul", inputs: ["a", "image"] }], initializers: [weights("a", [5, 7])] });
  const einsum = { op: "Einsum", inputs: ["image", "b"], attributes: { equation: "nchw,wk->nkch" } };
  await agrees({ nodes: [einsum], initializers: [weights("b", [7, 4])] });
});

test("attention as one operator", async () => {
  const flat = { op: "Reshape", inputs: ["image", "shape"], outputs: ["x"] };
  const heads = { q_num_heads: 3, kv_num_heads: 3 };
  const attention = { op: "Attention", inputs: ["x", "x", "x"], attributes: heads };
  await agrees({ nodes: [flat, attention], initializers: [ints("shape", [0, 7, 21])], opset: 23 });
  const scaled = { ...attention, attributes: { ...heads, scale: 0.3, is_causal: 1 } };
  await agrees({ nodes: [flat, scaled], initializers: [ints("shape", [0, 7, 21])], opset: 23 });
  const masked = { ...attention, inputs: ["x", "x", "x", "mask"] };
  await agrees({
    nodes: [flat, masked],
    initializers: [ints("shape", [0, 7, 21]), weights("mask", [7, 7])],
    opset: 23,
  });
  await agrees({ nodes: [{ op: "Attention", inputs: ["image", "image", "image"] }], opset: 23 });
  await one("RMSNormalization", { axis: -1 }, [weights("scale", [7])], { opset: 23 });
});

test("what an operator cannot do is said with the node's name", () => {
  const refused = (spec: NodeSpec, initializers: readonly TensorProto[], pattern: RegExp): void => {
    const path = workplace.write(model({ nodes: [{ ...spec, name: "it" }], initializers, input: ["n", 3, 8, 8] }));
    assert.throws(
      () => openOnnx(path),
      (error: unknown) =>
        error instanceof UserError && error.message.includes('node "it"') && pattern.test(error.message),
    );
  };
  const image = ["image"];
  refused({ op: "MaxPool", inputs: image, outputs: ["out", "at"], attributes: { kernel_shape: [2, 2] } }, [], /maxima/);
  refused({ op: "Conv", inputs: ["image", "w"] }, [weights("w", [2, 4, 1, 1])], /do not fit/);
  refused(
    { op: "Resize", inputs: ["image", "", "s"], attributes: { coordinate_transformation_mode: "tf_crop_and_resize" } },
    [floats("s", [4], [1, 1, 2, 2])],
    /tf_crop_and_resize/,
  );
  refused({ op: "NonZero", inputs: image }, [], /depend on them/);
  refused({ op: "Reshape", inputs: ["image", "s"] }, [ints("s", [-1, 5])], /cannot give/);
  refused({ op: "Gather", inputs: ["image", "i"], attributes: { axis: 1 } }, [ints("i", [3])], /takes element 3 of 3/);
  refused({ op: "Add", inputs: ["image", "w"] }, [weights("w", [5])], /cannot broadcast/);
});

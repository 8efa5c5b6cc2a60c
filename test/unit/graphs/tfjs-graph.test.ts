/** TensorFlow.js graph models, operator by operator, against tfjs-converter on the same file and images. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { operators } from "../../../src/graphs/tfjs/graph/operators.ts";
import { openTfjs } from "../../../src/graphs/tfjs/index.ts";
import { noGrad, scope } from "../../../src/torch/index.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { type Attribute, attr, GraphBuilder } from "../../fixtures/tfjs/graph-builder.ts";
import { runGraph, temporaryFolder } from "../../fixtures/tfjs/oracle.ts";
import { assertClose } from "../../support/numeric.ts";

const folder = temporaryFolder();
after(folder.remove);
let models = 0;
/** Operators that a test below has compared. */
const compared = new Set<string>();

type Attributes = Record<string, Attribute>;
/** Adds nodes over the images "x" and gives the last one's name. */
type Body = (graph: GraphBuilder) => string;

const size = [2, 3, 8, 8] as const;

/** Whatever the body gives is repeated for each of two images in one row, so that every number is compared. */
function rows(graph: GraphBuilder, result: string): void {
  const floats = graph.node("floats", "Cast", [result], { SrcT: attr.type("DT_FLOAT"), DstT: attr.type("DT_FLOAT") });
  const flat = graph.node("flat", "Reshape", [floats, graph.ints("flat_shape", [1, -1])]);
  graph.node("row", "Tile", [flat, graph.ints("twice", [2, 1])]);
}

async function agrees(body: Body, tolerance = 1e-5, what = String(body)): Promise<void> {
  const graph = new GraphBuilder();
  rows(graph, body(graph));
  const path = graph.write(folder.path, `model${models++}`);
  using x = seeded("image", size, "float32");
  const expected = await runGraph(path, x, "row");
  using model = openTfjs(path, { features: "row" }).eval();
  scope(() =>
    noGrad(() => {
      const features = model.forward(x);
      assert.deepEqual([...features.shape], expected.shape, what);
      assertClose(features, [...expected.values], tolerance, what);
    }),
  );
  for (const { op } of graph.nodes) compared.add(op);
}

/** One operator on the images. */
function unary(op: string, attributes: Attributes = {}): Body {
  return (graph) => graph.node("y", op, ["x"], attributes);
}

/** Values in [0.5, 1.5] of the images' shape. */
function positive(graph: GraphBuilder): string {
  const half = graph.node("half", "Mul", ["x", graph.constant("half_by", [0.5], [])]);
  return graph.node("positive", "AddV2", [half, graph.constant("one", [1], [])]);
}

/** Lets the images have a part in a result that does without. */
function withMean(graph: GraphBuilder, result: string): string {
  return graph.node("shifted", "AddV2", [result, graph.node("mean", "Mean", ["x", graph.ints("all", [0, 1, 2, 3])])]);
}

interface Window {
  strides?: readonly [number, number];
  dilations?: readonly [number, number];
  padding?: "SAME" | "VALID" | readonly [number, number, number, number];
}

function windowed({ strides = [1, 1], dilations = [1, 1], padding = "SAME" }: Window): Attributes {
  const explicit = typeof padding !== "string";
  return {
    strides: attr.ints([1, ...strides, 1]),
    dilations: attr.ints([1, ...dilations, 1]),
    padding: attr.text(explicit ? "EXPLICIT" : padding),
    data_format: attr.text("NHWC"),
    explicit_paddings: attr.ints(explicit ? [0, 0, ...padding, 0, 0] : []),
  };
}

const windows: readonly Window[] = [
  { padding: "SAME" },
  { padding: "VALID" },
  { padding: "SAME", strides: [2, 2] },
  { padding: "SAME", strides: [3, 2] },
  { padding: "VALID", strides: [2, 1] },
  { padding: "SAME", dilations: [2, 2] },
  { padding: "VALID", dilations: [2, 2] },
];

describe("operators of TensorFlow.js graphs", () => {
  it("convolve with every padding, stride and dilation, odd and even kernels", async () => {
    for (const window of [...windows, { padding: [0, 1, 2, 1] as const, strides: [2, 2] as const }]) {
      for (const [height, width] of [
        [3, 3],
        [2, 4],
        [1, 1],
      ] as const) {
        const body: Body = (g) => {
          return g.node("y", "Conv2D", ["x", g.weight("kernel", [height, width, 3, 4])], windowed(window));
        };
        await agrees(body, 1e-5, `${JSON.stringify(window)}, kernel ${height} x ${width}`);
      }
    }
  });

  it("convolve each channel for itself, with multipliers", async () => {
    for (const op of ["DepthwiseConv2dNative", "DepthwiseConv2d"]) {
      for (const window of windows) {
        // TensorFlow allows only equal strides here.
        if (window.strides && window.strides[0] !== window.strides[1]) continue;
        const body: Body = (g) => g.node("y", op, ["x", g.weight("kernel", [3, 3, 3, 2])], windowed(window));
        await agrees(body, 1e-5, `${op} ${JSON.stringify(window)}`);
      }
    }
  });

  it("convolve backwards", async () => {
    for (const [padding, strides, sides] of [
      ["SAME", [2, 2], [16, 16]],
      ["SAME", [2, 2], [15, 15]],
      ["VALID", [2, 2], [17, 17]],
      ["SAME", [1, 1], [8, 8]],
      ["SAME", [3, 3], [22, 24]],
    ] as const) {
      const body: Body = (g) => {
        const shape = g.ints("shape", [2, ...sides, 4]);
        const kernel = g.weight("kernel", [3, 3, 4, 3]);
        return g.node("y", "Conv2DBackpropInput", [shape, kernel, "x"], windowed({ padding, strides }));
      };
      await agrees(body, 1e-5, `${padding} ${strides} to ${sides}`);
    }
  });

  it("fuse a bias and an activation into products", async () => {
    const fusions: [string[], number][] = [
      [["BiasAdd"], 0],
      [["BiasAdd", "Relu"], 0],
      [["BiasAdd", "Relu6"], 0],
      [["BiasAdd", "Elu"], 0],
      [["BiasAdd", "Sigmoid"], 0],
      [["BiasAdd", "LeakyRelu"], 0],
      [["BiasAdd", "Prelu"], 1],
    ];
    for (const [fused, alphas] of fusions) {
      const ends = (g: GraphBuilder): string[] => [
        g.weight("bias", [4]),
        ...(alphas > 0 ? [g.weight("alpha", [4])] : []),
      ];
      const fusion = (args: number): Attributes => ({
        fused_ops: attr.texts(fused),
        num_args: attr.int(args + alphas),
        leakyrelu_alpha: attr.float(0.3),
        epsilon: attr.float(1e-3),
      });
      await agrees((g) => {
        const kernel = g.weight("kernel", [3, 3, 3, 4], 1);
        const attributes = { ...windowed({ strides: [2, 2] }), ...fusion(1) };
        return g.node("y", "_FusedConv2D", ["x", kernel, ...ends(g)], attributes);
      });
      await agrees((g) => {
        const flat = g.node("vector", "Reshape", ["x", g.ints("vector_shape", [-1, 192])]);
        const attributes = { transpose_a: attr.bool(false), transpose_b: attr.bool(false), ...fusion(1) };
        return g.node("y", "_FusedMatMul", [flat, g.weight("matrix", [192, 4]), ...ends(g)], attributes);
      });
      // tfjs-converter does not pass the slope on here.
      if (fused.includes("LeakyRelu")) continue;
      await agrees((g) => {
        const kernel = g.weight("kernel", [2, 2, 3, 1], 1);
        const bias = [g.weight("bias", [3]), ...(alphas > 0 ? [g.weight("alpha", [3])] : [])];
        const attributes = { ...windowed({}), ...fusion(1) };
        return g.node("y", "FusedDepthwiseConv2dNative", ["x", kernel, ...bias], attributes);
      });
    }
  });

  it("multiply matrices, turned ones and stacks of them", async () => {
    for (const a of [false, true]) {
      for (const b of [false, true]) {
        await agrees((g) => {
          const flat = g.node("matrix", "Reshape", ["x", g.ints("matrix_shape", a ? [96, 4] : [4, 96])]);
          const other = g.weight("other", b ? [5, 96] : [96, 5]);
          return g.node("y", "MatMul", [flat, other], { transpose_a: attr.bool(a), transpose_b: attr.bool(b) });
        });
        for (const op of ["BatchMatMul", "BatchMatMulV2"]) {
          await agrees((g) => {
            const other = g.weight("other", b ? [2, 8, 5, a ? 8 : 3] : [2, 8, a ? 8 : 3, 5]);
            return g.node("y", op, ["x", other], { adj_x: attr.bool(a), adj_y: attr.bool(b) });
          });
        }
      }
    }
  });

  it("pool with padding that no average counts", async () => {
    for (const op of ["MaxPool", "AvgPool"]) {
      for (const ksize of [
        [2, 2],
        [3, 3],
        [3, 2],
      ] as const) {
        for (const window of windows.filter((one) => one.dilations === undefined)) {
          const attributes = { ...windowed(window), ksize: attr.ints([1, ...ksize, 1]) };
          await agrees(unary(op, attributes), 1e-5, `${op} ${ksize} ${JSON.stringify(window)}`);
        }
      }
    }
  });

  it("normalise with the statistics of the file", async () => {
    for (const op of ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"]) {
      await agrees((g) => {
        const inputs = [g.weight("scale", [3]), g.weight("offset", [3]), g.weight("mean", [3])];
        const variance = g.weight("variance", [3], 0.4, 1);
        const attributes = { epsilon: attr.float(0.01), data_format: attr.text("NHWC"), is_training: attr.bool(false) };
        return g.node("y", op, ["x", ...inputs, variance], attributes);
      });
    }
    await agrees((g) => g.node("y", "BiasAdd", ["x", g.weight("bias", [3])], { data_format: attr.text("NHWC") }));
  });

  it("work number by number", async () => {
    const anywhere =
      "Abs Acos Asin Asinh Atan Atanh Ceil Cos Cosh Elu Erf Exp Expm1 Floor LogSoftmax Neg Relu Relu6 Round Selu Sigmoid Sign Sin Sinh Softmax Softplus Square Tan Tanh";
    for (const op of anywhere.split(" ")) await agrees(unary(op), 1e-5, op);
    for (const op of ["Log", "Log1p", "Reciprocal", "Rsqrt", "Sqrt"]) {
      await agrees((g) => g.node("y", op, [positive(g)]), 1e-5, op);
    }
    await agrees((g) => g.node("y", "Acosh", [g.node("above", "AddV2", ["x", g.constant("two", [2.5], [])])]));
    await agrees(unary("LeakyRelu", { alpha: attr.float(0.3) }));
    await agrees((g) => g.node("y", "Prelu", ["x", g.weight("alpha", [3])]));
    await agrees((g) => {
      const limits = [g.constant("low", [-0.3], []), g.constant("high", [0.4], [])];
      return g.node("y", "ClipByValue", ["x", ...limits]);
    });
    for (const op of ["OnesLike", "ZerosLike"]) await agrees(unary(op), 1e-5, op);
    for (const op of "Identity Snapshot StopGradient".split(" ")) await agrees(unary(op), 1e-5, op);
  });

  it("join two tensors, of fewer dimensions too", async () => {
    const ops =
      "Add AddV2 Sub Mul Maximum Minimum SquaredDifference Equal NotEqual Greater GreaterEqual Less LessEqual";
    for (const op of ops.split(" ")) {
      for (const shape of [[], [3], [8, 1, 3]]) {
        await agrees((g) => g.node("y", op, ["x", g.weight("other", shape)]), 1e-5, `${op} [${shape}]`);
        await agrees((g) => g.node("y", op, [g.weight("other", shape), "x"]), 1e-5, `${op} [${shape}] first`);
      }
      await agrees((g) => g.node("y", op, ["x", "x"]), 1e-5, `${op} with itself`);
    }
    for (const op of ["Atan2", "Div", "RealDiv", "FloorDiv", "FloorMod", "Pow"]) {
      await agrees((g) => g.node("y", op, [positive(g), g.weight("other", [3], 0.2, 0.7)]), 1e-5, op);
    }
    for (const op of ["FloorDiv", "FloorMod"]) {
      await agrees((g) => g.node("y", op, ["x", g.constant("by", [0.3, -0.2, 0.45])]), 1e-4, `${op} of negative ones`);
    }
    await agrees((g) => g.node("y", "DivNoNan", ["x", g.constant("by", [0, 2, -0.5])]));
    await agrees((g) => g.node("y", "AddN", ["x", "x", "x"], { N: attr.int(3) }));
  });

  it("decide and choose", async () => {
    const mask = (g: GraphBuilder, name: string, limit: number): string => {
      return g.node(name, "Greater", ["x", g.constant(`${name}_limit`, [limit], [])]);
    };
    for (const op of ["LogicalAnd", "LogicalOr"]) {
      await agrees((g) => g.node("y", op, [mask(g, "low", -0.2), mask(g, "high", 0.3)]));
    }
    await agrees((g) => g.node("y", "LogicalNot", [mask(g, "low", -0.2)]));
    for (const op of ["Select", "SelectV2"]) {
      await agrees((g) => g.node("y", op, [mask(g, "low", 0), "x", g.node("minus", "Neg", ["x"])]));
    }
  });

  it("reduce over dimensions, from the end too, kept or not", async () => {
    for (const op of ["Max", "Mean", "Min", "Prod", "Sum"]) {
      for (const axes of [[1, 2], [-1], [0], [3, 1]]) {
        for (const keep of [false, true]) {
          const body: Body = (g) => g.node("y", op, ["x", g.ints("axes", axes)], { keep_dims: attr.bool(keep) });
          await agrees(body, 1e-5, `${op} over ${axes}`);
        }
      }
    }
    for (const op of ["ArgMax", "ArgMin"]) {
      for (const axis of [1, -1]) await agrees((g) => g.node("y", op, ["x", g.ints("axis", [axis], [])]));
    }
  });

  it("give and change shapes", async () => {
    await agrees(unary("Shape"));
    await agrees(unary("Rank"));
    await agrees(unary("Size"));
    await agrees((g) => g.node("y", "Reshape", ["x", g.ints("to", [2, -1, 6])]));
    await agrees((g) => g.node("y", "Transpose", ["x", g.ints("order", [0, 3, 1, 2])]));
    for (const axis of [0, 2, 4, -1]) await agrees((g) => g.node("y", "ExpandDims", ["x", g.ints("axis", [axis], [])]));
    const pooled = (g: GraphBuilder): string => {
      return g.node("pooled", "Mean", ["x", g.ints("axes", [1, 2])], { keep_dims: attr.bool(true) });
    };
    for (const dims of [[1, 2], [2], [-2], []]) {
      await agrees((g) => g.node("y", "Squeeze", [pooled(g)], { squeeze_dims: attr.ints(dims) }));
    }
    await agrees((g) => g.node("y", "Cast", ["x"], { SrcT: attr.type("DT_FLOAT"), DstT: attr.type("DT_INT32") }));
    await agrees((g) => g.node("y", "BroadcastTo", [pooled(g), g.ints("to", [2, 4, 5, 3])]));
    await agrees((g) => withMean(g, g.node("y", "Fill", [g.ints("dims", [2, 3]), g.constant("value", [0.7], [])])));
    await agrees((g) => {
      const limits = [g.constant("start", [2], []), g.constant("limit", [11], []), g.constant("delta", [2.5], [])];
      return withMean(g, g.node("y", "Range", limits, { Tidx: attr.type("DT_FLOAT") }));
    });
    await agrees((g) => g.node("y", "Tile", ["x", g.ints("times", [1, 2, 1, 3])]));
  });

  it("compute with shapes, so that a flattening takes any batch", async () => {
    await agrees((g) => {
      const shape = g.node("shape", "Shape", ["x"]);
      const bounds = [g.ints("begin", [0]), g.ints("end", [1]), g.ints("step", [1])];
      const n = g.node("n", "StridedSlice", [shape, ...bounds], { shrink_axis_mask: attr.int(1) });
      const target = g.node("target", "Pack", [n, g.ints("rest", [-1], [])], { axis: attr.int(0), N: attr.int(2) });
      return g.node("y", "Reshape", ["x", target]);
    });
  });

  it("join and split tensors", async () => {
    for (const axis of [1, -1]) {
      await agrees((g) => {
        return g.node("y", "ConcatV2", ["x", g.node("minus", "Neg", ["x"]), g.ints("axis", [axis], [])], {
          N: attr.int(2),
        });
      });
      await agrees((g) => {
        return g.node("y", "Concat", [g.ints("axis", [axis], []), "x", g.node("minus", "Neg", ["x"])], {
          N: attr.int(2),
        });
      });
      await agrees((g) => {
        return g.node("y", "Pack", ["x", g.node("minus", "Neg", ["x"])], { N: attr.int(2), axis: attr.int(axis) });
      });
    }
    const last = (g: GraphBuilder, name: string, k: number): string => {
      const parts = [`${name}:${k}`, name];
      return g.node("y", "AddV2", parts);
    };
    await agrees((g) => last(g, g.node("parts", "Unpack", ["x"], { axis: attr.int(1), num: attr.int(8) }), 7));
    await agrees((g) => {
      return last(g, g.node("parts", "Split", [g.ints("axis", [2], []), "x"], { num_split: attr.int(4) }), 2);
    });
    await agrees((g) => {
      const inputs = ["x", g.ints("sizes", [3, 2, 3]), g.ints("axis", [1], [])];
      return last(g, g.node("parts", "SplitV", inputs, { num_split: attr.int(3) }), 2);
    });
  });

  it("take parts of tensors", async () => {
    await agrees((g) => g.node("y", "Slice", ["x", g.ints("at", [0, 1, 2, 0]), g.ints("of", [2, 3, -1, 2])]));
    const cases: [number[], number[], number[], Record<string, number>][] = [
      [[0, 1, 2, 0], [2, 5, 8, 3], [1, 1, 2, 1], {}],
      [[0, -3, -1], [2, -1, -6], [1, 1, -2], {}],
      [[0, 1, 3], [0, 0, 7], [1, 1, 3], { begin_mask: 1, end_mask: 3 }],
      [[1, -1], [0, 0], [1, 1], { shrink_axis_mask: 3 }],
      [[0, 1], [0, 2], [1, 1], { ellipsis_mask: 1 }],
      [[0, 0, 1], [0, 0, 7], [1, 1, 1], { begin_mask: 1, end_mask: 1, new_axis_mask: 2 }],
      [[0, 0, 0, 0], [0, 0, 0, 0], [1, -1, 1, -1], { begin_mask: 15, end_mask: 15 }],
    ];
    for (const [begin, end, strides, masks] of cases) {
      const body: Body = (g) => {
        const inputs = ["x", g.ints("begin", begin), g.ints("end", end), g.ints("strides", strides)];
        const attributes = Object.fromEntries(Object.entries(masks).map(([key, bits]) => [key, attr.int(bits)]));
        return g.node("y", "StridedSlice", inputs, attributes);
      };
      await agrees(body, 1e-5, JSON.stringify([begin, end, strides, masks]));
    }
    for (const op of ["Gather", "GatherV2"]) {
      for (const axis of op === "Gather" ? [0] : [0, 2, -1]) {
        await agrees((g) => {
          const inputs = ["x", g.ints("indices", [1, 0, 0, 1], [2, 2])];
          return g.node("y", op, op === "Gather" ? inputs : [...inputs, g.ints("axis", [axis], [])]);
        });
      }
    }
    await agrees((g) => g.node("y", "GatherNd", ["x", g.ints("places", [1, 0, 3, 0, 7, 7], [2, 1, 3])]));
    await agrees((g) => g.node("y", "ReverseV2", ["x", g.ints("axes", [1, -1])]));
  });

  it("add borders, mirrored ones too", async () => {
    const pads = (g: GraphBuilder): string => g.ints("pads", [0, 0, 1, 2, 3, 0, 0, 0], [4, 2]);
    await agrees((g) => g.node("y", "Pad", ["x", pads(g)]));
    await agrees((g) => g.node("y", "PadV2", ["x", pads(g), g.constant("value", [0.25], [])]));
    for (const mode of ["REFLECT", "SYMMETRIC"]) {
      await agrees((g) => g.node("y", "MirrorPad", ["x", pads(g)], { mode: attr.text(mode) }));
    }
  });

  it("exchange pixels for images and channels", async () => {
    const even = (g: GraphBuilder): string => g.ints("edges", [0, 0, 0, 0], [2, 2]);
    const odd = (g: GraphBuilder): string => g.ints("edges", [1, 3, 2, 1], [2, 2]);
    await agrees((g) => g.node("y", "SpaceToBatchND", ["x", g.ints("block", [2, 2]), even(g)]));
    await agrees((g) => g.node("y", "SpaceToBatchND", ["x", g.ints("block", [3, 1]), odd(g)]));
    await agrees((g) => {
      const cut = g.node("cut", "SpaceToBatchND", ["x", g.ints("block", [2, 2]), even(g)]);
      return g.node("y", "BatchToSpaceND", [cut, "block", g.ints("crops", [1, 0, 0, 2], [2, 2])]);
    });
    await agrees((g) => {
      const kernel = g.weight("kernel", [1, 1, 3, 12]);
      const wide = g.node("wide", "Conv2D", ["x", kernel], windowed({}));
      return g.node("y", "DepthToSpace", [wide], { block_size: attr.int(2), data_format: attr.text("NHWC") });
    });
  });

  it("resize with TensorFlow's three conventions", async () => {
    for (const op of ["ResizeBilinear", "ResizeNearestNeighbor"]) {
      for (const sides of [
        [5, 7],
        [16, 12],
        [1, 8],
      ]) {
        for (const [align, half] of [
          [false, false],
          [true, false],
          [false, true],
        ] as const) {
          const attributes = { align_corners: attr.bool(align), half_pixel_centers: attr.bool(half) };
          const body: Body = (g) => g.node("y", op, ["x", g.ints("size", sides)], attributes);
          await agrees(body, 1e-5, `${op} to ${sides}, ${align}, ${half}`);
        }
      }
    }
  });

  it("pass on what they only mark", async () => {
    await agrees(unary("PlaceholderWithDefault"));
    await agrees(unary("FakeQuantWithMinMaxVars"));
    await agrees((g) => g.node("y", "EnsureShape", ["x", g.ints("shape", [2, 8, 8, 3])]));
  });

  it("are all compared above", () => {
    assert.deepEqual(
      [...operators.keys()].filter((op) => !compared.has(op)),
      [],
    );
  });
});

/** Features of an ONNX graph, parts that are left away, and graphs for one image, grey images, rectangles. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { openOnnx } from "../../../src/graphs/index.ts";
import { TensorProto_DataType, TensorProtoSchema } from "../../../src/graphs/onnx/onnx-pb.generated.ts";
import { noGrad, scope, type Tensor, UserError } from "../../../src/torch/index.ts";
import { type GraphSpec, info, ints, model, type NodeSpec, runtime } from "../../fixtures/onnx/builder.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose, assertGradients } from "../../support/numeric.ts";
import { weights, workplace } from "../../support/onnx-agreement.ts";

/** A convolution to 8 channels, pooled: [n, 8] as "pooled". */
const body: readonly NodeSpec[] = [
  { op: "Conv", inputs: ["image", "w"], outputs: ["c"] },
  { op: "Relu", inputs: ["c"], outputs: ["r"] },
  { op: "GlobalAveragePool", inputs: ["r"], outputs: ["p"] },
  { op: "Flatten", inputs: ["p"], outputs: ["pooled"] },
];
const gemm: NodeSpec = { op: "Gemm", inputs: ["pooled", "h"], outputs: ["logits"] };
const softmax: NodeSpec = { op: "Softmax", inputs: ["logits"], outputs: ["prob"] };
const label: NodeSpec = { op: "ArgMax", inputs: ["prob"], outputs: ["label"], attributes: { axis: 1 } };
const initializers = [weights("w", [8, 3, 3, 3]), weights("h", [8, 5])];

function opened(spec: GraphSpec, features?: string) {
  return openOnnx(workplace.write(model(spec)), { size: 8, features });
}

describe("features", () => {
  test("are what the classifier reads, whatever the order of the outputs; scores are logits before probabilities", () => {
    const outputs = ["label", "prob", "logits", "pooled", "r"];
    const some = fc.shuffledSubarray(outputs, { minLength: 1 }).filter((all) => all.some((name) => name !== "r"));
    fc.assert(
      fc.property(some, (chosen) => {
        using graph = opened({ nodes: [...body, gemm, softmax, label], initializers, outputs: chosen });
        assert.equal(graph.featuresName, "pooled");
        using images = seeded("image", [2, 3, 8, 8], "float32");
        const expected = chosen.includes("logits") || chosen.includes("prob") ? [2, 5] : undefined;
        scope(() => noGrad(() => assert.deepEqual(graph.eval().classify(images)?.shape, expected)));
      }),
      { numRuns: 20, seed: 3 },
    );
  });

  test("are the map that heads share, or the one that most weights have a part in", () => {
    const nodes: NodeSpec[] = [
      { op: "Conv", inputs: ["image", "w"], outputs: ["a"] },
      { op: "Relu", inputs: ["a"], outputs: ["early"] },
      { op: "Conv", inputs: ["early", "v"], outputs: ["b"] },
      { op: "Relu", inputs: ["b"], outputs: ["late"] },
      { op: "Conv", inputs: ["early", "boxes"], outputs: ["small"] },
      { op: "Conv", inputs: ["late", "boxes"], outputs: ["large"] },
      { op: "Sigmoid", inputs: ["large"] },
    ];
    const kernels = [weights("w", [8, 3, 3, 3]), weights("v", [8, 8, 3, 3]), weights("boxes", [4, 8, 1, 1])];
    using graph = opened({ nodes, initializers: kernels, outputs: ["small", "out"] });
    assert.equal(graph.featuresName, "late");
    assert.deepEqual(graph.candidates.slice(0, 2), ["late", "early"]);
  });

  test("differ between images: a branch that is dead is passed over", () => {
    const nodes: NodeSpec[] = [
      ...body,
      { op: "Mul", inputs: ["pooled", "zero"], outputs: ["gone"] },
      { op: "Relu", inputs: ["gone"], outputs: ["dead"] },
      { op: "Gemm", inputs: ["dead", "wide"], outputs: ["one"] },
      gemm,
    ];
    const zero = ints("zero", [0]);
    zero.dataType = TensorProto_DataType.FLOAT;
    zero.rawData = new Uint8Array(4);
    const all = [...initializers, zero, weights("wide", [8, 50])];
    using graph = opened({ nodes, initializers: all, outputs: ["one", "logits"] });
    assert.equal(graph.featuresName, "pooled");
  });
});

describe("what is left away", () => {
  const names = create(TensorProtoSchema, {
    name: "names",
    dims: [2n],
    dataType: TensorProto_DataType.STRING,
    stringData: [Buffer.from("cat"), Buffer.from("dog")],
  });

  test("strings, operators that are not supported and further inputs behind the features are no hindrance", () => {
    const nodes: NodeSpec[] = [
      ...body,
      gemm,
      { op: "TopK", inputs: ["logits", "k"], outputs: ["best", "index"] },
      { op: "Gather", inputs: ["names", "index"], outputs: ["classLabel"] },
      { op: "Mul", inputs: ["logits", "scale"], outputs: ["boxes"] },
    ];
    const all = [...initializers, names, ints("k", [1])];
    const content = model({ nodes, initializers: all, outputs: ["classLabel", "boxes", "logits"] });
    content.graph?.input.push(info("scale", ["n", 1]));
    const path = workplace.write(content);
    using graph = openOnnx(path, { size: 8 });
    assert.equal(graph.featuresName, "pooled");
    assert.deepEqual([...graph.namedParameters().keys()], ["w", "h"]);
    assert.match(graph.notes.join(), /^left away: the outputs "classLabel", "boxes" and what only they need \(TopK\)$/);
    for (const [features, problem] of [
      ["classLabel", /tensor "names" has elements of type STRING/],
      ["boxes", /its input "scale" holds no images/],
    ] as const) {
      assert.throws(
        () => openOnnx(path, { size: 8, features }),
        (error: unknown) => error instanceof UserError && problem.test(error.message),
      );
    }
  });

  test("an operator that is not supported inside of the network is a hindrance", () => {
    const nodes = [
      ...body.slice(0, 2),
      { op: "Loop", inputs: ["r"], outputs: ["x"] },
      { op: "Conv", inputs: ["x", "v"], outputs: ["y"] },
      { op: "GlobalAveragePool", inputs: ["y"] },
    ];
    const all = [...initializers, weights("v", [8, 8, 3, 3])];
    assert.throws(() => opened({ nodes, initializers: all }), /not supported: Loop; sub-graphs are not run/);
  });
});

describe("inputs", () => {
  test("of one image, said or not: rewritten where that is safe, else one by one; gradients are the same", async () => {
    const flat: NodeSpec[] = [
      ...body.slice(0, 2),
      { op: "Reshape", inputs: ["r", "one"], outputs: ["rows"] },
      { op: "Gemm", inputs: ["rows", "head"], outputs: ["logits"] },
    ];
    // The image is taken out of its batch, which no rewriting undoes.
    const taken: NodeSpec[] = [
      { op: "Gather", inputs: ["image", "index"], outputs: ["only"], attributes: { axis: 0 } },
      { op: "Unsqueeze", inputs: ["only", "axis"], outputs: ["again"] },
      { op: "Conv", inputs: ["again", "w"], outputs: ["c"] },
      ...flat.slice(1),
    ];
    const shapes = [ints("one", [1, 8 * 36]), ints("index", [0], []), ints("axis", [0])];
    const all = [...initializers, ...shapes, weights("head", [8 * 36, 3])];
    for (const [nodes, oneByOne] of [
      [flat, false],
      [taken, true],
    ] as const) {
      for (const batch of ["n", 1]) {
        const spec = { nodes, initializers: all, outputs: ["logits"], input: [batch, 3, 8, 8] };
        const path = workplace.write(model(spec));
        using graph = openOnnx(path);
        assert.equal(graph.featuresName, "rows");
        assert.equal(graph.notes.length, oneByOne ? 1 : 0, graph.notes.join());
        using images = seeded("image", [3, 3, 8, 8], "float32");
        for (let i = 0; i < 3; i++) {
          using image = images.narrow(0, i, 1);
          const [expected] = (await runtime(path, image)).values();
          const scores = (): Tensor => (graph.eval().classify(images) as Tensor).narrow(0, i, 1);
          scope(() => noGrad(() => assertClose(scores(), [...(expected?.values ?? [])], 1e-5)));
        }
        if (batch === "n") continue;
        graph.to({ dtype: "float64" });
        using pair = seeded("image", [2, 3, 8, 8]);
        using mix = seeded("mix", [2, 3]);
        const kernel = graph.namedParameters().get("w") as Tensor;
        assertGradients(() => (graph.classify(pair) as Tensor).mul(mix).sum(), [kernel], 1e-6);
      }
    }
  });

  test("grey ones are fed with luminance, in either layout; rectangles keep their sides", async () => {
    const kernel = weights("grey", [8, 1, 3, 3]);
    const turn: NodeSpec = { op: "Transpose", inputs: ["image"], outputs: ["x"], attributes: { perm: [0, 3, 1, 2] } };
    for (const last of [false, true]) {
      const conv: NodeSpec = { op: "Conv", inputs: [last ? "x" : "image", "grey"], outputs: ["c"] };
      const spec = {
        nodes: [...(last ? [turn] : []), conv, ...body.slice(1), gemm],
        initializers: [kernel, ...initializers],
      };
      const input = last ? ["n", 6, 9, 1] : ["n", 1, 6, 9];
      const path = workplace.write(model({ ...spec, input, outputs: ["pooled"] }));
      using graph = openOnnx(path);
      assert.deepEqual(graph.input, { name: "image", layout: last ? "NHWC" : "NCHW", channels: 1, sides: [6, 9] });
      using images = seeded("image", [2, 3, 6, 9], "float32");
      const [red, green, blue] = [0, 1, 2].map((i) => images.narrow(1, i, 1).toNumbers());
      using grey = seeded("grey image", last ? [2, 6, 9, 1] : [2, 1, 6, 9], "float32");
      const mixed = red?.map((value, i) => 0.299 * value + 0.587 * (green?.[i] ?? 0) + 0.114 * (blue?.[i] ?? 0));
      grey.copyFrom(Float32Array.from(mixed ?? []));
      const [expected] = (await runtime(path, grey)).values();
      scope(() => noGrad(() => assertClose(graph.eval().forward(images), [...(expected?.values ?? [])], 1e-5)));
      assert.throws(() => graph.forward(grey), /takes images \[n, 3, 6, 9\]/);
    }
  });
});

/** ONNX graphs as members: what is trained, which tensor serves, gradients, files beside the model, fixed batches. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { clone, create } from "@bufbuild/protobuf";
import { onnxParts, openOnnx } from "../../../src/graphs/index.ts";
import {
  type ModelProto,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
} from "../../../src/graphs/onnx/onnx-pb.generated.ts";
import { openGraphBackbone } from "../../../src/models/index.ts";
import { BatchNorm2d, setBatchNormPolicy } from "../../../src/nn/index.ts";
import { memory, noGrad, scope, type Tensor, UserError } from "../../../src/torch/index.ts";
import { floats, type GraphSpec, ints, model, runtime } from "../../fixtures/onnx/builder.ts";
import { network } from "../../fixtures/onnx/networks.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose, assertGradients, assertNoLeak } from "../../support/numeric.ts";
import { weights, workplace } from "../../support/onnx-agreement.ts";

/** A network of every kind of constant: what is trained of it is in the test below. */
function mixed(): GraphSpec {
  const input = ["n", 3, 8, 8];
  return {
    input,
    outputs: ["scores"],
    nodes: [
      { op: "Sub", inputs: ["image", "pixel_mean"], outputs: ["centred"] },
      { op: "Div", inputs: ["centred", "pixel_std"], outputs: ["normal"] },
      // Weight normalisation as exporters write it: g v / |v|.
      { op: "ReduceL2", inputs: ["v", "axes"], outputs: ["length"], attributes: { keepdims: 1 } },
      { op: "Div", inputs: ["v", "length"], outputs: ["direction"] },
      { op: "Mul", inputs: ["g", "direction"], outputs: ["kernel"] },
      { op: "Conv", inputs: ["normal", "kernel", "conv.bias"], outputs: ["c"], attributes: { pads: [1, 1, 1, 1] } },
      {
        op: "BatchNormalization",
        inputs: ["c", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"],
        outputs: ["b"],
      },
      { op: "Clip", inputs: ["b", "least", "most"], outputs: ["r"] },
      { op: "Resize", inputs: ["r", "", "scales"], outputs: ["half"], attributes: { mode: "linear" } },
      { op: "Reshape", inputs: ["half", "tokens"], outputs: ["channels_first"] },
      { op: "Transpose", inputs: ["channels_first"], outputs: ["t"], attributes: { perm: [0, 2, 1] } },
      { op: "Gather", inputs: ["table", "index"], outputs: ["position"] },
      { op: "Add", inputs: ["t", "position"], outputs: ["p"] },
      { op: "LayerNormalization", inputs: ["p", "ln.weight", "ln.bias"], outputs: ["l"] },
      { op: "Transpose", inputs: ["q.weight"], outputs: ["q_t"], attributes: { perm: [1, 0] } },
      { op: "MatMul", inputs: ["l", "q_t"], outputs: ["q"] },
      { op: "Transpose", inputs: ["q"], outputs: ["k"], attributes: { perm: [0, 2, 1] } },
      { op: "MatMul", inputs: ["q", "k"], outputs: ["products"] },
      { op: "Mul", inputs: ["products", "half_scale"], outputs: ["scaled"] },
      { op: "Add", inputs: ["scaled", "mask"], outputs: ["masked"] },
      { op: "Softmax", inputs: ["masked"], outputs: ["attention"] },
      { op: "MatMul", inputs: ["attention", "l"], outputs: ["a"] },
      { op: "Mul", inputs: ["a", "layer_scale"], outputs: ["s"] },
      { op: "ReduceMean", inputs: ["s", "over"], outputs: ["pooled"], attributes: { keepdims: 0 } },
      { op: "Gemm", inputs: ["pooled", "fc.weight", "fc.bias"], outputs: ["scores"], attributes: { transB: 1 } },
    ],
    initializers: [
      floats("pixel_mean", [1, 3, 1, 1], [0.1, 0.2, 0.3]),
      floats("pixel_std", [1, 3, 1, 1], [0.9, 1, 1.1]),
      weights("v", [4, 3, 3, 3]),
      weights("g", [4, 1, 1, 1]),
      ints("axes", [1, 2, 3]),
      weights("conv.bias", [4]),
      floats("bn.weight", [4], [1.1, 0.9, 1, 1.2]),
      weights("bn.bias", [4]),
      weights("bn.running_mean", [4]),
      floats("bn.running_var", [4], [0.5, 1, 1.5, 2]),
      floats("least", [], [-3]),
      floats("most", [], [3]),
      floats("scales", [4], [1, 1, 0.5, 0.5]),
      ints("tokens", [0, 4, -1]),
      weights("table", [5, 4]),
      ints("index", [0, 1, 2, 3, 4, 3, 2, 1, 0, 0, 1, 1, 2, 2, 3, 3]),
      floats("ln.weight", [4], [1, 1.1, 0.9, 1.2]),
      weights("ln.bias", [4]),
      weights("q.weight", [6, 4]),
      floats("half_scale", [], [0.5]),
      floats(
        "mask",
        [16, 16],
        Array.from({ length: 256 }, (_, i) => (i % 17 > 12 ? -100 : 0)),
      ),
      weights("layer_scale", [4]),
      ints("over", [1]),
      weights("fc.weight", [5, 4]),
      weights("fc.bias", [5]),
    ],
  };
}

const trained = [
  ...["v", "g", "conv.bias", "table", "ln.weight", "ln.bias", "q.weight", "layer_scale", "fc.weight", "fc.bias"],
  ...["bn.weight", "bn.bias"],
];

describe("what is trained", () => {
  test("weights and what is added or multiplied late, but no numbers, masks, scales, means of pixels", () => {
    using opened = openOnnx(workplace.write(model(mixed())));
    assert.deepEqual([...opened.namedParameters().keys()].sort(), [...trained].sort());
    assert.deepEqual(
      [...opened.namedBuffers().keys()].sort(),
      ["bn.num_batches_tracked", "bn.running_mean", "bn.running_var"].sort(),
    );
    assert.ok(opened.children().get("bn") instanceof BatchNorm2d);
  });

  test("gradients of all of it agree with finite differences", () => {
    using opened = openOnnx(workplace.write(model(mixed())));
    opened.eval().to({ dtype: "float64" });
    using images = seeded("image", [2, 3, 8, 8]);
    using direction = seeded("direction", [2, 5]);
    const classify = (): Tensor => {
      const scores = opened.classify(images);
      assert.ok(scores);
      return scores.mul(direction).sum([0, 1]);
    };
    assertGradients(classify, opened.parameters(), 1e-5);
    assertGradients((x) => (opened.classify(x as Tensor) as Tensor).mul(direction).sum([0, 1]), [images], 1e-5);
  });

  test("in training mode BatchNorm follows its policy", () => {
    using opened = openOnnx(workplace.write(model(mixed())));
    using images = seeded("image", [8, 3, 8, 8], "float32");
    const layer = opened.children().get("bn") as BatchNorm2d;
    const mean = (): number[] => layer.running_mean.toNumbers();
    const before = mean();
    const run = (): void => scope(() => void noGrad(() => opened.forward(images)));
    opened.train();
    setBatchNormPolicy(opened, "running");
    run();
    assert.deepEqual(mean(), before);
    setBatchNormPolicy(opened, "batch");
    run();
    assert.notDeepEqual(mean(), before);
    assert.equal(layer.num_batches_tracked.item(), 1);
    opened.eval();
    const moved = mean();
    run();
    assert.deepEqual(mean(), moved);
  });

  test("BatchNorm layers: a shared one once, one whose name is taken by its output's name, eps and momentum", () => {
    const statistics = [
      floats("x.weight", [3], [1, 2, 3]),
      weights("x.bias", [3]),
      weights("mean", [3]),
      floats("variance", [3], [1, 2, 3]),
      weights("other", [3]),
    ];
    const attributes = { epsilon: 0.25, momentum: 0.75 };
    const norm = (from: string, to: string, bias: string) => {
      const inputs = [from, "x.weight", bias, "mean", "variance"];
      return { op: "BatchNormalization", inputs, outputs: [to], attributes };
    };
    const nodes = [norm("image", "a", "x.bias"), norm("a", "b", "x.bias"), norm("b", "out", "other")];
    using opened = openOnnx(workplace.write(model({ nodes, initializers: statistics })));
    assert.deepEqual([...opened.children().keys()], ["x", "out"]);
    const layer = opened.children().get("x") as BatchNorm2d;
    assert.equal(layer.eps, 0.25);
    assert.ok(Math.abs(layer.momentum - 0.25) < 1e-6);
  });

  test("stand-ins of InstanceNormalization are not, its own scale and shift are", () => {
    const graph = (scale: number[]): string =>
      workplace.write(
        model({
          nodes: [
            { op: "Conv", inputs: ["image", "w"], outputs: ["c"] },
            { op: "InstanceNormalization", inputs: ["c", "scale", "shift"] },
          ],
          initializers: [weights("w", [2, 3, 3, 3]), floats("scale", [2], scale), floats("shift", [2], [0, 0])],
        }),
      );
    using plain = openOnnx(graph([1, 1]), { size: 8 });
    assert.deepEqual([...plain.namedParameters().keys()], ["w"]);
    using own = openOnnx(graph([1, 1.5]), { size: 8 });
    assert.deepEqual([...own.namedParameters().keys()], ["w", "scale", "shift"]);
  });

  test("a network learns, and keeps the number of handles", () => {
    using opened = openOnnx(workplace.write(model(mixed())));
    using images = seeded("image", [8, 3, 8, 8], "float32");
    using target = seeded("target", [8, 5], "float32");
    const step = (): number => {
      const loss = scope(() => {
        const scores = opened.classify(images);
        assert.ok(scores);
        return scores.sub(target).square().mean([0, 1]);
      });
      const value = loss.item();
      loss.backward();
      loss.dispose();
      scope(() =>
        noGrad(() => {
          for (const parameter of opened.parameters()) {
            const { grad } = parameter;
            assert.ok(grad, "every parameter has a gradient");
            parameter.sub_(grad.mul(0.05));
            parameter.grad = undefined;
          }
        }),
      );
      return value;
    };
    const first = step();
    const before = memory().handles;
    let last = first;
    for (let i = 0; i < 20; i++) last = step();
    assert.equal(memory().handles, before);
    assert.ok(last < 0.7 * first, `${first} to ${last}`);
  });
});

describe("which tensor serves as features", () => {
  test("what the last Gemm reads, or what is wished", () => {
    const path = workplace.write(model(mixed()));
    using own = openOnnx(path);
    assert.equal(own.featuresName, "pooled");
    assert.equal(own.featureWidth, 4);
    assert.deepEqual(own.candidates.slice(0, 2), ["pooled", "scores"]);
    using images = seeded("image", [2, 3, 8, 8], "float32");
    scope(() => noGrad(() => assert.deepEqual(own.eval().classify(images)?.shape, [2, 5])));
    using map = openOnnx(path, { features: "r" });
    scope(() => noGrad(() => assert.deepEqual(map.forward(images).shape, [2, 4])));
    using tokens = openOnnx(path, { features: "l" });
    scope(() => noGrad(() => assert.deepEqual(tokens.forward(images).shape, [2, 4])));
    for (const features of ["nothing", "fc.weight"]) {
      assert.throws(
        () => openOnnx(path, { features }),
        (error: unknown) =>
          error instanceof UserError && /cannot serve.*tensors that can: "pooled"/.test(error.message),
      );
    }
  });

  test("what a convolution of one pixel reads; the output of a network without classifier", () => {
    const conv = { op: "Conv", inputs: ["image", "w"], outputs: ["c"] };
    const pool = { op: "GlobalAveragePool", inputs: ["c"], outputs: ["p"] };
    const head = { op: "Conv", inputs: ["p", "h"], outputs: ["s"] };
    const flat = { op: "Flatten", inputs: ["s"], outputs: ["out"] };
    const initializers = [weights("w", [6, 3, 3, 3]), weights("h", [4, 6, 1, 1])];
    using classifier = openOnnx(workplace.write(model({ nodes: [conv, pool, head, flat], initializers })), { size: 8 });
    assert.equal(classifier.featuresName, "p");
    assert.equal(classifier.featureWidth, 6);
    // As in squeeze-and-excitation: a last Gemm that is no classifier.
    const gate = [
      conv,
      pool,
      { op: "Flatten", inputs: ["p"], outputs: ["f"] },
      { op: "Gemm", inputs: ["f", "g"], outputs: ["e"] },
      { op: "Relu", inputs: ["e"], outputs: ["out"] },
    ];
    using headless = openOnnx(
      workplace.write(model({ nodes: gate, initializers: [weights("w", [6, 3, 3, 3]), weights("g", [6, 5])] })),
      { size: 8 },
    );
    assert.equal(headless.featuresName, "out");
    scope(() => noGrad(() => assert.equal(headless.classify(seeded("image", [2, 3, 8, 8], "float32")), undefined)));
  });
});

/** The model with its weights in files beside it, several in each, at offsets. */
function outside(source: ModelProto, names: readonly string[]): ModelProto {
  const made = clone(ModelProtoSchema, source);
  const parts = names.map(() => [] as Buffer[]);
  for (const [i, tensor] of (made.graph?.initializer ?? []).entries()) {
    if (tensor.rawData.length < 16) continue;
    const part = parts[i % names.length] as Buffer[];
    const offset = part.reduce((sum, { length }) => sum + length, 0);
    part.push(Buffer.from(tensor.rawData), Buffer.alloc(-tensor.rawData.length & 63));
    const entries = {
      location: names[i % names.length] ?? "",
      offset: `${offset}`,
      length: `${tensor.rawData.length}`,
    };
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
    tensor.rawData = new Uint8Array();
  }
  for (const [i, name] of names.entries()) writeFileSync(join(workplace.folder, name), Buffer.concat(parts[i] ?? []));
  return made;
}

describe("files", () => {
  test("weights beside the model", async () => {
    const names = ["weights.data", "more.data"];
    const path = workplace.write(outside(network("resnet-script"), names), "outside.onnx");
    assert.deepEqual(onnxParts(path).sort(), [...names].sort());
    using images = seeded("image", [2, 3, 32, 32], "float32");
    const [expected] = (await runtime(path, images)).values();
    assert.ok(expected);
    assertNoLeak(() => {
      using opened = openOnnx(path);
      opened.eval();
      assert.deepEqual(opened.files.map((file) => basename(file)).sort(), [
        "more.data",
        "outside.onnx",
        "weights.data",
      ]);
      scope(() => noGrad(() => assertClose(opened.classify(images) as Tensor, [...expected.values], 1e-4)));
    });
  });

  test("elements in typed fields, in half precision, in double precision", async () => {
    const half = create(TensorProtoSchema, {
      name: "h",
      dims: [2n],
      dataType: TensorProto_DataType.FLOAT16,
      int32Data: [0x3c00, 0xb800],
    });
    const double = create(TensorProtoSchema, {
      name: "d",
      dims: [2n, 3n, 1n, 1n],
      dataType: TensorProto_DataType.DOUBLE,
      doubleData: [0.5, -0.25, 1, 2, 3, -1],
    });
    const plain = create(TensorProtoSchema, {
      name: "f",
      dims: [2n, 1n, 1n],
      dataType: TensorProto_DataType.FLOAT,
      floatData: [0.5, 2],
    });
    const path = workplace.write(
      model({
        nodes: [
          { op: "Cast", inputs: ["d"], outputs: ["w"], attributes: { to: 1 } },
          { op: "Cast", inputs: ["h"], outputs: ["b"], attributes: { to: 1 } },
          { op: "Conv", inputs: ["image", "w", "b"], outputs: ["c"] },
          { op: "Mul", inputs: ["c", "f"] },
        ],
        initializers: [half, double, plain],
      }),
    );
    using images = seeded("image", [2, 3, 5, 5], "float32");
    const [expected] = (await runtime(path, images)).values();
    using opened = openOnnx(path, { size: 5 });
    assert.deepEqual([...opened.namedParameters().keys()].sort(), ["d", "f", "h"]);
    for (const parameter of opened.parameters()) assert.equal(parameter.dtype, "float32");
    scope(() =>
      noGrad(() => {
        const map = expected as { shape: readonly number[]; values: Float32Array };
        const size = 25;
        const means = Array.from({ length: 4 }, (_, i) =>
          map.values.slice(i * size, (i + 1) * size).reduce((sum, value) => sum + value / size, 0),
        );
        assertClose(opened.eval().forward(images), means, 1e-5);
      }),
    );
  });
});

test("images of any size where the file leaves it open, through arithmetic on shapes", async () => {
  const path = workplace.write(
    model({
      nodes: [
        { op: "Conv", inputs: ["image", "w"], outputs: ["c"], attributes: { strides: [2, 2] } },
        { op: "Shape", inputs: ["image"], outputs: ["s"] },
        { op: "Slice", inputs: ["s", "two", "four"], outputs: ["hw"] },
        { op: "Shape", inputs: ["c"], outputs: ["cs"] },
        { op: "Slice", inputs: ["cs", "zero", "two"], outputs: ["nc"] },
        { op: "Concat", inputs: ["nc", "hw"], outputs: ["to"], attributes: { axis: 0 } },
        { op: "Resize", inputs: ["c", "", "", "to"], outputs: ["r"], attributes: { mode: "linear" } },
        { op: "Gather", inputs: ["s", "place"], outputs: ["height"] },
        { op: "Cast", inputs: ["height"], outputs: ["h"], attributes: { to: 1 } },
        { op: "Div", inputs: ["r", "h"], outputs: ["d"] },
        { op: "Floor", inputs: ["d"], outputs: ["low"] },
        { op: "Sub", inputs: ["d", "low"], outputs: ["e"] },
        { op: "ReduceMean", inputs: ["e", "axes"], outputs: ["out"], attributes: { keepdims: 0 } },
      ],
      initializers: [
        weights("w", [4, 3, 3, 3]),
        ints("zero", [0]),
        ints("two", [2]),
        ints("four", [4]),
        ints("place", [2], []),
        ints("axes", [2, 3]),
      ],
    }),
  );
  using opened = openOnnx(path, { size: 9 });
  assert.equal(opened.input.sides, undefined);
  for (const [n, height, width] of [
    [1, 9, 9],
    [3, 12, 7],
  ] as const) {
    using images = seeded("image", [n, 3, height, width], "float32");
    const [expected] = (await runtime(path, images)).values();
    assert.ok(expected);
    scope(() => noGrad(() => assertClose(opened.eval().forward(images), [...expected.values], 1e-5)));
  }
});

test("images with channels last, as TensorFlow's exports take them", async () => {
  const nodes = [
    { op: "Transpose", inputs: ["image"], outputs: ["x"], attributes: { perm: [0, 3, 1, 2] } },
    { op: "Conv", inputs: ["x", "w"], outputs: ["c"] },
    { op: "GlobalAveragePool", inputs: ["c"], outputs: ["p"] },
    { op: "Flatten", inputs: ["p"], outputs: ["out"] },
  ];
  const path = workplace.write(model({ nodes, initializers: [weights("w", [4, 3, 3, 3])], input: ["n", 6, 6, 3] }));
  using opened = openOnnx(path);
  assert.deepEqual(opened.input, { name: "image", layout: "NHWC", channels: 3, sides: [6, 6] });
  using images = seeded("image", [2, 3, 6, 6], "float32");
  using last = images.permute([0, 2, 3, 1]);
  using arranged = last.contiguous();
  const [expected] = (await runtime(path, arranged)).values();
  assert.ok(expected);
  scope(() => noGrad(() => assertClose(opened.eval().forward(images), [...expected.values], 1e-5)));
  assert.throws(() => opened.forward(last), /takes images \[n, 3, 6, 6\], not \[2, 6, 6, 3\]/);
});

test("a fixed batch: more and fewer images than the file was made for", () => {
  const conv = { op: "Conv", inputs: ["image", "w"], outputs: ["c"] };
  const initializers = [weights("w", [4, 3, 3, 3]), ints("rows", [2, -1]), weights("h", [64, 3])];
  const nodes = [
    conv,
    { op: "Reshape", inputs: ["c", "rows"], outputs: ["r"] },
    { op: "Gemm", inputs: ["r", "h"], outputs: ["out"] },
  ];
  using opened = openOnnx(workplace.write(model({ nodes, initializers, input: [2, 3, 6, 6] })));
  opened.eval();
  using images = seeded("image", [5, 3, 6, 6], "float32");
  scope(() =>
    noGrad(() => {
      const all = opened.forward(images);
      assert.deepEqual(all.shape, [5, 64]);
      for (let i = 0; i < 5; i++) {
        assertClose(opened.forward(images.narrow(0, i, 1)), all.narrow(0, i, 1), 1e-6);
      }
    }),
  );
  const mixing = [
    { op: "ReduceMean", inputs: ["image", "axes"], outputs: ["m"], attributes: { keepdims: 1 } },
    { op: "Add", inputs: ["image", "m"], outputs: ["a"] },
    { op: "GlobalAveragePool", inputs: ["a"], outputs: ["out"] },
  ];
  const path = workplace.write(model({ nodes: mixing, initializers: [ints("axes", [0])], input: [2, 3, 6, 6] }));
  assert.throws(() => openOnnx(path), /made for 2 images at a time.*export the network with a dynamic batch/);
});

test("a member of a hub", () => {
  using backbone = openGraphBackbone("onnx", workplace.write(model(mixed())));
  assert.equal(backbone.featureWidth, 4);
  assert.ok(backbone.stateDict().has("graph.fc.weight"));
  assert.ok(backbone.modules().some((part) => part instanceof BatchNorm2d));
});

test("operators that are missing are listed, all at once, with what to do", () => {
  const nodes = [
    { op: "QLinearConv", inputs: ["image"], outputs: ["a"] },
    { op: "If", inputs: ["a"], outputs: ["b"] },
    { op: "FancyOp", inputs: ["b"], outputs: ["c"], domain: "com.example" },
    { op: "Relu", inputs: ["c"], outputs: ["d"] },
    { op: "DynamicQuantizeLinear", inputs: ["d"] },
  ];
  const path = workplace.write(model({ nodes }));
  assert.throws(
    () => openOnnx(path),
    /not supported: DynamicQuantizeLinear, If, QLinearConv, com\.example\.FancyOp; a quantised network.*; sub-graphs/,
  );
});

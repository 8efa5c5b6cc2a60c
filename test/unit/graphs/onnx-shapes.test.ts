/** Operators on shapes, places and sizes of images against onnxruntime on the same file. */
import { describe, test } from "node:test";
import fc from "fast-check";
import { floats, ints, type NodeSpec } from "../../fixtures/onnx/builder.ts";
import { agrees, one, weights } from "../../support/onnx-agreement.ts";

describe("shapes", () => {
  test("reshape, squeeze, flatten, transpose", async () => {
    for (const shape of [
      [0, -1],
      [0, 0, -1],
      [-1, 3, 49],
      [0, 7, 3, 7],
    ])
      await one("Reshape", {}, [ints("s", shape)]);
    await one("Flatten", { axis: 1 });
    for (const perm of [
      [0, 2, 3, 1],
      [0, 3, 1, 2],
    ])
      await one("Transpose", { perm });
    const unsqueeze = { op: "Unsqueeze", inputs: ["image", "axes"], outputs: ["u"] };
    const squeeze = { op: "Squeeze", inputs: ["u", "axes"] };
    await agrees({ nodes: [unsqueeze, squeeze], initializers: [ints("axes", [1, -1])] });
    await one("Unsqueeze", { axes: [1, 3] }, [], { opset: 11 });
    for (const [op, attributes] of [
      ["DepthToSpace", { blocksize: 2, mode: "DCR" }],
      ["DepthToSpace", { blocksize: 2, mode: "CRD" }],
      ["SpaceToDepth", { blocksize: 2 }],
    ] as const) {
      const conv = { op: "Conv", inputs: ["image", "w"], outputs: ["c"] };
      await agrees({ nodes: [conv, { op, inputs: ["c"], attributes }], initializers: [weights("w", [8, 3, 2, 2])] });
    }
  });

  test("slices, with negative steps and bounds beyond the end", async () => {
    const bound = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constantFrom(2 ** 40, -(2 ** 40)));
    const property = fc.asyncProperty(
      fc.constantFrom(1, 2, 3, -1),
      bound,
      bound,
      fc.constantFrom(1, 2, 3, -1, -2),
      async (axis, start, end, step) => {
        const size = axis === 1 ? 3 : 7;
        const places = Array.from({ length: size }, (_, i) => i).slice();
        const counted = (at: number): number => (at < 0 ? at + size : at);
        const from = counted(start);
        const to = counted(end);
        const taken = places.filter((i) => (step > 0 ? i >= from && i < to : i <= from && i > to));
        // onnxruntime takes empty tensors on, but nothing can serve as features then.
        fc.pre(taken.length > 0);
        await one("Slice", {}, [ints("a", [start]), ints("b", [end]), ints("c", [axis]), ints("d", [step])]);
      },
    );
    await fc.assert(property, { numRuns: 30, seed: 3 });
    await one("Slice", { starts: [1, -3], ends: [3, 100], axes: [1, 3] }, [], { opset: 9 });
  });

  test("gathering and scattering", async () => {
    for (const axis of [1, 2, -1]) {
      await one("Gather", { axis }, [ints("i", [0, -1, 1], [3])]);
      await one("Gather", { axis }, [ints("i", [0, -1, 1, 2], [2, 2])]);
      await one("Gather", { axis }, [ints("i", [-2], [])]);
    }
    await agrees({
      nodes: [
        { op: "Expand", inputs: ["i", "s"], outputs: ["j"] },
        { op: "GatherElements", inputs: ["image", "j"], attributes: { axis: 3 } },
      ],
      initializers: [ints("i", [0, -1, 2, 3], [1, 1, 1, 4]), ints("s", [2, 3, 7, 4])],
      fixed: false,
    });
    const table = weights("table", [5, 4]);
    const gathered = { op: "GatherND", inputs: ["table", "i"], outputs: ["g"] };
    const nodes = [gathered, { op: "MatMul", inputs: ["image", "g2"] }];
    const reshape = { op: "Reshape", inputs: ["g", "s"], outputs: ["g2"] };
    const places = ints("i", [0, 1, 4, 3, -1, 0, 2, 2, 1, 1, 3, 0, 0, 0], [7, 2]);
    await agrees({
      nodes: [gathered, reshape, nodes[1] as NodeSpec],
      initializers: [table, places, ints("s", [7, 1])],
    });
    const scatter = { op: "ScatterND", inputs: ["table", "i", "v"], outputs: ["g2"] };
    const values = weights("v", [2, 4]);
    const wide = weights("table", [7, 4]);
    await agrees({
      nodes: [scatter, { op: "MatMul", inputs: ["image", "g2"] }],
      initializers: [wide, values, ints("i", [3, 5], [2, 1])],
    });
    const elements = { op: "ScatterElements", inputs: ["table", "i", "v"], outputs: ["g2"], attributes: { axis: 0 } };
    await agrees({
      nodes: [elements, { op: "MatMul", inputs: ["image", "g2"] }],
      initializers: [wide, values, ints("i", [3, 5, 1, -1, 0, 0, 2, 2], [2, 4])],
    });
  });

  test("splitting and joining", async () => {
    const join = { op: "Concat", inputs: ["c", "a", "b"], attributes: { axis: 2 } };
    const split = { op: "Split", inputs: ["image", "sizes"], outputs: ["a", "b", "c"], attributes: { axis: 2 } };
    await agrees({ nodes: [split, join], initializers: [ints("sizes", [2, 4, 1])] });
    const equal = { op: "Split", inputs: ["image"], outputs: ["a", "b", "c"], attributes: { axis: 1, num_outputs: 3 } };
    await agrees({ nodes: [equal, { ...join, attributes: { axis: 1 } }] });
    const uneven = {
      op: "Split",
      inputs: ["image"],
      outputs: ["a", "b", "c"],
      attributes: { axis: 2, num_outputs: 3 },
    };
    await agrees({ nodes: [uneven, join] });
    const old = { op: "Split", inputs: ["image"], outputs: ["a", "b", "c"], attributes: { axis: 3, split: [1, 1, 5] } };
    await agrees({ nodes: [old, { ...join, attributes: { axis: -1 } }], opset: 11 });
  });

  test("padding in every mode, with cuts", async () => {
    const pads = fc.array(fc.integer({ min: -2, max: 3 }), { minLength: 4, maxLength: 4 });
    const modes = fc.constantFrom("constant", "reflect", "edge", "wrap");
    const property = fc.asyncProperty(modes, pads, async (mode, [a = 0, b = 0, c = 0, d = 0]) => {
      // onnxruntime reads outside of what a cut has left in these modes.
      const least = mode === "constant" ? -2 : 0;
      const all = [0, 0, a, b, 0, 0, c, d].map((pad) => Math.max(pad, least));
      await one("Pad", { mode }, [ints("pads", all), ...(mode === "constant" ? [floats("value", [], [0.5])] : [])]);
    });
    await fc.assert(property, { numRuns: 20, seed: 4 });
    await one("Pad", { pads: [0, 0, 1, 2, 0, 0, 0, 1], value: 0.25 }, [], { opset: 10 });
  });

  test("expanding, tiling, ranges, triangles, one-hot rows", async () => {
    await agrees({
      nodes: [
        { op: "ReduceMean", inputs: ["image", "axes"], outputs: ["m"], attributes: { keepdims: 1 } },
        { op: "Expand", inputs: ["m", "s"] },
      ],
      initializers: [ints("axes", [3]), ints("s", [1, 3, 1, 5])],
    });
    await one("Tile", {}, [ints("t", [1, 2, 1, 3])]);
    for (const k of [0, 1, -2]) {
      const eye = { op: "EyeLike", inputs: ["like"], outputs: ["e"], attributes: { k } };
      await agrees({ nodes: [eye, { op: "MatMul", inputs: ["image", "e"] }], initializers: [weights("like", [7, 5])] });
    }
    for (const upper of [0, 1]) await one("Trilu", { upper }, [ints("k", [-1], [])]);
    await agrees({
      nodes: [
        { op: "Shape", inputs: ["image"], outputs: ["s"], attributes: { start: -1 } },
        { op: "Squeeze", inputs: ["s"], outputs: ["w"] },
        { op: "Range", inputs: ["zero", "w", "two"], outputs: ["r"] },
        { op: "Cast", inputs: ["r"], outputs: ["f"], attributes: { to: 1 } },
        { op: "ConstantOfShape", inputs: ["s"], outputs: ["c"], attributes: { value: floats("", [1], [0.5]) } },
        { op: "OneHot", inputs: ["r", "w", "values"], outputs: ["h"], attributes: { axis: -1 } },
        { op: "MatMul", inputs: ["image", "ht"], outputs: ["p"] },
        { op: "Transpose", inputs: ["h"], outputs: ["ht"], attributes: { perm: [1, 0] } },
        { op: "Mul", inputs: ["p", "f"], outputs: ["q"] },
        { op: "ReduceSum", inputs: ["c"], outputs: ["t"] },
        { op: "Mul", inputs: ["q", "t"] },
      ],
      initializers: [ints("zero", [0], []), ints("two", [2], []), floats("values", [2], [0.25, 2])],
    });
  });
});

test("resizing with every mode and convention", async () => {
  const none = floats("roi", [0], []);
  const property = fc.asyncProperty(
    fc.constantFrom("nearest", "linear", "cubic"),
    fc.constantFrom("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"),
    fc.constantFrom("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    fc.constantFrom([1.5, 2], [0.6, 1], [2, 0.5], [1, 1], [3, 3]),
    fc.boolean(),
    async (mode, transform, nearest_mode, scales, bySize) => {
      const attributes = { mode, coordinate_transformation_mode: transform, nearest_mode };
      const inputs = bySize ? ["image", "roi", "none", "sizes"] : ["image", "roi", "scales"];
      const sizes = [1, 3, ...scales.map((scale) => Math.floor(7 * scale))];
      const initializers = [
        none,
        floats("none", [0], []),
        floats("scales", [4], [1, 1, ...scales]),
        ints("sizes", sizes),
      ];
      const used = initializers.filter(({ name }) => inputs.includes(name));
      // Sizes name the batch too: such a file fixes it.
      const axes = bySize ? { axes: [1, 2, 3] } : {};
      const cut = used.map((tensor) => (tensor.name === "sizes" ? ints("sizes", sizes.slice(1)) : tensor));
      await agrees({
        nodes: [{ op: "Resize", inputs, attributes: { ...attributes, ...axes } }],
        initializers: cut,
        tolerance: 1e-4,
      });
    },
  );
  await fc.assert(property, { numRuns: 60, seed: 5 });
  for (const mode of ["linear", "cubic"]) {
    for (const scales of [
      [0.5, 0.6],
      [2, 2],
    ]) {
      const nodes = [{ op: "Resize", inputs: ["image", "", "scales"], attributes: { mode, antialias: 1 } }];
      await agrees({ nodes, initializers: [floats("scales", [4], [1, 1, ...scales])], tolerance: 1e-4 });
    }
  }
  const cubic = { mode: "cubic", exclude_outside: 1, cubic_coeff_a: -0.5 };
  const nodes = [{ op: "Resize", inputs: ["image", "", "scales"], attributes: cubic }];
  await agrees({ nodes, initializers: [floats("scales", [4], [1, 1, 1.6, 2])], tolerance: 1e-4 });
  for (const mode of ["nearest", "linear"])
    await one("Upsample", { mode }, [floats("s", [4], [1, 1, 2, 3])], { opset: 9 });
  await one("Resize", { mode: "nearest" }, [floats("s", [4], [1, 1, 2, 3])], { opset: 10 });
});

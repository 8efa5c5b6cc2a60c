/** Broken and malicious TensorFlow.js graphs: each is refused with a message, in bounded memory and time. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  axes,
  constant,
  convolution,
  graph,
  type Json,
  kernel,
  matrix,
  mean,
  type Node,
  open,
  type Parts,
  placeholder,
  texts,
  wholeBytes,
  written,
} from "../support/hostile-tfjs.ts";
import { assertRefused } from "../support/refusal.ts";

function hostile(name: string, parts: () => Parts, pattern: RegExp): void {
  test(`refuses ${name}`, () => assertRefused(open, written(parts()), pattern));
}

const weight = (change: Json): Parts => ({ weights: [{ ...kernel, ...change }, axes, matrix] });
const nodes = (...list: unknown[]): Parts => ({ topology: { node: list }, weights: [], bytes: 0 });
const behindMean = (...list: Node[]): Parts => ({ topology: graph(...mean, ...list) });
hostile("no nodes", () => nodes(), /needs one input/);
hostile("a node that is null", () => nodes(null), /must be an object/);
hostile("a node without a name", () => nodes({ op: "Relu" }), /"name" is missing/);
hostile("a node without an operator", () => nodes({ name: "y" }), /"op" is missing/);
hostile("two nodes of one name", () => ({ topology: graph(convolution) }), /two nodes are called "conv"/);
hostile("inputs that are no list", () => nodes({ name: "y", op: "Relu", input: "x" }), /"input" must be a list/);
hostile("an input that is a number", () => nodes({ name: "y", op: "Relu", input: [1] }), /its input 1 is no name/);
hostile(
  "an input that nobody makes",
  () => nodes({ name: "y", op: "Relu", input: ["z"] }),
  /reads "z", which no node makes/,
);
hostile(
  "a circle",
  () =>
    behindMean(
      { name: "a", op: "AddV2", input: ["b", "pooled"] },
      { name: "b", op: "Relu", input: ["a"] },
      { name: "y", op: "Relu", input: ["b"] },
    ),
  /depends on itself in a circle/,
);
hostile(
  "a node that reads itself",
  () => behindMean({ name: "a", op: "AddV2", input: ["a", "pooled"] }, { name: "y", op: "Relu", input: ["a"] }),
  /in a circle/,
);
hostile(
  "nothing but circles",
  () => nodes({ name: "a", op: "Relu", input: ["b"] }, { name: "b", op: "Relu", input: ["a"] }),
  /needs one input|circle/,
);
hostile(
  "operators that run code or read files",
  () => behindMean({ name: "y", op: "ReadFile", input: ["pooled"] }, { name: "z", op: "PyFunc", input: ["y"] }),
  /not supported: PyFunc, ReadFile/,
);
hostile(
  "an operator called constructor",
  () => behindMean({ name: "y", op: "constructor", input: ["pooled"] }),
  /not supported: constructor/,
);
hostile("a loop", () => behindMean({ name: "y", op: "While", input: ["pooled"] }), /not supported: While; sub-graphs/);
hostile(
  "two inputs",
  () => ({
    topology: graph(...mean, { ...placeholder, name: "x2" }, { name: "y", op: "AddV2", input: ["pooled", "x2"] }),
  }),
  /needs one input/,
);
hostile(
  "an output that is not made",
  () => behindMean({ name: "y", op: "Relu", input: ["pooled:1"] }),
  /Mean "pooled" on .*: it has 2 outputs, but its operator makes 1/,
);
hostile(
  "output number one million",
  () => behindMean({ name: "y", op: "Relu", input: ["pooled:1000000"] }),
  /is not valid/,
);
hostile(
  "attributes that are a list",
  () => ({ topology: graph({ ...convolution, name: "y", attr: [1] }) }),
  /its attributes are/,
);
const conv = (attr: Json): Parts => ({
  topology: {
    node: [
      placeholder,
      constant("kernel"),
      { ...convolution, attr: { ...(convolution.attr as Json), ...attr } },
      ...mean,
    ],
  },
});
hostile("strides of zero", () => conv({ strides: { list: { i: ["1", "0", "0", "1"] } } }), /whole number \(from 1/);
hostile("strides that are texts", () => conv({ strides: { list: { i: ["1", "two", "2", "1"] } } }), /whole number/);
hostile("strides over images", () => conv({ strides: { list: { i: ["2", "1", "1", "1"] } } }), /must be 1 over images/);
hostile(
  "strides beyond any image",
  () => conv({ strides: { list: { i: ["1", "9999999999", "1", "1"] } } }),
  /whole number/,
);
hostile(
  "padding by a gigapixel",
  () =>
    conv({
      padding: texts("EXPLICIT"),
      explicit_paddings: { list: { i: ["0", "0", "65536", "65536", "65536", "65536", "0", "0"] } },
    }),
  /elements may be in use/,
);
hostile("an unknown padding", () => conv({ padding: texts("MAGIC") }), /padding "MAGIC" is not supported/);
hostile("a data format of five dimensions", () => conv({ data_format: texts("NDHWC") }), /data format "NDHWC"/);
hostile("a kernel for other images", () => weight({ shape: [1, 1, 4, 3] }), /does not fit images of 3 channels/);
hostile(
  "a kernel without dimensions",
  () => ({ weights: [{ ...kernel, shape: [12] }, axes, matrix] }),
  /a kernel has four dimensions/,
);
hostile(
  "an empty kernel",
  () => ({ weights: [{ ...kernel, shape: [1, 1, 3, 0] }, axes, matrix], bytes: 40 }),
  /a kernel cannot be empty/,
);
hostile(
  "a matrix of another size",
  () => ({ weights: [kernel, axes, { ...matrix, shape: [2, 4] }] }),
  /MatMul "scores"/,
);
hostile("axes that are fractions", () => ({ weights: [kernel, { ...axes, dtype: "float32" }, matrix] }), /axes/);
hostile(
  "axes beyond the dimensions",
  () => ({
    weights: [kernel, axes, matrix],
    prepare: (own) => writeFileSync(join(own, "shard.bin"), Buffer.alloc(wholeBytes, 9)),
  }),
  /no dimension/,
);

/** An operator whose whole numbers come from the shard. */
function steered(op: string, sizes: number[], inputs: (name: string) => string[], extra: Node[] = []): Parts {
  const target = { name: "target", shape: [sizes.length], dtype: "int32" };
  return {
    topology: {
      node: [
        placeholder,
        constant("target"),
        ...extra,
        { name: "y", op, input: inputs("target") },
        { name: "z", op: "Relu", input: ["y"] },
      ],
    },
    weights: [target],
    prepare: (own) => writeFileSync(join(own, "shard.bin"), Buffer.from(Int32Array.from(sizes).buffer)),
  };
}
const huge = 2 ** 20;
hostile(
  "a Fill of a terabyte",
  () => steered("Fill", [huge, huge], (t) => [t, "one"], [{ name: "one", op: "Rank", input: ["x"] }]),
  /elements may be in use/,
);
hostile("a Tile of a terabyte", () => steered("Tile", [huge, huge, 1, 1], (t) => ["x", t]), /elements may be in use/);
hostile("a Tile by negative numbers", () => steered("Tile", [-1, 1, 1, 1], (t) => ["x", t]), /cannot be repeated/);
hostile(
  "a BroadcastTo of a terabyte",
  () => steered("BroadcastTo", [huge, huge, 2, 8, 8, 3], (t) => ["x", t]),
  /elements may be in use/,
);
hostile(
  "a Pad of a terabyte",
  () => steered("Pad", [0, 0, huge, huge, huge, huge, 0, 0], (t) => ["x", t]),
  /elements may be in use/,
);
hostile(
  "a ResizeBilinear to a terapixel",
  () => steered("ResizeBilinear", [huge, huge], (t) => ["x", t]),
  /elements may be in use/,
);
hostile(
  "a ResizeNearestNeighbor to nothing",
  () => steered("ResizeNearestNeighbor", [0, 0], (t) => ["x", t]),
  /cannot be resized/,
);
hostile("a Reshape to an unfit shape", () => steered("Reshape", [2, 7], (t) => ["x", t]), /Reshape "y"/);
hostile("a Reshape with two unknown sizes", () => steered("Reshape", [-1, -1], (t) => ["x", t]), /Reshape "y"/);
hostile("a Transpose that is no order", () => steered("Transpose", [0, 0, 1, 9], (t) => ["x", t]), /Transpose "y"/);
hostile("a Gather beyond the end", () => steered("Gather", [99], (t) => ["x", t]), /Gather "y"/);
hostile("a Slice beyond the end", () => ({ ...steered("Slice", [0, 9, 0, 0], (t) => ["x", t, t]) }), /Slice "y"/);
hostile(
  "a SpaceToBatchND with blocks of zero",
  () => steered("SpaceToBatchND", [0, 0], (t) => ["x", t, t]),
  /blocks of \[0, 0\]/,
);
hostile(
  "doubling until memory is full",
  () => {
    const doubled = Array.from({ length: 40 }, (_, i): Node => {
      const before = i === 0 ? "x" : `d${i - 1}`;
      return { name: `d${i}`, op: "ConcatV2", input: [before, before, "target"] };
    });
    const last = { name: "z", op: "Relu", input: ["d39"] };
    return {
      ...steered("Relu", [1], (t) => [t]),
      topology: { node: [placeholder, constant("target"), ...doubled, last] },
    };
  },
  /elements may be in use/,
);
hostile(
  "a million nodes",
  () => {
    const chain = Array.from(
      { length: 30_000 },
      (_, i): Node => ({ name: `n${i}`, op: "Relu", input: [i === 0 ? "x" : `n${i - 1}`] }),
    );
    return nodes(placeholder, ...chain);
  },
  /more than 20000 nodes/,
);

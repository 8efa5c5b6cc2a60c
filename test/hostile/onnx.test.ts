/** Broken and malicious ONNX files: each is refused with a message, in bounded memory and time, and leaves nothing behind. */
// Long: hundreds of files are read, twice each.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  TensorProto_DataType,
} from "../../src/graphs/onnx/onnx-pb.generated.ts";
import { floats, info, ints, model } from "../fixtures/onnx/builder.ts";
import { networkBytes } from "../fixtures/onnx/networks.ts";
import { changed, conv, folder, graph, open, pool, sound, w, written } from "../support/hostile-onnx.ts";
import { assertRefused, outcome } from "../support/refusal.ts";

function hostile(name: string, content: () => ModelProto | Uint8Array, pattern: RegExp): void {
  test(`refuses ${name}`, () => assertRefused(open, written(content()), pattern));
}

test("a sound file of the test's own writer is read, so that each refusal has its own reason", async () => {
  assert.equal(await outcome(open, written(model(sound))), undefined);
});

// ---- bytes

const bytes = (): Buffer => Buffer.from(toBinary(ModelProtoSchema, model(sound)));

hostile("an empty file", () => Buffer.alloc(0), /it is empty/);
hostile("text", () => Buffer.from("#!/bin/sh\necho no model\n".repeat(50)), /not a valid ONNX file/);
hostile("zeros", () => Buffer.alloc(4096), /impossible number/);
hostile("random bytes", () => Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 251)), /not a valid/);
hostile("a number of eleven bytes", () => Buffer.from([0x08, ...Array<number>(11).fill(0xff)]), /longer than 10 bytes/);
hostile("a length of 2^63", () => Buffer.from([0x3a, ...Array<number>(9).fill(0xff), 0x01]), /does not fit/);
hostile("a length of 4 GB", () => Buffer.from([0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]), /does not fit/);
hostile("a group, which the format does not have", () => Buffer.from([0x3b, 0x3c]), /unknown wire type 3/);
hostile("a graph that is a number", () => Buffer.from([0x38, 1]), /wire type 0 instead of 2/);
hostile("two graphs", () => Buffer.concat([bytes(), bytes()]), /more than one graph/);
hostile(
  "a model without a graph",
  () => toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n })),
  /no graph/,
);
hostile(
  "sub-graphs in sub-graphs, a thousand deep",
  () => {
    let inner: Buffer = Buffer.alloc(0);
    const around = (tag: number, content: Buffer): Buffer => {
      const length: number[] = [];
      for (let left = content.length; ; left >>>= 7) {
        length.push(left > 127 ? (left & 127) | 128 : left);
        if (left <= 127) break;
      }
      return Buffer.concat([Buffer.from([tag, ...length]), content]);
    };
    // Graph, node, attribute, graph, node, ...
    for (let i = 0; i < 1000; i++) inner = around(0x0a, around(0x2a, around(0x32, inner)));
    return around(0x3a, inner);
  },
  /nested deeper than 40/,
);
hostile(
  "ten million empty nodes",
  () => {
    const nodes = Buffer.alloc(2 * 10_000_000);
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = 0x0a;
    return Buffer.concat([Buffer.from([0x3a, 0x80, 0xda, 0xc4, 0x09]), nodes]);
  },
  /more than 1 GiB of memory/,
);
hostile(
  "a hundred thousand nodes",
  () =>
    model({
      nodes: Array.from({ length: 100_000 }, (_, i) => ({
        op: "Relu",
        inputs: [i === 0 ? "image" : `${i - 1}`],
        outputs: [`${i}`],
      })),
    }),
  /100000 nodes, over 50000/,
);

test("refuses every beginning of a file", async () => {
  const whole = networkBytes("timm_vit-dynamo").subarray(0, 1 << 18);
  for (let i = 0; i < 20; i++)
    await assertRefused(open, written(whole.subarray(0, Math.floor((whole.length * i) / 20))), /./);
});

test("survives flipped bytes of a network", async () => {
  const whole = networkBytes("hf_convnext-dynamo");
  const position = fc.integer({ min: 0, max: 8000 });
  const damage = fc.array(fc.tuple(fc.boolean(), position, fc.integer({ min: 0, max: 255 })), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const damaged = Buffer.from(whole);
      for (const [atEnd, at, value] of changes) damaged[atEnd ? damaged.length - 1 - at : at] = value;
      await outcome(open, written(damaged));
    }),
    { numRuns: 150, seed: 6 },
  );
});

test("refuses a folder, a missing file and a pipe", async () => {
  const directory = join(folder, "folder.onnx");
  mkdirSync(directory);
  await assertRefused(open, directory, /not a file/);
  await assertRefused(open, join(folder, "none.onnx"), /no such file/);
  const pipe = join(folder, "pipe.onnx");
  execFileSync("mkfifo", [pipe]);
  await assertRefused(open, pipe, /not a file/);
});

// ---- graphs

hostile(
  "nodes that wait for each other",
  () =>
    model({
      nodes: [
        { op: "Add", inputs: ["image", "b"], outputs: ["a"] },
        { op: "Relu", inputs: ["a"], outputs: ["b"] },
        { op: "Relu", inputs: ["b"] },
      ],
    }),
  /wait for each other in a circle/,
);
hostile("a node that reads itself", () => model({ nodes: [{ op: "Add", inputs: ["image", "out"] }] }), /in a circle/);
hostile("a tensor made twice", () => graph([pool, { op: "Relu", inputs: ["c"] }]), /two things of its graph define/);
hostile(
  "an initializer made by a node too",
  () => graph([{ op: "Relu", inputs: ["c"], outputs: ["w"] }, pool]),
  /two things/,
);
hostile(
  "a missing input",
  () => graph([{ op: "Add", inputs: ["c", "nowhere"] }]),
  /reads "nowhere", which nothing defines/,
);
hostile("an output that nothing makes", () => model({ ...sound, outputs: ["none"] }), /"none" is made by no node/);
hostile("no outputs", () => changed((_, { output }) => void output.splice(0)), /has no outputs/);
hostile("no nodes", () => model({ nodes: [] }), /has no nodes/);
hostile("no inputs", () => changed((_, { input }) => void input.splice(0)), /takes no input|which nothing defines/);
hostile(
  "two inputs of images",
  () => changed((_, { input }) => void input.push(info("other", ["n", 3, 8, 8]))),
  /takes 2 inputs \("image", "other"\)/,
);
hostile(
  "a text beside the images",
  () =>
    changed((_, { input }) => void input.push(info("text", ["n", 2])), {
      nodes: [conv, { op: "GlobalAveragePool", inputs: ["c"], outputs: ["p"] }, { op: "Add", inputs: ["p", "text"] }],
      initializers: [w],
    }),
  /its input "text" holds no images/,
);
hostile("a node without outputs", () => graph([{ op: "Relu", inputs: ["c"], outputs: [] }, pool]), /has no output/);
hostile(
  "a node with too many outputs",
  () => graph([{ op: "GlobalAveragePool", inputs: ["c"], outputs: ["out", "b", "d"] }]),
  /has 3 outputs/,
);
hostile("a node without its inputs", () => graph([{ op: "Relu", inputs: [] }]), /has no input 0/);
hostile("an unknown operator set", () => model({ ...sound, opset: 99 }), /operator set 99; 7 to 24/);
hostile(
  "an operator set of 2^62",
  () => changed((m) => void Object.assign(m.opsetImport[0] ?? {}, { version: 2n ** 62n })),
  /operator set 4611686018427388000/,
);
hostile("no operator set", () => changed((m) => void m.opsetImport.splice(0)), /does not say which operator set/);
hostile(
  "functions",
  () =>
    changed(
      (m) =>
        void m.functions.push({
          $typeName: "onnx.FunctionProto",
          name: "f\u0007",
          input: [],
          output: [],
          attribute: [],
          attributeProto: [],
          node: [],
          docString: "",
          opsetImport: [],
          domain: "",
          overload: "",
          valueInfo: [],
          metadataProps: [],
        }),
    ),
  /has functions/,
);
hostile(
  "a name of a megabyte with control characters",
  () => graph([{ op: "Relu", inputs: ["\u0000\u001b[2J".repeat(200_000)] }]),
  /which nothing defines/,
);
for (const op of ["If", "Loop", "Scan"])
  hostile(`a sub-graph in ${op}`, () => graph([{ op, inputs: ["c"] }]), new RegExp(`not supported: ${op}; sub-graphs`));
for (const op of ["QLinearConv", "QuantizeLinear", "ConvInteger", "MatMulInteger"])
  hostile(
    `${op} of a quantised network`,
    () => graph([{ op, inputs: ["c"] }]),
    /a quantised network cannot be trained/,
  );
hostile(
  "an operator called like a property of objects",
  () =>
    graph([
      { op: "__proto__", inputs: ["c"] },
      { op: "constructor", inputs: ["c"], outputs: ["d"] },
    ]),
  /not supported: __proto__/,
);
hostile(
  "thousands of unknown operators",
  () =>
    model({
      nodes: Array.from({ length: 5000 }, (_, i) => ({
        op: `Unknown${"x".repeat(500)}${i}`,
        inputs: [i === 0 ? "image" : `${i - 1}`],
        outputs: [i === 4999 ? "out" : `${i}`],
      })),
    }),
  /and 4985 more/,
);
hostile(
  "an attribute twice",
  () =>
    changed((_, { node: nodes }) => {
      const attribute = create(AttributeProtoSchema, { name: "group", type: AttributeProto_AttributeType.INT, i: 1n });
      nodes[0]?.attribute.push(attribute, attribute);
    }),
  /two attributes "group"/,
);
hostile(
  "an attribute of another type",
  () => graph([{ op: "Concat", inputs: ["c"], attributes: { axis: "one" } }]),
  /of type STRING instead of INT/,
);
hostile(
  "a sub-graph as an attribute",
  () =>
    changed((_, { node: nodes }) => {
      nodes[0]?.attribute.push(
        create(AttributeProtoSchema, {
          name: "group",
          type: AttributeProto_AttributeType.GRAPH,
          g: create(GraphProtoSchema),
        }),
      );
    }),
  /of type GRAPH instead of INT/,
);
hostile(
  "an image input of text",
  () => changed((_, { input }) => void input.splice(0, 1, info("image", ["n", 3, 8, 8], TensorProto_DataType.STRING))),
  /elements of type STRING/,
);
hostile(
  "bytes for images",
  () => changed((_, { input }) => void input.splice(0, 1, info("image", ["n", 3, 8, 8], TensorProto_DataType.UINT8))),
  /elements of type UINT8/,
);
hostile("images of 2^40 pixels", () => model({ ...sound, input: [1, 3, 2 ** 40, 2 ** 40] }), /2048 are supported/);
hostile("a batch of a billion", () => model({ ...sound, input: [1e9, 3, 8, 8] }), /made for 1000000000 images/);
hostile("images of two channels", () => model({ ...sound, input: ["n", 2, 8, 8] }), /colour or grey images are needed/);
hostile("grey images for a colour network", () => model({ ...sound, input: ["n", 1, 8, 8] }), /do not fit its input/);
hostile(
  "features that are one row for all images",
  () => graph([{ op: "ReduceMean", inputs: ["c", "axes"], attributes: { keepdims: 0 } }], [ints("axes", [0, 2, 3])]),
  /"out" cannot serve as features: it has the shape \[2\] for 2 images/,
);

test("long chains of constants, each of which might be a mask, are done with soon", async () => {
  const count = 12_000;
  const nodes = Array.from({ length: count }, (_, i) => [
    { op: "Neg", inputs: [i === 0 ? "k" : `k${i}`], outputs: [`k${i + 1}`] },
    { op: "Add", inputs: [i === 0 ? "c" : `c${i}`, `k${i + 1}`], outputs: [i === count - 1 ? "out" : `c${i + 1}`] },
  ]).flat();
  assert.equal(await outcome(open, written(graph(nodes, [floats("k", [2, 1, 1], [0.5, 1])]))), undefined);
});

test("a node with a hundred thousand inputs is done with soon", async () => {
  const inputs = Array.from({ length: 100_000 }, (_, i) => (i === 0 ? "c" : "k"));
  const content = graph([{ op: "Sum", inputs }], [floats("k", [2, 1, 1], [0.5, 1])]);
  assert.equal(await outcome(open, written(content)), undefined);
});

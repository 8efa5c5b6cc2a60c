/** ONNX files whose tensors, external files or sizes are hostile: refused in bounded memory and time. */
// Long: hundreds of files are read, twice each.
import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { onnxParts } from "../../src/graphs/index.ts";
import { resolveGraph } from "../../src/graphs/onnx/graph.ts";
import { buildNetwork } from "../../src/graphs/onnx/network.ts";
import {
  type ModelProto,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
} from "../../src/graphs/onnx/onnx-pb.generated.ts";
import { readModel } from "../../src/graphs/onnx/wire.ts";
import { floats, ints, model } from "../fixtures/onnx/builder.ts";
import { changed, conv, folder, graph, open, pool, w, written } from "../support/hostile-onnx.ts";
import { assertRefused } from "../support/refusal.ts";

function hostile(name: string, content: () => ModelProto | Uint8Array, pattern: RegExp): void {
  test(`refuses ${name}`, () => assertRefused(open, written(content()), pattern));
}

// ---- tensors

function tensor(fields: Partial<Omit<TensorProto, "$typeName" | "$unknown">>): ModelProto {
  const made = create(TensorProtoSchema, {
    name: "t",
    dataType: TensorProto_DataType.FLOAT,
    dims: [2n, 1n, 1n],
    ...fields,
  });
  return graph([{ op: "Mul", inputs: ["c", "t"] }], [made]);
}

hostile("fewer bytes than the shape needs", () => tensor({ rawData: new Uint8Array(7) }), /needs 8 bytes but has 7/);
hostile("more bytes than the shape needs", () => tensor({ rawData: new Uint8Array(12) }), /needs 8 bytes but has 12/);
hostile("no elements", () => tensor({}), /needs 2 elements but has 0/);
hostile("a size of 2^62", () => tensor({ dims: [2n ** 62n], rawData: new Uint8Array(8) }), /has the size/);
hostile("a size below zero", () => tensor({ dims: [-1n], rawData: new Uint8Array(8) }), /has the size -1/);
hostile(
  "sizes whose product overflows",
  () => tensor({ dims: [2n ** 32n, 2n ** 32n], rawData: new Uint8Array(8) }),
  /impossible shape/,
);
hostile(
  "sizes whose product overflows beside a zero",
  () => tensor({ dims: [2n ** 40n, 0n, 2n ** 40n] }),
  /impossible shape/,
);
hostile(
  "a million dimensions",
  () => tensor({ dims: Array<bigint>(1_000_000).fill(1n), rawData: new Uint8Array(4) }),
  /impossible shape/,
);
hostile(
  "elements in two places",
  () => tensor({ rawData: new Uint8Array(8), floatData: [1, 2] }),
  /more than one place/,
);
hostile(
  "segments",
  () => tensor({ rawData: new Uint8Array(8), segment: { $typeName: "onnx.TensorProto.Segment", begin: 0n, end: 1n } }),
  /segments/,
);
hostile(
  "sparse tensors",
  () => changed((_, g) => void g.sparseInitializer.push({ $typeName: "onnx.SparseTensorProto", dims: [4n] })),
  /sparse/,
);
for (const name of ["STRING", "COMPLEX64", "FLOAT8E4M3FN", "INT4", "UINT64"] as const)
  hostile(
    `elements of type ${name}`,
    () => tensor({ dataType: TensorProto_DataType[name] }),
    new RegExp(`elements of type ${name}`),
  );
hostile("elements of no type", () => tensor({ dataType: 4711 }), /type number 4711/);
hostile(
  "truth values of 7",
  () => {
    const truth = create(TensorProtoSchema, {
      name: "t",
      dataType: TensorProto_DataType.BOOL,
      dims: [2n, 1n, 1n],
      rawData: new Uint8Array([1, 7]),
    });
    return graph([{ op: "Where", inputs: ["t", "c", "c"] }], [truth]);
  },
  /truth values above 1/,
);
hostile(
  "a byte of 300",
  () => {
    const byte = create(TensorProtoSchema, {
      name: "t",
      dataType: TensorProto_DataType.UINT8,
      dims: [2n],
      int32Data: [1, 300],
    });
    return graph([{ op: "Gather", inputs: ["c", "t"], attributes: { axis: 1 } }], [byte]);
  },
  /outside of uint8/,
);

// ---- files beside the model

const secret = join(folder, "..", "hub-pathway-secret.bin");
writeFileSync(secret, Buffer.alloc(64));
after(() => rmSync(secret));
writeFileSync(join(folder, "data.bin"), Buffer.alloc(64));
symlinkSync(secret, join(folder, "link.bin"));
mkdirSync(join(folder, "sub"));
symlinkSync("/", join(folder, "sub", "root"));

function external(entries: Readonly<Record<string, string>>): ModelProto {
  const externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  );
  return tensor({ externalData, dataLocation: TensorProto_DataLocation.EXTERNAL });
}

const outsideNames: Record<string, string> = {
  "the parent folder": "../hub-pathway-secret.bin",
  "a way around": "sub/../../hub-pathway-secret.bin",
  "a backslash": "..\\hub-pathway-secret.bin",
  "an absolute path": secret,
  "a drive": "C:\\secret.bin",
  "a drive of today": "C:secret.bin",
  "a server": "\\\\server\\share\\secret.bin",
  "no name": "",
  "a name that ends early": "data.bin\u0000.png",
};
for (const [name, location] of Object.entries(outsideNames))
  hostile(
    `external data at ${name}`,
    () => external({ location, length: "8" }),
    /only files in the model's own folder/,
  );
hostile("external data behind a link", () => external({ location: "link.bin", length: "8" }), /a link that leaves/);
hostile(
  "external data behind a linked folder",
  () => external({ location: "sub/root/etc/hostname" }),
  /a link that leaves/,
);
hostile("external data in a folder", () => external({ location: "sub" }), /not a file/);
hostile("external data that is missing", () => external({ location: "none.bin" }), /cannot be read: put it beside/);
hostile(
  "external data beyond the end",
  () => external({ location: "data.bin", offset: "60", length: "8" }),
  /needs bytes 60 to 68/,
);
hostile("external data after the end", () => external({ location: "data.bin", offset: "100" }), /starts at byte 100/);
hostile(
  "an offset of 2^64",
  () => external({ location: "data.bin", offset: `${2n ** 64n}`, length: "8" }),
  /has the offset/,
);
hostile(
  "an offset below zero",
  () => external({ location: "data.bin", offset: "-8", length: "8" }),
  /has the offset "-8"/,
);
hostile(
  "an offset in scientific notation",
  () => external({ location: "data.bin", offset: "1e1", length: "8" }),
  /has the offset/,
);
hostile("a length of 2^53", () => external({ location: "data.bin", length: `${2n ** 53n}` }), /has the length/);
hostile(
  "external data of another length",
  () => external({ location: "data.bin", length: "16" }),
  /needs 8 bytes but has 16/,
);
hostile("external data without a place", () => external({ offset: "0" }), /names no file/);
hostile(
  "external data that is none",
  () =>
    tensor({
      rawData: new Uint8Array(8),
      externalData: [create(StringStringEntryProtoSchema, { key: "location", value: "data.bin" })],
    }),
  /says it is not external/,
);

test("the names of external files are given as they stand, for others to check", () => {
  assert.deepEqual(onnxParts(written(external({ location: "../x", length: "8" }))), ["../x"]);
});

test("refuses a file that has lost its end when its weights are read", async () => {
  const many = Array.from({ length: 4 }, (_, i) => floats(`t${i}`, [1 << 20, 1, 1], new Float32Array(1 << 20)));
  const nodes = [conv, { op: "Sum", inputs: ["c", ...many.map(({ name }) => name)] }];
  const path = written(model({ nodes, initializers: [w, ...many] }));
  const read = (file: string): void => {
    const { model: content, rawData } = readModel(file);
    const resolved = resolveGraph(file, content, rawData);
    truncateSync(file, 1 << 23);
    buildNetwork(resolved, resolved.outputs).dispose();
  };
  await assertRefused(read, path, /changed while tensor "t1" was read/);
});

// ---- bombs

const big = 2 ** 40;
hostile(
  "ConstantOfShape of 2^40",
  () =>
    graph(
      [
        { op: "ConstantOfShape", inputs: ["s"], outputs: ["b"] },
        { op: "Add", inputs: ["c", "b"] },
      ],
      [ints("s", [big])],
    ),
  /elements may be in use/,
);
hostile(
  "ConstantOfShape of many small sizes",
  () =>
    graph(
      [
        { op: "ConstantOfShape", inputs: ["s"], outputs: ["b"] },
        { op: "Add", inputs: ["c", "b"] },
      ],
      [ints("s", Array<number>(40).fill(4))],
    ),
  /elements may be in use/,
);
hostile(
  "ConstantOfShape below zero",
  () =>
    graph(
      [
        { op: "ConstantOfShape", inputs: ["s"], outputs: ["b"] },
        { op: "Add", inputs: ["c", "b"] },
      ],
      [ints("s", [-5])],
    ),
  /impossible shape/,
);
hostile(
  "Expand to 2^40",
  () => graph([{ op: "Expand", inputs: ["c", "s"] }], [ints("s", [1, 1, big, 1])]),
  /elements may be in use|cannot broadcast/,
);
hostile(
  "Expand of one number",
  () =>
    graph(
      [
        { ...pool, outputs: ["p"] },
        { op: "Expand", inputs: ["p", "s"] },
      ],
      [ints("s", [1, 1, big, big])],
    ),
  /elements may be in use|impossible/,
);
hostile(
  "Tile by 2^40",
  () => graph([{ op: "Tile", inputs: ["c", "s"] }], [ints("s", [1, 1, big, 1])]),
  /elements may be in use/,
);
hostile(
  "Range to 2^40",
  () =>
    graph(
      [
        { op: "Range", inputs: ["a", "b", "d"], outputs: ["r"] },
        { op: "Add", inputs: ["c", "r"] },
      ],
      [ints("a", [0], []), ints("b", [big], []), ints("d", [1], [])],
    ),
  /elements may be in use/,
);
hostile(
  "Range that stands still",
  () =>
    graph(
      [
        { op: "Range", inputs: ["a", "b", "d"], outputs: ["r"] },
        { op: "Add", inputs: ["c", "r"] },
      ],
      [ints("a", [0], []), ints("b", [5], []), ints("d", [0], [])],
    ),
  /counts from 0 to 5 by 0/,
);
for (const mode of ["constant", "reflect", "edge", "wrap"])
  hostile(
    `Pad by 2^40, ${mode}`,
    () => graph([{ op: "Pad", inputs: ["c", "s"], attributes: { mode } }], [ints("s", [0, 0, big, 0, 0, 0, 0, 0])]),
    /elements may be in use/,
  );
hostile(
  "Pad that cuts more than there is",
  () => graph([{ op: "Pad", inputs: ["c", "s"] }], [ints("s", [0, 0, -100, 0, 0, 0, 0, 0])]),
  /impossible shape/,
);
hostile(
  "Resize by a billion",
  () =>
    graph(
      [{ op: "Resize", inputs: ["c", "", "s"], attributes: { mode: "cubic" } }],
      [floats("s", [4], [1, 1, 1e9, 1e9])],
    ),
  /elements may be in use/,
);
hostile(
  "Resize to nothing",
  () => graph([{ op: "Resize", inputs: ["c", "", "s"] }], [floats("s", [4], [1, 1, 0, 0])]),
  /resizes 16 pixels to 0/,
);
hostile(
  "Resize by what is no number",
  () => graph([{ op: "Resize", inputs: ["c", "", "s"] }], [floats("s", [4], [1, 1, Number.NaN, 1])]),
  /resizes 16 pixels to NaN/,
);
hostile(
  "OneHot of 2^40 classes",
  () =>
    graph(
      [
        { op: "ArgMax", inputs: ["c"], outputs: ["i"], attributes: { axis: 1 } },
        { op: "OneHot", inputs: ["i", "d", "v"] },
      ],
      [ints("d", [big], []), floats("v", [2], [0, 1])],
    ),
  /elements may be in use/,
);
hostile(
  "DepthToSpace of blocks of 0",
  () => graph([{ op: "DepthToSpace", inputs: ["c"], attributes: { blocksize: 0 } }]),
  /cannot take blocks/,
);
hostile(
  "a stride of 2^62",
  () => graph([{ op: "MaxPool", inputs: ["c"], attributes: { kernel_shape: [1, 1], strides: [2 ** 60, 1] } }]),
  /impossible value|in its "strides"/,
);
hostile(
  "padding of 2^40",
  () => graph([{ op: "MaxPool", inputs: ["c"], attributes: { kernel_shape: [1, 1], pads: [2 ** 40, 0, 0, 0] } }]),
  /in its "pads"/,
);
hostile(
  "padding of 2^20 by 2^20",
  () =>
    graph([
      { op: "AveragePool", inputs: ["c"], attributes: { kernel_shape: [1, 1], pads: Array<number>(4).fill(2 ** 20) } },
    ]),
  /elements may be in use/,
);
hostile(
  "windows of 2^20",
  () =>
    graph([
      {
        op: "AveragePool",
        inputs: ["c"],
        attributes: { kernel_shape: [2 ** 20, 2 ** 20], pads: Array<number>(4).fill(2 ** 19) },
      },
    ]),
  /elements may be in use|multiply-adds|pixels for/,
);
hostile(
  "a transposed convolution with a stride of 2^20",
  () =>
    graph(
      [{ op: "ConvTranspose", inputs: ["c", "k"], attributes: { strides: [2 ** 20, 2 ** 20] } }],
      [floats("k", [2, 1, 1, 1], [1, 1])],
    ),
  /elements may be in use/,
);
hostile(
  "an LRN over a billion channels",
  () => graph([{ op: "LRN", inputs: ["c"], attributes: { size: 1e9 } }]),
  /over 1000000000 channels/,
);
hostile(
  "a Split into sizes below zero",
  () =>
    graph([{ op: "Split", inputs: ["c", "s"], outputs: ["out", "b"], attributes: { axis: 2 } }], [ints("s", [20, -4])]),
  /splits 16 into/,
);
hostile(
  "a TopK of 2^40",
  () => graph([{ op: "TopK", inputs: ["c", "k"], outputs: ["out", "i"] }], [ints("k", [big])]),
  /cannot take/,
);
hostile(
  "a Gather far outside",
  () => graph([{ op: "Gather", inputs: ["c", "i"], attributes: { axis: 1 } }], [ints("i", [big])]),
  /takes element/,
);
hostile(
  "a GatherND far outside",
  () => graph([{ op: "GatherND", inputs: ["c", "i"] }], [ints("i", [0, big], [1, 2])]),
  /cannot take/,
);
hostile(
  "a ScatterND far outside",
  () =>
    graph([{ op: "ScatterND", inputs: ["c", "i", "v"] }], [ints("i", [0, big], [1, 2]), floats("v", [1, 1, 1], [0])]),
  /cannot take/,
);
hostile(
  "a Transpose that names a dimension twice",
  () => graph([{ op: "Transpose", inputs: ["c"], attributes: { perm: [0, 1, 1, 3] } }]),
  /orders the dimensions/,
);
hostile(
  "an Unsqueeze into a hundred dimensions",
  () =>
    graph(
      [{ op: "Unsqueeze", inputs: ["c", "a"] }],
      [
        ints(
          "a",
          Array.from({ length: 100 }, (_, i) => i),
        ),
      ],
    ),
  /would make 104 dimensions/,
);
hostile(
  "an Einsum over everything",
  () => graph([{ op: "Einsum", inputs: ["c", "c", "c"], attributes: { equation: "abcd,efgh,ijkl->abcdefghijkl" } }]),
  /multiply-adds|elements may be in use/,
);
hostile(
  "an Einsum of a megabyte",
  () => graph([{ op: "Einsum", inputs: ["c"], attributes: { equation: `${"!".repeat(1 << 20)}` } }]),
  /has the equation/,
);
hostile(
  "a Concat that doubles fifty times",
  () =>
    graph(
      Array.from({ length: 50 }, (_, i) => ({
        op: "Concat",
        inputs: [i === 0 ? "c" : `d${i}`, i === 0 ? "c" : `d${i}`],
        outputs: [i === 49 ? "out" : `d${i + 1}`],
        attributes: { axis: 2 },
      })),
    ),
  /elements may be in use/,
);
hostile(
  "an Add that keeps ten thousand tensors alive",
  () => {
    const count = 10_000;
    const made = Array.from({ length: count }, (_, i) => ({ op: "Tile", inputs: ["c", "s"], outputs: [`d${i}`] }));
    return graph(
      [...made, { op: "Sum", inputs: made.map(({ outputs }) => outputs[0] ?? "") }],
      [ints("s", [1, 1, 64, 64])],
    );
  },
  /elements may be in use/,
);
hostile(
  "constants that double fifty times while they are folded",
  () => {
    const doubled = Array.from({ length: 50 }, (_, i) => ({
      op: "Concat",
      inputs: [`d${i}`, `d${i}`],
      outputs: [`d${i + 1}`],
      attributes: { axis: 0 },
    }));
    return graph(
      [
        { op: "Cast", inputs: ["i"], outputs: ["d0"], attributes: { to: 7 } },
        ...doubled,
        { op: "Gather", inputs: ["c", "d50"], attributes: { axis: 1 } },
      ],
      [ints("i", [0, 1])],
    );
  },
  /elements may be in use/,
);
hostile(
  "work without end: a small map convolved with large kernels again and again",
  () => {
    const kernels = floats("k", [2, 2, 63, 63], new Float32Array(4 * 63 * 63));
    const nodes = [
      { op: "Tile", inputs: ["c", "s"], outputs: ["d0"] },
      ...Array.from({ length: 40_000 }, (_, i) => ({
        op: "Conv",
        inputs: [`d${i}`, "k"],
        outputs: [i === 39_999 ? "out" : `d${i + 1}`],
        attributes: { pads: Array<number>(4).fill(31) },
      })),
    ];
    return graph(nodes, [kernels, ints("s", [1, 1, 1024, 1024])]);
  },
  /multiply-adds|elements may be in use/,
);

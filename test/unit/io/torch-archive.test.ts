/** Files that torch.save wrote (test/fixtures/make-archives.py), against the rule that made their tensors. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isTorchScript, type LazyTensor, readTorchArchive, stateDictOf } from "../../../src/io/index.ts";
import {
  arange,
  type Dtype,
  disposeTree,
  memory,
  ops,
  scope,
  type Tensor,
  tensor,
  UserError,
  zeros,
} from "../../../src/torch/index.ts";
import { ruled, seeded } from "../../fixtures/seeded-weights.ts";
import { op, torchParts, torchZip, zipOf } from "../../support/archive-writer.ts";
import { unpackedFixtures } from "../../support/unpacked.ts";

const temporary = mkdtempSync(join(tmpdir(), "hub-pathway-archive-"));
after(() => rmSync(temporary, { recursive: true }));

const fixtures = unpackedFixtures("torch-archive");
const file = (name: string): string => join(fixtures, name);

function written(bytes: Buffer): string {
  const path = join(temporary, "weights.pth");
  writeFileSync(path, bytes);
  return path;
}

async function readAll(tensors: ReadonlyMap<string, LazyTensor>): Promise<Map<string, Tensor>> {
  const read = new Map<string, Tensor>();
  for (const [name, lazy] of tensors) read.set(name, await lazy.read());
  return read;
}

/** Same dtype, shape and bits, and row-major memory. */
function assertSame(actual: Tensor | undefined, expected: Tensor, what: string): void {
  assert.ok(actual, what);
  assert.equal(actual.dtype, expected.dtype, what);
  assert.deepEqual(actual.shape, expected.shape, what);
  assert.ok(actual.is_contiguous(), what);
  assert.deepEqual(actual.toBytes(), expected.toBytes(), what);
}

async function assertHolds(name: string, expected: () => Record<string, Tensor>): Promise<void> {
  const { tensors } = await readTorchArchive(file(name));
  const read = await readAll(tensors);
  scope(() => {
    const wanted = expected();
    assert.deepEqual([...read.keys()].sort(), Object.keys(wanted).sort(), name);
    for (const [key, value] of Object.entries(wanted)) {
      assertSame(read.get(key), value, `${name}: ${key}`);
      assert.deepEqual(tensors.get(key)?.shape, value.shape);
      assert.equal(tensors.get(key)?.dtype, value.dtype);
    }
  });
  disposeTree(read);
}

test("reading leaves only the tensors that it returns", async () => {
  const before = memory().handles;
  const { tensors } = await readTorchArchive(file("views.pth"));
  assert.equal(memory().handles, before);
  const read = await readAll(tensors);
  assert.equal(memory().handles, before + read.size);
  disposeTree(read);
  assert.equal(memory().handles, before);
});

const types = (): Record<string, Tensor> => {
  const x = seeded("file", [3, 4]).mul(100);
  const names: Dtype[] = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"];
  return {
    ...Object.fromEntries(names.map((dtype) => [`t.${dtype}`, x.to({ dtype })])),
    "t.uint8": x.abs().to({ dtype: "uint8" }),
    "t.bool": x.gt(0),
  };
};

for (const name of [
  "types.pth",
  "types-legacy.pth",
  "types-legacy-protocol4.pth",
  "types-big-endian.pth",
  "types-deflated.pth",
  "types-bare.pth",
  "unchecked.pth",
]) {
  test(`${name} has every type, bit for bit`, () => assertHolds(name, types));
}

const views = (): Record<string, Tensor> => {
  const base = seeded("base", [6, 4], "float32");
  const row = base.narrow(0, 0, 1).view([4]);
  return {
    whole: base,
    again: base,
    transposed: base.transpose(0, 1).contiguous(),
    rows: base.narrow(0, 2, 3),
    column: ops.select(base, 1, 1).contiguous(),
    steps: tensor([0, 2, 4].flatMap((i) => [1, 3].map((j) => base.toNumbers()[4 * i + j] ?? 0))).view([3, 2]),
    scalar: tensor(2.5),
    element: tensor(base.toNumbers()[14] ?? 0),
    nothing: zeros([0, 3]),
    none_of_it: zeros([0, 4]),
    repeated: base.narrow(0, 1, 1).expand([3, 4]).contiguous(),
    channels_last: seeded("channels", [2, 3, 4, 5], "float32"),
    parameter: seeded("parameter", [2, 2], "float32"),
    tagged: seeded("tagged", [2], "float32"),
    plain: seeded("plain", [2], "float32"),
    other: base.narrow(0, 1, 1).view([4]).to({ dtype: "float64" }),
    storage: tensor(row.toBytes()),
    typed: row,
  };
};

for (const name of ["views.pth", "views-legacy.pth"]) {
  test(`${name} has views, shared storages, parameters and bare storages`, () => assertHolds(name, views));
}

/** The dict at the top, as an object of its entries. */
function entriesOf(root: unknown): Record<string, unknown> {
  assert.ok(root instanceof Map);
  return Object.fromEntries(root);
}

function checkLeaves(root: unknown): void {
  const leaves = entriesOf(root);
  const is = (key: string, expected: unknown) => assert.deepEqual(leaves[key], expected, key);
  is("none", null);
  is("true", true);
  is("false", false);
  is("ints", [0, 255, 65535, -1, 2 ** 31, -(2 ** 40), 2n ** 53n, 2n ** 100n, -(2n ** 100n)]);
  is("floats", [0.1, -1e300, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  is("nan", Number.NaN);
  is("text", "ünï \u{1f600} \n");
  is("long_text", "x".repeat(300));
  is("bytes", new Uint8Array([0, 255, 128]));
  is("bytearray", new Uint8Array([1, 2]));
  is("empty", [[], [], new Map(), new Set(), "", new Uint8Array(0)]);
  is("set", new Set([1, 2, 3]));
  is("frozen", new Set(["x"]));
  is("ordered", new Map([["z", 1], ["a", 2]])); // biome-ignore format: pairs
  is("default", new Map([["k", [1]]]));
  is("counter", new Map([["a", 2], ["b", 1]])); // biome-ignore format: pairs
  is("shared", [[1, 2], [1, 2]]); // biome-ignore format: pairs
  is("size", [2, 3]);
  const keys = leaves["keys"];
  assert.ok(keys instanceof Map);
  assert.deepEqual([...keys], [[1, "one"], [null, "nothing"], [[1, 2], "pair"], [1.5, "half"]]); // biome-ignore format: pairs
  const namespace = Object.entries({ lr: 0.1, arch: "resnet", out: "/runs/a" });
  assert.deepEqual(new Map(leaves["namespace"] as Map<unknown, unknown>), new Map(namespace));
}

for (const name of ["leaves", "leaves-legacy", "leaves-protocol3", "leaves-protocol4", "leaves-protocol5"]) {
  test(`${name}.pth keeps plain values, and NumPy's as numbers and tensors`, async () => {
    const { root, tensors, scalars } = await readTorchArchive(file(`${name}.pth`));
    checkLeaves(root);
    const leaves = entriesOf(root);
    assert.deepEqual(leaves["device"], ["cpu", "cuda:1"]);
    assert.deepEqual(leaves["dtype"], ["torch.float32", "torch.bfloat16"]);
    assert.equal(leaves["layout"], "torch.strided");
    assert.equal(scalars.get("namespace.arch"), "resnet");
    assert.equal(scalars.get("shared.1.0"), 1);
    const numbers = { float64: 1.25, float32: -0.5, int64: -(2n ** 60n), int32: 7, uint16: 65535, bool: true };
    for (const [key, value] of Object.entries(numbers)) assert.equal(scalars.get(`numpy.${key}`), value, key);
    assert.equal(scalars.get("numpy.float16"), 0.3330078125);
    const read = await readAll(tensors);
    scope(() => {
      const expected: Record<string, Tensor> = {
        "nested.a.b.0.c": tensor([1]),
        "numpy.array": seeded("array", [2, 3]),
        "numpy.fortran": seeded("fortran", [2, 3], "float32"),
        "numpy.big": seeded("big", [4], "float32"),
        "numpy.state": arange(5).mul(1_000_000_000),
        "numpy.short": tensor([1, 65535], { dtype: "int32" }),
        "numpy.flags": tensor([1, 0]).gt(0),
        "numpy.dimensionless": tensor(3.5, { dtype: "float64" }),
        "numpy.none": zeros([0, 2], { dtype: "float64" }),
      };
      assert.deepEqual([...read.keys()].sort(), Object.keys(expected).sort());
      for (const [key, value] of Object.entries(expected)) assertSame(read.get(key), value, key);
    });
    disposeTree(read);
  });
}

const weights = (shift = 0): Record<string, Tensor> => {
  const shapes: [string, number[]][] = [
    ["conv.weight", [4, 3, 3, 3]],
    ["norm.weight", [4]],
    ["norm.bias", [4]],
    ["norm.running_mean", [4]],
    ["norm.running_var", [4]],
    ["norm.num_batches_tracked", []],
    ["head.weight", [2, 4]],
    ["head.bias", [2]],
    ["tied.weight", [2, 4]],
    ["tied.bias", [2]],
  ];
  // Tied weights keep what was loaded under their last name.
  return Object.fromEntries(
    shapes.map(([name, shape]) => {
      const value = ruled(name.replace("head", "tied"), shape);
      return [name, (name.endsWith("tracked") ? value : value.to({ dtype: "float32" })).add(shift)];
    }),
  );
};

async function assertStateDict(name: string, under: string | undefined, shift = 0): Promise<void> {
  const dict = stateDictOf(await readTorchArchive(file(name)), under);
  const read = await readAll(dict);
  scope(() => {
    const expected = weights(shift);
    assert.deepEqual([...read.keys()], Object.keys(expected));
    for (const [key, value] of Object.entries(expected)) assertSame(read.get(key), value, key);
  });
  disposeTree(read);
}

test("a state dict is found where a run saved it, beside optimisers and numbers", async () => {
  await assertStateDict("bare.pth", undefined);
  await assertStateDict("checkpoint.pth", undefined);
  await assertStateDict("checkpoint-legacy.pth", undefined);
  await assertStateDict("checkpoint.pth", "state_dict");
  await assertStateDict("several.pth", "student");
  await assertStateDict("several.pth", "teacher.backbone", 1);
  const archive = await readTorchArchive(file("checkpoint.pth"));
  assert.equal(archive.scalars.get("arch"), "network");
  assert.equal(archive.scalars.get("epoch"), 3);
  assert.equal(archive.scalars.get("args.lr"), 0.01);
  assert.ok([...archive.tensors.keys()].some((path) => /^optimizer\.state\.\d+\.exp_avg$/.test(path)));
});

test("several state dicts are named; so is what there is instead of a wrong path", async () => {
  const archive = await readTorchArchive(file("several.pth"));
  assert.throws(
    () => stateDictOf(archive),
    /name one with --under: .*"student" \(10 tensors\), "teacher.backbone" \(10 tensors\)/s,
  );
  assert.throws(() => stateDictOf(archive, "pupil"), /no tensors by name under "pupil".*"student"/s);
  assert.equal(stateDictOf(archive, "").size, 20);
  assert.deepEqual(stateDictOf(archive, "").has("teacher.backbone.head.bias"), true);
  const nothing = await readTorchArchive(written(torchZip(op.pickle(op.dict({ epoch: op.int(3) })))));
  assert.throws(
    () => stateDictOf(nothing),
    (error) => error instanceof UserError && /no dict of tensors/.test(error.message),
  );
});

test("a dict of its own tensors beside unnamed ones is not returned in part", async () => {
  const weight = op.tensor([4], [1]);
  const path = written(torchZip(op.pickle(op.dict({ scale: weight, layer1: op.dict({ weight }) }))));
  const archive = await readTorchArchive(path);
  assert.throws(
    () => stateDictOf(archive),
    /several state dicts.*the whole file, "" \(2 tensors\), "layer1" \(1 tensor\)/s,
  );
  assert.deepEqual([...stateDictOf(archive, "").keys()], ["scale", "layer1.weight"]);
});

test("zip64 records, other folder names and deeper keys are read", async () => {
  const parts = torchParts(op.pickle(op.dict({ a: op.tensor([2, 2], [2, 1]) })), {
    0: Buffer.from(new Float32Array([1, 2, 3, 4]).buffer),
  });
  for (const bytes of [
    zipOf(parts, { zip64: true }),
    zipOf(
      parts.map((part) => ({ ...part, lies: { zip64: true } })),
      { zip64: true },
    ),
    zipOf(parts.map((part) => ({ ...part, name: part.name.replace("a/", "ünï code/") }))),
    zipOf(parts.map((part) => ({ ...part, deflate: true }))),
  ]) {
    const { tensors } = await readTorchArchive(written(bytes));
    using read = await tensors.get("a")?.read();
    assert.deepEqual(read?.toArray(), [[1, 2], [3, 4]]); // biome-ignore format: a matrix
  }
});

test("TorchScript programs are told apart from weights", async () => {
  assert.equal(await isTorchScript(file("program.pt")), true);
  assert.equal(await isTorchScript(file("types.pth")), false);
  assert.equal(await isTorchScript(file("types-legacy.pth")), false);
  await assert.rejects(readTorchArchive(file("program.pt")), /is a TorchScript program/);
});

const refused: Record<string, RegExp> = {
  "module.pth": /"torch.nn.modules.linear.Linear", which only Python can rebuild.*state_dict.*safetensors/,
  "module-legacy.pth": /holds (a whole module|"torch.nn.modules.linear.Linear")/,
  "sparse.pth": /sparse tensors/,
  "quantised.pth": /quantised tensors/,
  "complex.pth": /complex numbers/,
  "float8.pth": /dtype "torch.float8_e4m3fn"/,
  "uint16.pth": /dtype "torch.uint16"/,
  "meta.pth": /meta tensors, which have no data/,
  "objects.pth": /NumPy's dtype "O8"/,
  "strings.pth": /NumPy's dtype "U2"/,
  "system.pth": /"posix.system".*do not open it with Python/,
  "system-legacy.pth": /"posix.system".*do not open it with Python/,
  "oldest.pth": /tar file.*old PyTorch/,
  "wrapped.zip": /around "downloads\/weights.pth"; unpack it/,
};

for (const [name, pattern] of Object.entries(refused)) {
  test(`${name} is refused by what it holds`, async () => {
    const path = file(name);
    await assert.rejects(readTorchArchive(path), (error) => {
      assert.ok(error instanceof UserError);
      assert.ok(error.message.startsWith(`${path} `));
      assert.match(error.message, pattern);
      return true;
    });
  });
}

test("weights beside objects that only Python has are found, and the objects named where there are no weights", async () => {
  const config = op.join(op.global("project", "Config"), op.tuple(), "\x81", op.dict({ lr: op.int(1) }), "b");
  const lightning = { state_dict: op.dict({ "model.w": op.tensor([2], [1]) }), hyper_parameters: op.dict({ config }) };
  const archive = await readTorchArchive(written(torchZip(op.pickle(op.dict(lightning)))));
  assert.deepEqual([...stateDictOf(archive).keys()], ["model.w"]);
  assert.deepEqual([...archive.opaque], [["hyper_parameters.config", '"project.Config"']]);
  const pattern = /holds "project.Config", which only Python can rebuild/;
  await assert.rejects(readTorchArchive(written(torchZip(op.pickle(config)))), pattern);
  const stray = await readTorchArchive(written(torchZip(op.pickle(op.tuple(config, op.tensor([2], [1]))))));
  assert.throws(() => stateDictOf(stray), pattern);
});

test("nothing in a file is run", () => {
  assert.equal(existsSync("/tmp/hub-pathway-pickle-ran"), false);
});

test("a file that changes between opening and reading is refused", async () => {
  const path = join(temporary, "changing.pth");
  for (const change of [
    () => writeFileSync(path, readFileSync(path).subarray(0, -100)),
    () => utimesSync(path, new Date(0), new Date(0)),
    () => rmSync(path),
  ]) {
    copyFileSync(file("types.pth"), path);
    const { tensors } = await readTorchArchive(path);
    change();
    const before = memory().handles;
    await assert.rejects(
      tensors.get("t.float32")?.read() ?? Promise.resolve(),
      /changed while it was read|no such file/,
    );
    assert.equal(memory().handles, before);
  }
});

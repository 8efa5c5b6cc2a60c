/** Reading what the format's own library wrote, round trips, and files that break the format's rules. */
import assert from "node:assert/strict";
import fs, { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { readSafetensors, writeSafetensors } from "../../../src/io/index.ts";
import {
  type Dtype,
  disposeTree,
  empty,
  full,
  Generator,
  memory,
  randn,
  scope,
  type Tensor,
  tensor,
  UserError,
  zeros,
} from "../../../src/torch/index.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";

const folder = mkdtempSync(join(tmpdir(), "hub-pathway-io-"));
after(() => rmSync(folder, { recursive: true }));
const reference = fileURLToPath(new URL("../../fixtures/types.safetensors", import.meta.url));
const file = join(folder, "weights.safetensors");

// First, because garbage of other tests would be collected between its counts.
test("reading leaves only the tensors that it returns", () => {
  scope(() => writeSafetensors(file, new Map([["a", tensor([1, 2])]])));
  const before = memory().handles;
  const { tensors } = readSafetensors(file);
  assert.equal(memory().handles, before + 1);
  disposeTree(tensors);
  assert.equal(memory().handles, before);
});

test("reads every type of a file by the format's own library", () => {
  const { tensors, metadata } = readSafetensors(reference);
  assert.deepEqual(metadata, { format: "pt" });
  const x = seeded("file", [3, 4]).mul(100);
  for (const dtype of ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"] as Dtype[]) {
    const read = tensors.get(`t.${dtype}`);
    assert.equal(read?.dtype, dtype);
    assert.deepEqual(read.shape, [3, 4]);
    assert.deepEqual(read.toBytes(), x.to({ dtype }).toBytes(), dtype);
  }
  assert.deepEqual(tensors.get("t.uint8")?.toNumbers(), x.abs().to({ dtype: "uint8" }).toNumbers());
  assert.deepEqual(tensors.get("t.bool")?.toNumbers(), x.gt(0).toNumbers());
  assert.equal(tensors.get("scalar")?.item(), 2.5);
  assert.deepEqual(tensors.get("nothing")?.shape, [0, 3]);
  assert.equal(tensors.size, 12);
});

test("a round trip keeps every bit, name, shape and the metadata", () => {
  const generator = new Generator(1);
  const written = new Map<string, Tensor>();
  for (const dtype of ["float64", "float32", "float16", "bfloat16"] as const) {
    written.set(`layer.${dtype}`, randn([3, 5], { generator }).to({ dtype }));
  }
  written.set("last", randn([2, 3, 4, 4], { generator }).to({ memory_format: "channels_last" }));
  written.set("turned", randn([2, 3], { generator }).transpose(0, 1));
  written.set("odd", tensor(new Uint8Array([1, 2, 3])));
  written.set("flags", tensor([1, 2, 3]).gt(1));
  written.set("count", tensor(3, { dtype: "int64" }));
  written.set("empty", empty([0]));
  written.set('ä "quoted" name', zeros([1]));
  writeSafetensors(file, written, { note: "a\nb", version: "1" });
  const { tensors, metadata } = readSafetensors(file);
  assert.deepEqual(metadata, { note: "a\nb", version: "1" });
  assert.deepEqual([...tensors.keys()].sort(), [...written.keys()].sort());
  for (const [name, tensor] of written) {
    const read = tensors.get(name);
    assert.equal(read?.dtype, tensor.dtype);
    assert.deepEqual(read.shape, tensor.shape);
    assert.deepEqual(read.toBytes(), tensor.toBytes(), name);
  }
});

test("an empty map is a valid file", () => {
  writeSafetensors(file, new Map());
  assert.equal(readSafetensors(file).tensors.size, 0);
});

test("writing to a read tensor does not reach the file, and replacing the file does not reach the tensor", () => {
  writeSafetensors(file, new Map([["a", tensor([1, 2])]]));
  const { tensors } = readSafetensors(file);
  tensors.get("a")?.fill_(9);
  assert.deepEqual(readSafetensors(file).tensors.get("a")?.toNumbers(), [1, 2]);
  const second = readSafetensors(file).tensors.get("a");
  writeSafetensors(file, new Map([["a", tensor([5, 6])]]));
  assert.deepEqual(second?.toNumbers(), [1, 2]);
});

/** A file with this header and this many bytes of data. */
function written(header: unknown, data: number, text = JSON.stringify(header)): string {
  const path = join(folder, "hostile.safetensors");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  writeFileSync(path, Buffer.concat([length, Buffer.from(text), Buffer.alloc(data)]));
  return path;
}

test("data that is not aligned is read all the same", () => {
  const path = written({ a: { dtype: "F64", shape: [2], data_offsets: [0, 16] } }, 16);
  assert.notEqual((readFileSync(path).length - 16) % 8, 0);
  assert.deepEqual(readSafetensors(path).tensors.get("a")?.toNumbers(), [0, 0]);
});

const entry = (dtype: unknown, shape: unknown, data_offsets: unknown): object => ({ dtype, shape, data_offsets });
const big = Number.MAX_SAFE_INTEGER;
const hostile: Record<string, [unknown, number, RegExp]> = {
  "a list": [[], 0, /not a JSON object/],
  "a number": [3, 0, /only 9 bytes/],
  "an entry that is no object": [{ a: 3 }, 0, /not an object/],
  "an unknown dtype": [{ a: entry("F7", [1], [0, 4]) }, 4, /unsupported dtype "F7"/],
  "a dtype from the prototype": [{ a: entry("constructor", [1], [0, 4]) }, 4, /unsupported dtype/],
  "a negative size": [{ a: entry("F32", [-1], [0, 4]) }, 4, /-1, which is no size/],
  "a fraction": [{ a: entry("F32", [0.5], [0, 2]) }, 2, /0.5, which is no size/],
  "a missing shape": [{ a: { dtype: "F32", data_offsets: [0, 4] } }, 4, /no valid shape/],
  "too many dimensions": [{ a: entry("U8", new Array(65).fill(1), [0, 1]) }, 1, /no valid shape/],
  "sizes that overflow": [{ a: entry("F32", [2 ** 40, 2 ** 40], [0, 0]) }, 0, /too large/],
  "sizes that overflow, times nothing": [{ a: entry("F32", [0, big, big], [0, 0]) }, 0, /too large/],
  "offsets backwards": [{ a: entry("F32", [1], [4, 0]) }, 4, /needs 4 bytes but has -4/],
  "one offset": [{ a: entry("F32", [1], [4]) }, 4, /no valid offsets/],
  "offsets of the wrong length": [{ a: entry("F32", [3], [0, 4]) }, 4, /needs 12 bytes but has 4/],
  "offsets past the end": [{ a: entry("F32", [2], [0, 8]) }, 4, /is the file complete/],
  "an overlap": [{ a: entry("F32", [1], [0, 4]), b: entry("F32", [1], [2, 6]) }, 6, /does not start/],
  "a gap": [{ a: entry("U8", [1], [0, 1]), b: entry("U8", [1], [2, 3]) }, 3, /does not start/],
  "bytes left over": [{ a: entry("U8", [1], [0, 1]) }, 3, /end at byte 1/],
  "metadata of numbers": [{ __metadata__: { a: 1 } }, 0, /metadata/],
  "metadata that is a list": [{ __metadata__: ["a"] }, 0, /metadata/],
};

for (const [name, [header, data, pattern]] of Object.entries(hostile)) {
  test(`refuses ${name}, naming the file`, () => {
    const path = written(header, data);
    assert.throws(
      () => readSafetensors(path),
      (error: unknown) =>
        error instanceof UserError && error.message.includes(path) && pattern.test(error.message.replace(path, "")),
    );
  });
}

test("refuses headers that are no JSON, no UTF-8, or of an impossible length", () => {
  assert.throws(() => readSafetensors(written(null, 0, "{nonsense")), /not JSON/);
  assert.throws(() => readSafetensors(written(null, 0, `  ${JSON.stringify({})}`)), /not a JSON object/);
  const path = written({}, 4);
  const bytes = readFileSync(path);
  bytes[8] = 0xff;
  writeFileSync(path, bytes);
  assert.throws(() => readSafetensors(path), /not UTF-8/);
  bytes.writeBigUInt64LE(2n ** 64n - 1n);
  writeFileSync(path, bytes);
  assert.throws(() => readSafetensors(path), /claims/);
  truncateSync(path, 3);
  assert.throws(() => readSafetensors(path), /only 3 bytes/);
  assert.throws(() => readSafetensors(join(folder, "absent")), /no such file/);
  assert.throws(() => readSafetensors(folder), /is not a file|EISDIR/);
});

test("refuses truth values that are neither 0 nor 1", () => {
  const path = written({ a: entry("BOOL", [2], [0, 2]) }, 2);
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = 7;
  writeFileSync(path, bytes);
  assert.throws(() => readSafetensors(path), /truth values/);
});

/** Reads a damaged file: whole tensors that stay within the file, or a UserError. */
function assertSurvives(bytes: Uint8Array): void {
  const path = join(folder, "damaged.safetensors");
  writeFileSync(path, bytes);
  scope(() => {
    try {
      const { tensors } = readSafetensors(path);
      let total = 0;
      for (const tensor of tensors.values()) total += tensor.toBytes().length;
      assert.ok(total <= bytes.length);
    } catch (error) {
      assert.ok(error instanceof UserError, String(error));
    }
  });
}

test("files with flipped, cut and inserted bytes are read properly or refused", () => {
  const good = readFileSync(reference);
  const headerEnd = 8 + Number(good.readBigUInt64LE(0));
  const position = fc.oneof(fc.nat(headerEnd), fc.nat(good.length - 1));
  const change = fc.tuple(position, fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0123456789{}[]",:-eE.'))));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = Buffer.from(good);
      for (const [at, value] of changes) bytes[at] = value;
      assertSurvives(bytes);
    }),
    { numRuns: 1500, seed: 20240601 },
  );
  fc.assert(
    fc.property(position, fc.nat(20), fc.uint8Array({ maxLength: 20 }), (at, cut, inserted) => {
      assertSurvives(Buffer.concat([good.subarray(0, at), inserted, good.subarray(at + cut)]));
    }),
    { numRuns: 500, seed: 20240602 },
  );
});

test("a file that is replaced whenever it is read is the version that was opened; one that is written to is refused", (t) => {
  const path = join(folder, "replaced.safetensors");
  const write = (n: number) => scope(() => writeSafetensors(path, new Map([["a", full([n * 500 + 7], n)]])));
  const { readSync } = fs;
  let change = () => {};
  const reading = (...args: Parameters<typeof readSync>) => {
    const count = readSync(...args);
    change();
    return count;
  };
  t.mock.method(fs, "readSync", reading as typeof readSync);
  let version = 1;
  write(version);
  change = () => write(++version);
  for (const expected of [1, 3]) {
    assert.equal(version, expected, "its length and its header are read one after the other");
    const { tensors } = readSafetensors(path);
    const numbers = tensors.get("a")?.toNumbers() ?? [];
    assert.deepEqual([numbers.length, ...new Set(numbers)], [expected * 500 + 7, expected]);
    disposeTree(tensors);
  }
  change = () => fs.appendFileSync(path, "more");
  assert.throws(() => readSafetensors(path), /replaced.safetensors changed while it was read: .* when it is complete$/);
});

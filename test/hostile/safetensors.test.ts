/** Broken and malicious safetensors files: refused by the mapping and by the streaming reader, soon and in little memory. */
// Long: over a hundred files are read, twice each.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readSafetensors, streamSafetensors, writeSafetensors } from "../../src/io/index.ts";
import { disposeTree, memory, ones, ops, scope, TorchError, tensor, UserError, zeros } from "../../src/torch/index.ts";
import { assertRefused, outcome } from "../support/refusal.ts";
import { temporaryFolder } from "../support/small-hub.ts";

const folder = temporaryFolder();
const path = join(folder, "weights.safetensors");

/** Reads a file to its last byte, mapped. */
function map(file: string): void {
  const { tensors } = readSafetensors(file);
  try {
    for (const read of tensors.values()) read.toBytes();
  } finally {
    disposeTree(tensors);
  }
}

/** Reads a file to its last byte, in pieces. */
async function stream(file: string): Promise<void> {
  for (const lazy of (await streamSafetensors(file)).tensors.values()) (await lazy.read()).dispose();
}

/** Both readers must refuse a file, for the same reason. */
function hostile(name: string, make: () => void, pattern: RegExp): void {
  test(`refuses ${name}`, async () => {
    make();
    await assertRefused(map, path, pattern);
    await assertRefused(stream, path, pattern);
  });
}

function lengthOf(count: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(count));
  return bytes;
}

/** A file of this header, whose length is true unless it is given, and zeros for data. */
function write(header: string | Buffer, data = 0, length: number | bigint = Buffer.byteLength(header)): void {
  writeFileSync(path, Buffer.concat([lengthOf(length), Buffer.from(header as string), Buffer.alloc(data)]));
}

const entry = (dtype: unknown, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets });
const one = entry("F32", [1], [0, 4]);
const good = JSON.stringify({ a: one });

test("a sound file is read, so that each refusal has its own reason", async () => {
  write(good, 4);
  assert.equal(await outcome(map, path), undefined);
  assert.equal(await outcome(stream, path), undefined);
});

// ---- lengths

hostile("an empty file", () => writeFileSync(path, ""), /only 0 bytes/);
hostile("half a length", () => writeFileSync(path, Buffer.alloc(4)), /only 4 bytes/);
hostile("a length alone", () => writeFileSync(path, lengthOf(2)), /only 8 bytes/);
hostile("a header of nothing", () => write("", 4), /not JSON/);
hostile("a header longer than the file", () => write(good, 4, 1000), /claims 1000 bytes/);
hostile("a header one byte longer than the file", () => write(good, 0, good.length + 1), /claims/);
hostile("a header of 2^64 - 1 bytes", () => write(good, 4, 2n ** 64n - 1n), /claims/);
hostile("a header of 2^63 bytes", () => write(good, 4, 2n ** 63n), /claims/);
hostile(
  "a header over the format's limit",
  () => {
    write(good, 4, 100_000_001);
    truncateSync(path, 200_000_000);
  },
  /claims 100000001 bytes/,
);
hostile("a header that is cut by its length", () => write(good, 4, good.length - 1), /not JSON/);
hostile("a length that takes data for header", () => write(good, 4, good.length + 4), /not JSON/);
hostile("a length in the other byte order", () => write(good, 4, BigInt(good.length) << 56n), /claims/);
hostile(
  "data that is cut",
  () => {
    write(good, 3);
  },
  /end at byte 4 of the data, which has 3/,
);
hostile("data that is missing", () => write(good), /end at byte 4 of the data, which has 0/);
hostile("bytes after the data", () => write(good, 5), /which has 5/);

// ---- the header's text

const padding = " ".repeat(8);
const texts: Record<string, [string | Buffer, RegExp]> = {
  "no JSON": ["{nonsense", /not JSON/],
  "a list": ["[]      ", /not a JSON object/],
  null: ["null    ", /not a JSON object/],
  "a number": ["12345678", /not a JSON object/],
  "a text": ['"abcdef"', /not a JSON object/],
  "two objects": [`{}{}${padding}`, /not JSON/],
  "a trailing comma": [`{"a":${JSON.stringify(one)},}`, /not JSON/],
  "a comment": [`{/* */}${padding}`, /not JSON/],
  "single quotes": [`{'a':${JSON.stringify(one)}}`, /not JSON/],
  "spaces in front": [`  ${good}`, /not a JSON object/],
  "a byte order mark": [`\ufeff${good}`, /not JSON/],
  "UTF-16": [Buffer.from(good, "utf16le"), /not JSON/],
  "bytes that are no UTF-8": [Buffer.from(good.replace("a", "\xff"), "latin1"), /not UTF-8/],
  "an overlong encoding": [Buffer.from(good.replace("a", "\xc0\xaf"), "latin1"), /not UTF-8/],
  "an encoded surrogate": [Buffer.from(good.replace("a", "\xed\xa0\x80"), "latin1"), /not UTF-8/],
  "an escaped surrogate": [good.replace("a", "\\ud800"), /is not Unicode/],
  "a raw line end in a name": [good.replace("a", "a\nb"), /not JSON/],
  "a raw NUL in a name": [good.replace("a", "a\0b"), /not JSON/],
  NaN: [good.replace("[1]", "[NaN]"), /not JSON/],
  Infinity: [good.replace("[1]", "[Infinity]"), /not JSON/],
  "a hexadecimal number": [good.replace("[1]", "[0x1]"), /not JSON/],
  "a number with a leading zero": [good.replace("[1]", "[01]"), /not JSON/],
  "a name twice": [`{"a":${JSON.stringify(one)},"a":${JSON.stringify(one)}}`, /the key "a" twice/],
  "a name twice, once escaped": [`{"a":${JSON.stringify(one)},"\\u0061":${JSON.stringify(one)}}`, /twice/],
  "a dtype twice": [good.replace('"dtype"', '"dtype":"F64","dtype"'), /the key "dtype" twice/],
  "the metadata twice": ['{"__metadata__":{},"__metadata__":{}}', /"__metadata__" twice/],
  "a key of the metadata twice": ['{"__metadata__":{"a":"1","a":"2"}}', /the key "a" twice/],
  "a control character in a doubled name": ['{"\\u001b[2J\x7f":1,"\\u001b[2J\x7f":1}', /twice/],
  "100,000 nested lists": [`{"a":${"[".repeat(100_000)}`, /nested too deep/],
  "100,000 nested objects": ['{"a":'.repeat(100_000), /nested too deep/],
};
for (const [name, [text, pattern]] of Object.entries(texts)) {
  hostile(`a header with ${name}`, () => write(text, 4), pattern);
}

hostile(
  "300,000 tensors",
  () => {
    const many = Array.from({ length: 300_000 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`);
    write(`{${many.join(",")}}`);
  },
  /too many values/,
);
hostile("two million commas", () => write(`{"a":[${"0,".repeat(2_000_000)}0]}`), /too many values/);
hostile("a name of 30 MB", () => write(`{"${"x".repeat(30_000_000)}":1}`), /entry of tensor "x+…" is not an object/);
hostile("a number of 30 MB", () => write(`{"a":${"9".repeat(30_000_000)}}`), /the number 9+, which is no size/);

// ---- entries

const huge = Number.MAX_SAFE_INTEGER;
const entries: Record<string, [Record<string, unknown>, number, RegExp]> = {
  "that is a number": [{ a: 1 }, 0, /not an object/],
  "that is null": [{ a: null }, 0, /not an object/],
  "that is a list": [{ a: ["F32", [1], [0, 4]] }, 4, /not an object/],
  "that is empty": [{ a: {} }, 0, /unsupported dtype/],
  "without a dtype": [{ a: { shape: [1], data_offsets: [0, 4] } }, 4, /unsupported dtype that is no text/],
  "of an unknown dtype": [{ a: entry("F7", [1], [0, 4]) }, 4, /unsupported dtype "F7"/],
  "of a dtype that libtorch has, and this program not": [{ a: entry("F8_E4M3", [4], [0, 4]) }, 4, /"F8_E4M3"/],
  "of a dtype in small letters": [{ a: entry("f32", [1], [0, 4]) }, 4, /unsupported dtype "f32"/],
  "of a dtype from the prototype": [{ a: entry("constructor", [1], [0, 4]) }, 4, /unsupported dtype "constructor"/],
  "of a dtype of a megabyte": [{ a: entry("F".repeat(1 << 20), [1], [0, 4]) }, 4, /unsupported dtype "F+…"/],
  "of a list for its dtype": [{ a: entry(["F32"], [1], [0, 4]) }, 4, /unsupported dtype/],
  "of a terminal's commands for its dtype": [
    { a: entry("\u001b[2J\u009b\u202e", [1], [0, 4]) },
    4,
    /"\\u001b\[2J\\u\{9b\}\\u\{202e\}"/,
  ],
  "without a shape": [{ a: { dtype: "F32", data_offsets: [0, 4] } }, 4, /no valid shape/],
  "of a number for its shape": [{ a: entry("F32", 1, [0, 4]) }, 4, /no valid shape/],
  "of a text for its shape": [{ a: entry("F32", "1", [0, 4]) }, 4, /no valid shape/],
  "of a nested shape": [{ a: entry("F32", [[1]], [0, 4]) }, 4, /no valid shape/],
  "of a negative size": [{ a: entry("F32", [-1], [0, 4]) }, 4, /-1, which is no size/],
  "of a fraction": [{ a: entry("F32", [0.5], [0, 2]) }, 2, /0.5, which is no size/],
  "of a size in a text": [{ a: entry("F32", ["1"], [0, 4]) }, 4, /no valid shape/],
  "of a size of true": [{ a: entry("F32", [true], [0, 4]) }, 4, /no valid shape/],
  "of a size of 1e300": [{ a: entry("F32", [1e300], [0, 4]) }, 4, /1e\+300, which is no size/],
  "of a size of 2^53": [{ a: entry("F32", [2 ** 53], [0, 4]) }, 4, /no valid shape/],
  "of 65 dimensions": [{ a: entry("U8", new Array(65).fill(1), [0, 1]) }, 1, /no valid shape/],
  "of 500,000 dimensions": [{ a: entry("U8", new Array(500_000).fill(1), [0, 1]) }, 1, /no valid shape/],
  "of sizes whose product is 2^64": [{ a: entry("U8", [2 ** 32, 2 ** 32], [0, 0]) }, 0, /too large/],
  "of sizes whose bytes are 2^64": [{ a: entry("F64", [2 ** 31, 2 ** 30], [0, 0]) }, 0, /too large/],
  "of sizes that overflow, times nothing": [{ a: entry("F32", [0, huge, huge], [0, 0]) }, 0, /too large/],
  "of nothing, times sizes that overflow": [{ a: entry("F32", [huge, huge, 0], [0, 0]) }, 0, /too large/],
  "of fewer bytes than its shape": [{ a: entry("F32", [2], [0, 4]) }, 4, /needs 8 bytes but has 4/],
  "of more bytes than its shape": [{ a: entry("F32", [], [0, 8]) }, 8, /needs 4 bytes but has 8/],
  "of half an element": [{ a: entry("F64", [1], [0, 4]) }, 4, /needs 8 bytes but has 4/],
  "without offsets": [{ a: { dtype: "F32", shape: [1] } }, 4, /no valid offsets/],
  "of one offset": [{ a: entry("F32", [1], [0]) }, 4, /no valid offsets/],
  "of three offsets": [{ a: entry("F32", [1], [0, 4, 4]) }, 4, /no valid offsets/],
  "of offsets in texts": [{ a: entry("F32", [1], ["0", "4"]) }, 4, /no valid offsets/],
  "of null offsets": [{ a: entry("F32", [1], [null, 4]) }, 4, /no valid offsets/],
  "of an object for its offsets": [{ a: entry("F32", [1], { 0: 0, 1: 4, length: 2 }) }, 4, /no valid offsets/],
  "of negative offsets": [{ a: entry("F32", [1], [-4, 0]) }, 4, /-4, which is no size/],
  "of fractional offsets": [{ a: entry("F32", [1], [0.5, 4.5]) }, 5, /0.5, which is no size/],
  "of an offset of 1e300": [{ a: entry("F32", [1], [0, 1e300]) }, 4, /1e\+300, which is no size/],
  "of offsets backwards": [{ a: entry("F32", [1], [4, 0]) }, 4, /needs 4 bytes but has -4/],
  "beyond the data": [{ a: entry("F32", [1], [4, 8]) }, 4, /does not start where/],
  "at 2^52": [{ a: entry("F32", [1], [2 ** 52, 2 ** 52 + 4]) }, 4, /does not start where/],
  "longer than the data": [{ a: entry("F32", [2], [0, 8]) }, 4, /is the file complete/],
  "of 4 PB": [{ a: entry("U8", [2 ** 52], [0, 2 ** 52]) }, 4, /is the file complete/],
  "that overlaps another": [{ a: entry("F32", [1], [0, 4]), b: entry("F32", [1], [2, 6]) }, 6, /"b" does not start/],
  "in the place of another": [{ a: one, b: one }, 4, /does not start/],
  "inside another": [{ a: entry("F32", [2], [0, 8]), b: entry("U8", [2], [3, 5]) }, 8, /"b" does not start/],
  "after a hole": [{ a: entry("U8", [1], [0, 1]), b: entry("U8", [1], [2, 3]) }, 3, /"b" does not start/],
  "after a hole in front": [{ a: entry("U8", [1], [1, 2]) }, 2, /"a" does not start/],
  "before a hole": [{ a: entry("U8", [1], [0, 1]) }, 2, /end at byte 1 of the data, which has 2/],
  "of nothing in a hole": [{ a: entry("U8", [0], [3, 3]) }, 4, /does not start/],
  "that is the prototype's": [{ ["__proto__"]: 1 }, 0, /entry of tensor "__proto__" is not an object/],
  "of metadata that are a list": [{ __metadata__: ["a"] }, 0, /metadata is not a map of strings/],
  "of metadata that are a text": [{ __metadata__: "a" }, 0, /metadata is not a map of strings/],
  "of metadata of numbers": [{ __metadata__: { a: 1 } }, 0, /metadata is not a map of strings/],
  "of nested metadata": [{ __metadata__: { a: {} } }, 0, /metadata is not a map of strings/],
};
for (const [name, [header, data, pattern]] of Object.entries(entries)) {
  hostile(`an entry ${name}`, () => write(JSON.stringify(header), data), pattern);
}

hostile(
  "truth values that are neither 0 nor 1",
  () => {
    write(JSON.stringify({ a: entry("BOOL", [4], [0, 4]) }), 4);
    const bytes = readFileSync(path);
    bytes[bytes.length - 2] = 2;
    writeFileSync(path, bytes);
  },
  /tensor "a", has truth values above 1/,
);

test("keys of JavaScript's own objects are names like all others", async () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "", "0", "a\0b"];
  const text = names.map(
    (name, i) => `${JSON.stringify(name)}:{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
  );
  write(`{"__metadata__":{"__proto__":"x"},${text.join(",")}}`, names.length);
  assert.equal(await outcome(map, path), undefined);
  assert.equal(await outcome(stream, path), undefined);
  const { tensors, metadata } = readSafetensors(path);
  assert.deepEqual([...tensors.keys()].sort(), [...names].sort());
  assert.equal(Object.getOwnPropertyDescriptor(metadata, "__proto__")?.value, "x");
  assert.equal(Object.getPrototypeOf(metadata), Object.prototype);
  disposeTree(tensors);
});

test("data at odd positions is read bit for bit by both readers", async () => {
  for (const spaces of [0, 1, 2, 3, 4, 5, 6, 7]) {
    const header = JSON.stringify({ odd: entry("U8", [1], [0, 1]), a: entry("F64", [2], [1, 17]) });
    const data = Buffer.concat([Buffer.from([7]), Buffer.from(new Float64Array([Math.PI, -0]).buffer)]);
    const text = header + " ".repeat(spaces);
    writeFileSync(path, Buffer.concat([lengthOf(text.length), Buffer.from(text), data]));
    const { tensors } = readSafetensors(path);
    using streamed = await (await streamSafetensors(path)).tensors.get("a")!.read();
    assert.deepEqual(tensors.get("a")?.toBytes(), streamed.toBytes());
    assert.deepEqual(streamed.toNumbers(), [Math.PI, -0]);
    disposeTree(tensors);
  }
});

test("100,000 tensors are read in seconds, and leave nothing", async () => {
  const many = Array.from({ length: 100_000 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`);
  write(`{${many.join(",")}}`);
  assert.equal(await outcome(map, path), undefined);
});

// ---- what else may be at a path

test("refuses folders, pipes, devices, dead links, loops and paths that cannot be", async () => {
  const at = async (place: string, pattern: RegExp): Promise<void> => {
    await assertRefused(map, place, pattern);
    await assertRefused(stream, place, pattern);
  };
  await at(folder, /is not a file/);
  await at(join(folder, "absent"), /no such file/);
  await at(`${path}/below`, /cannot read|no such file/);
  await at(join(folder, "x".repeat(5000)), /path is too long/);
  await at(join(folder, "a\0b"), /that is not a path/);
  if (process.platform === "win32") return;
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  await at(pipe, /is not a file/);
  await at("/dev/zero", /is not a file/);
  const dead = join(folder, "dead");
  symlinkSync(join(folder, "nowhere"), dead);
  await at(dead, /no such file/);
  const loop = join(folder, "loop");
  symlinkSync(loop, loop);
  await at(loop, /round in circles/);
  write(good, 4);
  const link = join(folder, "link");
  symlinkSync(path, link);
  assert.equal(await outcome(map, link), undefined, "a link to a sound file is one");
});

test("refuses a file that may not be read", { skip: process.getuid?.() === 0 && "root reads everything" }, async () => {
  write(good, 4);
  chmodSync(path, 0);
  await assertRefused(map, path, /no permission/);
  await assertRefused(stream, path, /no permission/);
  chmodSync(path, 0o600);
});

// ---- files that change

test("a file that loses bytes while it is mapped ends the call, not the process", () => {
  const calls: [string, (weights: ReturnType<typeof mapped>) => unknown][] = [
    ["an operator", (a) => a.sum()],
    ["reading bytes", (a) => a.toBytes()],
    ["reading one number", (a) => a.narrow(0, 1_000_000, 1).item()],
    ["writing", (a) => a.narrow(0, 1_000_000, 4).copyFrom(new Float32Array(4))],
    ["writing a file", (a) => writeSafetensors(join(folder, "copy"), new Map([["a", a]]))],
  ];
  const mapped = () => {
    scope(() => writeSafetensors(path, new Map([["a", ones([4_000_000])]])));
    return readSafetensors(path).tensors.get("a") ?? assert.fail();
  };
  for (const [name, read] of calls) {
    const handles = memory().handles;
    using weights = mapped();
    truncateSync(path, 4096);
    const lost = (error: unknown) =>
      (error instanceof UserError || error instanceof TorchError || error instanceof Error) &&
      error.message.includes(`the file ${path} became shorter while it was in use`);
    assert.throws(() => scope(() => void read(weights)), lost, name);
    assert.equal(memory().handles, handles + 1);
  }
  assert.ok(!existsSync(join(folder, "copy")));
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("the memory of a file that lost bytes is anybody's once the file is unmapped", () => {
  const count = 4_000_000;
  const sound = join(folder, "sound.bytes");
  writeFileSync(sound, new Uint8Array(4 * count));
  const map = (file: string) => ops.from_file(file, false, count, { dtype: "float32" });
  for (let i = 0; i < 8; i++) {
    scope(() => writeSafetensors(path, new Map([["a", ones([count])]])));
    const weights = readSafetensors(path).tensors.get("a") ?? assert.fail();
    truncateSync(path, 4096);
    assert.throws(() => scope(() => weights.sum().item()), /became shorter while it was in use/);
    weights.dispose();
    // What the kernel maps next usually gets the addresses that have just become free.
    assert.equal(
      scope(() => map(sound).sum().item()),
      0,
    );
  }
});

test("a backward pass over weights that lost their file ends in an error", () => {
  scope(() => writeSafetensors(path, new Map([["a", ones([1024, 1024])]])));
  const { tensors } = readSafetensors(path);
  scope(() => {
    const weights = tensors.get("a") ?? assert.fail();
    const input = zeros([1024]);
    input.requires_grad = true;
    const loss = input.mul(weights).sum();
    // The forward pass has read every page; the truncation takes them away again.
    truncateSync(path, 4096);
    assert.throws(() => loss.backward(), /became shorter while it was in use/);
  });
  disposeTree(tensors);
});

test("half a gigabyte that is gone is not half a gigabyte of faults that break the process", () => {
  // Twice as many pages as a process may have mappings.
  const size = 2 ** 29;
  const header = JSON.stringify({ a: entry("F32", [size / 4], [0, size]) });
  write(header.padEnd(Math.ceil(header.length / 8) * 8));
  const descriptor = openSync(path, "r+");
  ftruncateSync(descriptor, readFileSync(path).length + size);
  closeSync(descriptor);
  const { tensors } = readSafetensors(path);
  truncateSync(path, 8192);
  assert.throws(() => scope(() => void tensors.get("a")?.sum()), /became shorter/);
  disposeTree(tensors);
  rmSync(path);
});

test("the mapping that replaced another one is named, not the old one", () => {
  for (let i = 0; i < 8; i++) {
    const file = join(folder, `mapping-${i}`);
    scope(() => writeSafetensors(file, new Map([["a", ones([300_000])]])));
    const { tensors } = readSafetensors(file);
    truncateSync(file, 4096);
    assert.throws(() => scope(() => void tensors.get("a")?.sum()), new RegExp(`mapping-${i} became shorter`));
    disposeTree(tensors);
  }
});

test("a file that changes between opening and streaming is refused", async () => {
  for (const change of [
    () => truncateSync(path, 100),
    () => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(1)])),
    () => rmSync(path),
    () => {
      rmSync(path);
      mkdirSync(path);
    },
  ]) {
    scope(() => writeSafetensors(path, new Map([["a", ones([1000])]])));
    const { tensors } = await streamSafetensors(path);
    change();
    await assertRefused(
      async () => (await tensors.get("a")!.read()).dispose(),
      path,
      /changed while|no such file|not a file but a folder/,
    );
    rmSync(path, { recursive: true, force: true });
  }
});

// ---- writing

test("writing where it cannot be leaves what was there, and nothing else", () => {
  scope(() => {
    const weights = new Map([["a", tensor([1, 2])]]);
    writeSafetensors(path, weights);
    const before = readFileSync(path);
    assert.throws(() => writeSafetensors(join(folder, "absent", "w"), weights), /the folder does not exist/);
    assert.throws(() => writeSafetensors(folder, weights), UserError);
    assert.throws(() => writeSafetensors(path, new Map([["__metadata__", tensor([1])]])), /cannot be named/);
    const released = tensor([3]);
    released.dispose();
    assert.throws(() => writeSafetensors(path, new Map([["a", tensor([1])], ["b", released]]))); // biome-ignore format: pairs
    assert.deepEqual(readFileSync(path), before);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith(".tmp")),
      [],
    );
  });
});

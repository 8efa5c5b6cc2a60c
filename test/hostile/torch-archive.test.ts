/** Broken and malicious .pth files: each is refused with a message, in bounded memory and time, and leaves nothing behind. */
// Long: over a hundred archives are read, twice each.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isTorchScript, readTorchArchive } from "../../src/io/index.ts";
import {
  legacyStorage,
  op,
  torchLegacy,
  torchParts,
  torchZip,
  type ZipPart,
  zipOf,
} from "../support/archive-writer.ts";
import { folder, open, written } from "../support/hostile-archive.ts";
import { assertRefused, outcome } from "../support/refusal.ts";

function hostile(name: string, bytes: () => Buffer, pattern: RegExp): void {
  test(`refuses ${name}`, () => assertRefused(open, written(bytes()), pattern));
}

// ---- pickles

const { join: all, int, text, tuple, global, call, dict, sized, tensor, storage } = op;
const zipped = (pickle: Buffer | string) => torchZip(op.pickle(pickle));
const one = [1] as const;

test("a sound archive of the test's own writer is read, so that each refusal has its own reason", async () => {
  const data = Buffer.from(new Float32Array([1, 2, 3, 4]).buffer);
  const pickle = op.pickle(dict({ a: tensor([4], [1]) }));
  assert.equal(await outcome(open, written(torchZip(pickle, { 0: data }))), undefined);
  const legacy = torchLegacy(dict({ a: tensor([4], [1]) }), ["0"], legacyStorage(data, 4));
  assert.equal(await outcome(open, written(legacy)), undefined);
});

const marker = join(folder, "ran");
const command = text(`touch ${marker}`);
const calls: Record<string, Buffer> = {
  "os.system": call("os", "system", command),
  "posix.system": call("posix", "system", command),
  "builtins.eval": call("builtins", "eval", text(`open(${JSON.stringify(marker)}, "w")`)),
  "builtins.exec by stack": all(text("builtins"), text("exec"), "\x93", tuple(text("pass")), "R"),
  "builtins.getattr": call("builtins", "getattr", text("a"), text("b")),
  "builtins.__import__": call("__builtin__", "__import__", text("os")),
  "subprocess.Popen by INST": all("(", command, "isubprocess\nPopen\n"),
  "subprocess.check_output by OBJ": all("(", global("subprocess", "check_output"), command, "o"),
  "runpy by NEWOBJ": all(global("runpy", "_run_code"), tuple(command), "\x81"),
  "operator.attrgetter": call("operator", "attrgetter", text("system")),
  "functools.partial": call("functools", "partial", global("os", "system"), command),
  "webbrowser.open": call("webbrowser", "open", text("file:///")),
  "a nested pickle": call("pickle", "loads", text("cos\nsystem\n")),
  "io.open": call("io", "open", text(marker), text("w")),
};
for (const [name, value] of Object.entries(calls)) {
  hostile(`a call of ${name}`, () => zipped(value), /can run code: do not open it with Python/);
  hostile(`a call of ${name} in the old format`, () => torchLegacy(value, [], Buffer.alloc(0)), /can run code/);
}

test("none of them ran", () => {
  assert.equal(existsSync(marker), false);
});

hostile("torch.load in a pickle", () => zipped(call("torch", "load", text(marker))), /"torch.load", which only Python/);
hostile(
  "torch's storage loader",
  () => zipped(call("torch.storage", "_load_from_bytes", text(""))),
  /_load_from_bytes/,
);
hostile("a class of the user's", () => zipped(all(global("my_code", "Model"), ")\x81")), /"my_code.Model"/);
hostile("REDUCE on a tensor", () => zipped(all(tensor([4], [1]), ")R")), /calls a tensor/);
hostile("REDUCE on text", () => zipped(all(text("os.system"), tuple(command), "R")), /calls a str/);
hostile("REDUCE without a tuple", () => zipped(all(global("collections", "OrderedDict"), "NR")), /with None/);
hostile(
  "BUILD with a state on a tensor",
  () => zipped(all(tensor([4], [1]), dict({ __class__: int(1) }), "b")),
  /state of a tensor/,
);
hostile(
  "BUILD on a class",
  () => zipped(all(global("torch", "Tensor"), dict({ __setstate__: int(1) }), "b")),
  /state of torch.Tensor/,
);
hostile("BUILD on a list", () => zipped("](NNt\x62"), /state of a list/);
hostile("a class as a value", () => zipped(dict({ a: global("torch", "Tensor") })), /"a" is torch.Tensor itself/);
hostile("an empty stack", () => zipped("0"), /empty stack/);
hostile("an underflow below a mark", () => zipped("N(\x85"), /empty stack/);
hostile("a mark that is not there", () => zipped("t"), /no mark/);
hostile("a memo that is not there", () => zipped("j\xff\xff\xff\xff"), /stored nothing under 4294967295/);
hostile("an empty pickle", () => torchZip(Buffer.alloc(0)), /ends too early/);
hostile("a pickle without an end", () => torchZip(op.join("\x80\x02", int(1))), /ends too early/);
hostile("an unterminated frame", () => zipped(sized(0x95, 8, Buffer.from("N"), 2 ** 40)), /ends too early/);
hostile("a frame of 2^64 - 1 bytes", () => zipped(sized(0x95, 8, Buffer.from("N"), 2n ** 64n - 1n)), /over 2\^53/);
hostile("a text of 4 GB", () => zipped(sized("X", 4, Buffer.from("a"), 0xffffffff)), /ends too early/);
hostile("bytes of 2^62", () => zipped(sized(0x8e, 8, Buffer.from("a"), 2n ** 62n)), /over 2\^53/);
hostile("a number of a million digits", () => zipped(`L${"9".repeat(1e6)}L\n`), /not a number/);
hostile("a long of a megabyte", () => zipped(sized(0x8b, 4, Buffer.alloc(1 << 20, 0xff))), /too many digits/);
hostile("the extension registry", () => zipped("\x84\x01\x00\x00\x00"), /extension registry/);
hostile("a buffer outside", () => zipped("\x97"), /outside the file/);
hostile(
  "a dtype of endless lists",
  () => zipped(dict({ a: call("numpy", "dtype", laughs(30)) })),
  /NumPy's dtype a list or tuple/,
);
hostile(
  "a name of control characters",
  () => zipped(global("x\x1b[2J\x7f\u202e", "y")),
  /"x\\u001b\[2J\\u\{7f\}\\u\{202e\}/,
);
hostile("a shell script for a pickle", () => torchZip(Buffer.from("#!/bin/sh\ntouch x\n")), /no instruction 0x23/);
hostile("keys of megabytes, nested", () => zipped(deepKeys()), /too long/);

function deepKeys(): Buffer {
  const key = all(text("k".repeat(1 << 20)), "q\x01");
  return all("}", key, ...Array.from({ length: 60 }, () => Buffer.from("}h\x01")), "N", "s".repeat(61));
}

// ---- shapes of containers

function laughs(levels: number): Buffer {
  const level = (i: number) =>
    all("](", `h${String.fromCharCode(i)}`.repeat(10), "e", `q${String.fromCharCode(i + 1)}`);
  return all("]q\x00", ...Array.from({ length: levels }, (_, i) => level(i)));
}

hostile("ten lists of ten lists of ten lists, 30 times", () => zipped(laughs(30)), /too many times over/);
hostile("a list that contains itself", () => zipped("]q\x00h\x00a"), /contains itself/);
hostile("a dict that contains itself", () => zipped(all("}q\x00", text("a"), "h\x00s")), /"a" contains itself/);
hostile("100,000 nested lists", () => zipped(all("]".repeat(100_000), "a".repeat(99_999))), /more than 100 deep/);
hostile("endless containers", () => zipped(all("(", "}".repeat(700_000), "t")), /too many containers/);
hostile("endless instructions", () => zipped("N0".repeat(3_000_000)), /too many instructions/);
hostile("endless marks", () => zipped("(".repeat(5_000_000)), /too many instructions/);
hostile("endless copies of a text", () => zipped(copies()), /endless copies/);
hostile("endless copies of a list", () => zipped(listCopies()), /endless copies/);

function copies(): Buffer {
  const encoded = all(global("_codecs", "encode"), "h\x01h\x02\x86R0");
  return all(
    text("x".repeat(1 << 22)),
    "q\x010",
    text("latin1"),
    "q\x020",
    ...new Array<Buffer>(100).fill(encoded),
    "N",
  );
}

function listCopies(): Buffer {
  const items = all("](", "K\x01".repeat(100_000), "eq\x010");
  return all(items, ...new Array<Buffer>(4000).fill(all(global("builtins", "set"), "h\x01\x85R0")), "N");
}

hostile(
  "two tensors of one path",
  () => zipped(all("}(", text("a.b"), tensor([4], [1]), text("a"), dict({ b: tensor([4], [1]) }), "u")),
  /both at "a.b"/,
);

// ---- storages and views

const asTuple = (...items: Buffer[]) => all(tuple(...items), "Q");
const FloatStorage = global("torch", "FloatStorage");
const huge = 2n ** 62n;
const ids: Record<string, [Buffer, RegExp]> = {
  "that is text": [Buffer.from("Pstorage\n"), /persistent id is a str/],
  "that is a number": [all(int(1), "Q"), /persistent id is a number/],
  "that is empty": [Buffer.from(")Q"), /not one of a storage/],
  "of a module": [asTuple(text("module"), FloatStorage), /whole module/],
  "of an unknown kind": [asTuple(text("file"), text("/etc/passwd")), /not one of a storage/],
  "with a text for its type": [asTuple(text("storage"), text("F"), text("0"), text("cpu"), int(4)), /type a str/],
  "with a function for its type": [
    asTuple(text("storage"), global("_codecs", "encode"), text("0"), text("cpu"), int(4)),
    /type _codecs.encode/,
  ],
  "with a number for its key": [asTuple(text("storage"), FloatStorage, int(0), text("cpu"), int(4)), /no key/],
  "without a size": [asTuple(text("storage"), FloatStorage, text("0"), text("cpu")), /no size/],
  "of a negative size": [storage("0", -4), /no size/],
  "of a size of 2^62": [storage("0", huge), /no size/],
  "of more elements than its entry": [storage("0", 5), /has 16 bytes, but should have 20/],
  "of fewer elements than its entry": [storage("0", 3), /has 16 bytes, but should have 12/],
  "of another type than its entry": [storage("0", 4, "DoubleStorage"), /has 16 bytes, but should have 32/],
  "that is missing": [storage("1"), /"1" is missing/],
  "that climbs out": [storage("../data.pkl", 4), /is missing/],
  "that names the prototype": [storage("__proto__", 4), /is missing/],
  "described twice": [tuple(storage("0", 4), storage("0", 2, "DoubleStorage")), /in two ways/],
};
for (const [name, [value, pattern]] of Object.entries(ids)) {
  hostile(`a persistent id ${name}`, () => zipped(value), pattern);
}

const views: Record<string, [Buffer, RegExp]> = {
  "longer than its storage": [tensor([5], [1]), /leaves its storage of 4/],
  "whose strides leave its storage": [tensor([2, 2], [3, 1]), /leaves its storage/],
  "that starts beyond its storage": [tensor([1], [1], { offset: 4 }), /leaves its storage/],
  "of a negative stride": [tensor([4], [-1]), /no valid shape and strides/],
  "of a negative size": [tensor([-4], [1]), /no valid shape and strides/],
  "of a negative offset": [tensor([1], [1], { offset: -1 }), /no valid storage offset/],
  "of an offset of 2^62": [tensor([1], [1], { offset: huge }), /no valid storage offset/],
  "of 2^80 elements": [tensor([2 ** 40, 2 ** 40], [0, 0]), /too large/],
  "of a stride of 2^53 - 1": [tensor([2, 2], [2 ** 53 - 1, 2 ** 53 - 1]), /leaves its storage/],
  "of no elements, but of sizes that overflow": [tensor([0, 2 ** 50, 2 ** 50], [1, 1, 1]), /too large/],
  "of a billion repeated elements": [tensor([2 ** 30], [0]), /repeats its storage/],
  "of more sizes than strides": [tensor([2, 2], [1]), /no valid shape and strides/],
  "of 65 dimensions": [tensor(new Array(65).fill(1), new Array(65).fill(1)), /no valid shape and strides/],
  "without a storage": [tensor(one, one, { storage: int(0) }), /no storage/],
  "of a tensor": [tensor(one, one, { storage: tensor(one, one) }), /no storage/],
  "with a dict for its shape": [
    call("torch._utils", "_rebuild_tensor_v2", storage(), int(0), Buffer.from("}"), op.ints(one)),
    /no valid shape/,
  ],
  "without arguments": [call("torch._utils", "_rebuild_tensor_v2"), /no storage/],
  "that is a parameter of nothing": [call("torch._utils", "_rebuild_parameter", Buffer.from("N")), /no data/],
  "rebuilt by os.system": [
    call("torch._tensor", "_rebuild_from_type_v2", global("os", "system"), global("torch", "Tensor"), tuple(command)),
    /can run code/,
  ],
  "rebuilt by a codec": [
    call(
      "torch._tensor",
      "_rebuild_from_type_v2",
      global("_codecs", "encode"),
      global("torch", "Tensor"),
      tuple(command),
    ),
    /no rebuilding function/,
  ],
};
for (const [name, [value, pattern]] of Object.entries(views)) {
  hostile(`a tensor ${name}`, () => zipped(dict({ a: value })), pattern);
}

hostile(
  "truth values that are neither 0 nor 1",
  () => torchZip(op.pickle(tensor([4], [1], { storage: storage("0", 16, "BoolStorage") })), { 0: Buffer.alloc(16, 7) }),
  /truth values above 1/,
);

test("a shape that is changed after the tensor was made does not reach it", async () => {
  const shape = all("](", int(4), "eq\x05");
  const made = call("torch._utils", "_rebuild_tensor_v2", storage(), int(0), shape, op.ints(one), all("\x89N"));
  const path = written(zipped(all(made, "h\x05", int(2 ** 40), "a\x86")));
  const { tensors } = await readTorchArchive(path);
  assert.deepEqual(
    [...tensors.values()].map((lazy) => lazy.shape),
    [[4]],
  );
});

// ---- NumPy

const no = Buffer.from([0x89]);
const yes = Buffer.from([0x88]);
const dtype = (code: string) => call("numpy", "dtype", text(code), no, yes);
const array = (...state: Buffer[]) =>
  all(
    call("numpy._core.multiarray", "_reconstruct", global("numpy", "ndarray"), op.ints([0]), text("b")),
    tuple(...state),
    "b",
  );
const arrays: Record<string, [Buffer, RegExp]> = {
  "of objects": [array(int(1), op.ints(one), dtype("O8"), no, Buffer.from("]")), /dtype "O8"/],
  "of records": [array(int(1), op.ints(one), dtype("V8"), no, text("")), /dtype "V8"/],
  "of a dtype from the prototype": [dtype("constructor"), /dtype "constructor"/],
  "of fewer bytes than its shape": [
    array(int(1), op.ints([4]), dtype("f4"), no, text("abc")),
    /needs 16 bytes but has 3/,
  ],
  "of a huge shape": [array(int(1), op.ints([2 ** 40, 2 ** 40]), dtype("f4"), no, text("")), /no valid shape/],
  "of a huge shape of nothing": [
    array(int(1), op.ints([0, 2 ** 50, 2 ** 50]), dtype("f4"), no, text("")),
    /no valid shape/,
  ],
  "of a list of objects": [array(int(1), op.ints(one), dtype("f4"), no, Buffer.from("]")), /no bytes/],
  "of another class": [call("numpy._core.multiarray", "_reconstruct", global("torch", "Tensor")), /another class/],
  "of no byte order": [all(dtype("f4"), tuple(int(3), text("?")), "b"), /no valid byte order/],
  "without a dtype": [array(int(1), op.ints(one), text("f4"), no, text("abcd")), /no dtype/],
};
for (const [name, [value, pattern]] of Object.entries(arrays)) {
  hostile(`a NumPy array ${name}`, () => zipped(dict({ a: value })), pattern);
}

// ---- zip archives

const pickle = op.pickle(dict({ a: tensor([4], [1]) }));
const parts = torchParts(pickle);
const lying = (index: number, lies: NonNullable<ZipPart["lies"]>) =>
  parts.map((part, i) => (i === index ? { ...part, lies } : part));
const zeros = Buffer.alloc(32 << 20);
const end = (bytes: Buffer, change: (record: Buffer) => void): Buffer => {
  change(bytes.subarray(-22));
  return bytes;
};

hostile(
  "a pickle that unpacks a thousandfold",
  () => zipOf([{ name: "a/data.pkl", content: zeros, deflate: true }]),
  /zip bomb/,
);
hostile(
  "a storage that unpacks a thousandfold",
  () => zipOf([...parts.slice(0, 2), { name: "a/data/0", content: zeros, deflate: true }]),
  /zip bomb/,
);
hostile(
  "an entry that unpacks to more than it claims",
  () => zipOf([{ name: "a/data.pkl", content: zeros, deflate: true, lies: { size: pickle.length } }]),
  /unpacks to more than the/,
);
hostile(
  "an entry that unpacks to less than it claims",
  () => zipOf([{ name: "a/data.pkl", content: pickle, deflate: true, lies: { size: pickle.length + 1 } }]),
  /not \d+/,
);
hostile("a zip in a zip for a pickle", () => torchZip(zipOf(parts)), /a text is not UTF-8/);
hostile(
  "a zip around a zip",
  () => zipOf([{ name: "weights.pth", content: zipOf(parts) }]),
  /around "weights.pth"; unpack/,
);
hostile("a zip of something else", () => zipOf([{ name: "a.txt", content: zeros }]), /without a data.pkl/);
hostile(
  "a name that climbs out",
  () => zipOf([...parts, { name: "../../evil", content: pickle }]),
  /invalid relative path/,
);
hostile("an absolute name", () => zipOf([...parts, { name: "/etc/passwd", content: pickle }]), /absolute path/);
hostile("a doubled entry", () => zipOf([...parts, parts[2] as ZipPart]), /two entries "a\/data\/0"/);
hostile("two pickles", () => zipOf([...parts, { name: "b/data.pkl", content: pickle }]), /2 pickles/);
hostile("an encrypted entry", () => zipOf(lying(2, { flags: 1 })), /encrypted|mismatch/);
hostile("strong encryption", () => zipOf(lying(2, { flags: 0x41 })), /encrypt/);
hostile("an unknown compression", () => zipOf(lying(0, { method: 99 })), /unknown compression 99/);
hostile("two compressions", () => zipOf(lying(0, { localMethod: 8 })), /two compression methods/);
hostile("another name in place", () => zipOf(lying(0, { localName: "a/other.pk" })), /another name in place/);
hostile("a wrong checksum of the pickle", () => zipOf(lying(0, { crc: 1 })), /checksum of its entry "a\/data.pkl"/);
hostile("a wrong checksum of a storage", () => zipOf(lying(2, { crc: 1 })), /checksum of its entry "a\/data\/0"/);
hostile("entries in one place", () => zipOf(lying(2, { offset: 0 })), /overlap/);
hostile("an entry beyond the file", () => zipOf(lying(2, { offset: 1e6 })), /outside the file/);
hostile(
  "an entry in the middle of another",
  () => zipOf([{ ...(parts[0] as ZipPart), lies: { offset: 3 } }]),
  /does not start|overlap|outside/,
);
hostile(
  "an entry of 2^53 bytes",
  () => zipOf(lying(2, { zip64: true, size: 2 ** 53, compressedSize: 2 ** 53 })),
  /impossible sizes/,
);
hostile(
  "an entry of 2^40 bytes",
  () => zipOf(lying(2, { zip64: true, size: 2 ** 40, compressedSize: 2 ** 40 })),
  /outside the file/,
);
hostile("sizes that differ without compression", () => zipOf(lying(2, { size: 12 })), /mismatch/);
hostile("a pickle of 200 MB", () => zipOf([{ name: "data.pkl", content: Buffer.alloc(200 << 20) }]), /over 134217728/);
hostile(
  "an unknown byte order",
  () => zipOf([...parts.slice(0, 1), { name: "a/byteorder", content: Buffer.from("middle") }]),
  /byte order is "middle"/,
);
hostile("more entries than there are", () => zipOf(parts, { count: 4 }), /signature|outside/);
hostile("65,535 entries", () => zipOf(parts, { count: 65_535 }), /signature|outside/);
hostile("a directory beyond the file", () => zipOf(parts, { directoryOffset: 0xfffffff0 }), /points outside/);
hostile("a directory at 2^64 - 1", () => zipOf(parts, { zip64: 2n ** 64n - 1n }), /points outside/);
hostile("a directory at 2^53", () => zipOf(parts, { zip64: 2n ** 53n }), /points outside/);
hostile("several disks", () => end(zipOf(parts), (record) => record.writeUInt16LE(3, 4)), /multi-disk/);
hostile(
  "a comment of another length",
  () => end(zipOf(parts), (record) => record.writeUInt16LE(9, 20)),
  /comment length/,
);
hostile("bytes after the end", () => Buffer.concat([zipOf(parts), Buffer.alloc(10)]), /comment length/);

// ---- the old format

const data = Buffer.alloc(16);
const value = dict({ a: tensor([4], [1]) });
const view = (key: string, first: number, length: number) =>
  all(
    tuple(text("storage"), FloatStorage, text("0"), text("cpu"), int(4), tuple(text(key), int(first), int(length))),
    "Q",
  );
const legacies: Record<string, [() => Buffer, RegExp]> = {
  "an empty file": [() => Buffer.alloc(0), /is empty/],
  noise: [() => Buffer.from([...Array(64).keys()].map((i) => (i * 37 + 11) & 255)), /does not start as torch.save/],
  "another magic number": [() => op.pickle(int(42)), /does not start as torch.save/],
  "a call before the magic number": [() => op.pickle(call("os", "system", command)), /does not start as torch.save/],
  "another version": [() => all(torchLegacy(value, [], data).subarray(0, 15), op.pickle(int(7))), /format version 7/],
  "a version of lists of lists of lists, 30 times": [
    () => all(torchLegacy(value, [], data).subarray(0, 15), op.pickle(laughs(30))),
    /format version a list/,
  ],
  "a version of 100,000 nested lists": [
    () => all(torchLegacy(value, [], data).subarray(0, 15), op.pickle(all("]".repeat(100_000), "a".repeat(99_999)))),
    /format version a list/,
  ],
  "a storage that is listed by endless lists": [
    () => {
      const file = torchLegacy(value, [], data).subarray(0, -data.length - 6);
      return all(file, op.pickle(all("](", laughs(30), "e")), data);
    },
    /lists the storage a list or tuple wrongly/,
  ],
  "no description of the machine": [
    () => all(torchLegacy(value, [], data).subarray(0, 21), op.pickle("N")),
    /writer's machine/,
  ],
  "no list of storages": [
    () => all(torchLegacy(value, ["0"], data).subarray(0, -30), "N."),
    /list its storages|ends|storage/,
  ],
  "a storage that is not listed": [() => torchLegacy(value, [], data), /"0" is missing/],
  "a storage that is listed twice": [() => torchLegacy(value, ["0", "0"], legacyStorage(data, 4)), /"0" wrongly/],
  "a storage that nothing uses": [() => torchLegacy(value, ["1"], legacyStorage(data, 4)), /"1" wrongly/],
  "a storage of more elements": [() => torchLegacy(value, ["0"], legacyStorage(data, 5)), /has 5 elements, but/],
  "a storage of 2^63 - 1 elements": [
    () => torchLegacy(value, ["0"], legacyStorage(data, 2n ** 63n - 1n)),
    /elements, but/,
  ],
  "a storage of -1 elements": [() => torchLegacy(value, ["0"], legacyStorage(data, -1)), /has -1 elements/],
  "a storage that is cut": [
    () => torchLegacy(value, ["0"], legacyStorage(data, 4).subarray(0, -1)),
    /ends before its last/,
  ],
  "no storage at all": [() => torchLegacy(value, ["0"], Buffer.alloc(0)), /ends before its last storage/],
  "a huge storage in a small file": [
    () => torchLegacy(tensor([2 ** 40], [1], { storage: storage("0", 2 ** 40) }), ["0"], legacyStorage(data, 2 ** 40)),
    /ends before its last storage does/,
  ],
  "part of a storage beyond it": [
    () => torchLegacy(tensor(one, one, { storage: view("v", 3, 2) }), ["0"], legacyStorage(data, 4)),
    /a part of the storage "0" leaves it/,
  ],
  "a view beyond its part": [
    () => torchLegacy(tensor([3], one, { storage: view("v", 1, 2) }), ["0"], legacyStorage(data, 4)),
    /leaves its storage of 2/,
  ],
  "a pickle that never ends": [
    () => torchLegacy(all("N0".repeat(1_500_000), "(".repeat(10)), [], data),
    /mark|empty|instr/,
  ],
};
for (const [name, [bytes, pattern]] of Object.entries(legacies)) {
  hostile(`${name}, in the old format`, bytes, pattern);
}

// ---- files that are something else

const foreign: Record<string, [Buffer, RegExp]> = {
  "a web page": [Buffer.from("\n<!DOCTYPE html><html><body>404</body></html>"), /web page/],
  "a Git LFS pointer": [Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), /git lfs pull/],
  "a gzip file": [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]), /gzip/],
  "an HDF5 file": [Buffer.from("\x89HDF\r\n\x1a\n", "latin1"), /HDF5/],
  "a NumPy file": [Buffer.from("\x93NUMPY\x01\x00", "latin1"), /NumPy array/],
  "a safetensors file": [Buffer.from("\x02\0\0\0\0\0\0\0{}      "), /looks like safetensors/],
  "three bytes": [Buffer.from("PK\x03"), /cannot be read as a PyTorch file/],
};
for (const [name, [bytes, pattern]] of Object.entries(foreign)) hostile(name, () => bytes, pattern);

test("refuses folders, devices, pipes and what is not there", async () => {
  await assertRefused(open, folder, /is not a file/);
  await assertRefused(open, join(folder, "absent.pth"), /no such file/);
  if (!existsSync("/dev/zero")) return;
  await assertRefused(open, "/dev/zero", /is not a file/);
  const pipe = join(folder, "pipe.pth");
  execFileSync("mkfifo", [pipe]);
  await assertRefused(open, pipe, /is not a file/);
  await assertRefused(async (path) => void (await isTorchScript(path)), pipe, /is not a file/);
});

/** The unpickler alone: every protocol as Python writes it, and single instructions. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findGlobal } from "../../../src/io/torch-archive/globals.ts";
import { PickleEnd } from "../../../src/io/torch-archive/pickle-cursor.ts";
import { unpickle } from "../../../src/io/torch-archive/unpickle.ts";
import type { Value } from "../../../src/io/torch-archive/values.ts";
import { op } from "../../support/archive-writer.ts";
import { unpackedFixtures } from "../../support/unpacked.ts";

function read(bytes: Buffer | string, start = 0): Value {
  const fail = (what: string): never => {
    throw new Error(what);
  };
  const all = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
  return unpickle(all, start, { fail, find: findGlobal, persistent: (id) => ["persistent", id] }).value;
}

const pickles = JSON.parse(readFileSync(join(unpackedFixtures("torch-archive"), "pickles.json"), "utf8")) as Record<
  string,
  string
>;

for (const [protocol, text] of Object.entries(pickles)) {
  test(`reads what Python's pickle writes in protocol ${protocol}`, () => {
    const root = read(Buffer.from(text, "base64"));
    assert.ok(root instanceof Map);
    assert.deepEqual(root.get("ints"), [0, 255, 65535, -1, 2 ** 31, -(2 ** 40), 2n ** 53n, 2n ** 100n, -(2n ** 100n)]);
    assert.deepEqual(root.get("floats"), [0.1, -1e300, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    assert.equal(root.get("text"), "ünï \u{1f600} \n");
    assert.deepEqual(root.get("bytes"), new Uint8Array([0, 255, 128]));
    assert.deepEqual(root.get("bytearray"), new Uint8Array([1, 2]));
    assert.deepEqual(root.get("set"), new Set([1, 2, 3]));
    assert.deepEqual(root.get("frozen"), new Set(["x"]));
    assert.equal((root.get("numpy") as Map<string, Value>).get("float64"), 1.25);
    const shared = root.get("shared") as Value[];
    assert.equal(shared[0], shared[1]);
  });
}

const plain: [string, string, Value][] = [
  ["INT", "I-12\n.", -12],
  ["INT as a bool", "I01\n.", true],
  ["INT beyond a double", "I9007199254740993\n.", 9007199254740993n],
  ["LONG", "L5L\n.", 5],
  ["LONG1 of no bytes", "\x8a\x00.", 0],
  ["LONG4", "\x8b\x02\x00\x00\x00\xff\xff.", -1],
  ["FLOAT", "F-1.5e3\n.", -1500],
  ["FLOAT, not a number", "Fnan\n.", Number.NaN],
  ["BININT", "J\xfe\xff\xff\xff.", -2],
  ["BINFLOAT", "G\x3f\xf8\x00\x00\x00\x00\x00\x00.", 1.5],
  ["STRING", "S'a\\n\\x41\\'\\101'\n.", "a\nA'A"],
  ["SHORT_BINSTRING in UTF-8", "U\x02\xc3\xa4.", "ä"],
  ["BINSTRING of bytes", "T\x01\x00\x00\x00\xff.", "ÿ"],
  ["UNICODE", "Va\\u00e4\\U0001f600\n.", "aä\u{1f600}"],
  ["LIST and TUPLE", "((K\x01K\x02lK\x03t.", [[1, 2], 3]],
  ["DICT", "(K\x01K\x02d.", new Map([[1, 2]])],
  ["DUP and POP", "K\x012K\x020\x86.", [1, 1]],
  ["POP_MARK", "K\x01(K\x02K\x031.", 1],
  ["POP of a mark", "K\x01(0.", 1],
  ["PUT and GET", "]p7\n0g7\n.", []],
  ["LONG_BINPUT and LONG_BINGET", "]r\x00\x01\x00\x000j\x00\x01\x00\x00.", []],
  ["MEMOIZE", "]\x94}\x940h\x01.", new Map()],
  ["ADDITEMS", "\x8f(K\x01K\x01\x90.", new Set([1])],
  ["NEWOBJ_EX", "cargparse\nNamespace\n)}\x92}X\x01\x00\x00\x00aK\x01sb.", new Map([["a", 1]])],
  ["INST", "(icollections\nOrderedDict\n.", new Map()],
  ["OBJ", "(ccollections\nOrderedDict\no.", new Map()],
  ["STACK_GLOBAL", "\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.", new Map()],
  ["BINPERSID", "K\x05Q.", ["persistent", 5]],
  ["PERSID", "Pkey\n.", ["persistent", "key"]],
  ["FRAME", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x01.", 1],
  ["two FRAMEs", `\x80\x04\x95${"\x02".padEnd(8, "\0")}K\x01\x95${"\x03".padEnd(8, "\0")}K\x02\x86.`, [1, 2]],
  ["BUILD on a dict", "}}b.", new Map()],
];

for (const [name, bytes, expected] of plain) {
  test(`reads ${name}`, () => {
    const value = read(bytes);
    assert.deepEqual(value instanceof Map ? new Map(value) : value, expected);
  });
}

const wrong: [string, Buffer | string, RegExp][] = [
  ["an unknown instruction", "\xff.", /no instruction 0xff/],
  ["an unknown protocol", "\x80\x06N.", /protocol 6/],
  ["STOP on an empty stack", ".", /empty stack/],
  ["a value below a mark", "K\x01(\x85.", /empty stack/],
  ["a mark that is not there", "K\x01t.", /no mark/],
  ["a dict without a last value", "(K\x01d.", /key without a value/],
  ["APPEND to a dict", "}K\x01a.", /appends to a dict/],
  ["SETITEM of a list", "]K\x01K\x01s.", /items of a list/],
  ["ADDITEMS to a dict", "}(\x90.", /items to a dict/],
  ["a memo that is not there", "h\x05.", /stored nothing under 5/],
  ["a number of letters", "Iabc\n.", /is not a number/],
  ["a number of too many digits", `I${"9".repeat(401)}\n.`, /is not a number/],
  ["a long of too many bytes", op.sized(0x8b, 4, Buffer.alloc(500)), /too many digits/],
  ["a float of letters", "F0x10\n.", /is not a number/],
  ["a text without quotes", "Sabc\n.", /no quotes/],
  ["a text that is not UTF-8", "X\x01\x00\x00\x00\xff.", /not UTF-8/],
  ["a length over 2^53", op.sized(0x8e, 8, Buffer.alloc(0), 2n ** 60n), /over 2\^53/],
  ["REDUCE of a number", "K\x01)R.", /calls a number/],
  ["REDUCE with a dict", "ccollections\nOrderedDict\n}R.", /with a dict/],
  ["REDUCE of a class that is only a name", "ctorch\nTensor\n)R.", /only a name/],
  ["OBJ without a class", "(o.", /calls None/],
  ["NEWOBJ_EX with named arguments", "cargparse\nNamespace\n)}K\x01K\x01s\x92.", /named arguments/],
  ["BUILD on a list", "]}b.", /state of a list/],
  ["BUILD on a number", "K\x01}b.", /state of a number/],
  ["the extension registry", "\x82\x01.", /extension registry/],
  ["a buffer outside", "\x97.", /outside the file/],
  [
    "a frame inside a frame",
    `\x95${"\x20".padEnd(8, "\0")}\x95${"\x01".padEnd(8, "\0")}${"N".repeat(40)}.`,
    /inside another/,
  ],
  ["an instruction across a frame's end", `\x95${"\x02".padEnd(8, "\0")}M\x01\x01.`, /crosses its frame/],
  ["a global without text", "NN\x93.", /not a text/],
  ["a set of a dict", "cbuiltins\nset\n}\x85R.", /set from a dict/],
  ["bytes in another encoding", "c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", /latin1/],
];

for (const [name, bytes, pattern] of wrong) {
  test(`refuses ${name}, saying where`, () => {
    assert.throws(
      () => read(bytes),
      (error: Error) => pattern.test(error.message) && /\(byte \d+ of its pickle\)/.test(error.message),
    );
  });
}

test("whatever is cut off says so, however it is cut", () => {
  const whole = Buffer.from(pickles["4"] ?? "", "base64");
  for (let length = 0; length < whole.length; length += 7) {
    assert.throws(() => read(whole.subarray(0, length)), PickleEnd);
  }
});

test("dangerous globals, old names included, are refused as such; unknown ones with a way out", () => {
  const dangerous = ["os.system", "posix.system", "builtins.eval", "__builtin__.getattr", "subprocess.Popen"];
  for (const name of [...dangerous, "copy_reg._reconstructor", "operator.attrgetter", "os.path.join"]) {
    const [, module = "", last = ""] = /^(.*)\.(\w+)$/.exec(name) ?? [];
    assert.throws(() => read(op.join(op.global(module, last), ".")), /can run code: do not open it with Python/, name);
  }
  const rebuilt = /holds "torch._utils._rebuild_new_tensor", which only Python can rebuild.*state_dict/;
  assert.throws(() => read("ctorch._utils\n_rebuild_new_tensor\n."), rebuilt);
  assert.throws(
    () => read(`ctorch._${"y".repeat(1e6)}\nz\n.`),
    (error: Error) => error.message.length < 500,
  );
});

test("objects of other classes are read past, whatever is done to them", () => {
  const made = op.join(op.global("project.config", "Config"), op.tuple(), "\x81");
  const changes = [
    op.join(op.dict({ lr: op.int(1) }), "b"),
    op.join("(", op.text("key"), op.int(1), "u"),
    op.join("(", op.int(1), "e"),
    op.join("(", op.int(1), "\x90"),
  ];
  const named = op.join(op.global("project", "Named"), op.tuple(), op.dict({ depth: op.int(3) }), "\x92");
  for (const object of [made, ...changes.map((change) => op.join(made, change)), named]) {
    const value = read(op.join(op.dict({ before: op.int(1), object, after: op.int(2) }), ".")) as Map<string, unknown>;
    assert.deepEqual([value.get("before"), value.get("after")], [1, 2]);
    assert.match(String((value.get("object") as { name: string }).name), /^"project/);
  }
});

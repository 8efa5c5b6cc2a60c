/** Broken and malicious hub.json files: each is refused with a message that names it, soon, and nothing is loaded. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadMembers, openHub, readManifest, writeManifest } from "../../src/hub/index.ts";
import { assertRefused, outcome } from "../support/refusal.ts";
import { temporaryFolder, writeSmallHub } from "../support/small-hub.ts";

const dir = writeSmallHub(temporaryFolder());
const path = join(dir, "hub.json");
const good = readFileSync(path, "utf8");

type Json = Record<string, unknown>;
interface Member extends Json {
  weights: Json;
  input: Json;
}
interface Manifest extends Json {
  members: Member[];
}

/** Opens the hub and loads its first member. */
function open(): void {
  const hub = openHub(dir);
  for (const member of loadMembers(hub, { names: [hub.manifest.members[0]!.name] })) member.dispose();
}

function written(text: string | Buffer): string {
  writeFileSync(path, text);
  return path;
}

function changed(change: (manifest: Manifest, first: Member) => void): string {
  const manifest = JSON.parse(good) as Manifest;
  change(manifest, manifest.members[0]!);
  return JSON.stringify(manifest);
}

function hostile(name: string, text: string | Buffer, pattern: RegExp): void {
  test(`refuses ${name}`, () => assertRefused(open, written(text), pattern));
}

/** The same change with several values. */
function hostileAll(
  name: string,
  values: readonly unknown[],
  set: (first: Member, value: unknown) => void,
  pattern: RegExp,
) {
  for (const value of values) {
    const text = changed((_, first) => set(first, value));
    hostile(`${name} ${JSON.stringify(value)?.slice(0, 40)}`, text, pattern);
  }
}

test("the manifest that the cases change is itself accepted", async () => {
  assert.equal(await outcome(open, written(good)), undefined);
});

// ---- the text

hostile("an empty file", "", /not JSON/);
hostile("no JSON", "hello", /not JSON/);
hostile("two values", good + good, /not JSON/);
hostile("a comma too many", good.replace(/\}$/, ",}"), /not JSON/);
hostile("UTF-16", Buffer.from(good, "utf16le"), /not JSON/);
hostile("a file cut in the middle", good.slice(0, good.length / 2), /not JSON/);
hostile("a million open brackets", "[".repeat(1e6), /not JSON/);
hostile("a million nested lists", "[".repeat(1e6) + "]".repeat(1e6), /expected object/);
hostile("more than 16 MB", `"${"x".repeat(17e6)}"`, /17000002 bytes, too many for a hub's manifest/);
for (const text of ["null", "3", '"x"', "[]", "true"]) hostile(`the JSON value ${text}`, text, /expected object/);

test("refuses a folder in place of hub.json", async () => {
  rmSync(path);
  mkdirSync(path);
  await assertRefused(open, path, /hub\.json|FILE/);
  rmSync(path, { recursive: true });
});

// ---- fields

const fields = ["name", "architecture", "weights", "featureWidth", "input", "pretraining", "licence", "source"];
for (const field of fields) {
  hostile(
    `a member without ${field}`,
    changed((_, first) => delete first[field]),
    new RegExp(`members\\.0\\.${field}`),
  );
  hostile(
    `a member whose ${field} is a list`,
    changed((_, first) => (first[field] = [])),
    new RegExp(`members\\.0\\.${field}`),
  );
}
for (const field of ["version", "name", "members"]) {
  hostile(
    `a manifest without ${field}`,
    changed((manifest) => delete manifest[field]),
    new RegExp(`FILE .*: ${field}`),
  );
}
for (const version of [0, 3, "1", null, 1.5]) {
  hostile(
    `version ${JSON.stringify(version)}`,
    changed((manifest) => (manifest["version"] = version)),
    /version: .*expected 2/,
  );
}
hostile(
  "no members",
  changed((manifest) => (manifest.members = [])),
  /members: a hub has at least one/,
);
hostile(
  "members that are no list",
  changed((manifest) => Object.assign(manifest, { members: {} })),
  /members: .*array/,
);
hostile(
  "a member that is null",
  changed((manifest) => Object.assign(manifest, { members: [null] })),
  /members\.0/,
);
hostile(
  "an unknown field",
  changed((_, first) => (first["evil"] = 1)),
  /Unrecognized key: "evil"/,
);
hostile(
  "more than ten thousand members",
  changed(
    (manifest, first) => (manifest.members = Array.from({ length: 10_001 }, (_, i) => ({ ...first, name: `m${i}` }))),
  ),
  /members: Too big/,
);
hostile(
  "two members of one name",
  changed((manifest, first) => manifest.members.push(first)),
  /"small-resnet" twice/,
);

// ---- names

const names = [
  "__proto__",
  "..",
  ".",
  ".hidden",
  "a/b",
  "a\\b",
  "a b",
  "",
  "é",
  "-x",
  "a\n",
  "a\0",
  "a".repeat(101),
  5,
  null,
];
hostileAll("the name", names, (first, value) => (first["name"] = value), /members\.0\.name/);
const architectures = ["__proto__", "constructor", "toString", "hasOwnProperty", "", "nope"];
test("refuses names of architectures that only an object's prototype knows", async () => {
  for (const name of architectures) {
    written(changed((_, first) => (first["architecture"] = name)));
    assert.throws(open, { name: "UserError", message: /unknown architecture/ }, name);
  }
});

test("keys named __proto__ change no prototype", async () => {
  for (const [at, key] of [
    ['"members":[{', "members"],
    ["{", "file"],
  ] as const) {
    written(good.replace(at, `${at}"__proto__":{"polluted":1},`));
    await assertRefused(open, path, /Unrecognized key: "__proto__"/);
    assert.equal(Reflect.get({}, "polluted"), undefined, key);
  }
  written(good.replace('"config":{', '"config":{"__proto__":{"stem":"nonsense","polluted":1},'));
  await outcome(open, path);
  const [member] = readManifest(dir).members;
  assert.equal(Reflect.get({}, "polluted"), undefined);
  assert.equal(Reflect.get(member!.config, "polluted"), undefined);
});

// ---- paths

const outside = ["../x", "a/../../x", "a/b/../../../x", "..", "../", "./../x"];
const absolute = [
  "/etc/passwd",
  "//host/share",
  "\\\\host\\share",
  "\\x",
  "C:\\x",
  "c:x",
  "a\0b",
  "..\\x",
  "a\\..\\..\\x",
];
const own = ["hub.json", "./hub.json", "a/../HUB.JSON", ".lock", ".pending.json", "a/", ".", "a/.."];
const setFile = (first: Member, value: unknown) => (first.weights["file"] = value);
hostileAll("the file", outside, setFile, /weights\.file: must not leave the hub's folder/);
hostileAll("the file", absolute, setFile, /weights\.file: must be relative to the hub's folder/);
hostileAll("the file", own, setFile, /weights\.file: must be a file of a member/);
hostileAll("the file", ["", 5, null, ["x"], {}], setFile, /weights\.file/);
const setFurther = (first: Member, value: unknown) => {
  first.weights["files"] = [{ file: value, sha256: first.weights["sha256"] }];
};
hostileAll("the further file", outside, setFurther, /weights\.files\.0\.file: must not leave/);
hostileAll("the further file", absolute, setFurther, /weights\.files\.0\.file: must be relative/);

test("refuses a member whose further file is missing or another one, naming it", () => {
  for (const [file, pattern] of [
    ["gone.bin", /gone\.bin is missing/],
    ["small-convnext.safetensors", /sha256.*replaced/],
  ] as const) {
    written(changed((_, first) => setFurther(first, file)));
    assert.throws(open, { name: "UserError", message: pattern });
  }
});

// ---- hashes and numbers

const hash = "ab".repeat(32);
const hashes = [
  "",
  hash.toUpperCase(),
  hash.slice(1),
  `${hash}0`,
  `${hash}\n`,
  "g".repeat(64),
  `sha256:${hash}`,
  5,
  null,
];
hostileAll("the hash", hashes, (first, value) => (first.weights["sha256"] = value), /weights\.sha256/);
hostileAll(
  "the format",
  ["pickle", "", "SafeTensors", null],
  (first, value) => (first.weights["format"] = value),
  /weights\.format/,
);
const widths = [0, -1, -512, 1.5, 1e300, "16", null, [16]];
hostileAll("the feature width", widths, (first, value) => (first["featureWidth"] = value), /featureWidth/);
hostileAll(
  "the size",
  [0, -1, 7, 8.5, 4097, 1e300, "24", null],
  (first, value) => (first.input["size"] = value),
  /input\.size/,
);
hostileAll(
  "the deviation",
  [[0, 1, 1], [1, -1, 1], [1, 1], [1, 1, 1, 1], [1, 1, null], "x"],
  (first, value) => (first.input["std"] = value),
  /input\.std/,
);
hostileAll("the mean", [[], [0, 0], ["0", 0, 0], 0.5], (first, value) => (first.input["mean"] = value), /input\.mean/);
hostileAll(
  "the interpolation",
  ["lanczos", "", 1],
  (first, value) => (first.input["interpolation"] = value),
  /interpolation/,
);
hostileAll(
  "the order of channels",
  ["rgba", "RGB", ["r"]],
  (first, value) => (first.input["channelOrder"] = value),
  /channelOrder/,
);
for (const number of ["NaN", "Infinity", "-Infinity", "0x10", "1_000", "+1", ".5"]) {
  hostile(`the number ${number}`, good.replace(/"featureWidth":\d+/, `"featureWidth":${number}`), /not JSON/);
}
hostile("a width too large for a number", good.replace(/"featureWidth":\d+/, '"featureWidth":1e999'), /featureWidth/);
hostile("a mean too large for a number", good.replace('"mean":[0.5', '"mean":[-1e999'), /input\.mean\.0/);

test("refuses a feature width that the network does not have", () => {
  written(changed((_, first) => (first["featureWidth"] = 2 ** 40)));
  assert.throws(open, { name: "UserError", message: /feature width 1099511627776, its network gives/ });
});

// ---- configurations and key maps

hostileAll("the configuration", [[], null, "x", 3], (first, value) => (first["config"] = value), /members\.0\.config/);
const keyMaps = [
  { prefix: 3 },
  { drop: "x" },
  { drop: [""] },
  { rename: [] },
  { rename: { a: 1 } },
  { layout: 1 },
  { other: 1 },
  null,
];
hostileAll("the key map", keyMaps, (first, value) => (first["keyMap"] = value), /members\.0\.keyMap/);

test("refuses configurations that no network has", () => {
  const configs: [Json, RegExp][] = [
    [{ layers: "x" }, /layers/],
    [{ layers: [] }, /layers/],
    [{ layers: [1, 1], width: -8 }, /width/],
    [{ layers: [1, 1], width: 0.5 }, /width/],
    [{ layers: [1, 1], width: 8, evil: 1 }, /evil/],
  ];
  for (const [config, pattern] of configs) {
    written(changed((_, first) => (first["config"] = config)));
    assert.throws(open, { name: "UserError", message: pattern }, JSON.stringify(config));
  }
});

test("refuses key maps that lead the weights elsewhere, naming keys", () => {
  for (const keyMap of [{ prefix: "nowhere." }, { drop: ["conv1"] }, { rename: { layer1: "layer2" } }]) {
    written(changed((_, first) => (first["keyMap"] = keyMap)));
    assert.throws(open, { name: "UserError", message: /missing keys: / }, JSON.stringify(keyMap));
  }
});

test("a program is not loaded unless it is trusted", () => {
  written(changed((_, first) => (first.weights["format"] = "torchscript")));
  assert.throws(open, { name: "UserError", message: /a program can read and write your files/ });
});

test("a manifest that breaks the format is not written, and the old one stays", () => {
  written(good);
  const manifest = readManifest(dir);
  const [first] = manifest.members;
  const broken = { ...manifest, members: [{ ...first!, weights: { ...first!.weights, file: "../x" } }] };
  assert.throws(() => writeManifest(dir, broken), { name: "UserError", message: /must not leave/ });
  assert.equal(readFileSync(path, "utf8"), good);
});

test("weights that are swapped for another member's are refused", () => {
  written(good);
  const [own, other] = ["small-resnet", "other-resnet"].map((name) => join(dir, `${name}.safetensors`)) as [
    string,
    string,
  ];
  renameSync(own, `${own}.kept`);
  writeFileSync(own, readFileSync(other));
  assert.throws(open, { name: "UserError", message: /"small-resnet".*sha256.*replaced/ });
  renameSync(`${own}.kept`, own);
});

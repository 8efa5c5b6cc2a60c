/** Broken and malicious TensorFlow.js files: each is refused with a message, in bounded memory and time. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { readTfjsWeights } from "../../src/graphs/index.ts";
import {
  axes,
  folder,
  type Json,
  kernel,
  matrix,
  open,
  type Parts,
  whole,
  wholeBytes,
  wholeWeights,
  written,
} from "../support/hostile-tfjs.ts";
import { assertRefused, outcome } from "../support/refusal.ts";

function hostile(name: string, parts: () => Parts, pattern: RegExp): void {
  test(`refuses ${name}`, () => assertRefused(open, written(parts()), pattern));
}

function openWeights(path: string): void {
  for (const tensor of readTfjsWeights(path).values()) tensor.dispose();
}
test("a sound model of the test's own writer is read, so that each refusal has its own reason", async () => {
  assert.equal(await outcome(open, written({})), undefined);
  assert.equal(await outcome(openWeights, written({})), undefined);
});

// ---- JSON

hostile("an empty file", () => ({ text: "" }), /not JSON/);
hostile("a file that is cut off", () => ({ text: '{"modelTopology": {"node": [' }), /not JSON/);
hostile("bytes", () => ({ text: Buffer.from([0, 1, 2, 255, 254]) }), /not JSON/);
hostile("a page of HTML instead of the model", () => ({ text: "<!DOCTYPE html><title>404</title>" }), /not JSON/);
hostile("a list", () => ({ text: "[]" }), /not a TensorFlow.js model/);
hostile("null", () => ({ text: "null" }), /not a TensorFlow.js model/);
hostile("no topology", () => ({ text: "{}" }), /no "modelTopology"/);
hostile("a topology that is a text", () => ({ topology: "node" }), /no "modelTopology"/);
hostile("nesting of a hundred thousand levels", () => ({ text: "[".repeat(1e5) }), /nests deeper than 100/);
hostile(
  "nesting inside an attribute",
  () => ({ text: `{"modelTopology":${'{"node":'.repeat(200)}1${"}".repeat(201)}` }),
  /nests deeper than 100/,
);
hostile(
  "a description of two gigabytes",
  () => ({ prepare: (own) => truncateSync(join(own, "model.json"), 2 ** 31) }),
  /no model's description needs that much/,
);
test("refuses a folder, a pipe and a missing file in place of the model", async () => {
  await assertRefused(open, folder, /not a file/);
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  await assertRefused(open, pipe, /not a file/);
  await assertRefused(open, join(folder, "nothing.json"), /no such file/);
});

// ---- shards

const secret = join(folder, "secret.bin");
writeFileSync(secret, Buffer.alloc(wholeBytes));
for (const path of ["../secret.bin", "a/../../secret.bin", "..\\secret.bin", "./../secret.bin"]) {
  hostile(`a shard at ${path}`, () => ({ paths: [path] }), /must not leave the model's folder/);
}
for (const path of [
  secret,
  "/etc/passwd",
  "C:\\secret.bin",
  "\\\\host\\share",
  "https://host/a.bin",
  "file:///etc/a",
]) {
  hostile(`a shard at ${path}`, () => ({ paths: [path] }), /must lie in the model's folder/);
}
hostile(
  "a shard that is a link out of the folder",
  () => ({ paths: ["link.bin"], prepare: (own) => symlinkSync(secret, join(own, "link.bin")) }),
  /a link that leaves the model's folder/,
);
hostile(
  "a shard in a linked folder",
  () => ({ paths: ["sub/secret.bin"], prepare: (own) => symlinkSync(folder, join(own, "sub")) }),
  /a link that leaves the model's folder/,
);
hostile("a shard that is a folder", () => ({ paths: ["."] }), /is not a file/);
hostile(
  "a shard that is a pipe",
  () => ({ paths: ["pipe"], prepare: (own) => execFileSync("mkfifo", [join(own, "pipe")]) }),
  /is not a file/,
);
hostile("a shard with a zero byte in its name", () => ({ paths: ["shard.bin\0.txt"] }), /no file name/);
hostile("a shard without a name", () => ({ paths: [""] }), /no file name/);
hostile("a shard that is a number", () => ({ paths: [7] }), /a shard's path is 7/);
hostile("shards that are no list", () => ({ paths: "shard.bin" }), /"paths" must be a list/);
hostile("a missing shard", () => ({ paths: ["shard2.bin"] }), /there is no .*download the model's other files/);
hostile("no shards", () => ({ paths: [] }), /need 88 bytes, but the group without files have 0/);
hostile("a shard listed twice", () => ({ paths: ["shard.bin", "shard.bin"] }), /listed twice/);
hostile("a shard too short by one byte", () => ({ bytes: wholeBytes - 1 }), /need 88 bytes, but .* has 87/);
hostile("a shard too long by one byte", () => ({ bytes: wholeBytes + 1 }), /need 88 bytes, but .* has 89/);
hostile("an empty shard", () => ({ bytes: 0 }), /need 88 bytes, but .* has 0/);

// ---- the manifest of the weights

const weight = (change: Json): Parts => ({ weights: [{ ...kernel, ...change }, axes, matrix] });
hostile("a manifest that is no list", () => ({ more: { weightsManifest: { 0: 1 } } }), /manifest is not a list/);
hostile("a group that is no object", () => ({ more: { weightsManifest: [null] } }), /must be an object/);
hostile("a weight that is no object", () => ({ weights: [7 as unknown as Json] }), /must be an object/);
hostile("a weight without a name", () => weight({ name: undefined }), /"name" is missing/);
hostile("two weights of one name", () => ({ weights: [kernel, kernel] }), /"kernel" is listed twice/);
hostile("negative sizes", () => weight({ shape: [1, 1, -3, -4] }), /"shape" must be a list/);
hostile("fractional sizes", () => weight({ shape: [1, 1, 1.5, 8] }), /"shape" must be a list/);
hostile("sizes that are texts", () => weight({ shape: ["1", "1", "3", "4"] }), /"shape" must be a list/);
hostile("sizes without end", () => weight({ shape: [1e308, 1e308] }), /"shape" must be a list/);
hostile("a shape whose product overflows", () => weight({ shape: [2 ** 30, 2 ** 30, 2 ** 30] }), /too large/);
hostile("an overflow behind a zero", () => weight({ shape: [0, 2 ** 30, 2 ** 30, 2 ** 30] }), /too large/);
hostile("a hundred dimensions", () => weight({ shape: new Array(100).fill(1) }), /100 dimensions/);
hostile("weights of a terabyte", () => weight({ shape: [2 ** 20, 2 ** 18] }), /need more than/);
hostile("an unknown type", () => weight({ dtype: "string" }), /"dtype" must be one of/);
hostile("complex weights", () => weight({ dtype: "complex64" }), /"dtype" must be one of/);
hostile("a type that is a key of every object", () => weight({ dtype: "constructor" }), /"dtype" must be one of/);
for (const name of ["__proto__", "constructor", "prototype"]) {
  hostile(`a weight called ${name}`, () => weight({ name }), /reserved|no weight/);
}
const quantised = (quantization: unknown): Parts => weight({ quantization });
const q = { dtype: "uint8", scale: 0.1, min: 0 };
hostile("a quantisation that is a text", () => quantised("uint8"), /must be an object/);
hostile("a scale that is missing", () => quantised({ ...q, scale: undefined }), /"scale" is missing/);
hostile("a scale that is no number", () => quantised({ ...q, scale: "NaN" }), /"scale" must be a finite number/);
hostile("a scale of zero", () => quantised({ ...q, scale: 0 }), /"scale"/);
hostile("a negative scale", () => quantised({ ...q, scale: -1 }), /"scale"/);
hostile("a scale beyond float32", () => quantised({ ...q, scale: 1e300 }), /"scale"/);
hostile(
  "an endless minimum",
  () => ({
    text: JSON.stringify({
      modelTopology: whole,
      weightsManifest: [{ paths: ["shard.bin"], weights: [{ ...kernel, quantization: { ...q, min: "@" } }] }],
    }).replace('"@"', "1e999"),
  }),
  /"min" must be a finite number/,
);
hostile("bits that do not exist", () => quantised({ ...q, dtype: "uint4" }), /"dtype" must be one of/);
hostile(
  "a truth value in half precision",
  () => weight({ dtype: "bool", quantization: { dtype: "float16" } }),
  /cannot be stored/,
);

test("no key of any object is changed by what was read", async () => {
  const text = JSON.stringify({
    modelTopology: whole,
    weightsManifest: [{ paths: ["shard.bin"], weights: wholeWeights }],
  });
  const path = written({
    text: `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},${text.slice(1)}`,
  });
  await outcome(open, path);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
  assert.equal(existsSync(path), true);
});

/** Keras' form of a model. */
const chain = {
  class_name: "Sequential",
  config: {
    name: "chain",
    layers: [
      { class_name: "InputLayer", config: { name: "x", batch_input_shape: [null, 8, 8, 3] } },
      { class_name: "ZeroPadding2D", config: { name: "pad", padding: [1, 2], data_format: "channels_last" } },
      { class_name: "MaxPooling2D", config: { name: "pool", pool_size: [2, 2], strides: [2, 2], padding: "same" } },
      { class_name: "GlobalAveragePooling2D", config: { name: "mean" } },
    ],
  },
};

test("models with any value replaced by any other are read or refused, never worse", async () => {
  const models = [
    { modelTopology: whole, weightsManifest: [{ paths: ["shard.bin"], weights: wholeWeights }] },
    { modelTopology: chain, weightsManifest: [] },
  ];
  const values = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(-1, 0, 2 ** 31, 1e300, "", "x", "conv", null));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...models), fc.nat(), values, async (model, where, value) => {
      await outcome(open, written({ text: JSON.stringify(replaced(model, where, value)) }));
    }),
    { numRuns: 300, seed: 1 },
  );
});

/** A copy with the value at a place, counted along the tree, replaced. */
function replaced(model: unknown, where: number, value: unknown): unknown {
  const copy = structuredClone(model);
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, child] of Object.entries(node)) {
      places.push({ holder: node as Record<string, unknown>, key });
      walk(child);
    }
  };
  walk(copy);
  const place = places[where % places.length];
  if (place) place.holder[place.key] = value;
  return copy;
}

/** Files that are no models are named for what they are, with what to do about it; real models of every kind pass. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import sharp from "sharp";
import { addMember } from "../../../src/hub/index.ts";
import { refuseForeign } from "../../../src/io/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { unpackedFixtures } from "../../support/unpacked.ts";

const folder = temporaryFolder();
const fixtures = fileURLToPath(new URL("../../fixtures/", import.meta.url));
const latin1 = (text: string) => Buffer.from(text, "latin1");

/** A zip archive as the program `zip` would begin it: enough for its first entry's name. */
function zipBeginning(name: string): Buffer {
  const header = Buffer.alloc(30);
  header.write("PK\u0003\u0004", "latin1");
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), Buffer.alloc(40)]);
}

function tar(): Buffer {
  fs.writeFileSync(join(folder, "inner.txt"), "x");
  return execFileSync("tar", ["-cf", "-", "-C", folder, "inner.txt"]);
}

const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 102540417\n`;
const files: Record<string, [Uint8Array | string, RegExp]> = {
  "model.safetensors": [pointer, /a Git LFS pointer to the model of 102540417 bytes: run `git lfs pull`/],
  "net.onnx": [pointer, /Git LFS pointer/],
  "page.pth": [
    "\n<!DOCTYPE html><html><body>Sign in</body></html>",
    /a web page, not a model.*download the file itself/,
  ],
  "keras.h5": [latin1("\x89HDF\r\n\x1a\n\0\0"), /HDF5.*tensorflowjs_converter --input_format=keras/],
  "new.keras": [zipBeginning("metadata.json"), /a Keras 3 model.*tf2onnx/],
  "weights.tar.gz": [gzipSync("x"), /compressed with gzip: unpack it \(tar -xzf\)/],
  "weights.bin.gz": [gzipSync("x"), /compressed with gzip: unpack it \(gunzip\)/],
  "weights.tar": [tar(), /a tar archive: unpack it \(tar -xf\)/],
  "empty.safetensors": ["", /is empty: .*fetch it again/],
  "llama.gguf": ["GGUF\u0003\0\0\0", /GGUF file, as llama\.cpp uses for language models: hubs take image networks/],
  "old.bin": ["lmgg\0\0\0\0", /GGML/],
  "array.npy": [latin1("\x93NUMPY\x01\0"), /a NumPy array.*safetensors/],
  "arrays.npz": [zipBeginning("arr_0.npy"), /a NumPy archive/],
  "phone.tflite": [latin1("\x1c\0\0\0TFL3\x14\0 "), /TensorFlow Lite.*--tflite/],
  "frozen_graph.pb": [latin1("\x0a\x3a\x0a\x05input"), /a TensorFlow graph: .*tf2onnx/],
  "flax_model.msgpack": [latin1("\x81\xa6params"), /Flax/],
  "net.mlmodel": [latin1("\x08\x01\x12\x05"), /export it to ONNX/],
  "config.json": ['{"architectures":["ResNetForImageClassification"]}', /holds no weights: add the weights beside it/],
};

for (const [name, [content, pattern]] of Object.entries(files)) {
  test(`${name} is refused for what it is, and no hub is begun`, async () => {
    const path = join(folder, name);
    fs.writeFileSync(path, content);
    const hub = join(folder, "hub");
    await assert.rejects(addMember({ hub, name: "x", source: path, wishes: {} }), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, pattern);
      assert.ok(error.message.startsWith(`${path} `) && !error.message.includes("\n"), error.message);
      return true;
    });
    assert.ok(!fs.existsSync(hub));
  });
}

test("a picture is no model", async () => {
  const path = join(folder, "cat.png");
  await sharp({ create: { width: 4, height: 4, channels: 3, background: "red" } })
    .png()
    .toFile(path);
  assert.throws(() => refuseForeign(path), /cat\.png is a picture, not a model/);
});

test("no file of a real model is taken for something else", () => {
  const folders = [
    ...(["torch-archive", "onnx"] as const).map(unpackedFixtures),
    ...["torch-script", "tfjs"].map((name) => join(fixtures, name)),
  ];
  const real = folders.flatMap((dir) =>
    (fs.readdirSync(dir, { recursive: true }) as string[])
      .filter((name) => /\.(?:pth|pt|onnx|safetensors|bin)$/.test(name) || name.endsWith("model.json"))
      .map((name) => join(dir, name)),
  );
  assert.ok(real.length > 40, `${real.length} models`);
  const old = /oldest\.pth$/;
  for (const path of real.filter((name) => !old.test(name))) assert.doesNotThrow(() => refuseForeign(path), path);
});

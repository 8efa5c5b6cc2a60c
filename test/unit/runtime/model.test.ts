/** Bundles opened by the runtime: the run's own answers, files fetched when they are needed, and what is refused. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as ort from "onnxruntime-node";
import sharp from "sharp";
import { Predictor } from "../../../src/library/index.ts";
import { type Bundle, BundleError, openInWorker, serveBundles } from "../../../src/runtime/index.ts";
import { openBundle } from "../../../src/runtime/node.ts";
import { exportedBundle, trainedRun, writeSmallTask } from "../../support/small-bundle.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;
let bundle: Bundle;
let server: Server;
let address: string;
/** Files that were asked for, in their order. */
const requested: string[] = [];
/** Files that are answered from an earlier export, once. */
const remembered = new Set<string>();

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder);
  await trainedRun(folder, "run");
  bundle = await exportedBundle(folder, "run", "bundle");
  server = createServer((request, response) => {
    const name = (request.url ?? "").replace(/^\/bundle\//, "");
    requested.push(name);
    // Whatever lies on the way may remember a file of an earlier export.
    if (remembered.delete(name)) return void response.end("of an earlier export");
    const path = join(folder, "bundle", name);
    if (!existsSync(path)) return void response.writeHead(404).end();
    response.end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/bundle`;
});
after(() => server.close());

async function pixelsOf(name: string) {
  const { data, info } = await sharp(join(folder, "images", name))
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data), width: info.width, height: info.height };
}
const names = ["circle/1.png", "square/2.png", "stripe/3.png", "circle/4.png"];
const refused = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof BundleError && pattern.test(error.message), String(error));
  return true;
};

test("a folder answers as the run does, for one image and for many, with every k", async () => {
  using predictor = await Predictor.open(join(folder, "run"));
  const model = await openBundle(join(folder, "bundle"), { ort });
  const images = await Promise.all(names.map(pixelsOf));
  for (const k of [1, 2, undefined]) {
    const expected = await predictor.predict(
      names.map((name) => join(folder, "images", name)),
      { k, top: 3 },
    );
    const together = await model.predictAll(images, { k });
    for (const [i, image] of images.entries()) {
      const alone = await model.predict(image, { k });
      for (const own of [alone, together[i] as typeof alone]) {
        assert.equal(own.label, expected[i]?.label);
        assert.deepEqual(
          own.pathway.map(({ member }) => member),
          expected[i]?.pathway.map(({ member }) => member),
        );
        assert.equal(own.pathway.length, k ?? 2);
        for (const [j, { label, probability }] of own.top.entries()) {
          assert.equal(label, expected[i]?.top[j]?.label);
          assert.ok(Math.abs(probability - (expected[i]?.top[j]?.probability ?? 9)) < 1e-5);
        }
        assert.equal(own.rejected, undefined);
        assert.equal(own.probabilities.length, 3);
      }
    }
  }
  const { otherRoutes, probabilities } = await model.verify();
  assert.ok(otherRoutes === 0 && probabilities < 1e-5);
  await model.close();
});

test("a model is fetched when an image activates it, once, and its bytes are counted", async () => {
  requested.length = 0;
  const model = await openBundle(address, { ort });
  assert.deepEqual(requested, ["bundle.json"]);
  const image = await pixelsOf(names[0] ?? "");
  const first = await model.predict(image, { k: 1 });
  const [activated] = first.pathway;
  const file = bundle.members.find(({ name }) => name === activated?.member)?.file ?? "";
  assert.deepEqual(requested, ["bundle.json", "router.onnx", file]);
  assert.equal(first.bytesFetched, (bundle.files["router.onnx"]?.bytes ?? 0) + (bundle.files[file]?.bytes ?? 0));
  const second = await model.predict(image, { k: 1 });
  assert.equal(second.bytesFetched, 0);
  assert.equal(requested.length, 3);
  for (const value of Object.values(first.milliseconds)) assert.ok(value >= 0);
  assert.ok((await model.fetchAll()) > 0);
  await model.close();
});

test("models that do not fit into the memory budget are closed and opened again", async () => {
  requested.length = 0;
  const model = await openBundle(address, { ort, memoryBytes: 1 });
  const image = await pixelsOf(names[1] ?? "");
  const { label } = await model.predict(image, { k: 2 });
  assert.equal((await model.predict(image, { k: 2 })).label, label);
  // Router and two models, twice: there is no Cache API in Node.
  assert.equal(requested.length, 1 + 6);
  await model.close();
});

test("the Cache API keeps what was fetched, and damaged entries are fetched again", async () => {
  const stored = new Map<string, Uint8Array<ArrayBuffer>>();
  const cache = {
    match: async (key: string) => (stored.has(key) ? new Response(stored.get(key)) : undefined),
    put: async (key: string, response: Response) => {
      stored.set(key, new Uint8Array(await response.arrayBuffer()));
    },
  };
  const platform = globalThis as { caches?: unknown };
  platform.caches = { open: async () => cache };
  try {
    const image = await pixelsOf(names[0] ?? "");
    const bytes: number[] = [];
    for (const damage of [false, false, true]) {
      if (damage) for (const [key] of stored) stored.set(key, new Uint8Array(3));
      const model = await openBundle(address, { ort });
      bytes.push((await model.predict(image)).bytesFetched);
      await model.close();
    }
    assert.ok((bytes[0] ?? 0) > 0);
    assert.deepEqual(bytes, [bytes[0], 0, bytes[0]]);
  } finally {
    delete platform.caches;
  }
});

test("a file of an earlier export on the way is asked for once more", async () => {
  remembered.add("router.onnx");
  const model = await openBundle(address, { ort });
  const from = requested.length;
  const local = await openBundle(join(folder, "bundle"), { ort });
  const image = await pixelsOf(names[0] ?? "");
  assert.deepEqual((await model.predict(image)).top, (await local.predict(image)).top);
  assert.equal(requested.slice(from).filter((name) => name === "router.onnx").length, 2);
  await model.close();
  await local.close();
});

test("the README's example runs", async () => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const example = /```js\n(.*?hub-pathway\/runtime.*?)```/s.exec(readme)?.[1] ?? "";
  const script = example.replace("onnxruntime-web", "onnxruntime-node").replace('"bundle"', `"${address}"`);
  const image = await pixelsOf(names[0] ?? "");
  Object.assign(globalThis, { imageData: image });
  const path = join(fileURLToPath(new URL("../../../build", import.meta.url)), `readme-${process.pid}.mts`);
  writeFileSync(path, `${script}\nexport { label, probability, pathway, bytesFetched };\n`);
  try {
    const found = (await import(pathToFileURL(path).href)) as {
      label: string;
      pathway: unknown[];
      bytesFetched: number;
    };
    const model = await openBundle(join(folder, "bundle"), { ort });
    assert.equal(found.label, (await model.predict(image)).label);
    assert.ok(found.pathway.length > 0 && found.bytesFetched > 0);
    await model.close();
  } finally {
    rmSync(path);
    Reflect.deleteProperty(globalThis, "imageData");
  }
});

test("in a worker it answers the same", async () => {
  const { port1, port2 } = new MessageChannel();
  serveBundles(port1, { ort });
  await assert.rejects(openInWorker(port2, `${address}-none`), refused(/cannot be fetched: the server answers 404/));
  const model = await openInWorker(port2, address);
  assert.deepEqual(model.bundle, bundle);
  const image = await pixelsOf(names[2] ?? "");
  const local = await openBundle(join(folder, "bundle"), { ort });
  const [own, expected] = [await model.predict(image), await local.predict(image)];
  assert.deepEqual([own.top, own.pathway], [expected.top, expected.pathway]);
  assert.equal((await model.predictAll([image, image])).length, 2);
  assert.equal((await model.verify()).images, 16);
  const abort = AbortSignal.abort(new Error("enough"));
  await assert.rejects(model.predict(image, { signal: abort }), /enough/);
  const late = new AbortController();
  const pending = model.predict(image, { signal: late.signal });
  late.abort(new Error("too late"));
  await assert.rejects(pending, /too late/);
  await assert.rejects(model.predict(image, { k: 9 }), refused(/k is 9: it must be a whole number from 1 to \d/));
  const drawn = { width: 1, height: 1, data: () => 0 } as never;
  await assert.rejects(model.predict(drawn), refused(/cannot be sent to a worker: give ImageData/));
  await model.close();
  await assert.rejects(model.predict(image), refused(/the model is closed/));
  await local.close();
  port1.close();
  port2.close();
});

test("images that cannot be, and a threshold", async () => {
  const threshold = join(folder, "threshold");
  cpSync(join(folder, "bundle"), threshold, { recursive: true });
  writeFileSync(join(threshold, "bundle.json"), JSON.stringify({ ...bundle, rejection: { threshold: 1 } }));
  const model = await openBundle(threshold, { ort });
  const image = await pixelsOf(names[0] ?? "");
  assert.equal((await model.predict(image)).rejected, true);
  const { size } = bundle.images;
  const tensor = { data: new Float32Array(3 * size * size), dims: [1, 3, size, size] };
  assert.ok((await model.predict(tensor)).label);
  await assert.rejects(model.predict({ ...tensor, dims: [3, 2, 2] }), refused(/dims \[3, 2, 2\]/));
  await assert.rejects(model.predict({ ...image, width: 1 }), refused(/bytes are not 1 x/));
  await assert.rejects(model.predict(new Blob(["x"])), refused(/an encoded image cannot be read here/));
  await model.close();
});

test("a bundle that is not what was exported is refused when its file is needed", async () => {
  const damaged = join(folder, "damaged");
  cpSync(join(folder, "bundle"), damaged, { recursive: true });
  writeFileSync(join(damaged, "router.onnx"), "another");
  const model = await openBundle(damaged, { ort });
  const image = await pixelsOf(names[0] ?? "");
  await assert.rejects(model.predict(image), refused(/router\.onnx is damaged or was replaced/));
  rmSync(join(damaged, "router.onnx"));
  await assert.rejects(model.predict(image), refused(/router\.onnx is missing or cannot be read/));
  await assert.rejects(openBundle(join(folder, "hub"), { ort }), refused(/bundle\.json is missing/));
  await assert.rejects(openBundle("http://[", { ort }), refused(/is no address of a bundle/));
});

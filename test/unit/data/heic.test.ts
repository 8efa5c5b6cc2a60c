import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodeImage, kindOfName, openDataset, UnreadableImage } from "../../../src/data/index.ts";
import { temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

/** 64 x 32, the left half (200, 30, 30), the right one (30, 30, 200): by heif-enc of libheif 1.15 from such a PNG. */
const halves = join(import.meta.dirname, "../../fixtures/heic/halves.heic");
const options = { size: 32, channels: 3, pixelLimit: 10_000 } as const;

test("a HEIC image is decoded by heic-decode, cropped like other photographs", async () => {
  assert.equal(kindOfName("IMG_0001.HEIC"), "image");
  const pixels = await decodeImage({ id: "x", label: 0, source: { kind: "file", path: halves } }, options);
  for (let y = 2; y < 30; y += 9) {
    for (const [x, colour] of [
      [3, [200, 30, 30]],
      [28, [30, 30, 200]],
    ] as const) {
      const found = pixels.subarray(3 * (32 * y + x), 3 * (32 * y + x) + 3);
      for (const [c, value] of colour.entries())
        assert.ok(Math.abs((found[c] ?? 0) - value) <= 4, `${x},${y}: ${found}`);
    }
  }
});

test("damaged and too large ones are refused in words", async () => {
  const whole = readFileSync(halves);
  const decoded = (bytes: Buffer, pixelLimit = 10_000) =>
    decodeImage({ id: "x", label: 0, source: { kind: "bytes", bytes } }, { ...options, pixelLimit });
  const refused = (pattern: RegExp) => (error: unknown) =>
    error instanceof UnreadableImage && pattern.test(error.message);
  await assert.rejects(decoded(whole, 2000), refused(/0\.0 megapixels, more than the limit/));
  for (const length of [40, 300, whole.length - 40])
    await assert.rejects(decoded(whole.subarray(0, length)), refused(/HEIC image in it is damaged/));
});

test("without heic-decode, data check says how HEIC is read", async () => {
  temporaryCache();
  const root = temporaryFolder();
  for (const name of ["a", "b"])
    for (const i of [1, 2]) await writeNoise(join(root, name, `${i}.png`), 8, i + name.length);
  copyFileSync(halves, join(root, "a", "3.heic"));
  assert.equal((await openDataset(root)).items.length, 5);
  const hook = join(temporaryFolder(), "hook.mjs");
  writeFileSync(
    hook,
    `import module from "node:module";
    const resolve = module._resolveFilename;
    module._resolveFilename = (name, ...rest) => {
      if (name !== "heic-decode") return resolve(name, ...rest);
      throw Object.assign(new Error("absent"), { code: "MODULE_NOT_FOUND" });
    };`,
  );
  const program = fileURLToPath(new URL("../../../bin/hub-pathway.js", import.meta.url));
  const { stderr, status } = spawnSync(process.execPath, [program, "data", "check", root], {
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: `--import ${hook}` },
  });
  assert.equal(status, 1, stderr); // images of the two classes are equal
  assert.match(
    stderr,
    /left out 1 file, HEIC images, which are not read: convert them.*npm install heic-decode: "a\/3\.heic"/,
  );
});

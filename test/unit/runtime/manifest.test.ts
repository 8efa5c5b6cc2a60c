/** What is no manifest of a bundle is refused, with the place of the first field that is not as it should be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bundle, BundleError, parseBundle } from "../../../src/runtime/index.ts";

const hash = "0".repeat(64);
const member = {
  name: "a",
  file: "members/a.onnx",
  index: 1,
  featureWidth: 8,
  preprocessing: {
    sides: [24, 24] as [number, number],
    mean: [0, 0, 0],
    std: [1, 1, 1],
    interpolation: "bilinear",
    channelOrder: "rgb",
  },
  licence: "test",
  source: "test",
  pretraining: "none",
};
const good: Bundle = {
  version: 1,
  name: "bundle",
  method: "hub-pathway",
  labels: ["x", "y"],
  images: { size: 24, range: [0, 1] },
  router: { file: "router.onnx", scores: 2 },
  k: 1,
  aggregation: "weighted-logits",
  weights: { trainedK: 1, temperature: "equal", larger: 0.5 },
  members: [member],
  measured: { validation: { accuracy: 0.5, items: 3 } },
  selfTest: { file: "selftest/selftest.safetensors", images: 16 },
  files: Object.fromEntries(
    ["router.onnx", "members/a.onnx", "selftest/selftest.safetensors"].map((name) => [
      name,
      { bytes: 1, sha256: hash },
    ]),
  ),
};

const parsed = (value: unknown): Bundle => parseBundle(JSON.stringify(value), "bundle.json");

test("a manifest is read as it is", () => {
  assert.deepEqual(parsed(good), good);
  const { router: _, ...single } = { ...good, members: [{ ...member, index: 0 }] };
  assert.deepEqual(parsed(single), single);
  const labelled: Bundle = { ...good, version: 2, task: { kind: "multi-label", thresholds: [0.5, 0.25] } };
  assert.deepEqual(parsed(labelled), labelled);
  assert.deepEqual(parsed({ ...good, rejection: { threshold: 0.5 } }).rejection, { threshold: 0.5 });
});

test("each wrong field is named", () => {
  const wrong: [unknown, RegExp][] = [
    [null, /the file: an object/],
    [[], /the file: an object/],
    [{ ...good, version: 3 }, /has version 3, and this program reads 1 to 2: export the run again/],
    [{ ...good, version: "1" }, /version: 2 is expected/],
    [
      { ...good, task: { kind: "multi-label", thresholds: [0.5] } },
      /task: 2 values are expected, one for each of labels/,
    ],
    [{ ...good, task: { kind: "regression", means: [0, 1], deviations: [1, 0] } }, /task\.deviations\.1: a number/],
    [{ ...good, more: 1 }, /more: no such field/],
    [{ ...good, labels: [] }, /labels: a list of at least 1/],
    [{ ...good, labels: ["x", 1] }, /labels\.1: a text/],
    [{ ...good, k: 1.5 }, /k: a whole number from 1/],
    [{ ...good, k: 2 }, /k: at most 1/],
    [{ ...good, images: { size: 24, range: [0, 255] } }, /images\.range\.1: 1 is expected/],
    [{ ...good, weights: { trainedK: 1, temperature: 0 } }, /weights\.temperature: a number from/],
    [{ ...good, members: [{ ...member, file: "../x" }] }, /members\.0\.file: a file of the bundle/],
    [{ ...good, members: [{ ...member, file: "members/b.onnx" }] }, /files: members\/b\.onnx is expected/],
    [{ ...good, members: [{ ...member, index: 2 }] }, /members: places below 2/],
    [
      { ...good, files: { ...good.files, "a/b/c": { bytes: 1, sha256: hash } } },
      /files\.a\/b\/c: a file of the bundle/,
    ],
    [{ ...good, files: { ...good.files, c: { bytes: 1, sha256: "0" } } }, /files\.c\.sha256: 64 hexadecimal digits/],
    [{ ...good, rejection: { threshold: 2 } }, /rejection\.threshold: a number from 0 to 1/],
  ];
  for (const [value, pattern] of wrong) {
    assert.throws(
      () => parsed(value),
      (error) => error instanceof BundleError && pattern.test(error.message),
      `${pattern} for ${JSON.stringify(value)}`,
    );
  }
  assert.throws(() => parseBundle("{", "bundle.json"), /bundle\.json is not JSON/);
  assert.throws(() => parsed(JSON.parse('{"__proto__": 1}')), BundleError);
});

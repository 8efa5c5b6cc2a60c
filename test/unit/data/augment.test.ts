import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AugmentOptions,
  affine,
  augment,
  augmentationOf,
  augmentations,
  composite,
  hueSaturation,
  mixup,
} from "../../../src/data/index.ts";
import { keyedRandom, scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";
import { noise } from "./support.ts";

const only = (changes: Partial<AugmentOptions>): AugmentOptions => ({ ...augmentations.none, ...changes });
const keysOf = (count: number) => Array.from({ length: count }, (_, i) => i);
const values = (batch: number, channels: number, side: number) =>
  Float32Array.from(noise(batch * channels * side * side, 11), (value) => value / 255);
const imagesOf = (data: Float32Array, batch: number, channels: number, side: number): Tensor =>
  tensor(data, { shape: [batch, channels, side, side] });

function run(
  data: Float32Array,
  shape: [number, number, number],
  options: AugmentOptions,
  seed = 1,
  epoch = 0,
): Float32Array {
  return scope(() => {
    const result = augment(imagesOf(data, ...shape), keysOf(shape[0]), options, seed, epoch);
    return result.toTypedArray() as Float32Array;
  });
}

test("without options nothing changes", () => {
  const data = values(2, 3, 6);
  assert.deepEqual(run(data, [2, 3, 6], augmentations.none), data);
});

test("a sure flip mirrors the columns", () => {
  const [batch, side] = [3, 6];
  const data = values(batch, 3, side);
  const expected = Array.from(data, (_, i) => data[i - (i % side) + (side - 1 - (i % side))] ?? 0);
  scope(() => assertClose(tensor(run(data, [batch, 3, side], only({ flip: 1 }))), expected, 1e-5));
});

test("half of the samples flip at one half", () => {
  const data = new Float32Array(2000 * 2).map((_, i) => i % 2);
  const result = scope(() =>
    augment(tensor(data, { shape: [2000, 1, 1, 2] }), keysOf(2000), only({ flip: 0.5 }), 3, 0).toNumbers(),
  );
  const flipped = result.filter((value, i) => i % 2 === 0 && value > 0.5).length;
  assert.ok(Math.abs(flipped - 1000) < 90, `${flipped} of 2000`);
});

test("the affine matrix is what its parts say", () => {
  const fixed = (...draws: number[]) => {
    let next = 0;
    return () => draws[next++] ?? 0.5;
  };
  // Draws: area, ratio, x, y, flip, angle, shear.
  const identity = affine(only({}), fixed(0, 0.5, 0.5, 0.5, 0.9, 0.5, 0.5));
  for (const [i, value] of [1, 0, 0, 0, 1, 0].entries()) assert.ok(Math.abs((identity[i] ?? 9) - value) < 1e-12);
  const quarter = affine(only({ minimumArea: 0.25 }), fixed(0, 0.5, 1, 0, 0.9, 0.5, 0.5));
  for (const [i, value] of [0.5, 0, 0.5, 0, 0.5, -0.5].entries())
    assert.ok(Math.abs((quarter[i] ?? 9) - value) < 1e-12);
  const turned = affine(only({ rotation: 90 }), fixed(0, 0.5, 0.5, 0.5, 0.9, 1, 0.5));
  for (const [i, value] of [0, -1, 0, 1, 0, 0].entries()) assert.ok(Math.abs((turned[i] ?? 9) - value) < 1e-12);
  const sheared = affine(only({ shear: 45 }), fixed(0, 0.5, 0.5, 0.5, 0.9, 0.5, 1));
  for (const [i, value] of [1, 1, 0, 0, 1, 0].entries()) assert.ok(Math.abs((sheared[i] ?? 9) - value) < 1e-12);
});

test("a crop never leaves the image and keeps at least its share of the area", () => {
  for (let key = 0; key < 2000; key++) {
    const options = only({ minimumArea: 0.3, aspect: 4 / 3 });
    const [width = 0, , dx = 0, , height = 0, dy = 0] = affine(options, keyedRandom(5, key));
    assert.ok(Math.abs(dx) + width <= 1 + 1e-9 && Math.abs(dy) + height <= 1 + 1e-9);
    assert.ok(width * height <= 1 && width * height >= 0.3 * 0.86 - 1e-9, `${width * height}`);
  }
});

test("crops of 8 % on: areas are even, aspect ratios even in the logarithm, half are mirrored, and nothing else", () => {
  const recipe = augmentationOf({ augment: "crops", cropScale: 0.08 });
  assert.deepEqual(recipe, { ...augmentations.crops, minimumArea: 0.08 });
  assert.equal(augmentationOf({ augment: "crops" }), augmentations.crops);
  const draws = Array.from({ length: 8000 }, (_, key) => affine(recipe, keyedRandom(11, key)));
  const crops = draws.map(([across = 0, , , , height = 0]) => ({
    area: Math.abs(across) * height,
    ratio: Math.abs(across) / height,
    mirrored: across < 0,
  }));
  const near = (value: number, wanted: number, deviation: number, count: number) =>
    assert.ok(Math.abs(value - wanted) < (4 * deviation) / Math.sqrt(count), `${value}, wanted ${wanted}`);
  // Below three quarters of the area no side of the crop can be cut.
  for (const area of [0.2, 0.4, 0.6, 0.74]) {
    const share = (area - 0.08) / 0.92;
    near(crops.filter((crop) => crop.area < area).length / crops.length, share, Math.sqrt(share * (1 - share)), 8000);
  }
  const free = crops.filter(({ area }) => area < 0.74).map(({ ratio }) => Math.log(ratio) / Math.log(4 / 3));
  assert.ok(free.every((value) => Math.abs(value) <= 1 + 1e-9));
  near(free.reduce((sum, value) => sum + value, 0) / free.length, 0, Math.sqrt(1 / 3), free.length);
  near(free.reduce((sum, value) => sum + value ** 2, 0) / free.length, 1 / 3, Math.sqrt(4 / 45), free.length);
  near(crops.filter(({ mirrored }) => mirrored).length / 8000, 0.5, 0.5, 8000);
  assert.ok(draws.every(([, slant, , turn]) => slant === 0 && Math.abs(turn ?? 1) === 0));
});

test("images of another side: pixels lie where their middles are", () => {
  const ramp = Float32Array.from({ length: 64 }, (_, i) => (i % 8) / 8);
  const smaller = scope(() => augment(imagesOf(ramp, 1, 1, 8), [0], only({}), 1, 0, 4).toNumbers());
  for (const [i, value] of smaller.entries()) assert.ok(Math.abs(value - (2 * (i % 4) + 0.5) / 8) < 1e-6, `${value}`);
});

test("the crop of a ramp is the ramp of the crop", () => {
  const side = 32;
  const ramp = new Float32Array(3 * side * side).map((_, i) => ((i % side) + 0.5) / side);
  const options = only({ minimumArea: 0.25 });
  const result = run(ramp, [1, 3, side], options, 9, 2);
  // The module's stream for geometry: (seed, epoch, key, 1).
  const [width = 0, , dx = 0] = affine(options, keyedRandom(9, 2, 0, 1));
  for (let x = 0; x < side; x++) {
    const output = (2 * x + 1) / side - 1;
    const half = 0.5 / side; // beyond the outermost pixel centres the border repeats
    const expected = Math.min(1 - half, Math.max(half, (width * output + dx + 1) / 2));
    assert.ok(Math.abs((result[x] ?? 9) - expected) < 1e-4, `column ${x}`);
  }
});

test("brightness scales, contrast spreads about the mean, saturation moves to the grey axis", () => {
  const data = values(8, 3, 4).map((value) => 0.4 + 0.2 * value); // nothing is clamped
  const mean = (list: Float32Array) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const image = (list: Float32Array, i: number) => list.subarray(i * 48, (i + 1) * 48);
  const bright = run(data, [8, 3, 4], only({ brightness: 0.3 }));
  const contrasted = run(data, [8, 3, 4], only({ contrast: 0.3 }));
  const grey = run(data, [8, 3, 4], only({ grey: 1 }));
  const factors = new Set<string>();
  for (let i = 0; i < 8; i++) {
    const factor = (image(bright, i)[0] ?? 0) / (image(data, i)[0] ?? 1);
    factors.add(factor.toFixed(4));
    assert.ok(factor > 0.7 && factor < 1.3);
    for (let p = 0; p < 48; p++)
      assert.ok(Math.abs((image(bright, i)[p] ?? 0) - factor * (image(data, i)[p] ?? 0)) < 1e-5);
    assert.ok(Math.abs(mean(image(contrasted, i)) - mean(image(data, i))) < 1e-5);
    for (let p = 0; p < 16; p++) {
      const pixel = [0, 16, 32].map((c) => image(data, i)[c + p] ?? 0);
      const expected = pixel.reduce((sum, value) => sum + value, 0) / 3;
      for (const c of [0, 16, 32]) assert.ok(Math.abs((image(grey, i)[c + p] ?? 0) - expected) < 1e-5);
    }
  }
  assert.equal(factors.size, 8, "each sample draws its own");
});

test("hue turns about the grey axis: a third of a circle permutes the channels, and lengths stay", () => {
  const close = (a: number[], b: number[]) => a.every((value, i) => Math.abs(value - (b[i] ?? 9)) < 1e-12);
  assert.ok(close(hueSaturation(0, 1), [1, 0, 0, 0, 1, 0, 0, 0, 1]));
  assert.ok(close(hueSaturation(1 / 3, 1), [0, 0, 1, 1, 0, 0, 0, 1, 0]));
  assert.ok(close(hueSaturation(0.2, 0), new Array<number>(9).fill(1 / 3)));
  const m = hueSaturation(0.137, 1);
  for (let i = 0; i < 3; i++) {
    const row = m.slice(3 * i, 3 * i + 3);
    assert.ok(Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 1e-12, "grey stays grey");
    assert.ok(Math.abs(row.reduce((sum, value) => sum + value * value, 0) - 1) < 1e-12, "a rotation");
  }
});

test("colours stay between 0 and 1, and alpha is left alone", () => {
  const data = values(4, 4, 5);
  const strong = only({ brightness: 0.9, contrast: 0.9, saturation: 0.9, hue: 0.5 });
  const result = run(data, [4, 4, 5], strong);
  for (let i = 0; i < result.length; i++) {
    assert.ok((result[i] ?? -1) >= 0 && (result[i] ?? 2) <= 1);
    if (Math.floor(i / 25) % 4 === 3) assert.equal(result[i], data[i]);
  }
});

test("cutout greys one square of the given side, at most", () => {
  const [batch, side] = [40, 20];
  const data = new Float32Array(batch * 3 * side * side).fill(1);
  const result = run(data, [batch, 3, side], only({ cutout: 0.3 }));
  for (let i = 0; i < batch; i++) {
    const plane = result.subarray(i * 3 * side * side, (i * 3 + 1) * side * side);
    const holes = [...plane.keys()].filter((p) => plane[p] === 0.5);
    const rows = holes.map((p) => Math.floor(p / side));
    const columns = holes.map((p) => p % side);
    const [height, width] = [rows, columns].map((list) => Math.max(...list) - Math.min(...list) + 1) as [
      number,
      number,
    ];
    assert.ok(holes.length > 0 && holes.length === height * width && height <= 6 && width <= 6);
    assert.ok(plane.every((value) => value === 0.5 || value === 1));
  }
});

test("what happens to a sample depends on seed, epoch and key, not on its place in the batch", () => {
  const data = values(4, 3, 8);
  const shape = [4, 3, 8, 8];
  const at = (keys: number[], seed: number, epoch: number) =>
    scope(() => augment(tensor(data, { shape }), keys, augmentations.randaugment, seed, epoch).toNumbers());
  assert.deepEqual(at([3, 1, 4, 1], 1, 2), at([3, 1, 4, 1], 1, 2));
  const whole = at([3, 1, 4, 5], 1, 2);
  const part = scope(() =>
    augment(tensor(data.slice(192, 384), { shape: [1, 3, 8, 8] }), [1], augmentations.randaugment, 1, 2).toNumbers(),
  );
  for (const [i, value] of part.entries()) assert.ok(Math.abs(value - (whole[192 + i] ?? 9)) < 1e-5);
  assert.notDeepEqual(at([3, 1, 4, 5], 2, 2), whole);
  assert.notDeepEqual(at([3, 1, 4, 5], 1, 3), whole);
});

test("mixup blends images and targets with one weight", () => {
  scope(() => {
    const data = values(3, 3, 2);
    const mixed = mixup(imagesOf(data, 3, 3, 2), tensor([0, 1, 2], { dtype: "int64" }), 4, 0.2, 7, 1, 5);
    const targets = mixed.targets.toArray() as number[][];
    const weight = targets[0]?.[0] ?? Number.NaN;
    assert.ok(weight >= 0 && weight <= 1);
    assertClose(tensor(targets[0] ?? []), [weight, 0, 1 - weight, 0], 1e-6);
    assertClose(tensor(targets[1] ?? []), [0, 1, 0, 0], 1e-6);
    const expected = Array.from(
      data,
      (value, i) => weight * value + (1 - weight) * (data[i - 12 * (2 * Math.floor(i / 12) - 2)] ?? 0),
    );
    assertClose(mixed.images, expected, 1e-5);
  });
});

test("mixup's weight follows Beta(alpha, alpha)", () => {
  const alpha = 0.4;
  let [sum, squares] = [0, 0];
  const count = 3000;
  for (let step = 0; step < count; step++) {
    const weight = scope(() => {
      const target = tensor([0, 1], { dtype: "int64" });
      return mixup(tensor([[0], [0]]), target, 2, alpha, 1, 0, step).targets.toNumbers()[0] ?? 0;
    });
    sum += weight;
    squares += weight * weight;
  }
  const variance = squares / count - (sum / count) ** 2;
  assert.ok(Math.abs(sum / count - 0.5) < 0.03);
  assert.ok(Math.abs(variance - 1 / (4 * (2 * alpha + 1))) < 0.01, `variance ${variance}`);
});

test("compositing weighs colour and background by alpha", () => {
  scope(() => {
    const rgba = tensor([0.2, 0.4, 0.6, 0.25], { shape: [1, 4, 1, 1] });
    assertClose(composite(rgba, Float32Array.from([1, 0, 0.5])), [0.8, 0.1, 0.525], 1e-6);
  });
});

test("augmentation leaves no tensors behind", () => {
  using images = imagesOf(values(4, 3, 8), 4, 3, 8);
  assertNoLeak(() => augment(images, keysOf(4), augmentations.randaugment, 1, 0).dispose());
});

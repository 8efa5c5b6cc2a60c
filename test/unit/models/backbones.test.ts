/** Small variants: feature maps, training without leaks, wrong input. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { architectures, createBackbone } from "../../../src/models/index.ts";
import { SGD } from "../../../src/optim/index.ts";
import { autocast, Generator, memory, noGrad, randn, scope, UserError } from "../../../src/torch/index.ts";
import { loadRule } from "../../fixtures/seeded-weights.ts";
import { assertGradients } from "../../support/numeric.ts";

const generator = new Generator(1);

/** Name, configuration, and side of the map at 32 pixels. */
const small: [string, Record<string, unknown>, number][] = [
  ["resnet", { width: 8, layers: [1, 1, 1] }, 2],
  ["resnet", { width: 8, layers: [1, 2], stem: "small", stemStride: 2, block: "bottleneck" }, 8],
  ["mobilenet-v2", { width: 0.25, lastChannels: 32 }, 1],
  [
    "mobilenet-v2",
    {
      width: 0.25,
      lastChannels: 32,
      stemStride: 1,
      stages: [
        [1, 16, 1, 1],
        [4, 24, 2, 2],
      ],
    },
    16,
  ],
  ["convnext", { depths: [1, 2], dims: [8, 16], patch: 2, layerScale: 0.1, dropPath: 0.2 }, 8],
  ["vit", { image: 32, patch: 8, dim: 16, depth: 2, heads: 2, dropPath: 0.2 }, 4],
  ["vit", { image: 32, patch: 8, dim: 16, depth: 2, heads: 2, pool: "avg", mlpRatio: 2 }, 4],
];

for (const [name, config, side] of small) {
  test(`${name} ${JSON.stringify(config)}`, () => {
    using backbone = createBackbone(name, config, { generator });
    using x = randn([8, 3, 32, 32], { generator });
    const shape = scope(() => noGrad(() => backbone.forwardMap(x).shape));
    assert.deepEqual(shape, [8, backbone.featureWidth, side, side]);

    backbone.to({ memory_format: "channels_last" });
    using last = x.to({ memory_format: "channels_last" });
    using optimizer = new SGD([{ params: backbone.parameters(), lr: 0.01, momentum: 0.9 }]);
    const step = (): number => {
      using loss = scope(() =>
        autocast({}, () => backbone.forward(last))
          .to({ dtype: "float32" })
          .square()
          .mean(),
      );
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss.item();
    };
    const first = step();
    const handles = memory().handles;
    let loss = first;
    for (let i = 0; i < 4; i++) loss = step();
    assert.equal(memory().handles, handles);
    assert.ok(Number.isFinite(loss));
    assert.ok(scope(() => backbone.parameters().every((parameter) => parameter.grad)));
  });
}

test("gradients of whole blocks by finite differences", () => {
  for (const [name, config] of [
    ["resnet", { width: 2, layers: [1, 1], stem: "small", block: "bottleneck" }],
    ["mobilenet-v2", { width: 0.1, lastChannels: 3, stages: [[2, 16, 2, 1]] }],
    ["convnext", { depths: [1], dims: [4], patch: 2 }],
    ["vit", { image: 4, patch: 2, dim: 4, depth: 1, heads: 2 }],
  ] as const) {
    scope(() => {
      using backbone = loadRule(createBackbone(name, config, { generator, dtype: "float64" }));
      const x = randn([2, 3, 4, 4], { generator, dtype: "float64" });
      assertGradients(() => backbone.forward(x).square().sum(), [x], 1e-5);
    });
  }
});

test("every small variant trains alike on the same seed", () => {
  const run = (): string =>
    scope(() => {
      const own = new Generator(3);
      using backbone = createBackbone("convnext", { depths: [2], dims: [8], dropPath: 0.5 }, { generator: own });
      return String(backbone.forward(randn([8, 3, 16, 16], { generator: own })).toNumbers());
    });
  assert.equal(run(), run());
});

test("wrong input is refused with what to do", () => {
  assert.deepEqual(
    architectures().map(({ name }) => name),
    ["resnet", "mobilenet-v2", "convnext", "vit"],
  );
  const refused = (name: string, config: Record<string, unknown>, pattern: RegExp): void =>
    assert.throws(
      () => createBackbone(name, config, { generator }),
      (error: unknown) => error instanceof UserError && pattern.test(error.message),
    );
  refused("alexnet", {}, /unknown architecture "alexnet": known are resnet, mobilenet-v2, convnext, vit/);
  refused("resnet", { widht: 3 }, /resnet.*widht/);
  refused("resnet", { width: -1 }, /resnet.*width/);
  refused("vit", { image: 30, patch: 8 }, /multiple of the patch/);
  refused("convnext", { depths: [1] }, /same length/);
  const vit = createBackbone("vit", { image: 32, patch: 8, dim: 16, depth: 1, heads: 2 }, { generator });
  assert.throws(() => vit.forward(randn([1, 3, 64, 64], { generator })), /32 x 32 pixels, got 64 x 64/);
});

/** Small variants: feature maps, training without leaks, wrong input. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { architectures, type Backbone, createBackbone } from "../../../src/models/index.ts";
import { DropPath, FoldedNorms } from "../../../src/nn/index.ts";
import { SGD } from "../../../src/optim/index.ts";
import { autocast, Generator, memory, noGrad, randn, scope, type Tensor, UserError } from "../../../src/torch/index.ts";
import { loadRule } from "../../fixtures/seeded-weights.ts";
import { assertGradients } from "../../support/numeric.ts";
import { smallNetworks } from "../../support/small-networks.ts";

const generator = new Generator(1);

for (const [name, config, side] of smallNetworks) {
  test(`${name} ${JSON.stringify(config)}`, () => {
    using backbone = createBackbone(name, config, { generator });
    using x = randn([8, 3, 32, 32], { generator });
    const shape = scope(() => noGrad(() => backbone.forwardMap(x).shape));
    assert.deepEqual(shape, [8, backbone.mapWidth, side, side]);
    // A rank may have no row of a model.
    using none = x.narrow(0, 0, 0);
    assert.deepEqual(
      scope(() => noGrad(() => backbone.forward(none).shape)),
      [0, backbone.featureWidth],
    );

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
    for (let i = 0; i < 2; i++) loss = step();
    assert.equal(memory().handles, handles);
    assert.ok(Number.isFinite(loss));
    assert.ok(scope(() => backbone.parameters().every((parameter) => parameter.grad)));
    assertFolds(backbone.eval(), last);
  });
}

/** Folding moves features by rounding alone, and no image. */
function assertFolds(backbone: Backbone, images: Tensor): void {
  using folds = new FoldedNorms();
  const before = images.toNumbers();
  scope(() =>
    noGrad(() => {
      const plain = backbone.forward(images);
      const folded = folds.run(() => backbone.forward(images));
      assert.deepEqual(folded.shape, [8, backbone.featureWidth]);
      const furthest = folded.sub(plain).abs().max().item();
      assert.ok(furthest <= 1e-4 * plain.abs().max().item(), `${furthest}`);
    }),
  );
  assert.deepEqual(images.toNumbers(), before);
}

test("gradients of whole blocks by finite differences", () => {
  for (const [name, config] of [
    ["resnet", { width: 2, layers: [1, 1], stem: "small", block: "bottleneck" }],
    ["mobilenet-v2", { width: 0.1, lastChannels: 3, stages: [[2, 16, 2, 1]] }],
    [
      "mobilenet-v3",
      {
        hidden: 3,
        blocks: [
          [3, 8, 16, true, "hardswish", 1],
          [3, 24, 16, true, "relu", 1],
        ],
      },
    ],
    ["efficientnet", { width: 0.25, stages: [[2, 3, 1, 16, 2]] }],
    ["mnasnet", { width: 0.25, lastChannels: 3, stages: [[2, 3, 1, 24, 2]] }],
    ["densenet", { growth: 2, layers: [2, 1], width: 3, stem: "small", bottleneck: 2 }],
    ["regnet", { depths: [2], widths: [4], groupWidth: 2, stemWidth: 3 }],
    ["convnext", { depths: [1], dims: [4], patch: 2 }],
    ["swin", { patch: 1, dim: 4, depths: [2], heads: [2], window: 3 }],
    ["maxvit", { stemWidth: 2, widths: [4], depths: [1], partition: 1, headWidth: 2 }],
    ["swin", { version: 2, patch: 1, dim: 4, depths: [2, 1], heads: [2, 2], window: [3, 2] }],
    ["resnet", { width: 4, layers: [1, 1], stem: "small", block: "bottleneck", groups: 2, dilated: 1 }],
    ["vit", { image: 4, patch: 2, dim: 4, depth: 1, heads: 2 }],
    ["vit", { image: 4, patch: 2, dim: 4, depth: 1, heads: 2, pool: "attention", layerScale: true, gated: true }],
    ["convnext", { depths: [1], dims: [4], patch: 2, responseNorm: true }],
    ["resnet", { width: 8, layers: [1, 1], stem: "deep", stemWidths: [2, 2], averageDown: true, attention: "eca" }],
    [
      "resnet",
      {
        width: 16,
        layers: [1],
        block: "bottleneck",
        stem: "deep",
        stemWidths: [2, 2],
        averageDown: "all",
        embedding: 3,
        image: 4,
      },
    ],
    ["shufflenet-v2", { depths: [2], widths: [4], stemWidth: 2, headWidth: 3 }],
    [
      "mobile-blocks",
      {
        stemWidth: 2,
        stages: [
          [{ type: "fused", kernel: 3, hidden: 4, out: 2, squeeze: 1 }],
          [{ type: "universal", kernel: 3, startKernel: 3, hidden: 4, out: 3, stride: 2 }],
        ],
        padding: "same",
        headWidth: 3,
        head: "pooled",
      },
    ],
  ] as const) {
    scope(() => {
      using backbone = loadRule(createBackbone(name, config, { generator, dtype: "float64" }));
      const x = randn([2, 3, 4, 4], { generator, dtype: "float64" });
      assertGradients(() => backbone.forward(x).square().sum(), [x], 1e-5);
    });
  }
});

/** Name, configuration, shape of the first stages at 64 pixels, and how far they reach in the network. */
const early: [string, Record<string, unknown>, number[], RegExp][] = [
  ["resnet", {}, [1, 64, 16, 16], /^(conv1|bn1|layer1)\./],
  ["mobilenet-v3", {}, [1, 24, 16, 16], /^features\.[0-3]\./],
  ["mobilenet-v3", { variant: "small" }, [1, 16, 16, 16], /^features\.[01]\./],
  ["mobilenet-v3", { blocks: [[3, 16, 16, false, "relu", 1]] }, [1, 16, 32, 32], /^features\.[01]\./],
  ["efficientnet", {}, [1, 24, 16, 16], /^features\.[0-2]\./],
  ["efficientnet", { width: 1.2, depth: 1.4 }, [1, 32, 16, 16], /^features\.[0-2]\./],
  ["mnasnet", {}, [1, 24, 16, 16], /^layers\.[0-8]\./],
  ["densenet", {}, [1, 128, 8, 8], /^features\.(conv0|norm0|denseblock1|transition1)\./],
  ["densenet", { layers: [2] }, [1, 128, 16, 16], /^features\.(conv0|norm0|denseblock1)\./],
  ["regnet", {}, [1, 48, 16, 16], /^(stem|trunk_output\.block1)\./],
];

for (const [name, config, shape, reach] of early) {
  test(`first stages of ${name} ${JSON.stringify(config)}`, () => {
    using backbone = createBackbone(name, config, { generator });
    using x = randn([1, 3, 64, 64], { generator });
    assert.equal(backbone.stemWidth, shape[1]);
    scope(() => {
      const map = backbone.stem(x);
      assert.deepEqual(map.shape, shape);
      map.square().sum().backward();
      for (const [key, parameter] of backbone.namedParameters()) {
        assert.equal(parameter.grad !== undefined, reach.test(key), key);
      }
    });
  });
}

/** Architecture, a weight of its default network, and the standard deviation with which torchvision draws it. */
const deviations: [string, string, number][] = [
  ["mobilenet-v3", "features.15.block.1.0.weight", Math.sqrt(2 / (960 * 25))],
  ["mobilenet-v3", "features.15.block.2.fc1.weight", Math.sqrt(2 / 240)],
  ["mobilenet-v3", "features.15.block.2.fc1.bias", 0],
  ["mobilenet-v3", "classifier.0.weight", 0.01],
  ["mobilenet-v3", "classifier.0.bias", 0],
  ["efficientnet", "features.8.0.weight", Math.sqrt(2 / 1280)],
  ["efficientnet", "features.7.0.block.2.fc1.bias", 0],
  ["mnasnet", "layers.14.weight", Math.sqrt(2 / 1280)],
  ["densenet", "features.denseblock4.denselayer16.conv1.weight", Math.sqrt(2 / 992)],
  ["densenet", "features.denseblock4.denselayer16.conv2.weight", Math.sqrt(2 / (128 * 9))],
  ["regnet", "trunk_output.block4.block4-1.f.b.0.weight", Math.sqrt(2 / (440 * 9))],
  ["regnet", "trunk_output.block4.block4-1.f.se.fc1.weight", Math.sqrt(2 / 110)],
  // Uniform within 1 / √fan_in.
  ["regnet", "trunk_output.block4.block4-1.f.se.fc2.bias", 1 / Math.sqrt(3 * 110)],
];

test("initial weights have torchvision's deviations", () => {
  for (const [name, key, expected] of deviations) {
    using backbone = createBackbone(name, {}, { generator });
    const values = backbone.stateDict().get(key)?.detach().toNumbers() ?? [];
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    // Three standard errors of the deviation of that many draws.
    assert.ok(Math.abs(deviation - expected) <= (3 * expected) / Math.sqrt(2 * values.length), `${key}: ${deviation}`);
  }
});

test("dropped paths become likelier from block to block, where there is a shortcut", () => {
  const stages = [
    [1, 3, 1, 16, 3],
    [1, 3, 2, 24, 2],
  ];
  using backbone = createBackbone("efficientnet", { width: 0.5, stages, dropPath: 0.5 }, { generator });
  const drops = backbone.modules().flatMap((part) => (part instanceof DropPath ? [part.p] : []));
  assert.deepEqual(drops, [0.1, 0.2, 0.4]);
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
    [
      "resnet",
      "resnetv2",
      "mobilenet-v2",
      "mobilenet-v3",
      "efficientnet",
      "mnasnet",
      "mobile-blocks",
      "densenet",
      "regnet",
      "vgg",
      "squeezenet",
      "shufflenet-v2",
      "googlenet",
      "inception-v3",
      "convnext",
      "swin",
      "maxvit",
      "vit",
    ],
  );
  const refused = (name: string, config: Record<string, unknown>, pattern: RegExp): void =>
    assert.throws(
      () => createBackbone(name, config, { generator }),
      (error: unknown) => error instanceof UserError && pattern.test(error.message),
    );
  refused("lenet", {}, /unknown architecture "lenet": known are resnet, resnetv2, mobilenet-v2, mobilenet-v3, .*, vit/);
  refused("resnet", { widht: 3 }, /resnet.*widht/);
  refused("resnet", { width: -1 }, /resnet.*width/);
  refused("vit", { image: 30, patch: 8 }, /multiple of the patch/);
  refused("convnext", { depths: [1] }, /same length/);
  refused("swin", { depths: [2, 2] }, /same length/);
  refused("swin", { dim: 10, depths: [2], heads: [3] }, /multiple of its heads/);
  refused("swin", { window: 64 }, /window/);
  refused("swin", { window: [8, 8] }, /one for each stage/);
  refused("maxvit", { depths: [1] }, /same length/);
  refused("maxvit", { widths: [16], depths: [1] }, /multiples of headWidth/);
  using maxvit = createBackbone("maxvit", { widths: [32], depths: [1] }, { generator });
  assert.throws(() => maxvit.forward(randn([1, 3, 28, 32], { generator })), /multiples of 28 pixels, got 32 x 28/);
  refused("mobilenet-v3", { blocks: [[4, 16, 16, true, "relu", 1]] }, /blocks\.0\.0: kernels are odd/);
  refused("mobilenet-v3", { variant: "medium" }, /mobilenet-v3.*variant/);
  refused("efficientnet", { stages: [[6, 3, 3, 16, 1]] }, /efficientnet.*stages\.0\.2/);
  refused("efficientnet", { depth: 0 }, /efficientnet.*depth/);
  refused("mnasnet", { stages: [[6, 2, 1, 16, 1]] }, /kernels are odd/);
  refused("densenet", { growth: 0 }, /densenet.*growth/);
  refused("regnet", { depths: [1] }, /same length/);
  refused("regnet", { depths: [1], widths: [20] }, /multiples of groupWidth/);
  refused("resnet", { block: "basic", groups: 2 }, /only for bottlenecks/);
  refused("resnet", { layers: [1, 1], block: "bottleneck", dilated: 2 }, /first stage has no stride/);
  refused("resnet", { averageDown: "all" }, /for bottlenecks with their stride at 3x3 and the deep stem/);
  refused("resnet", { embedding: 8, stem: "deep" }, /pooling by attention needs embedding, image/);
  const clip = { width: 64, layers: [1], stem: "deep", embedding: 8, image: 32 };
  refused("resnet", { ...clip, width: 48 }, /heads of 64 channels/);
  using pooled = createBackbone("resnet", clip, { generator });
  assert.throws(() => pooled.forward(randn([1, 3, 64, 32], { generator })), /images of 32 x 32 pixels, got 32 x 64/);
  const vit = createBackbone("vit", { image: 32, patch: 8, dim: 16, depth: 1, heads: 2 }, { generator });
  assert.throws(() => vit.forward(randn([1, 3, 64, 64], { generator })), /32 x 32 pixels, got 64 x 64/);
});

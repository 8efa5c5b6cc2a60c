/** Names, shapes, outputs and costs of the architectures against torchvision's and timm's (make-architectures.py). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackbone, presets } from "../../../src/models/index.ts";
import { init } from "../../../src/nn/index.ts";
import { Generator, inferenceMode, scope } from "../../../src/torch/index.ts";
import { fixtureLines, loadRule, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";

interface Reference {
  size: number;
  classifier: string;
  parameters: number;
  flops: number;
  features: number[];
  /** Left out where a digest in presets.json has to do. */
  state?: Record<string, number[]>;
}

const generator = new Generator(1);

/** Networks that are no preset, and what makes them. */
const others: Record<string, [string, Record<string, unknown>]> = {
  resnet50_dilated: ["resnet", { layers: [3, 4, 6, 3], block: "bottleneck", dilated: 2 }],
  vit_base_depth_2: ["vit", { dim: 768, heads: 12, depth: 2 }],
  swin_odd: ["swin", { patch: 2, dim: 24, depths: [2, 2], heads: [2, 4], window: 4 }],
  swin_v2_odd: ["swin", { version: 2, patch: 2, dim: 24, depths: [2, 2], heads: [2, 4], window: 4 }],
  maxvit_small: ["maxvit", { stemWidth: 8, widths: [16, 32], depths: [1, 2], partition: 2, headWidth: 8 }],
  vgg_small: ["vgg", { stages: [[8], [16, 16]], norm: true, hidden: 32 }],
  alexnet_narrow: ["vgg", { ...presets()["alexnet"]?.config, hidden: 32 }],
  efficientnet_v2_small: [
    "efficientnet",
    {
      stemWidth: 8,
      lastWidth: 64,
      fused: 2,
      eps: 1e-3,
      stages: [
        [1, 3, 1, 8, 2],
        [4, 3, 2, 16, 2],
        [4, 3, 2, 24, 2],
      ],
    },
  ],
  vit_average: ["vit", { image: 64, depth: 2, pool: "avg" }],
};

/** Above these the rule's weights take too long to make: only names, shapes and costs are compared. */
const mostWeights = 30e6;
/** It has the layers of densenet121, and more of them. */
const longer = "densenet201";

for (const [name, reference] of fixtureLines<Reference>("architectures.jsonl")) {
  test(`${name}: state names, shapes, features, parameters and FLOPs of the reference`, () => {
    const preset = presets()[name];
    if (preset) assert.equal(preset.classifier, reference.classifier);
    const [architecture, config] = preset ? [preset.architecture, preset.config] : (others[name] ?? []);
    assert.ok(architecture && config, `${name} is neither a preset nor in the list above`);
    using empty = init.skipInit(() => createBackbone(architecture, config, { generator }));
    const isOutlined = reference.parameters > mostWeights || name === longer;
    const backbone = (isOutlined ? empty : loadRule(empty)).eval();
    const state = Array.from(backbone.stateDict(), ([key, tensor]) => [key, [...tensor.shape]] as const);
    const sorted = <T>(pairs: Iterable<readonly [string, T]>): (readonly [string, T])[] =>
      [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
    if (reference.state) assert.deepEqual(sorted(state), sorted(Object.entries(reference.state)));
    assert.equal(
      backbone.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0),
      reference.parameters,
    );
    assert.equal(backbone.flops(reference.size), reference.flops);
    if (isOutlined) return;
    scope(() =>
      inferenceMode(() => {
        const x = seeded("image", [1, 3, reference.size, reference.size], "float32");
        const features = backbone.forward(x);
        assert.deepEqual(features.shape, [1, backbone.featureWidth]);
        assertClose(features, reference.features, 1e-4);
        backbone.to({ memory_format: "channels_last" });
        assertClose(backbone.forward(x.to({ memory_format: "channels_last" })), reference.features, 1e-4);
      }),
    );
  });
}

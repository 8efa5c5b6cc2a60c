/** Names, shapes and outputs of the architectures against torchvision's and timm's (test/fixtures/make-fixtures.py). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackbone } from "../../../src/models/index.ts";
import { Generator, inferenceMode, scope } from "../../../src/torch/index.ts";
import { fixture, loadRule, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";

interface Reference {
  size: number;
  state: Record<string, number[]>;
  features: number[];
}

const references = fixture<Record<string, Reference>>("architectures.json");
const generator = new Generator(1);

const made: Record<string, [string, Record<string, unknown>]> = {
  resnet18: ["resnet", {}],
  resnet50: ["resnet", { layers: [3, 4, 6, 3], block: "bottleneck" }],
  mobilenetV2: ["mobilenet-v2", {}],
  convnextTiny: ["convnext", {}],
  vitTiny: ["vit", {}],
  vitAverage: ["vit", { image: 64, depth: 2, pool: "avg" }],
};

for (const [name, [architecture, config]] of Object.entries(made)) {
  test(`${name}: state names, shapes and features of the reference`, () => {
    const reference = references[name];
    assert.ok(reference);
    using backbone = loadRule(createBackbone(architecture, config, { generator })).eval();
    const state = Array.from(backbone.stateDict(), ([key, tensor]) => [key, [...tensor.shape]] as const);
    const sorted = <T>(pairs: Iterable<readonly [string, T]>): (readonly [string, T])[] =>
      [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(sorted(state), sorted(Object.entries(reference.state)));
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

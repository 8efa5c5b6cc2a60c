/** Whole networks: exported, their features are the network's in onnxruntime and when they are imported again. */
// Long: every architecture is exported and answered by onnxruntime.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { exportOnnx } from "../../../src/export/index.ts";
import { onnx } from "../../../src/graphs/index.ts";
import {
  architectures,
  type Backbone,
  createBackbone,
  createObservationNetwork,
  openGraphBackbone,
} from "../../../src/models/index.ts";
import { Generator, memory, UserError, zeros } from "../../../src/torch/index.ts";
import { network, networkNames } from "../../fixtures/onnx/networks.ts";
import { loadRule } from "../../fixtures/seeded-weights.ts";
import { on, spread } from "../../fixtures/tfjs/layers-builder.ts";
import { layers as K, saveLayers, temporaryFolder } from "../../fixtures/tfjs/oracle.ts";
import { featureDifferences, workplace } from "../../support/exported.ts";
import { smallNetworks } from "../../support/small-networks.ts";

const generator = new Generator(1);
const folder = temporaryFolder();
after(folder.remove);
const tolerance = 1e-4;

/** @param imports false where the importer is not tried */
async function agree(backbone: Backbone, sides: readonly number[], imports?: boolean): Promise<onnx.ModelProto> {
  const { runtime, imported, path } = await featureDifferences(backbone, sides, imports);
  assert.ok(runtime < tolerance, `onnxruntime: a difference of ${runtime}`);
  assert.ok(imported < tolerance, `imported: a difference of ${imported}`);
  return fromBinary(onnx.ModelProtoSchema, readFileSync(path));
}

const observing: [string, Record<string, unknown>, number[]][] = [
  ["minatar-network", { channels: 4 }, [4, 10, 10]],
  ["nature-cnn", { channels: 2 }, [2, 84, 84]],
  ["mlp", { channels: 4 }, [4, 1, 1]],
];

describe("architectures", () => {
  // Its first layers leave nothing of smaller images.
  const networks = [...smallNetworks, ["inception-v3", {}, 1] as const];
  for (const [name, config] of networks) {
    test(`${name} ${JSON.stringify(config)}`, async () => {
      using backbone = createBackbone(name, config, { generator });
      // The two of one size have so many weights that it takes seconds to set or import them.
      const isLarge = name === "inception-v3" || name === "googlenet";
      if (!isLarge) loadRule(backbone);
      const side = name === "inception-v3" ? 75 : 32;
      const { graph, opsetImport } = await agree(backbone, [3, side, side], !isLarge);
      const kinds = new Set(graph?.node.map(({ opType }) => opType));
      assert.deepEqual(
        opsetImport.map(({ version }) => Number(version)),
        [kinds.has("LayerNormalization") ? 17 : 13],
      );
      const { value: input } = graph?.input[0]?.type?.value ?? {};
      assert.ok(input && "shape" in input && input.shape?.dim[0]?.value.value === "batch");
    });
  }

  for (const [name, config, shape] of observing) {
    test(name, async () => {
      using backbone = loadRule(createObservationNetwork(name, config, { generator }));
      await agree(backbone, shape);
    });
  }

  test("every family is among them", () => {
    const tried = new Set([...smallNetworks.map(([name]) => name), "inception-v3", ...observing.map(([name]) => name)]);
    const all = [...architectures(), ...architectures("observation")].map(({ name }) => name);
    assert.deepEqual(
      all.filter((name) => !tried.has(name)),
      [],
    );
  });
});

describe("members that files bring along", () => {
  // The same network by the other exporter has the same operators, and a fixed batch is rewritten before they run. The large
  // ones have those of the others.
  const spared =
    /^(resnet|resnext|timm_regnet)|^(timm_vit|hf_convnext|densenet)-script|^(vit|efficientnet|group_normed)-dynamo|^swin-script|-fixed$/;
  for (const name of networkNames().filter((one) => !spared.test(one) || one === "hf_vit-script-fixed")) {
    test(name, async () => {
      const side = name.startsWith("swin") ? 56 : name.startsWith("group") ? 16 : 32;
      using backbone = openGraphBackbone("onnx", workplace.write(network(name)), { size: side });
      const [height, width] = backbone.graph.input.sides ?? [side, side];
      await agree(backbone, [3, height, width]);
    });
  }

  test("a layers model of TensorFlow.js", async () => {
    const input = K.input({ shape: [12, 12, 3] });
    const { layers: L } = K;
    const stem = on(L.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: "same", useBias: false }), input);
    const active = on(L.reLU({ maxValue: 6 }), on(L.batchNormalization({}), stem));
    const branch = on(L.separableConv2d({ filters: 4, kernelSize: 3, padding: "same", activation: "elu" }), active);
    const pooled = on(L.globalAveragePooling2d({ name: "pooled" }), on(L.concatenate(), [active, branch]));
    const outputs = on(L.dense({ units: 3, activation: "softmax" }), pooled);
    const path = await saveLayers(folder.path, "layers", spread(K.model({ inputs: input, outputs })));
    using backbone = openGraphBackbone("tfjs", path);
    await agree(backbone, [3, 12, 12]);
  });

  test("a graph that runs its images one by one is refused", () => {
    using backbone = openGraphBackbone("onnx", workplace.write(network("swin-dynamo-fixed")), { size: 56 });
    using example = zeros([1, 3, 56, 56]);
    assert.throws(
      () => exportOnnx(backbone, example, { name: "swin" }),
      (error) => error instanceof UserError && /^swin cannot be exported: it runs other operators/.test(error.message),
    );
  });
});

test("weights keep their names, BatchNorm is gone, and nothing is left in memory", () => {
  const { handles } = memory();
  {
    using backbone = createBackbone("resnet", { width: 8, layers: [1, 1] }, { generator });
    using example = zeros([1, 3, 32, 32]);
    backbone.train();
    const { graph } = fromBinary(onnx.ModelProtoSchema, exportOnnx(backbone, example));
    assert.ok(backbone.modules().every(({ training }) => training));
    assert.ok(graph);
    const kinds = graph.node.map(({ opType }) => opType);
    assert.ok(!kinds.includes("BatchNormalization") && kinds.includes("Conv"), kinds.join());
    const convolutions = [...backbone.stateDict().keys()].filter((key) => /conv\d\.weight|downsample.0/.test(key));
    const weights = graph.initializer.filter(({ dims }) => dims.length === 4).map(({ name }) => name);
    assert.deepEqual(weights.sort(), convolutions.sort());
    const vectors = graph.initializer.filter(({ dims, dataType }) => dims.length === 1 && dataType === 1);
    assert.deepEqual(
      vectors.map(({ name }) => name).sort(),
      convolutions.map((key) => key.replace(/weight$/, "bias")).sort(),
    );
  }
  assert.equal(memory().handles, handles);
});

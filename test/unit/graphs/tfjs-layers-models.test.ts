/** Whole layers models of TensorFlow.js against tfjs-layers on the same file and image. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { openTfjs } from "../../../src/graphs/tfjs/index.ts";
import { BatchNorm2d, setBatchNormPolicy } from "../../../src/nn/index.ts";
import {
  grad,
  inferenceMode,
  memory,
  noGrad,
  scope,
  setCallHook,
  type Tensor,
  UserError,
} from "../../../src/torch/index.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { on, type SymbolicTensor, spread } from "../../fixtures/tfjs/layers-builder.ts";
import { layers as K, runLayers, saveLayers, temporaryFolder } from "../../fixtures/tfjs/oracle.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";

const { layers: L } = K;
const folder = temporaryFolder();
after(folder.remove);
let models = 0;

/** Convolution, normalisation, a branch, and a classifier of 3 classes. */
function classifier(x: SymbolicTensor): SymbolicTensor {
  const stem = on(
    L.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: "same", useBias: false, name: "stem" }),
    x,
  );
  const normal = on(L.reLU({ name: "active" }), on(L.batchNormalization({ name: "stem_bn" }), stem));
  const branch = on(L.depthwiseConv2d({ kernelSize: 3, padding: "same", name: "branch" }), normal);
  const sum = on(L.add({ name: "sum" }), [normal, branch]);
  const pooled = on(L.globalAveragePooling2d({ name: "pooled" }), sum);
  return on(L.dense({ units: 3, activation: "softmax", name: "scores" }), on(L.dropout({ rate: 0.5 }), pooled));
}

async function savedClassifier(shards = 1): Promise<string> {
  const input = K.input({ shape: [12, 12, 3] });
  const model = spread(K.model({ inputs: input, outputs: classifier(input) }));
  return saveLayers(folder.path, `classifier${models++}`, model, shards);
}

describe("layers models", () => {
  it("give pooled features before the last dense layer, and scores", async () => {
    const path = await savedClassifier(3);
    using x = seeded("image", [3, 3, 12, 12], "float32");
    const features = await runLayers(path, x, "pooled");
    const scores = await runLayers(path, x);
    using model = openTfjs(path);
    model.eval();
    assert.equal(model.featuresName, "pooled");
    assert.equal(model.featureWidth, 4);
    assert.equal(model.candidates[0], "pooled");
    assert.ok(model.candidates.includes("sum"));
    assert.deepEqual(model.input, { name: model.input.name, layout: "NHWC", channels: 3, sides: [12, 12] });
    assert.deepEqual(model.files.length, 4);
    scope(() =>
      noGrad(() => {
        assertClose(model.forward(x), [...features.values], 1e-6);
        assertClose(model.classify(x) as Tensor, [...scores.values], 1e-6);
      }),
    );
  });

  it("average a map that was asked for by name, and name the candidates for one that is not there", async () => {
    const path = await savedClassifier();
    using x = seeded("image", [2, 3, 12, 12], "float32");
    const pooled = await runLayers(path, x, "pooled");
    using model = openTfjs(path, { features: "sum" });
    model.eval();
    scope(() => noGrad(() => assertClose(model.forward(x), [...pooled.values], 1e-6)));
    assert.throws(
      () => openTfjs(path, { features: "nothing" }),
      (error) => {
        return error instanceof UserError && /"nothing".*no node makes such a tensor.*"pooled"/.test(error.message);
      },
    );
  });

  it("have parameters under the names of TensorFlow, and BatchNorm layers that follow a policy", async () => {
    using model = openTfjs(await savedClassifier());
    const names = [...model.namedParameters().keys()].sort();
    const expected =
      "branch/bias branch/depthwise_kernel scores/bias scores/kernel stem/kernel stem_bn.bias stem_bn.weight";
    assert.deepEqual(names, expected.split(" "));
    assert.deepEqual([...(model.namedParameters().get("stem/kernel") as Tensor).shape], [4, 3, 3, 3]);
    const norms = model.modules().filter((part) => part instanceof BatchNorm2d);
    assert.equal(norms.length, 1);
    using x = seeded("image", [8, 3, 12, 12], "float32");
    const [norm] = norms;
    const before = norm?.running_mean.toNumbers();
    setBatchNormPolicy(model, "running");
    scope(() => void model.forward(x));
    assert.deepEqual(norm?.running_mean.toNumbers(), before);
    setBatchNormPolicy(model, "batch");
    scope(() => void model.forward(x));
    assert.notDeepEqual(norm?.running_mean.toNumbers(), before);
  });

  it("have the gradients that finite differences give, for every parameter", async () => {
    using model = openTfjs(await savedClassifier());
    model.eval().to({ dtype: "float64" });
    using x = seeded("image", [2, 3, 12, 12]);
    using mix = seeded("mix", [2, 3]);
    const loss = (): Tensor => (model.classify(x) as Tensor).mul(mix).sum();
    const named = model.namedParameters();
    scope(() => {
      const gradients = grad([loss()], [...named.values()]);
      for (const [k, [name, parameter]] of [...named].entries()) {
        const exact = gradients[k]?.toNumbers() ?? [];
        const values = Float64Array.from(parameter.contiguous().toNumbers());
        for (const i of [0, Math.floor(values.length / 2), values.length - 1]) {
          const at = (shift: number): number => {
            const moved = values.slice();
            moved[i] = (moved[i] ?? 0) + shift;
            return scope(() =>
              noGrad(() => {
                parameter.copyFrom(moved);
                return loss().item();
              }),
            );
          };
          const numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
          at(0);
          assert.ok(Math.abs((exact[i] ?? Number.NaN) - numeric) < 1e-7, `${name}[${i}]: ${exact[i]} and ${numeric}`);
        }
      }
    });
  });

  it("read chains, nested models and shared layers", async () => {
    using x = seeded("image", [2, 3, 8, 8], "float32");
    const chain = K.sequential({
      layers: [
        L.conv2d({ filters: 4, kernelSize: 3, inputShape: [8, 8, 3], name: "first" }),
        L.batchNormalization({ name: "first_bn" }),
        L.flatten(),
        L.dense({ units: 3, name: "last" }),
      ],
    });
    const inner = K.input({ shape: [8, 8, 3] });
    const base = K.model({
      inputs: inner,
      outputs: on(L.conv2d({ filters: 4, kernelSize: 3, name: "inner" }), inner),
      name: "base",
    });
    const onTop = K.sequential({
      layers: [base as never, L.globalAveragePooling2d({}), L.dense({ units: 2, name: "top" })],
    });
    const input = K.input({ shape: [8, 8, 3] });
    const twice = L.conv2d({ filters: 3, kernelSize: 3, padding: "same", name: "twice" });
    const shared = K.model({
      inputs: input,
      outputs: on(L.flatten(), on(L.add(), [on(twice, input), on(twice, on(twice, input))])),
    });
    for (const model of [chain, onTop, shared]) {
      const path = await saveLayers(folder.path, `model${models++}`, spread(model));
      const expected = await runLayers(path, x);
      using opened = openTfjs(path);
      opened.eval();
      scope(() =>
        noGrad(() => {
          const scores = opened.classify(x) ?? opened.forward(x);
          assert.deepEqual([...scores.shape], expected.shape);
          assertClose(scores, [...expected.values], 1e-5);
        }),
      );
    }
  });

  it("leave nothing behind, and keep no intermediate longer than needed", async () => {
    const path = await savedClassifier();
    using x = seeded("image", [2, 3, 12, 12], "float32");
    assertNoLeak(() => {
      using model = openTfjs(path);
      scope(() => {
        model.forward(x).sum().backward();
        model.classify(x);
      });
    });
    // A long chain of layers needs no more memory than a short one when nothing is recorded.
    const peak = async (length: number): Promise<number> => {
      const input = K.input({ shape: [32, 32, 3] });
      let y = input;
      for (let i = 0; i < length; i++) y = on(L.conv2d({ filters: 8, kernelSize: 3, padding: "same" }), y);
      const chain = spread(K.model({ inputs: input, outputs: on(L.globalAveragePooling2d({}), y) }));
      using model = openTfjs(await saveLayers(folder.path, `chain${length}`, chain));
      model.eval();
      using image = seeded("image", [1, 3, 32, 32], "float32");
      const start = memory().handles;
      let most = 0;
      const before = setCallHook(() => {
        most = Math.max(most, memory().handles - start);
      });
      try {
        scope(() => void inferenceMode(() => model.forward(image)));
      } finally {
        setCallHook(before);
      }
      assert.ok(most > 0);
      return most;
    };
    assert.equal(await peak(12), await peak(2));
  });

  it("refuse images of another size and number of channels", async () => {
    using model = openTfjs(await savedClassifier());
    for (const shape of [
      [1, 3, 13, 12],
      [1, 1, 12, 12],
      [3, 12, 12],
    ]) {
      using x = seeded("image", shape, "float32");
      assert.throws(() => model.forward(x), /takes images \[n, 3, 12, 12\]/);
    }
  });

  it("take images of any size where the file leaves it open", async () => {
    const input = K.input({ shape: [null, null, 3] as never });
    const body = on(
      L.globalMaxPooling2d({}),
      on(L.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: "same" }), input),
    );
    const path = await saveLayers(folder.path, `model${models++}`, spread(K.model({ inputs: input, outputs: body })));
    using model = openTfjs(path, { size: 16 });
    model.eval();
    assert.equal(model.input.sides, undefined);
    for (const side of [10, 17]) {
      using x = seeded("image", [1, 3, side, side], "float32");
      const expected = await runLayers(path, x);
      scope(() => noGrad(() => assertClose(model.forward(x), [...expected.values], 1e-5)));
    }
  });

  it("list all layers that are not supported at once", async () => {
    const path = await savedClassifier();
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace('"GlobalAveragePooling2D"', '"LSTM"').replace('"Add"', '"Lambda"'));
    assert.throws(() => openTfjs(path), /not supported: LSTM, Lambda/);
  });
});

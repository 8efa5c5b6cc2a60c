/** ONNX networks under autocast, which the trainer uses: bfloat16 wherever libtorch's own networks take it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openOnnx } from "../../../src/graphs/index.ts";
import { autocast, noGrad, scope, type Tensor } from "../../../src/torch/index.ts";
import { ints, model } from "../../fixtures/onnx/builder.ts";
import { network } from "../../fixtures/onnx/networks.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";
import { weights, workplace } from "../../support/onnx-agreement.ts";

test("autocast computes in bfloat16 with parameters in float32", () => {
  for (const name of ["resnet-script", "swin-dynamo", "hf_vit-script-fixed", "efficientnet-script"]) {
    const side = name.startsWith("swin") ? 56 : 32;
    using opened = openOnnx(workplace.write(network(name)), { size: side });
    opened.eval();
    using images = seeded("image", [3, 3, side, side], "float32");
    scope(() =>
      noGrad(() => {
        const exact = opened.forward(images);
        const distance = (other: Tensor): number => other.sub(exact).norm().div(exact.norm()).item();
        const rough = autocast({}, () => opened.forward(images.contiguous("channels_last")));
        const error = distance(rough.to({ dtype: "float32" }));
        // EfficientNet with these weights multiplies any error: what rounding the weights alone does is the scale.
        const rounded = (tensor: Tensor): Tensor => tensor.to({ dtype: "bfloat16" }).to({ dtype: "float32" });
        const before = opened.parameters().map((parameter) => parameter.clone());
        for (const parameter of opened.parameters()) parameter.copy_(rounded(parameter));
        const scale = distance(opened.forward(rounded(images)));
        for (const [i, parameter] of opened.parameters().entries()) parameter.copy_(before[i] as Tensor);
        assert.ok(error > 0 && error < 10 * scale && scale < 0.1, `${name}: ${error}, weights alone ${scale}`);
      }),
    );
    scope(() => {
      const loss = autocast({}, () => opened.forward(images).square().mean([0, 1]));
      loss.backward();
      const trainedOnes = opened.parameters().filter(({ grad }) => grad !== undefined);
      assert.ok(trainedOnes.length > 5);
    });
  }
});

test("autocast reaches convolutions of every rank behind a product that leaves bfloat16", () => {
  const product = { op: "MatMul", inputs: ["image", "m"], outputs: ["x"] };
  const reshape = (to: string): { op: string; inputs: string[]; outputs: string[] } => ({
    op: "Reshape",
    inputs: ["x", to],
    outputs: ["r"],
  });
  for (const [op, shape, kernel] of [
    ["Conv", [-1, 3, 36], [4, 3, 3]],
    ["Conv", [-1, 3, 6, 6], [4, 3, 3, 3]],
    ["Conv", [-1, 3, 2, 3, 6], [4, 3, 2, 2, 2]],
    ["ConvTranspose", [-1, 3, 36], [3, 4, 3]],
    ["ConvTranspose", [-1, 3, 6, 6], [3, 4, 3, 3]],
    ["ConvTranspose", [-1, 3, 2, 3, 6], [3, 4, 2, 2, 2]],
  ] as const) {
    const nodes = [
      product,
      reshape("shape"),
      { op, inputs: ["r", "w"], outputs: ["c"] },
      { op: "Flatten", inputs: ["c"], outputs: ["out"] },
    ];
    const initializers = [weights("m", [6, 6]), ints("shape", shape), weights("w", kernel)];
    using opened = openOnnx(workplace.write(model({ nodes, initializers, input: ["n", 3, 6, 6] })), {
      features: "out",
    });
    using images = seeded("image", [2, 3, 6, 6], "float32");
    scope(() =>
      noGrad(() => {
        const exact = opened.forward(images);
        const rough = autocast({}, () => opened.forward(images));
        assert.equal(rough.dtype, "bfloat16");
        assertClose(rough.to({ dtype: "float32" }), exact, 0.03);
      }),
    );
  }
});

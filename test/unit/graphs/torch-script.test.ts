/** TorchScript programs against what PyTorch computes with them (test/fixtures/make-programs.py). */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openTorchScript } from "../../../src/graphs/index.ts";
import { scope, UserError } from "../../../src/torch/index.ts";
import { fixture, ruled, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const program = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/torch-script/${name}.pt`, import.meta.url));

interface Expected {
  features: number[];
  gradient: number[];
}

for (const name of ["pooled", "map"]) {
  test(`${name}: parameters, features and gradients of PyTorch`, () => {
    const expected = fixture<Expected>("torch-script/expected.json");
    assertNoLeak(() => {
      using model = openTorchScript(program(name), { size: 8 });
      assert.equal(model.featureWidth, 4);
      assert.equal(model.namedParameters().size, 4);
      assert.equal(model.namedBuffers().size, 3);
      scope(() => {
        model.train();
        const state = model.stateDict();
        for (const [key, tensor] of state) assertClose(tensor, ruled(key, tensor.shape).toNumbers(), 1e-6);
        model.to({ memory_format: "channels_last" });
        const features = model.forward(seeded("image", [2, 3, 8, 8], "float32").contiguous("channels_last"));
        assertClose(features, expected.features, 1e-6);
        features.square().sum([0, 1]).backward();
        const weight = state.get("conv.weight");
        assert.ok(weight?.grad);
        assertClose(weight.grad, expected.gradient, 1e-5);
        weight.grad = undefined;
        for (const parameter of model.parameters()) parameter.grad = undefined;
        assert.equal(state.get("bn.num_batches_tracked")?.item(), 0, "it stays in evaluation mode");
      });
    });
  });
}

test("programs and files that cannot serve are refused with the reason", () => {
  const folder = temporaryFolder();
  const text = join(folder, "text.pt");
  writeFileSync(text, "not a program");
  const refused = (path: string, pattern: RegExp): void =>
    assert.throws(
      () => openTorchScript(path, { size: 8 }),
      (error: unknown) => error instanceof UserError && pattern.test(error.message) && error.message.length < 500,
    );
  assertNoLeak(() => {
    refused(program("frozen"), /no parameters.*export it unfrozen/);
    refused(program("pair"), /returns Tuple, not one tensor/);
    refused(program("state-dict"), /cannot be used as a TorchScript program/);
    refused(text, /cannot be used as a TorchScript program/);
    refused(join(folder, "none.pt"), /none\.pt cannot be used/);
  });
  assert.throws(() => openTorchScript(program("pooled"), { features: "layer4" }), /no inner tensor "layer4"/);
});

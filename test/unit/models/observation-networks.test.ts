/** Networks over observations: sizes as published, and readable refusals. */
import assert from "node:assert/strict";
import test from "node:test";
import { architectures, createBackbone, createObservationNetwork } from "../../../src/models/index.ts";
import { Generator, memory, rand, scope, UserError } from "../../../src/torch/index.ts";

const refusal = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message);

/** Parameters without heads, counted by hand from the papers. */
const published: [string, Record<string, unknown>, number[], number, number][] = [
  ["minatar-network", { channels: 4 }, [4, 10, 10], 128, 4 * 16 * 9 + 16 + 1024 * 128 + 128],
  ["nature-cnn", {}, [4, 84, 84], 512, 256 * 32 + 32 + 512 * 64 + 64 + 576 * 64 + 64 + 3136 * 512 + 512],
  ["mlp", { channels: 4 }, [4, 1, 1], 64, 4 * 64 + 64 + 64 * 64 + 64],
];

for (const [name, config, shape, width, count] of published) {
  test(`${name} has the published size, and sees every channel through its first layer`, () => {
    const { handles } = memory();
    {
      using generator = new Generator(0);
      using network = createObservationNetwork(name, config, { generator });
      assert.deepEqual(network.inputShape, shape);
      assert.equal(
        network.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0),
        count,
      );
      assert.equal(network.inputWeight.size(1), shape[0]);
      scope(() => assert.deepEqual(network.forward(rand([3, ...shape], { generator })).shape, [3, width]));
      assert.ok(network.flops() > 2 * network.inputWeight.numel());
    }
    assert.equal(memory().handles, handles);
  });
}

test("unknown networks and wrong configurations are refused by name", () => {
  using generator = new Generator(0);
  assert.throws(() => createObservationNetwork("resnet", {}, { generator }), refusal(/"resnet".*minatar-network, mlp/));
  assert.throws(() => createObservationNetwork("mlp", {}, { generator }), refusal(/"mlp": channels/));
  assert.throws(() => createObservationNetwork("nature-cnn", { depth: 3 }, { generator }), refusal(/depth/));
  assert.throws(() => createBackbone("mlp", { channels: 2 }, { generator }), refusal(/unknown architecture "mlp"/));
  assert.equal(architectures("observation").length, 3);
});

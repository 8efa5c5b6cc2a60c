/** Blocks that compute twice: the same gradients, statistics and random numbers for every architecture, with less kept. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Backbone, createBackbone } from "../../../src/models/index.ts";
import { BatchNorm2d, blocksOf, Linear, LowRank, Recomputation } from "../../../src/nn/index.ts";
import { Generator, memory, noGrad, scope, type Tensor } from "../../../src/torch/index.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";
import { smallNetworks } from "../../support/small-networks.ts";

function made(architecture: string, config: Record<string, unknown>): Backbone {
  const network = createBackbone(architecture, config, { generator: new Generator(3) });
  network.to({ dtype: "float64" });
  for (const part of network.modules()) if (part instanceof BatchNorm2d) part.minimumRows = 2;
  return network.train();
}

const all = (network: Backbone) => blocksOf(network).map((block) => ({ block, trains: true }));

/** Output and gradients, by name, of one step; blocks forget when there is a recomputation. */
function step(network: Backbone, recomputation?: Recomputation): { output: number[]; gradients: Map<string, Tensor> } {
  const x = seeded("x", [3, 3, 32, 32]);
  const [loss, output] = scope(() => {
    const y = network.forward(x);
    return [y.mul(seeded("g", y.shape)).sum(), y.detach()] as const;
  });
  loss.backward();
  recomputation?.finish();
  const gradients = [...network.namedParameters()].flatMap(([name, own]): [string, Tensor][] =>
    own.grad ? [[name, own.grad]] : [],
  );
  return { output: output.toNumbers(), gradients: new Map(gradients) };
}

for (const [i, [architecture, config]] of smallNetworks.entries()) {
  test(`${architecture} ${i}: computing blocks again changes no gradient`, () => {
    scope(() => {
      const [plain, twice] = [made(architecture, config), made(architecture, config)];
      const recomputation = new Recomputation(all(twice));
      // Two steps, so that random streams go on alike.
      for (const _ of [1, 2]) {
        const [expected, actual] = [step(plain), step(twice, recomputation)];
        assert.deepEqual(actual.output, expected.output);
        assert.deepEqual([...actual.gradients.keys()], [...expected.gradients.keys()]);
        for (const [name, own] of actual.gradients)
          assertClose(own, expected.gradients.get(name) as Tensor, 1e-10, name);
      }
      const buffers = plain.namedBuffers();
      for (const [name, own] of twice.namedBuffers())
        assert.deepEqual(own.toNumbers(), buffers.get(name)?.toNumbers(), name);
      recomputation.dispose();
      plain.dispose();
      twice.dispose();
    });
  });
}

const vit = { image: 32, patch: 8, dim: 16, depth: 3, heads: 2, dropPath: 0.2 };

test("frozen blocks before the first trained one run once, and changes beside layers get their gradients", () => {
  scope(() => {
    const networks = [made("vit", vit), made("vit", vit)] as const;
    const adapters = networks.map((network) => {
      network.requiresGrad_(false);
      const last = blocksOf(network).at(-1);
      const layers = last?.modules().filter((part) => part instanceof Linear) ?? [];
      return layers.map((layer) => new LowRank(layer, 2, new Generator(5)));
    });
    for (const own of adapters.flat()) scope(() => noGrad(() => own.parameters()[1]?.fill_(0.1)));
    const blocks = all(networks[1]).map(({ block }, i, { length }) => ({ block, trains: i === length - 1 }));
    const runs = blocks.map(() => 0);
    for (const [i, { block }] of blocks.entries()) {
      block.registerForwardHook(() => {
        runs[i] = (runs[i] ?? 0) + 1;
        return undefined;
      });
    }
    const recomputation = new Recomputation(blocks);
    const outputs = [step(networks[0]), step(networks[1], recomputation)] as const;
    assert.deepEqual(outputs[1].output, outputs[0].output);
    assert.deepEqual(runs, [1, 1, 2]);
    const [plain = [], twice = []] = adapters;
    for (const [i, adapter] of twice.entries()) {
      for (const [j, own] of adapter.parameters().entries()) {
        const expected = plain[i]?.parameters()[j]?.grad;
        assert.ok(own.grad && expected);
        assertClose(own.grad, expected, 1e-12);
      }
    }
    recomputation.dispose();
    for (const owned of [...networks, ...adapters.flat()]) owned.dispose();
  });
});

test("a step whose backward pass does not come leaves nothing behind", () => {
  using network = made("vit", vit);
  const recomputation = new Recomputation(all(network));
  const { handles } = memory();
  scope(() => void network.forward(seeded("x", [2, 3, 32, 32])));
  assert.ok(memory().handles > handles);
  recomputation.clear();
  assert.equal(memory().handles, handles);
  recomputation.dispose();
});

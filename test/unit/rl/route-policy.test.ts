/** Routes that are drawn and learn from returns, on scores by hand and in a toy world. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Mlp } from "../../../src/models/index.ts";
import { topRoutes } from "../../../src/pathway/index.ts";
import { encode } from "../../../src/rl/agents/observations.ts";
import { PathwayNetwork } from "../../../src/rl/agents/pathway-network.ts";
import { Critic, routeEntropy, routeLogProbs, routeNoise, routesFirst } from "../../../src/rl/agents/route-policy.ts";
import { defaultPpoOptions, Ppo } from "../../../src/rl/algorithms/ppo.ts";
import {
  Generator,
  inferenceMode,
  memory,
  noGrad,
  RandomStreams,
  scope,
  type Tensor,
  tensor,
} from "../../../src/torch/index.ts";
import { everySign, half, run, setting } from "./toy-agents.ts";
import { signs, toy } from "./toy-environments.ts";

const scores = [0.3, -1.2, 0.9];

/** Probability that agents are drawn in this order, each in proportion to exp(u) among those that are left. */
function probability(route: readonly number[]): number {
  let left = scores.map(Math.exp);
  let product = 1;
  for (const agent of route) {
    product *= (left[agent] as number) / left.reduce((a, b) => a + b, 0);
    left = left.map((weight, i) => (i === agent ? 0 : weight));
  }
  return product;
}

const orders = (k: number): number[][] => {
  if (k === 0) return [[]];
  return orders(k - 1).flatMap((begin) => [0, 1, 2].filter((i) => !begin.includes(i)).map((i) => [...begin, i]));
};

for (const k of [1, 2, 3]) {
  test(`routes of ${k} have the probabilities of draws without replacement, and are drawn as often`, () => {
    const routes = orders(k);
    scope(() => {
      const rows = (n: number) => tensor(Array.from({ length: n }, () => scores));
      const found = routeLogProbs(rows(routes.length), routes).exp().toNumbers();
      for (const [i, route] of routes.entries()) assert.ok(Math.abs((found[i] ?? 9) - probability(route)) < 1e-6);
      const n = 20_000;
      const drawn = topRoutes(rows(n).add(routeNoise(rows(n), 5, 0)), k).map(String);
      for (const route of routes) {
        const expected = probability(route);
        const share = drawn.filter((own) => own === String(route)).length / n;
        // Four standard deviations of a share.
        assert.ok(Math.abs(share - expected) < 4 * Math.sqrt((expected * (1 - expected)) / n), `${route}: ${share}`);
      }
    });
  });
}

test("noise is the same in one stretch and another one in the next, and goes with the seed", () => {
  scope(() => {
    const like = tensor([scores, scores]);
    const noise = (seed: number, stretch: number) => String(routeNoise(like, seed, stretch).toNumbers());
    assert.equal(noise(1, 4), noise(1, 4));
    assert.equal(new Set([noise(1, 4), noise(1, 5), noise(2, 4)]).size, 3);
  });
});

test("the entropy is that of softmax, and gradients reach every score", () => {
  const u = tensor([scores]);
  u.requires_grad = true;
  const p = scores.map((_, i) => probability([i]));
  scope(() => {
    const entropy = routeEntropy(u);
    assert.ok(Math.abs(entropy.item() + p.reduce((sum, x) => sum + x * Math.log(x), 0)) < 1e-6);
    routeLogProbs(u, [[2]])
      .sum()
      .backward();
    // Of log softmax: one minus the probability for what was drawn, minus the probability for the others.
    for (const [i, slope] of (u.grad as Tensor).toNumbers().entries())
      assert.ok(Math.abs(slope - ((i === 2 ? 1 : 0) - (p[i] as number))) < 1e-6);
  });
  u.dispose();
});

/** Two agents of one half of the world each, whose heads answer rightly there and expect far too much there: 3, where 1 is the most. */
function knowing(memberRate: number): PathwayNetwork {
  using generator = new Generator(1);
  const network = new PathwayNetwork({
    members: [half(0), half(1)],
    shape: [3, 1, 1],
    outputs: 3,
    kind: "policy-and-value",
    config: { k: 1, aggregation: "logits" },
    streams: new RandomStreams(1),
    memberRate,
    ownHeads: true,
    critic: new Critic(new Mlp({ channels: 3, hidden: [16] }, { generator }), generator),
  });
  // Each agent's features are the signs in its half, and zero in the other half.
  const answers = [
    [
      [9, -9],
      [-9, 9],
    ],
    [
      [-9, 9],
      [9, -9],
    ],
  ];
  noGrad(() => {
    for (const [i, rows] of answers.entries()) {
      const head = network.module.heads[i];
      scope(() => head?.weight.copy_(tensor([...rows, [3, 3]])));
      head?.bias?.fill_(0);
    }
  });
  return network;
}

test("the generator finds the agent that knows, from returns alone; agents stay until the warm-up is over, and then learn", async () => {
  const { handles } = memory();
  const network = knowing(1);
  const task = setting(toy(signs, { n: 32 }), network, 4096);
  const weights = () =>
    String(network.module.members.flatMap(({ backbone }) => backbone.parameters().map((own) => own.toNumbers())));
  const before = weights();
  const ppo = new Ppo(task, { ...defaultPpoOptions, rollout: 16, lr: 5e-3, gamma: 0.5 });
  const routes = () => scope(() => inferenceMode(() => network.act(encode(everySign, task.form)).routes));
  await run(ppo, { ...task, totalSteps: routesFirst * task.totalSteps });
  assert.equal(weights(), before);
  assert.deepEqual(routes(), [[0], [0], [1], [1]]);
  const { handles: half } = memory();
  await ppo.advance();
  const first = memory().handles;
  await ppo.advance();
  assert.ok(half < first, "the optimizer has moments of the agents from their first step on");
  assert.equal(memory().handles, first, "live tensors while it learns");
  assert.notEqual(weights(), before);
  assert.deepEqual(routes(), [[0], [0], [1], [1]]);
  const values = scope(() =>
    inferenceMode(() => network.act(encode(everySign, task.form)).outputs.select(1, 2).toNumbers()),
  );
  for (const value of values)
    assert.ok(Math.abs(value - 1) < 0.3, `values ${values}: every answer is right, and earns 1`);
  ppo.dispose();
  network.dispose();
  assert.equal(memory().handles, handles);
});

/** Both algorithms learn small tasks, alone and over a hub, without leaking tensors. */
// Long: agents learn until they play well.
import assert from "node:assert/strict";
import test from "node:test";
import { Mlp } from "../../../src/models/index.ts";
import { type OutputKind, PlainNetwork, type TrainedNetwork } from "../../../src/rl/agents/network.ts";
import { encode } from "../../../src/rl/agents/observations.ts";
import { PathwayNetwork } from "../../../src/rl/agents/pathway-network.ts";
import type { Setting } from "../../../src/rl/algorithms/algorithm.ts";
import { Dqn, defaultDqnOptions } from "../../../src/rl/algorithms/dqn.ts";
import { defaultPpoOptions, Ppo } from "../../../src/rl/algorithms/ppo.ts";
import { playEpisodes } from "../../../src/rl/training/evaluate.ts";
import { ConfigError, Generator, inferenceMode, memory, RandomStreams, scope } from "../../../src/torch/index.ts";
import { everySign, half, run, setting } from "./toy-agents.ts";
import { corridor, porch, signs, toy } from "./toy-environments.ts";

function plain(channels: number, actions: number, kind: OutputKind, seed = 0): PlainNetwork {
  using generator = new Generator(seed);
  const network = new Mlp({ channels, hidden: [32] }, { generator });
  const outputs = kind === "policy-and-value" ? actions + 1 : actions;
  return new PlainNetwork(network, { outputs, kind, streams: new RandomStreams(seed) });
}

async function meanReturn({ environment, network, form, actions }: Setting, kind: OutputKind): Promise<number> {
  const { returns } = await playEpisodes({ environment, network, form, actions, kind, episodes: 64, greedy: true });
  return returns.reduce((sum, value) => sum + value, 0) / returns.length;
}

test("PPO learns to walk along a corridor", async () => {
  const task = setting(toy(corridor, { n: 8 }), plain(8, 2, "policy-and-value"), 6000);
  const ppo = new Ppo(task, { ...defaultPpoOptions, rollout: 64, lr: 3e-3 });
  await run(ppo, task);
  // From cells 0 to 3 the goal is 4 to 7 steps away, of which all but the last cost 0.02.
  const value = await meanReturn(task, "policy-and-value");
  assert.ok(value > 0.85, `mean return ${value}`);
  ppo.dispose();
  task.network.dispose();
});

test("PPO values what a cut-off episode ended with, not what the next one begins with", async () => {
  const task = setting(toy(porch, { n: 8 }), plain(2, 2, "policy-and-value"), 12_000);
  const ppo = new Ppo(task, { ...defaultPpoOptions, rollout: 32, lr: 1e-2, gamma: 0.5 });
  await run(ppo, task);
  const values = scope(() =>
    inferenceMode(() => {
      const { outputs } = task.network.act(encode(Float32Array.of(1, 0, 0, 1), task.form));
      return outputs.select(1, 2).toNumbers();
    }),
  );
  // Inside 1 + 0.5 V = V, outside half of it. From the next episode's start it would be 4/3, from nothing 1.
  for (const [i, expected] of [1, 2].entries()) {
    assert.ok(Math.abs((values[i] ?? 0) - expected) < 0.05, `values ${values}, not 1 and 2`);
  }
  ppo.dispose();
  task.network.dispose();
});

for (const nSteps of [1, 3]) {
  test(`DQN learns to walk along a corridor, with ${nSteps}-step returns`, async () => {
    const task = setting(toy(corridor, { n: 4 }), plain(8, 2, "action-values"), 4000);
    const target = plain(8, 2, "action-values");
    const options = { lr: 2e-3, nSteps, capacity: 4000, learningStarts: 400, targetEvery: 200, epsilonFall: 0.5 };
    const dqn = new Dqn(task, target, { ...defaultDqnOptions, ...options });
    await run(dqn, task);
    const value = await meanReturn(task, "action-values");
    assert.ok(value > 0.85, `mean return ${value}`);
    dqn.dispose();
    for (const network of [task.network, target]) network.dispose();
  });
}

function halves(kind: OutputKind, k: number, memberRate: number): PathwayNetwork {
  return new PathwayNetwork({
    members: [half(0), half(1)],
    shape: [3, 1, 1],
    outputs: kind === "policy-and-value" ? 3 : 2,
    kind,
    config: { k, aggregation: "logits", explorationWeight: 0.1, warmup: 0.05 },
    streams: new RandomStreams(1),
    memberRate,
  });
}

test("over a hub, PPO routes each observation to the agent that knows it, and leaves frozen agents as they are", async () => {
  const network = halves("policy-and-value", 1, 0);
  const task = setting(toy(signs, { n: 32 }), network, 24_000);
  const before = network.module.members.map((member) => member.backbone.parameters()[0]?.toNumbers());
  const ppo = new Ppo(task, { ...defaultPpoOptions, rollout: 16, lr: 5e-3, gamma: 0.5 });
  await run(ppo, task);
  const after = network.module.members.map((member) => member.backbone.parameters()[0]?.toNumbers());
  assert.deepEqual(after, before);
  const routes = scope(() => inferenceMode(() => network.act(encode(everySign, task.form)).routes));
  assert.deepEqual(routes, [[0], [0], [1], [1]]);
  const value = await meanReturn(task, "policy-and-value");
  assert.ok(value > 0.95, `mean return ${value}`);
  ppo.dispose();
  network.dispose();
});

test("over a hub, DQN learns with every agent active", async () => {
  const [network, target] = [halves("action-values", 2, 1), halves("action-values", 2, 1)];
  const task = setting(toy(signs, { n: 8 }), network, 2000);
  const options = { lr: 5e-3, capacity: 2000, learningStarts: 200, targetEvery: 200, epsilonFall: 0.3 };
  const dqn = new Dqn(task, target, { ...defaultDqnOptions, ...options });
  await run(dqn, task);
  const value = await meanReturn(task, "action-values");
  assert.ok(value > 0.95, `mean return ${value}`);
  dqn.dispose();
  for (const one of [network, target]) one.dispose();
});

test("kept routes are refused: they were retired", () => {
  const network = halves("policy-and-value", 1, 1);
  const options = { ...defaultPpoOptions, routes: "kept" as "redrawn" };
  const refused = (error: unknown) =>
    error instanceof ConfigError && /routes is "kept", which was retired/.test(error.message);
  assert.throws(() => new Ppo(setting(toy(signs, { n: 8 }), network, 1000), options), refused);
  network.dispose();
});

test("live tensors stay constant while both algorithms learn, alone and over a hub", async () => {
  const makers: ((kind: OutputKind) => TrainedNetwork)[] = [(kind) => plain(3, 2, kind), (kind) => halves(kind, 1, 1)];
  for (const make of makers) {
    for (const kind of ["policy-and-value", "action-values"] as const) {
      const [network, target] = [make(kind), make(kind)];
      const task = setting(toy(signs, { n: 8 }), network, 1e6);
      const ppo = () => new Ppo(task, { ...defaultPpoOptions, rollout: 8 });
      const dqn = () => new Dqn(task, target, { ...defaultDqnOptions, learningStarts: 8, capacity: 300 });
      const algorithm = kind === "policy-and-value" ? ppo() : dqn();
      algorithm.observations = await task.environment.reset();
      // The first updates make the optimizer's moments, of each agent when it is first activated.
      for (let i = 0; i < 2; i++) await algorithm.advance();
      const { handles } = memory();
      for (let i = 0; i < 2; i++) await algorithm.advance();
      assert.equal(memory().handles, handles, kind);
      algorithm.dispose();
      for (const one of [network, target]) one.dispose();
    }
  }
});

test("what was made is released", async () => {
  const { handles } = memory();
  const network = halves("policy-and-value", 2, 1);
  const task = setting(toy(signs, { n: 4 }), network, 128);
  const ppo = new Ppo(task, { ...defaultPpoOptions, rollout: 16 });
  await run(ppo, task);
  ppo.dispose();
  network.dispose();
  assert.equal(memory().handles, handles);
});

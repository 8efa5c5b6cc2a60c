/** Every formula of PPO and DQN against PyTorch's numbers, hand-made ones, or its definition. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { init } from "../../../src/nn/index.ts";
import { greedyActions, sampleActions, uniforms } from "../../../src/rl/algorithms/actions.ts";
import { bootstrapped, explorationRate, temporalDifferenceLoss } from "../../../src/rl/algorithms/dqn.ts";
import { defaultPpoOptions } from "../../../src/rl/algorithms/ppo.ts";
import { advantageEstimates, normalised, ppoParts } from "../../../src/rl/algorithms/ppo-loss.ts";
import { Replay, StepQueue } from "../../../src/rl/algorithms/replay.ts";
import { Generator, int64, scope, tensor } from "../../../src/torch/index.ts";
import { assertClose } from "../../support/numeric.ts";

type Numbers = number[];

const fixture = JSON.parse(readFileSync(new URL("../../fixtures/rl/agents.json", import.meta.url), "utf8")) as {
  advantages: Record<"rewards" | "values" | "nextValues" | "ends" | "advantages" | "returns", Numbers> & {
    copies: number;
    gamma: number;
    lambda: number;
  };
  ppo: (Record<
    "outputs" | "actions" | "logProbs" | "advantages" | "values" | "returns" | "loss" | "gradient",
    Numbers
  > & { clipValue: boolean })[];
  dqn: Record<
    "outputs" | "chooser" | "valued" | "rewards" | "discounts" | "actions" | "double" | "single" | "loss" | "gradient",
    Numbers
  >;
};

const wide = (values: Numbers, shape?: number[]) => tensor(Float64Array.from(values), { shape });
const whole = (values: Numbers) => int64(values);

function nearly(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-6): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i] as number, expected[i] as number];
    assert.ok(Math.abs(a - b) <= tolerance * (1 + Math.abs(b)), `element ${i}: ${a}, not ${b}`);
  }
}

test("advantages are the sums of their definition, through a termination and cuts of two copies", () => {
  const { copies, gamma, lambda, ...columns } = fixture.advantages;
  const [rewards, values, nextValues] = [columns.rewards, columns.values, columns.nextValues].map((column) =>
    Float32Array.from(column),
  ) as [Float32Array, Float32Array, Float32Array];
  const trajectory = { rewards, values, nextValues, ends: Uint8Array.from(columns.ends) };
  const estimates = advantageEstimates(trajectory, copies, gamma, lambda);
  nearly(estimates.advantages, columns.advantages);
  nearly(estimates.returns, columns.returns);
});

test("advantages by hand: two steps, gamma 0.5, lambda 0.5", () => {
  const { advantages, returns } = advantageEstimates(
    {
      rewards: Float32Array.of(1, 2),
      values: Float32Array.of(3, 4),
      nextValues: Float32Array.of(4, 6),
      ends: Uint8Array.of(0, 0),
    },
    1,
    0.5,
    0.5,
  );
  // delta: 1 + 0.5 · 4 - 3 = 0 and 2 + 0.5 · 6 - 4 = 1; the first advantage is 0 + 0.25 · 1.
  assert.deepEqual([...advantages], [0.25, 1]);
  assert.deepEqual([...returns], [3.25, 5]);
});

test("lambda 1 gives discounted returns, lambda 0 the one-step error", () => {
  const trajectory = {
    rewards: Float32Array.of(1, 1, 1),
    values: Float32Array.of(0.5, 0.25, 2),
    nextValues: Float32Array.of(0.25, 2, 8),
    ends: new Uint8Array(3),
  };
  const all = advantageEstimates(trajectory, 1, 0.5, 1);
  nearly(all.returns, [1 + 0.5 + 0.25 + 0.125 * 8, 1 + 0.5 + 0.25 * 8, 1 + 0.5 * 8]);
  const one = advantageEstimates(trajectory, 1, 0.5, 0);
  nearly(one.advantages, [1 + 0.125 - 0.5, 1 + 1 - 0.25, 1 + 4 - 2]);
});

for (const example of fixture.ppo) {
  test(`PPO's loss and its gradient are PyTorch's, value clipping ${example.clipValue ? "on" : "off"}`, () => {
    scope(() => {
      const B = example.actions.length;
      const outputs = wide(example.outputs, [B, example.outputs.length / B]);
      outputs.requires_grad = true;
      const { loss } = ppoParts(
        outputs,
        {
          actions: whole(example.actions),
          logProbs: wide(example.logProbs),
          advantages: wide(example.advantages),
          returns: wide(example.returns),
          values: wide(example.values),
        },
        { ...defaultPpoOptions, clipValue: example.clipValue },
      );
      assertClose(loss, example.loss, 1e-9);
      loss.mean().backward();
      assertClose(outputs.grad as NonNullable<typeof outputs.grad>, example.gradient, 1e-9);
    });
  });
}

test("normalised advantages have mean 0 and deviation 1", () => {
  scope(() => {
    const values = normalised(wide([1, 2, 3, 6]));
    nearly([values.mean().item(), values.var().sqrt().item()], [0, 1], 1e-7);
  });
});

test("DQN's targets, single and double, and its loss with gradient are PyTorch's", () => {
  const { dqn } = fixture;
  scope(() => {
    const B = dqn.actions.length;
    const [outputs, chooser, valued] = [dqn.outputs, dqn.chooser, dqn.valued].map((values) =>
      wide(values, [B, values.length / B]),
    ) as [ReturnType<typeof wide>, ReturnType<typeof wide>, ReturnType<typeof wide>];
    const [rewards, discounts] = [wide(dqn.rewards), wide(dqn.discounts)];
    const targets = bootstrapped(rewards, discounts, valued, chooser);
    assertClose(targets, dqn.double, 1e-9);
    assertClose(bootstrapped(rewards, discounts, valued, valued), dqn.single, 1e-9);
    outputs.requires_grad = true;
    const loss = temporalDifferenceLoss(outputs, whole(dqn.actions), targets);
    assertClose(loss, dqn.loss, 1e-9);
    loss.mean().backward();
    assertClose(outputs.grad as NonNullable<typeof outputs.grad>, dqn.gradient, 1e-9);
  });
});

const step = (at: number, reward: number) => ({
  observation: Float32Array.of(at),
  action: at % 2,
  reward,
  next: Float32Array.of(at + 1),
});

test("N-step transitions sum discounted rewards and look N steps ahead", () => {
  const queue = new StepQueue(1, 3, 0.5, false);
  assert.deepEqual(queue.add(0, step(0, 1), undefined), []);
  assert.deepEqual(queue.add(0, step(1, 10), undefined), []);
  const [first, ...more] = queue.add(0, step(2, 100), undefined);
  assert.equal(more.length, 0);
  assert.deepEqual(first, {
    observation: Float32Array.of(0),
    action: 0,
    reward: 1 + 5 + 25,
    next: Float32Array.of(3),
    discount: 0.125,
  });
});

test("an episode's end inside completes shorter transitions: no value beyond a termination, one beyond a cut", () => {
  for (const [ended, beyond] of [
    ["terminated", [0, 0]],
    ["truncated", [0.25, 0.5]],
  ] as const) {
    const queue = new StepQueue(2, 3, 0.5, false);
    queue.add(0, step(0, 1), undefined);
    queue.add(1, step(7, 1000), undefined);
    const done = queue.add(0, step(1, 10), ended);
    assert.deepEqual(
      done.map(({ observation, reward, next, discount }) => [observation[0], reward, next[0], discount]),
      [
        [0, 6, 2, beyond[0]],
        [1, 10, 2, beyond[1]],
      ],
    );
    // The next episode starts with nothing of this one, and the other copy is not touched.
    assert.deepEqual(queue.add(0, step(4, 1), undefined), []);
    assert.deepEqual(queue.add(1, step(8, 0), undefined), []);
    assert.equal(queue.add(1, step(9, 0), undefined)[0]?.reward, 1000);
  }
});

test("a queue goes on from its state, through JSON", () => {
  const queue = new StepQueue(1, 2, 0.9, true);
  const bytes = { observation: Uint8Array.of(3), action: 1, reward: 2, next: Uint8Array.of(4) };
  queue.add(0, bytes, undefined);
  const again = new StepQueue(1, 2, 0.9, true);
  again.restore(JSON.parse(JSON.stringify(queue.state())));
  assert.deepEqual(again.add(0, bytes, "terminated"), queue.add(0, bytes, "terminated"));
});

const transition = (at: number) => ({
  observation: Float32Array.of(at, -at),
  action: at,
  reward: at / 2,
  next: Float32Array.of(at + 1, -at - 1),
  discount: 0.9,
});

test("the replay keeps the last transitions, the newest over the oldest, and survives saving", () => {
  const replay = new Replay(4, 2, false);
  for (let at = 0; at < 6; at++) replay.add(transition(at));
  assert.equal(replay.size, 4);
  assert.deepEqual([...replay.gather([0, 1, 2, 3]).actions], [4, 5, 2, 3]);
  const drawn = replay.gather([1, 1, 2]);
  assert.deepEqual([...drawn.observations], [5, -5, 5, -5, 2, -2]);
  assert.deepEqual([...drawn.next], [6, -6, 6, -6, 3, -3]);
  assert.deepEqual([...drawn.rewards], [2.5, 2.5, 1]);
  scope(() => {
    const again = new Replay(4, 2, false);
    again.restore(replay.arrays(), replay.at);
    for (const one of [replay, again]) one.add(transition(6));
    assert.deepEqual(again.gather([0, 1, 2, 3]), replay.gather([0, 1, 2, 3]));
  });
});

test("a replay that is not full saves only what it holds", () => {
  scope(() => {
    const replay = new Replay(100, 2, false);
    for (let at = 0; at < 3; at++) replay.add(transition(at));
    assert.deepEqual(replay.arrays().get("observations")?.shape, [6]);
    const again = new Replay(100, 2, false);
    again.restore(replay.arrays(), replay.at);
    again.add(transition(3));
    assert.deepEqual([again.size, [...again.gather([2, 3]).actions]], [4, [2, 3]]);
  });
});

test("epsilon falls linearly over its part of training and then stays", () => {
  const at = (progress: number) => explorationRate(progress, [1, 0.1], 0.2);
  nearly([at(0), at(0.1), at(0.2), at(1)], [1, 0.55, 0.1, 0.1]);
});

test("drawn actions have the policy's frequencies and log-probabilities", () => {
  using generator = new Generator(1);
  const logits = [0, 1, -1];
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const n = 20_000;
  // A value follows the preferences, and must not matter.
  const outputs = Float32Array.from({ length: 4 * n }, (_, i) => [...logits, 1e3][i % 4] as number);
  const { actions, logProbs } = sampleActions(outputs, n, 3, uniforms(n, generator));
  for (const [action, logit] of logits.entries()) {
    const p = Math.exp(logit) / total;
    const frequency = actions.filter((own) => own === action).length / n;
    assert.ok(Math.abs(frequency - p) < 4 * Math.sqrt((p * (1 - p)) / n), `action ${action}: ${frequency}, not ${p}`);
    nearly([logProbs[actions.indexOf(action)] as number], [Math.log(p)]);
  }
  assert.deepEqual([...greedyActions(outputs.subarray(0, 8), 2, 3)], [1, 1]);
});

test("extreme draws and preferences choose actions that exist", () => {
  const outputs = Float32Array.of(-1e30, 0, 5, /* second row */ 800, -800, 5);
  const { actions, logProbs } = sampleActions(outputs, 2, 2, Float32Array.of(0, 1 - 2 ** -24));
  assert.deepEqual([...actions], [1, 0]);
  assert.deepEqual([...logProbs], [0, 0]);
});

test("orthogonal weights have orthonormal rows or columns times the gain", () => {
  using generator = new Generator(3);
  for (const shape of [
    [3, 8],
    [8, 3],
    [4, 2, 3, 3],
  ]) {
    scope(() => {
      const weight = init.orthogonal_(tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape }), 2, generator);
      const flat = weight.flatten(1);
      const [rows, columns] = [flat.size(0), flat.size(1)];
      const product = rows <= columns ? flat.matmul(flat.t()) : flat.t().matmul(flat);
      const side = Math.min(rows, columns);
      const identity = Array.from({ length: side * side }, (_, i) => (i % (side + 1) === 0 ? 4 : 0));
      assertClose(product, identity, 1e-5);
    });
  }
});

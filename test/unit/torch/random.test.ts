import assert from "node:assert/strict";
import { test } from "node:test";
import { Generator, RandomStreams, rand, randint, randn, randperm, seedOf, zeros } from "../../../src/torch/index.ts";

test("a saved state continues the stream exactly", () => {
  const generator = new Generator(7);
  randn([5], { generator });
  const state = generator.getState();
  const first = randn([20], { generator }).toArray();
  const other = new Generator(0);
  other.setState(state);
  assert.deepEqual(randn([20], { generator: other }).toArray(), first);
});

test("streams are independent of each other's use and of creation order", () => {
  const a = new RandomStreams(1);
  const b = new RandomStreams(1);
  randn([100], { generator: b.stream("init") });
  const fromA = randn([4], { generator: a.stream("noise") }).toArray();
  const fromB = randn([4], { generator: b.stream("noise") }).toArray();
  assert.deepEqual(fromA, fromB);
  assert.notDeepEqual(randn([4], { generator: a.stream("init") }).toArray(), fromA);
  assert.notEqual(seedOf(1, "x"), seedOf(2, "x"));
});

test("streams restore from a checkpoint's text", () => {
  const streams = new RandomStreams(3);
  rand([3], { generator: streams.stream("sampler") });
  const state = JSON.parse(JSON.stringify(streams.state()));
  const next = rand([3], { generator: streams.stream("sampler") }).toArray();
  const again = new RandomStreams(99);
  again.restore(state);
  assert.deepEqual(rand([3], { generator: again.stream("sampler") }).toArray(), next);
});

test("samplers have their distributions' first moments", () => {
  const generator = new Generator(11);
  const n = 20_000;
  const normal = randn([n], { generator });
  assert.ok(Math.abs(normal.mean().item()) < 0.03);
  assert.ok(Math.abs(normal.var().item() - 1) < 0.05);
  assert.ok(Math.abs(rand([n], { generator }).mean().item() - 0.5) < 0.02);
  assert.ok(Math.abs(zeros([n]).bernoulli_(0.3, { generator }).mean().item() - 0.3) < 0.02);
  const integers = randint(2, 5, [n], { generator });
  assert.deepEqual([integers.min().item(), integers.max().item()], [2, 4]);
  const order = randperm(50, { generator }).toNumbers();
  assert.deepEqual(
    [...order].sort((x, y) => x - y),
    Array.from({ length: 50 }, (_, i) => i),
  );
});

test("a seed must be a non-negative integer", () => {
  assert.throws(() => new Generator(-1), RangeError);
  assert.throws(() => new Generator(0.5), RangeError);
});

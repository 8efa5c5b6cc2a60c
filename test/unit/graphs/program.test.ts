/** The core that runs graphs of every format: what is held when, limits, and errors that name file, step and shapes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Budget } from "../../../src/graphs/budget.ts";
import { type Plan, Program } from "../../../src/graphs/program.ts";
import type { Step } from "../../../src/graphs/step.ts";
import type { Value } from "../../../src/graphs/values.ts";
import { memory, ones, scope, Tensor, UserError } from "../../../src/torch/index.ts";

function step(outputs: string[], inputs: string[], run: (...tensors: Tensor[]) => Value | Value[]): Step<string> {
  return { label: `Op "${outputs[0]}"`, inputs, outputs, run: (values) => run(...(values as Tensor[])) };
}

function planOf(...steps: Step<string>[]): Plan<string> {
  return { file: "net.file", steps, input: "images", constant: () => undefined };
}

const double = (x: Tensor): Tensor => x.add(x);

test("every value is released after its last use, and what is not wanted is not computed", () => {
  const handles: number[] = [];
  const chain = Array.from({ length: 6 }, (_, i) =>
    step([`${i + 1}`], [i === 0 ? "images" : `${i}`], (x) => {
      handles.push(memory().handles);
      return double(x);
    }),
  );
  const unneeded = step(["unneeded"], ["3"], () => assert.fail("computed"));
  const program = new Program(planOf(...chain, unneeded), ["6"]);
  scope(() => {
    const images = ones([1, 3, 2, 2]);
    const [result] = program.run(images);
    assert.equal((result as Tensor).max().item(), 64);
    assert.equal(images.max().item(), 1, "the images stay the caller's");
  });
  assert.equal(handles[5], handles[2], "no more is held at the end of a chain than at its beginning");
});

test("a value under two names lives until both have been used", () => {
  const same = step(["same"], ["a"], (x) => x);
  const program = new Program(
    planOf(
      step(["a"], ["images"], double),
      same,
      step(["b"], ["a"], double),
      step(["c"], ["same", "b"], (x, y) => x.add(y)),
    ),
    ["c"],
  );
  scope(() => assert.equal((program.run(ones([1, 3, 2, 2]))[0] as Tensor).max().item(), 6));
});

test("a step that cannot run is named with its shapes; with onFailure only what needs it is lost", () => {
  const broken = step(["bad"], ["images"], () => {
    throw new UserError("it is broken");
  });
  const plan = planOf(broken, step(["after"], ["bad"], double), step(["good"], ["images"], double));
  scope(() => {
    const images = ones([1, 3, 2, 2]);
    assert.throws(() => new Program(plan, ["after"]).run(images), {
      message: 'net.file: Op "bad" on [1, 3, 2, 2]: it is broken',
    });
    const failed: string[] = [];
    const onFailure = ({ outputs }: Step<string>): void => void failed.push(outputs[0] ?? "");
    const [after, good] = new Program(plan, ["after", "good"]).run(images, { onFailure });
    assert.deepEqual([after, good instanceof Tensor, failed], [undefined, true, ["bad"]]);
    const misfit = planOf(step(["sum"], ["images"], (x) => x.add(ones([5]))));
    assert.throws(
      () => new Program(misfit, ["sum"]).run(images),
      /^UserError: net.file: Op "sum" cannot take \[1, 3, 2, 2\]: /,
    );
  });
});

test("a budget refuses shapes that are impossible, too much at once, and too much work", () => {
  const budget = new Budget(1, 224 ** 2);
  assert.throws(() => budget.allow([2, -1]), /impossible shape \[2, -1\]/);
  assert.throws(() => budget.allow([Number.NaN]), /impossible shape/);
  assert.throws(() => budget.allow([0, 2 ** 60]), /elements may be in use/);
  budget.hold(2 ** 25);
  budget.allow([2 ** 25]);
  assert.throws(() => budget.allow([2 ** 25 + 1]), /at most 67108864 elements may be in use at once/);
  budget.release(2 ** 25);
  budget.allow([2 ** 25 + 1]);
  assert.throws(() => budget.allow([1], 2 ** 40), /over 1099511627776 multiply-adds/);
  new Budget(4, 0).allow([2 ** 27]);
});

test("outputs that nothing reads are released at once", () => {
  const before = memory().handles;
  const pair = step(["left", "right"], ["images"], (x) => [double(x), double(x)]);
  scope(() => {
    const program = new Program(planOf(pair), ["right"]);
    const images = ones([1, 3, 2, 2]);
    const [right] = program.run(images);
    assert.ok(right instanceof Tensor);
    assert.equal(memory().handles, before + 2, "the images and the result");
  });
  assert.equal(memory().handles, before);
});

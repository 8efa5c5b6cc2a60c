/** How many threads an engine takes, over times that are given. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { worthwhileThreads } from "../../../src/serve/engine/threads.ts";

/** The choice where a batch takes so many milliseconds with so many threads, and which numbers were tried. */
async function chosen(most: number, ms: Record<number, number>): Promise<[number, number[]]> {
  const tried: number[] = [];
  const threads = await worthwhileThreads(most, async (count) => {
    tried.push(count);
    return ms[count] ?? assert.fail(`${count} threads`);
  });
  return [threads, tried];
}

test("threads are doubled for as long as that saves a fifth of the time", async () => {
  assert.deepEqual(await chosen(1, {}), [1, []]);
  assert.deepEqual(await chosen(2, { 1: 100, 2: 90 }), [1, [1, 2]]);
  assert.deepEqual(await chosen(2, { 1: 100, 2: 60 }), [2, [1, 2]]);
  assert.deepEqual(await chosen(6, { 1: 100, 2: 55, 4: 30, 6: 22 }), [6, [1, 2, 4, 6]]);
  assert.deepEqual(await chosen(16, { 1: 100, 2: 55, 4: 50 }), [2, [1, 2, 4]]);
});

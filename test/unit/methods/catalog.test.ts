/** The list in --help, made without loading anything, is complete and right. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { experiments, missingHubs } from "../../../src/experiments/index.ts";
import { methodSummaries } from "../../../src/methods/catalog.ts";
import { methods } from "../../../src/methods/index.ts";
import { rankingScores } from "../../../src/ranking/index.ts";
import { scoreNames } from "../../../src/ranking/score-names.ts";

test("the catalogs name every method, experiment and score, in order", async () => {
  const names = (things: readonly { name: string }[]) => things.map(({ name }) => name);
  assert.deepEqual(Object.keys(methodSummaries), names(methods));
  const loaded = await Promise.all(Object.values(experiments).map((entry) => entry.load()));
  assert.deepEqual(Object.keys(experiments), names(loaded));
  assert.deepEqual([...scoreNames], names(rankingScores));
});

test("a checkout has the hubs of all experiments but those that a command makes; one that is not there is named", () => {
  const shipped = Object.values(experiments).filter(({ made }) => made === undefined);
  for (const entry of shipped) assert.deepEqual(missingHubs(entry), []);
  const [entry] = shipped;
  assert.deepEqual(entry && missingHubs({ ...entry, hubs: ["hubs/starter", "hubs/none"] }), ["hubs/none"]);
});

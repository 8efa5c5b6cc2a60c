/** Methods under a budget for the hub's weights: the same predictions as with all of them in memory. */
// Long: whole runs of nine methods are trained, twice each.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { type Choices, trainRun } from "../../../src/train/index.ts";
import { zooRequests } from "../../support/zoo-hub.ts";

let request: Awaited<ReturnType<typeof zooRequests>>;

before(async () => {
  request = await zooRequests(12);
});

const choices: Record<string, Choices> = {
  "fine-tune": {},
  "from-scratch": {},
  distillation: {},
  "knowledge-flow": { member: "first" },
  "b-tuning": {},
  soup: { member: "second", size: 2 },
  delta: { images: 6, member: "first" },
  "l2-sp": { member: "first" },
  "co-tuning": { member: "first" },
};
for (const [name, own] of Object.entries(choices)) {
  test(`${name} with room for one network equals ${name} with room for all`, async () => {
    const options = { ...request("x", name).options, epochs: 1 };
    const whole = await trainRun(request(`whole-${name}`, name, { choices: own, options }));
    const tight = await trainRun(request(`tight-${name}`, name, { choices: own, options, hubMemory: 1000 }));
    assert.deepEqual(tight.validation.probabilities, whole.validation.probabilities);
    for (const run of [whole, tight]) {
      run.predictor.dispose();
      run.data.dispose();
      run.hub.residency?.dispose();
    }
  });
}

/** A sample of test/kills: a command that is killed leaves the old state or the new one, and the next command nothing else. */
// Long: commands are killed and run again.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { hubScenarios } from "../kills/hub-scenarios.ts";
import { type Point, whyNoKills } from "../kills/points.ts";
import { killAll } from "../kills/scenario.ts";
import { temporaryFolder } from "../support/small-hub.ts";

const { scenarios, close } = await hubScenarios();
after(close);

/** The moments that matter most: the steps between which a hub is neither the old nor the new one on the disk. */
const sample: Record<string, RegExp> = {
  "hub add": /^rename\("[^"]*\.tmp\/extra"/,
  "hub rm": /^unlink\("[^"]*other-resnet\.safetensors"/,
  "hub add (fetched)": /^rename\("[^"]*(?:incomplete"|\/known\/)/,
};

for (const [name, pattern] of Object.entries(sample)) {
  test(`${name}, killed between its steps`, { skip: whyNoKills() ?? false }, async () => {
    const scenario = scenarios.find((each) => each.name === name);
    assert.ok(scenario);
    const choose = (points: Point[]) => points.filter(({ text }) => pattern.test(text));
    let kills = 0;
    for await (const { point, result } of killAll(scenario, join(temporaryFolder(), "x"), choose)) {
      assert.equal(result, "held", point.text);
      kills += 1;
    }
    assert.ok(kills > 0, "the command has such a step");
  });
}

/** The synthetic hubs of the router experiment: what is said to be known of them is true, and groups run to the end. */
// Long: models are trained to the end of an experiment.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { CellStore } from "../../../src/compare/cell-store.ts";
import type { ExperimentRequest } from "../../../src/compare/experiment.ts";
import { type RouterCell, routerCell } from "../../../src/experiments/synthetic/cell.ts";
import { router } from "../../../src/experiments/synthetic/experiment.ts";
import { figures } from "../../../src/experiments/synthetic/figures.ts";
import { experts, newcomers } from "../../../src/experiments/synthetic/members.ts";
import { sectionPlans } from "../../../src/experiments/synthetic/settings.ts";
import {
  bestAccuracy,
  bestMembers,
  blindView,
  detection,
  draw,
  expertAccuracy,
  readCue,
  type Sample,
  type World,
} from "../../../src/experiments/synthetic/world.ts";
import type { PathwayConfig } from "../../../src/pathway/index.ts";
import { inferenceMode, memory, ops, scope, setNumThreads, UserError } from "../../../src/torch/index.ts";

setNumThreads(1);
const folder = mkdtempSync(join(tmpdir(), "router-test-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const world: World = { members: 5, classes: 4, good: 1, signal: 2.5, cue: 2, reliability: 0.4 };

/** Right or wrong of each expert with the best head there is (its matched filters themselves), [m][N]. */
function hitsOf(of: World, sample: Sample): boolean[][] {
  return experts(of).map((expert) => {
    const read = scope(() => inferenceMode(() => expert.features(sample.images).argmax(1).toNumbers()));
    expert.dispose();
    return read.map((label, n) => label === sample.labels[n]);
  });
}

function share(values: readonly boolean[]): number {
  return values.filter(Boolean).length / values.length;
}

/** Four standard errors of a share over n. */
const slack = (p: number, n: number) => 4 * Math.sqrt((p * (1 - p)) / n) + 1e-3;

test("patterns in noise are read as often as the closed form says", () => {
  assert.ok(Math.abs(detection(7, 0) - 1 / 7) < 1e-4);
  // Two patterns: the difference of two normal variables is above zero, Φ(s / √2).
  assert.ok(Math.abs(detection(2, Math.SQRT2) - 0.8413447) < 1e-4);
  assert.ok(detection(4, 12) > 0.999999);
});

test("the known best expert is the best in every domain, with the accuracy that is known", () => {
  const before = memory().handles;
  const sample = draw(world, 2000, 3, "check");
  const hits = hitsOf(world, sample);
  for (let domain = 0; domain < world.members; domain++) {
    const inside = sample.domains.flatMap((own, n) => (own === domain ? [n] : []));
    const measured = hits.map((own) => share(inside.map((n) => own[n] ?? false)));
    for (const [expert, accuracy] of measured.entries()) {
      const known = expertAccuracy(world, expert, domain);
      assert.ok(
        Math.abs(accuracy - known) < slack(known, inside.length),
        `${domain}, ${expert}: ${accuracy}, ${known}`,
      );
    }
    assert.deepEqual([measured.indexOf(Math.max(...measured))], bestMembers(world, domain, 1));
  }
  sample.images.dispose();
  assert.equal(memory().handles, before);
});

test("with two good experts, their sum is the best pair of all", () => {
  const pairs: World = { ...world, members: 4, good: 2, signal: 2, reliability: 0.5 };
  const sample = draw(pairs, 2000, 5, "check");
  const evidence = scope(() => {
    const hub = experts(pairs);
    const features = hub.map((expert) => inferenceMode(() => expert.features(sample.images)));
    const right = (a: number, b: number) => {
      const read = (features[a] ?? assert.fail())
        .add(features[b] ?? assert.fail())
        .argmax(1)
        .toNumbers();
      return read.map((label, n) => label === sample.labels[n]);
    };
    const found = [0, 1, 2].flatMap((a) =>
      Array.from({ length: 3 - a }, (_, i) => ({ set: [a, a + 1 + i], hits: right(a, a + 1 + i) })),
    );
    for (const expert of hub) expert.dispose();
    return found;
  });
  for (let domain = 0; domain < 4; domain++) {
    const inside = sample.domains.flatMap((own, n) => (own === domain ? [n] : []));
    const measured = evidence.map(({ set, hits }) => ({ set, accuracy: share(inside.map((n) => hits[n] ?? false)) }));
    measured.sort((a, b) => b.accuracy - a.accuracy);
    const known = bestAccuracy(pairs);
    assert.deepEqual(measured[0]?.set, bestMembers(pairs, domain, 2).sort());
    assert.ok(Math.abs((measured[0]?.accuracy ?? 0) - known) < slack(known, inside.length));
  }
  sample.images.dispose();
});

test("the cue tells the domain as often as the closed form says, and the blind view shows no class", () => {
  const sample = draw(world, 3000, 7, "check");
  const right = share(readCue(world, sample.images).map((domain, n) => domain === sample.domains[n]));
  const known = detection(world.members, world.cue);
  assert.ok(Math.abs(right - known) < slack(known, 3000), `${right}, ${known}`);
  const loud = draw({ ...world, signal: 1e4, cue: 0 }, 20, 7, "check");
  const [whole, pooled] = scope(() => {
    const view = ops.adaptive_avg_pool2d(loud.images, [blindView, blindView]);
    return [loud.images, view].map((images) => images.sub(0.5).abs().max().item());
  });
  assert.ok((whole ?? 0) > 100 && (pooled ?? 1) < 0.5, `${whole}, ${pooled}`);
  sample.images.dispose();
  loud.images.dispose();
});

test("newcomers start with the same weights, and other seeds with others", () => {
  const sample = draw(world, 4, 1, "check");
  const outputs = [...newcomers(world, 2, 1), ...newcomers(world, 1, 2)].map((member) => {
    const values = scope(() => inferenceMode(() => member.features(sample.images).toNumbers()));
    member.dispose();
    return values;
  });
  assert.deepEqual(outputs[0], outputs[1]);
  assert.notDeepEqual(outputs[0], outputs[2]);
  sample.images.dispose();
});

test("with a loud cue and lasting exploration the router ends at the oracle, whose regret is 0", async () => {
  const base = sectionPlans("router", false)[0]?.rows.find(({ labels }) => labels.join() === "8192,1, ×10")?.setting;
  assert.ok(base);
  const config: Partial<PathwayConfig> = { ...base.config, explorationFade: "constant", explorationWeight: 0.3 };
  const world = { ...base.world, members: 2, reliability: 0 };
  const setting = { ...base, config, world, samples: 2048, steps: 320, told: false };
  const cell = await routerCell(setting, 1);
  const { oracle, constant, random } = cell.lines;
  assert.ok(Math.abs(oracle.accuracy - expertAccuracy(world, 0, 0)) < 0.03, String(oracle.accuracy));
  assert.ok(cell.agreement > 0.95 && cell.accuracy > constant.accuracy + 0.1 && cell.accuracy > random.accuracy + 0.1);
  // The cue is as good as the domain itself here, so both lines take the same routes.
  assert.ok(Math.abs(oracle.accuracy - cell.lines.cue.accuracy) < 0.002);
  assert.equal(figures.regret.value({ ...cell, ...oracle }), 0);
  assert.ok(Math.abs(figures.regret.value(cell) ?? 1) < 0.02);
});

test("from losses the generator learns routes for five experts in few steps, and nothing is left in memory", async () => {
  const before = memory().handles;
  const loud: World = { ...world, cue: 6, signal: 3 };
  const config: Partial<PathwayConfig> = { k: 1, generatorSize: blindView, credit: "losses" };
  const setting = { world: loud, config, samples: 768, steps: 80, generatorFactor: 10 };
  const cell = await routerCell({ ...setting, members: "experts", told: false, testImages: 500 }, 1);
  const text = `${cell.agreement}, ${cell.accuracy}, ${cell.lines.oracle.accuracy}`;
  assert.ok(cell.agreement > 0.9 && cell.accuracy > cell.lines.oracle.accuracy - 0.05, text);
  assert.ok(cell.accuracy > cell.lines.constant.accuracy + 0.15, text);
  assert.equal(memory().handles, before);
});

test("a quick run computes its groups once, leaves no handles and makes the report", async () => {
  const said: string[] = [];
  const request: ExperimentRequest = {
    seeds: [0],
    quick: true,
    final: false,
    cells: new CellStore(folder),
    cache: folder,
    say: (text) => said.push(text),
  };
  const groups = router.groups(request);
  assert.equal(new Set(groups.map(({ name }) => name)).size, groups.length);
  await assert.rejects(router.report(request), UserError);
  const [first] = groups;
  assert.ok(first);
  await first.run();
  const handles = memory().handles;
  for (const group of groups) await group.run();
  assert.equal(memory().handles, handles);
  assert.equal(said.length, groups.length + 1);
  const { sections, data } = await router.report(request);
  assert.ok(sections.some(({ plot }) => plot?.includes("<svg")));
  for (const { table } of sections)
    for (const row of table?.rows ?? []) assert.equal(row.length, table?.columns.length);
  assert.ok(!JSON.stringify(data).includes("NaN"));
});

test("a cell is the same when it is computed again", async () => {
  const setting = sectionPlans("router", true)[0]?.rows[0]?.setting;
  assert.ok(setting);
  const without = ({ seconds: _, ...rest }: RouterCell) => rest;
  assert.deepEqual(without(await routerCell(setting, 2)), without(await routerCell(setting, 2)));
});

test("forms of the generator run to the end and leave nothing, and without a cue the residual one is one gate", async () => {
  const before = memory().handles;
  const forms = sectionPlans("credit", true).at(-1)?.rows ?? [];
  const [base] = forms;
  assert.ok(base);
  const variants = ["group-norm", "averaged", "residual", "posterior", "both-fresh"] as const;
  for (const variant of variants) {
    const config: Partial<PathwayConfig> = {
      ...base.setting.config,
      credit: variant.startsWith("both") ? "weights" : "losses",
    };
    const hub: World = { ...world, members: 3, cue: 0 };
    const cell = await routerCell({ ...base.setting, config, world: hub, steps: 6, variant }, 1);
    assert.ok(variant !== "residual" || cell.topShare === 1, String(cell.topShare));
    assert.equal(memory().handles, before, variant);
  }
});

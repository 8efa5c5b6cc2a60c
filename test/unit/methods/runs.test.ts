/** Every method from start to end on one small hub: the loss falls, the run opens again, nothing is left in memory. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { methods } from "../../../src/methods/index.ts";
import { ConfigError, memory } from "../../../src/torch/index.ts";
import { type Choices, type RunEvent, summarise, trainRun } from "../../../src/train/index.ts";
import { measured } from "../../support/opened-run.ts";
import { assertResumes } from "../../support/resumed-run.ts";
import { methodChoices, zooRequests } from "../../support/zoo-hub.ts";

let request: Awaited<ReturnType<typeof zooRequests>>;

before(async () => {
  request = await zooRequests();
});

/** Every method with its usual choices here, and one again with another teacher of its generator. */
const learned: [name: string, choices: Choices][] = [
  ...methods.map(({ name }): [string, Choices] => [name, methodChoices[name] ?? {}]),
  ["hub-pathway", { ...methodChoices["hub-pathway"], credit: "losses" }],
];
for (const [name, own] of learned) {
  const path = `run-${name}-${own["credit"] ?? ""}`;
  test(`${name} ${own["credit"] ?? ""} learns, opens again with the same predictions, and leaves nothing in memory`, async () => {
    const before = memory().handles;
    const fits = new Map<string, number[]>();
    const emit = (event: RunEvent) => {
      if (event.type === "epoch") fits.set(event.fit, [...(fits.get(event.fit) ?? []), event.loss]);
    };
    const run = await trainRun(request(path, name, { choices: own, emit }));
    assert.ok(fits.size > 0);
    for (const [fit, losses] of fits) {
      assert.ok((losses.at(-1) ?? 9) < (losses[0] ?? 0), `the loss of ${fit} falls: ${losses.join(", ")}`);
    }
    assert.ok(run.trainingFlops > 0);
    for (const file of readdirSync(join(run.folder.path, "model")).filter((name) => name.endsWith(".safetensors")))
      assert.doesNotMatch(readFileSync(join(run.folder.path, "model", file), "latin1"), /"memory":/);
    const opened = await measured(run.folder.path);
    const again = opened.evaluation;
    if (name !== "random-routing") {
      assert.deepEqual(again.probabilities, run.validation.probabilities);
    }
    const summary = summarise("validation", again, opened.predictor);
    assert.ok(Math.abs(Object.values(summary.pathwayShare).reduce((a, b) => a + b, 0) - 1) < 1e-9);
    assert.ok(summary.inferenceFlops > 0 && summary.parameters > 0);
    for (const part of [run.predictor, run.data, opened]) part.dispose();
    assert.equal(memory().handles, before, "live handles after the run");
  });
}

test("a run keeps its choices for budgets, and answers by the one within a budget after it opens again", async () => {
  const choices = { ...methodChoices["hub-pathway"], k: 1, credit: "losses" };
  const { folder, predictor, data } = await trainRun(request("budgets", "hub-pathway", { choices }));
  const budgets = predictor.budgets ?? [];
  for (const part of [predictor, data]) part.dispose();
  assert.ok(budgets.length > 0);
  for (const { flops, accuracy } of budgets) {
    const opened = await measured(folder.path, { flops: Math.ceil(flops) });
    assert.deepEqual(opened.predictor.budgets, budgets);
    assert.equal(opened.evaluation.metrics.accuracy, accuracy);
    const summary = summarise("validation", opened.evaluation, opened.predictor);
    assert.ok(Math.abs(summary.inferenceFlops - flops) < 1, "it costs what it cost when it was measured");
    opened.dispose();
  }
  const slow = await measured(folder.path, { ms: 3600e3 });
  assert.equal(slow.evaluation.metrics.accuracy, Math.max(...budgets.map(({ accuracy }) => accuracy)));
  assert.equal(slow.predictor.timedChoices?.().budgets?.length, budgets.length);
  slow.dispose();
  const least = Math.floor(budgets[0]?.flops ?? 0);
  await assert.rejects(measured(folder.path, { flops: least - 1 }), /even one model costs .* give at least/);
  await assert.rejects(measured(folder.path, { flops: 1e12, k: 1 }), ConfigError);
  const file = join(folder.path, "model", "model.json");
  const model = JSON.parse(readFileSync(file, "utf8"));
  delete model.plan.budgets;
  writeFileSync(file, JSON.stringify(model));
  const older = await measured(folder.path, { flops: 1e12 });
  assert.deepEqual([older.predictor.budgets, older.predictor.k], [[], older.predictor.largestK]);
  older.dispose();
});

for (const name of ["hub-pathway", "zoo-tuning", "distillation"])
  test(`${name} goes on after interruptions exactly as without them`, () => assertResumes(request, name));

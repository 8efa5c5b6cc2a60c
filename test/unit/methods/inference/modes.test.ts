/** Modes of inference of trained runs, against members that are asked one by one. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { evaluateMode, ModePredictor, PathwayLearner } from "../../../../src/methods/index.ts";
import { inferenceMode, memory, scope } from "../../../../src/torch/index.ts";
import { argmaxAt, type Predictor, type RunOutcome, trainRun, type Variant } from "../../../../src/train/index.ts";
import { zooNames, zooRequests } from "../../../support/zoo-hub.ts";

let request: Awaited<ReturnType<typeof zooRequests>>;

before(async () => {
  request = await zooRequests(14);
});

/** Probabilities of each item by a predictor, under a variant. */
async function tableOf(run: RunOutcome, predictor: Predictor, variant?: Variant): Promise<number[][]> {
  const rows: number[][] = [];
  for await (const batch of run.data.open("test").epoch(0, 0)) {
    const table = scope(() =>
      inferenceMode(() => predictor.predict(batch.images, undefined, variant).probabilities.toNumbers()),
    );
    for (let i = 0; i < batch.labels.length; i++) rows.push(table.slice(3 * i, 3 * i + 3));
    batch.dispose();
  }
  return rows;
}

test("a cascade over a run's members asks each item only as far as its setting says, and counts that", async () => {
  const options = { ...request("cascade", "hub-pathway").options, epochs: 2 };
  const run = await trainRun(request("cascade", "hub-pathway", { options, choices: { k: 2, generatorWidth: 4 } }));
  const { predictor, data } = run;
  const [known, asked] = [data.open("validation"), data.open("test")];
  const handles = memory().handles;
  const found = await evaluateMode(predictor, { mode: "cascade", known, asked, classes: 3 });
  assert.equal(memory().handles, handles, "live tensors");
  const costs = zooNames.map((_, i) => {
    const only = zooNames.map((__, j) => Number(i === j));
    return (predictor.pathwayFlops?.(only, 1) ?? 0) - (predictor.pathwayFlops?.(only, 0) ?? 0);
  });
  const tables = await Promise.all(zooNames.map((_, i) => tableOf(run, predictor, { k: 1, models: [i] })));
  const used = found.labels.map((_, item) =>
    zooNames.flatMap((_, i) => ((found.weights[3 * item + i] ?? 0) > 0 ? [i] : [])),
  );
  const flops = used.map((set) => set.reduce((sum, i) => sum + (costs[i] ?? 0), 0));
  assert.ok(Math.abs(found.inferenceFlops - flops.reduce((a, b) => a + b, 0) / flops.length) < 1);
  const [setting = ""] = found.settings;
  assert.match(setting, /until (the last is |their mean is )?0\.\d+ sure/);
  // Whatever the setting, the answer is that of the mean of those that ran, or of one of them.
  for (const [item, set] of used.entries()) {
    const mean = [0, 1, 2].map((c) => set.reduce((sum, i) => sum + (tables[i]?.[item]?.[c] ?? 0), 0));
    const said = argmaxAt(found.probabilities, 3 * item, 3);
    const possible = [mean, ...set.map((i) => tables[i]?.[item] ?? [])].map((row) => argmaxAt(row, 0, 3));
    assert.ok(possible.includes(said), `${said} of ${possible}`);
  }
  // To predict, no more members run than the setting asks of each item.
  assert.ok(predictor instanceof PathwayLearner);
  let ran = 0;
  const ask = predictor.ask.bind(predictor);
  predictor.ask = (...given) => {
    ran += given[0].size(0);
    return ask(...given);
  };
  const answering = await ModePredictor.open(predictor, { mode: "cascade", known, classes: 3 });
  assert.deepEqual([answering.setting, answering.inferenceFlops], [setting, found.expectedFlops]);
  const answers = (await tableOf(run, answering)).flat();
  assert.ok(answers.every((value, i) => Math.abs(value - (found.probabilities[i] ?? 0)) < 1e-5));
  assert.equal(ran, used.flat().length);
  assert.equal(memory().handles, handles, "live tensors");
  const cheapest = Math.min(...costs);
  const within = await evaluateMode(predictor, { mode: "knora", known, asked: known, classes: 3, flops: 3 * cheapest });
  assert.ok(within.expectedFlops <= 3 * cheapest);
  assert.equal(within.labels.length, data.counts.validation);
  await assert.rejects(
    evaluateMode(predictor, { mode: "stacking", known, asked, classes: 3, flops: cheapest }),
    /no setting of --mode stacking answers within --flops/,
  );
  predictor.dispose();
  data.dispose();
});

test("an ensemble has modes too, and one network has none", async () => {
  const options = { ...request("all", "ensemble").options, epochs: 1 };
  const run = await trainRun(request("all", "ensemble", { options }));
  const [known, asked] = [run.data.open("validation"), run.data.open("test")];
  const { predictor, data } = run;
  const found = await evaluateMode(predictor, { mode: "agreement", known, asked, classes: 3 });
  assert.ok(found.inferenceFlops <= predictor.inferenceFlops && found.inferenceFlops > predictor.inferenceFlops / 4);
  const stacked = await evaluateMode(predictor, { mode: "stacking", known, asked, classes: 3 });
  assert.ok(Math.abs(stacked.inferenceFlops - predictor.inferenceFlops) < 1);
  assert.deepEqual(stacked.labels, found.labels);
  predictor.dispose();
  const one = await trainRun(request("one", "fine-tune", { options, choices: { member: "first" } }));
  await assert.rejects(evaluateMode(one.predictor, { mode: "cascade", known, asked, classes: 3 }), /leave out --mode/);
  one.predictor.dispose();
  one.data.dispose();
  data.dispose();
});

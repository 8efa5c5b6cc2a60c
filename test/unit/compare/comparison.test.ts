import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { unpackBits } from "../../../src/compare/bits.ts";
import { CellStore } from "../../../src/compare/cell-store.ts";
import { comparisonGroups, comparisonReport } from "../../../src/compare/comparison.ts";
import type { ExperimentRequest } from "../../../src/compare/experiment.ts";
import {
  figuresOf,
  finishedCell,
  type MethodCell,
  methodCell,
  type SplitFigures,
} from "../../../src/compare/method-cell.ts";
import { plan } from "../../../src/compare/plans.ts";
import { type Protocol, protocolOf, Setting } from "../../../src/compare/protocol.ts";
import { bestMemberLonger, bestPairLonger, onBestMember, successiveHalving } from "../../../src/compare/rivals.ts";
import { recordTestReading, reportText, saveReport } from "../../../src/compare/save-report.ts";
import { stacking } from "../../../src/compare/stacking.ts";
import { work } from "../../../src/compare/work.ts";
import { mixedHub, mixedHubComparison } from "../../../src/experiments/mixed-hub.ts";
import { ceiling } from "../../../src/experiments/routing/ceiling.ts";
import { openHub } from "../../../src/hub/index.ts";
import { keyedRandom, memory, tensor } from "../../../src/torch/index.ts";
import { defaultTrainOptions, qualityOf } from "../../../src/train/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainClassifier } from "../../support/train-request.ts";

let folder: string;
let protocol: Protocol;
let stores = 0;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const source = await writeShapeImages(folder, 14);
  const data = { source, imageSize: 24, augment: "standard", batchSize: 12 } as const;
  protocol = {
    hub: writeSmallHub(folder),
    target: { name: "shapes", data: { ...data, split: { validationFraction: 0.3, testFraction: 0.3 } } },
    options: { ...defaultTrainOptions, batchSize: 12, lr: 3e-3 },
    epochs: 2,
  };
});

function requestOf(changes: Partial<ExperimentRequest> = {}): ExperimentRequest {
  const own = join(folder, `store-${++stores}`);
  const cells = new CellStore(join(own, "cells"));
  return { seeds: [0], quick: true, final: false, cells, cache: join(own, "cache"), say: () => {}, ...changes };
}

const names = ["hub-pathway", "fine-tune", "ensemble", "static-k"] as const;
const plainFigures = ({ validation, trainingFlops, inferenceFlops, decisions }: MethodCell) => {
  const plain = ({ secondsPerImage: _, ...rest }: SplitFigures) => rest;
  return { validation: plain(validation), trainingFlops, inferenceFlops, decisions };
};

/** Opens a setting's data and maps its pixels, which stay mapped until it is disposed. */
async function opened(setting: Setting): Promise<void> {
  (await (await setting.data()).pixels([0])).dispose();
}

test("a cell holds what was measured, is kept, and leaves nothing in memory", async () => {
  const final = requestOf({ final: true });
  const request = { ...final, final: false };
  await using setting = new Setting(protocol, 0);
  await opened(setting);
  const before = memory().handles;
  const ours = plan("ours", "hub-pathway", "equal epochs", 2, { choices: { k: 2, generatorWidth: 4 } });
  assert.equal(finishedCell(request, setting, ours), undefined);
  const cell = await methodCell(final, setting, ours);
  const held = memory().handles;
  const right = unpackBits(cell.validation.right, cell.validation.items);
  assert.equal(right.filter(Boolean).length / right.length, cell.validation.accuracy);
  assert.deepEqual(
    cell.byK?.map(({ k }) => k),
    [1, 2, 3],
  );
  assert.equal(cell.byK?.[1]?.validation.accuracy, cell.validation.accuracy);
  assert.ok(Math.abs((cell.byK?.[1]?.inferenceFlops ?? 0) - cell.inferenceFlops) < 1e-6 * cell.inferenceFlops);
  assert.ok(Math.abs((cell.routing?.shares.reduce((a, b) => a + b, 0) ?? 0) - 1) < 1e-12);
  assert.deepEqual(finishedCell(request, setting, ours), cell, "as written");
  assert.ok(!JSON.stringify(cell).includes('"test":'), "the test split lies elsewhere");
  assert.throws(() => figuresOf(cell, "test"), /has no test figures/);
  const read = finishedCell(final, setting, ours);
  assert.equal(read?.byK?.[1]?.test?.accuracy, read && figuresOf(read, "test").accuracy);
  assert.equal(held - before, 0, "live tensors");
  assert.deepEqual(readdirSync(join(request.cache, "fits")), [], "what no other cell can use is removed");
});

test("methods share fine-tuned members, and share nothing else", async () => {
  const [shared, alone] = [requestOf(), requestOf()];
  await using setting = new Setting(protocol, 0);
  await opened(setting);
  const before = memory().handles;
  for (const name of names) {
    const own = plan(name, name, "all members", 2, name === "hub-pathway" ? { choices: { k: 2 } } : {});
    const [cell, again] = [await methodCell(shared, setting, own), await methodCell(requestOf(), setting, own)];
    assert.deepEqual(plainFigures(cell), plainFigures(again), `${name} does not depend on what is in the cache`);
  }
  assert.equal(memory().handles - before, 0, "live tensors");
  assert.equal(readdirSync(join(shared.cache, "fits")).length, 3, "one file a member");
  const soup = plan("soup", "soup", "all members", 2, { choices: { member: "alpha", size: 2 } });
  const first = setting.hub.manifest.members[0]?.name;
  const own = { ...soup, choices: { ...soup.choices, member: first } };
  assert.deepEqual(
    plainFigures(await methodCell(shared, setting, own)),
    plainFigures(await methodCell(alone, setting, own)),
    "a soup's ingredients start from another head than plain fine-tuning",
  );
});

test("choices, seeds and data make other cells; names of hubs' folders do not", async () => {
  const request = requestOf();
  await using setting = new Setting(protocol, 0);
  const short = plan("a", "linear-probe", "equal epochs", 1);
  await methodCell(request, setting, short);
  const kept = (other: Setting, own = short) => finishedCell(request, other, own) !== undefined;
  assert.ok(kept(new Setting({ ...protocol, epochs: 9 }, 0)), "E of the table is not the cell's");
  assert.ok(!kept(new Setting(protocol, 1)));
  assert.ok(!kept(setting, { ...short, epochs: 2 }));
  assert.ok(!kept(setting, { ...short, options: { lr: 1e-4 } }));
  const target = { ...protocol.target, data: { ...protocol.target.data, imageSize: 32 } };
  assert.ok(!kept(new Setting({ ...protocol, target }, 0)));
});

test("the best member is trained anew and longer", async () => {
  const request = requestOf();
  await using setting = new Setting(protocol, 0);
  const short = await methodCell(request, setting, plan("best", "fine-tune", "all members", 1));
  const longer = { ...plan("longer", "fine-tune", "equal compute", 3), method: bestMemberLonger, choices: { unit: 1 } };
  const cell = await methodCell(request, setting, longer);
  assert.deepEqual(cell.decisions, short.decisions);
  assert.equal(cell.parameters, short.parameters);
  assert.ok(cell.trainingFlops > 1.5 * short.trainingFlops, "the choice and three times as long");
});

test("the best pair is trained anew and longer", async () => {
  const request = requestOf();
  await using setting = new Setting(protocol, 0);
  const short = await methodCell(request, setting, plan("pair", "static-k", "all members", 1, { choices: { k: 2 } }));
  const longer = { ...plan("longer", "static-k", "equal compute", 3), method: bestPairLonger, choices: { unit: 1 } };
  const cell = await methodCell(request, setting, longer);
  const names = setting.hub.manifest.members.map(({ name }) => name);
  const pair = (short.decisions["set"] as number[]).map((i) => names[i]);
  assert.deepEqual(cell.decisions["set"], pair);
  const alone = await Promise.all(
    pair.map((member) =>
      methodCell(request, setting, plan(`${member}`, "fine-tune", "equal epochs", 3, { choices: { member } })),
    ),
  );
  const sum = (of: (cell: MethodCell) => number) => alone.reduce((total, one) => total + of(one), 0);
  assert.equal(cell.trainingFlops, short.trainingFlops + sum((one) => one.trainingFlops), "the choice, and both anew");
  assert.equal(
    cell.inferenceFlops,
    sum((one) => one.inferenceFlops),
  );
});

test("halving trains the better half of the members on, in the FLOPs of training all of them once", async () => {
  const request = requestOf();
  await using setting = new Setting(protocol, 0);
  const of = (keep: number) => ({
    ...plan(`halving to ${keep}`, "static-k", "equal compute", 6),
    method: successiveHalving,
    choices: { unit: 6, keep },
  });
  const all = await methodCell(request, setting, plan("all", "ensemble", "all members", 6));
  const before = memory().handles;
  const pair = await methodCell(request, setting, of(2));
  const one = await methodCell(request, setting, of(1));
  assert.equal(memory().handles - before, 0, "live tensors");
  const [kept, names] = [pair.decisions["round-0"] as string[], setting.hub.manifest.members.map(({ name }) => name)];
  assert.equal(kept.length, 2);
  assert.ok(kept.every((name) => names.includes(name)));
  assert.deepEqual(one.decisions["round-0"], kept);
  // After half of the compute the left out member is no better than those that went on.
  const rounds = await Promise.all(
    names.map((member) =>
      methodCell(request, setting, plan(`${member}`, "fine-tune", "equal epochs", 3, { choices: { member } })),
    ),
  );
  const accuracy = (isKept: boolean) =>
    rounds.filter((_, i) => kept.includes(names[i] ?? "") === isKept).map(({ validation }) => validation.accuracy);
  assert.ok(
    Math.min(...accuracy(true)) >= Math.max(...accuracy(false)),
    JSON.stringify([accuracy(true), accuracy(false)]),
  );
  assert.ok(pair.trainingFlops <= all.trainingFlops, `${pair.trainingFlops} of ${all.trainingFlops}`);
  assert.ok(pair.trainingFlops > 0.75 * all.trainingFlops, `${pair.trainingFlops} of ${all.trainingFlops}`);
  assert.equal(one.trainingFlops, pair.trainingFlops);
  assert.ok(one.inferenceFlops < pair.inferenceFlops);
});

test("a table takes older versions of a method whole, and says so", async () => {
  const { hub, target } = protocol;
  const request = requestOf({ hub, data: target.data.source, quick: true, only: ["Hub-Pathway, equal epochs"] });
  await work(mixedHub, request);
  const now = reportText(await mixedHub.report(request));
  assert.ok(!now.includes("By version"), now);
  const path = join(
    request.cells.folder,
    readdirSync(request.cells.folder, { recursive: true, encoding: "utf8" }).find((file) => file.endsWith(".jsonl")) ??
      "",
  );
  const line = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, `${JSON.stringify({ ...line, key: { ...line.key, methodVersion: 1 } })}\n`);
  const again = { ...request, cells: new CellStore(request.cells.folder) };
  assert.match(reportText(await mixedHub.report(again)), /By version 1 of the method, .*: Hub-Pathway, equal epochs\./);
});

test("the test split is measured for a final run alone", async () => {
  const request = requestOf();
  await using setting = new Setting(protocol, 0);
  const own = plan("own", "fine-tune", "equal epochs", 1, { choices: { member: "alpha" } });
  const choices = { member: setting.hub.manifest.members[0]?.name };
  const cell = await methodCell(request, setting, { ...own, choices });
  const final = { ...request, final: true };
  assert.ok(!existsSync(join(request.cells.folder, "test")));
  assert.equal(finishedCell(final, setting, { ...own, choices }), undefined);
  assert.deepEqual(await methodCell(final, setting, { ...own, choices }), cell, "made again only to be measured");
  assert.ok((finishedCell(final, setting, { ...own, choices })?.test?.items ?? 0) > 0);
});

test("stacking trains each member once more for each fold, on the other images, and joins by what it said of the fold", async () => {
  const request = requestOf();
  await using setting = new Setting(protocol, 0);
  await opened(setting);
  const all = await methodCell(request, setting, plan("all", "ensemble", "all members", 2));
  const before = memory().handles;
  const line = { ...plan("stacking", "ensemble", "several fits", 2), method: stacking, choices: { folds: 2 } };
  const cell = await methodCell(request, setting, line);
  assert.equal(memory().handles - before, 0, "live tensors");
  // Two halves are one whole pass more.
  assert.ok(Math.abs(cell.trainingFlops / all.trainingFlops - 2) < 0.02, `${cell.trainingFlops / all.trainingFlops}`);
  assert.equal(cell.inferenceFlops, all.inferenceFlops);
  assert.notDeepEqual(plainFigures(cell).validation, plainFigures(all).validation);
  assert.ok(cell.validation.logLoss < Math.log(3) + 0.2, `${cell.validation.logLoss}`);
});

test("a fit of some training images passes these alone", async () => {
  await using setting = new Setting(protocol, 0);
  const data = await setting.data();
  const rows = data.items("train").filter((_, i) => i % 3 === 0);
  for (const epoch of [0, 1]) {
    const seen: number[] = [];
    for await (const batch of data.trainOn(rows).epoch(epoch, 0)) {
      seen.push(...batch.indices);
      batch.dispose();
    }
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [...rows],
    );
  }
});

test("a rival on the best member trains the member that plain fine-tuning prefers", async () => {
  const request = requestOf();
  await using setting = new Setting(protocol, 0);
  const { decisions } = await methodCell(request, setting, plan("best", "fine-tune", "all members", 1));
  const { index } = decisions["best"] as { index: number };
  const member = setting.hub.manifest.members[index]?.name;
  const own = plan("named", "l2-sp", "all members", 1, { choices: { member } });
  const named = await methodCell(request, setting, own);
  const found = await methodCell(request, setting, {
    ...plan("found", "l2-sp", "all members", 1),
    method: onBestMember(own.method),
  });
  assert.deepEqual(found.validation.right, named.validation.right);
  assert.ok(found.trainingFlops > named.trainingFlops, "the choice costs the training of all");
});

test("where members stay as they are a line is what train would do, and one by weights is the cell of before", async () => {
  const { hub, target } = protocol;
  const routed = { title: "", question: "", hub, targets: [target], ours: [] };
  const lines = ["hub-pathway", "global-gate", "random-routing"].map((name) => plan(name, name, "equal epochs", 1));
  const byWeights = plan("by weights", "hub-pathway", "equal epochs", 1, { choices: { credit: "weights" } });
  const keys = async (frozen: boolean, plans = [...lines, byWeights]) => {
    const groups = comparisonGroups({ ...routed, plans: () => plans }, { ...requestOf(), frozen });
    const cells = (await Promise.all(groups.map((group) => group.cells()))).flat();
    return cells.map(
      ([, key]) => key as { choices: object; methodVersion: number; options: { generatorFactor?: number } },
    );
  };
  const found = (await keys(true)).map(({ choices, methodVersion, options: { generatorFactor } }) => [
    choices,
    methodVersion,
    generatorFactor,
  ]);
  const losses = { credit: "losses" };
  assert.deepEqual(found, [
    [losses, 5, 10],
    [losses, 2, 10],
    [{}, 2, undefined],
    [{}, 2, undefined],
  ]);
  const [own, , , other] = await keys(false);
  assert.deepEqual(own, other, "weights teach members that are trained");
  const slower = plan("slower", "hub-pathway", "equal epochs", 1, { options: { generatorFactor: 3 } });
  assert.equal((await keys(true, [slower]))[0]?.options.generatorFactor, 3);
});

test("members that stay as they are: the features at hand give what the members themselves give", async () => {
  const request = requestOf();
  const frozen: Protocol = { ...protocol, options: { ...protocol.options, frozenViews: 2 } };
  const limits = { validation: 10, test: 7 };
  await using setting = new Setting(frozen, 0);
  await using few = new Setting({ ...frozen, target: { ...frozen.target, limits } }, 0);
  await Promise.all([setting, few].map(opened));
  const before = memory().handles;
  const choices = { k: 2, generatorWidth: 4, credit: "losses" };
  const ours = plan("ours", "hub-pathway", "equal epochs", 3, { choices });
  const cell = await methodCell(request, setting, ours);
  const { generatorFactor: _, ...options } = frozen.options;
  const run = await trainClassifier({
    method: ours.method,
    choices: ours.choices,
    hub: frozen.hub,
    data: { ...frozen.target.data, seed: 0 },
    options: { ...options, epochs: 3, seed: 0, keep: "last" },
    out: join(folder, "frozen-run"),
    resume: false,
    emit: () => {},
    cacheFeatures: false,
  });
  const { accuracy, logLoss } = run.validation.metrics;
  assert.equal(cell.validation.accuracy, accuracy);
  assert.ok(Math.abs(cell.validation.logLoss - logLoss) < 1e-6, `${cell.validation.logLoss} and ${logLoss}`);
  assert.equal(cell.byK?.[1]?.validation.accuracy, accuracy);
  run.predictor.dispose();
  run.data.dispose();
  const final = { ...request, final: true };
  const ensemble = await methodCell(final, few, plan("all", "ensemble", "all members", 2));
  assert.equal(ensemble.validation.items, 10);
  assert.equal(finishedCell(final, few, plan("all", "ensemble", "all members", 2))?.test?.items, 7);
  assert.ok(ensemble.validation.secondsPerImage > 0);
  assert.equal(memory().handles - before, 0, "live tensors");
});

test("images are as large as the hub's members want them, up to what there is", () => {
  const hub = openHub(protocol.hub);
  const target = { ...protocol.target, data: { ...protocol.target.data, imageSize: 8 } };
  const wanted = Math.max(...hub.manifest.members.map((member) => member.input.size));
  const sizeOf = (fullSize: number | undefined) => {
    const given = fullSize === undefined ? target : { ...target, fullSize };
    return protocolOf(hub, given, { quick: false }).target.data.imageSize;
  };
  assert.deepEqual([undefined, 4, 12, 500].map(sizeOf), [8, 8, 12, wanted]);
});

test("whoever watches a cell sees each epoch with its validation accuracy, and the test predictions", async () => {
  const epochs: (number | undefined)[] = [];
  const tested: string[] = [];
  const watch: NonNullable<ExperimentRequest["watch"]> = {
    points: 100,
    everyK: true,
    event: (name, event) => {
      if (name === "ours" && event.type === "epoch") epochs.push(event.validation && qualityOf(event.validation).score);
    },
    tested: (name, evaluation) => tested.push(`${name} ${evaluation.labels.length > 0}`),
  };
  const request = requestOf({ watch, final: true });
  await using setting = new Setting(protocol, 0);
  const ours = plan("ours", "hub-pathway", "equal epochs", 3, { choices: { k: 2, generatorWidth: 4 } });
  const cell = await methodCell(request, setting, ours);
  assert.deepEqual([epochs.length, epochs.at(-1), tested], [3, cell.validation.accuracy, ["ours true"]]);
});

test("an experiment runs on one's own data, and reports with every table", async () => {
  const { hub, target } = protocol;
  const request = requestOf({ hub, data: target.data.source, quick: true });
  const few = { ...mixedHub, groups: (own: ExperimentRequest) => mixedHub.groups(own).slice(0, 1) };
  await assert.rejects(mixedHub.report(request), /no cell is finished/);
  await work(few, request);
  const report = await mixedHub.report(request);
  const text = reportText(report);
  for (const part of ["best static pair by validation", "ensemble of all", "minus its rivals", "1.00"]) {
    assert.ok(text.includes(part), `${part} in\n${text}`);
  }
  const results = join(folder, "results");
  assert.match(text, /Best on these images: .*\n\n {2}hub-pathway train \S+ --method [a-z-]+ .*--epochs \d+ --hub /);
  // An experiment whose own hub is another than the starter hub names it too.
  const { sections } = comparisonReport({ ...mixedHubComparison, hub }, { ...request, hub: undefined });
  const commands = sections.flatMap(({ command }) => command ?? []);
  assert.ok(commands.length > 0 && commands.every((command) => command.includes(` --hub ${hub}`)), commands.join("\n"));
  const table = /^method .*(?:\n(?!\n).*)*/m.exec(text)?.[0].split("\n") ?? [];
  assert.ok(table.length > 8 && table.every((line) => line.length <= 120), table.join("\n"));
  const accuracies = table.slice(2).map((line) => Number(/([\d.]+) %/.exec(line)?.[1]));
  assert.deepEqual(
    accuracies,
    [...accuracies].sort((a, b) => b - a),
    "the best first",
  );
  const files = saveReport(mixedHub, report, request, results, "the command");
  const markdown = readFileSync(files.markdown, "utf8");
  assert.ok(markdown.includes("the command") && markdown.includes("| ensemble of all |"));
  assert.ok(readFileSync(files.html, "utf8").includes("<svg"));
  const [, picture = ""] = /!\[[^\]]*\]\(([^)]*\.svg)\)/.exec(markdown) ?? [];
  assert.ok(readFileSync(join(results, picture), "utf8").startsWith("<svg xmlns"), picture);
  const { made, targets } = JSON.parse(readFileSync(files.json, "utf8"));
  assert.ok(made.versions.node === process.version && targets[0].lines.length > 5);
  assert.ok(!existsSync(join(results, "ledger.jsonl")));
  recordTestReading("mixed-hub", { ...request, final: true }, results, "the command");
  assert.equal(JSON.parse(readFileSync(join(results, "ledger.jsonl"), "utf8")).experiment, "mixed-hub");
});

test("a validation table says nothing of the test split, a final one reads it", async () => {
  const { hub, target } = protocol;
  const request = requestOf({ hub, data: target.data.source, quick: true });
  const few = { ...mixedHub, groups: (own: ExperimentRequest) => mixedHub.groups(own).slice(0, 1) };
  await work(few, { ...request, final: true });
  const before = JSON.stringify(await mixedHub.report(request));
  const changed = forgeTest(request);
  assert.ok(changed > 5);
  const again = { ...request, cells: new CellStore(request.cells.folder) };
  assert.equal(JSON.stringify(await mixedHub.report(again)), before);
  assert.notEqual(JSON.stringify(await mixedHub.report({ ...again, final: true })), before);
});

/** Rewrites the cells of all files of a folder; returns how many there are. */
function changeLines(folder: string, change: (cell: Record<string, unknown>, index: number) => object): number {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".jsonl"));
  let count = 0;
  for (const file of files) {
    const lines = readFileSync(join(folder, file), "utf8").trimEnd().split("\n");
    const changed = lines
      .map((line) => JSON.parse(line))
      .map((line) => ({ ...line, cell: change(line.cell, count++) }));
    writeFileSync(join(folder, file), changed.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }
  return count;
}

/** Overwrites every test figure of the finished cells; returns how many cells there are. */
function forgeTest({ cells }: ExperimentRequest): number {
  const folder = join(cells.folder, "test");
  return changeLines(folder, (part) => {
    const test = { ...(part["test"] as object), accuracy: 0.123, macroF1: 0.1, calibrationError: 0.1, logLoss: 9 };
    return { ...part, test };
  });
}

test("cells of one seed with different splits are not compared", async () => {
  const { hub, target } = protocol;
  const request = requestOf({ hub, data: target.data.source, quick: true });
  const few = { ...mixedHub, groups: (own: ExperimentRequest) => mixedHub.groups(own).slice(0, 1) };
  await work(few, request);
  changeLines(request.cells.folder, (cell, i) => (i === 0 ? { ...cell, splitHash: "another" } : cell));
  const again = { ...request, cells: new CellStore(request.cells.folder) };
  await assert.rejects(mixedHub.report(again), /its split differs/);
});

test("a ceiling finds the router where features tell who is right, and none where they do not", () => {
  const [n, classes] = [600, 2];
  const random = keyedRandom(5);
  const cue = Array.from({ length: n }, () => (random() < 0.5 ? 1 : 0));
  const labels = Array.from({ length: n }, () => (random() < 0.5 ? 1 : 0));
  // Each of two members is right on its own half of the rows, and guesses on the other; the third is poor everywhere.
  const table = (good: (row: number) => boolean) =>
    Float32Array.from({ length: n * classes }, (_, i) => {
      const row = Math.floor(i / classes);
      const label = good(row) ? labels[row] : row % 2;
      return i % classes === label ? 0.9 : 0.1;
    });
  const tables = [table((row) => cue[row] === 0), table((row) => cue[row] === 1), table(() => false)];
  const telling = tensor(
    cue.map((value) => [value, 1 - value]),
    { dtype: "float64" },
  );
  const silent = tensor(
    cue.map(() => [random(), random()]),
    { dtype: "float64" },
  );
  const held = { tables, labels, classes, parts: labels.map(() => 0) };
  const seen = ceiling({ ...held, views: { "all members": telling, "first stages": silent } }, 0);

  assert.equal(seen.routedSingle["all members"], 1);
  const unseen = seen.routedSingle["first stages"];
  assert.ok(seen.bestSingle > 0.7 && seen.bestSingle < 0.8 && unseen < 0.82, JSON.stringify({ seen, unseen }));
  const byPart = ceiling({ ...held, parts: cue, views: { "all members": silent, "first stages": silent } }, 0);
  assert.ok(byPart.bestPairByPart >= byPart.bestPair);
  assert.equal(seen.oracleSingle, 1);
  telling.dispose();
  silent.dispose();
});

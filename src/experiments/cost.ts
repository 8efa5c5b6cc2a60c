/**
 * Cost of accuracy: FLOPs, parameters, training, and seconds per image measured side by side; k chosen after training.
 */

import {
  type CellGroup,
  type CellId,
  columnsOf,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  finishedCells,
  lineOf,
  mean,
  median,
  ours,
  provenance,
  type ReportSection,
  type Split,
  type TargetCells,
} from "../compare/index.ts";
import { loadMembers, openHub } from "../hub/index.ts";
import { EnsemblePredictor, MemberLearner, PathwayLearner } from "../methods/index.ts";
import { resolvePathwayConfig } from "../pathway/index.ts";
import { amount, duration, percent, scatterPlot } from "../report/index.ts";
import { inferenceMode, scope, seedOf, UserError, zeros } from "../torch/index.ts";
import { ClassificationTask, type Predictor } from "../train/index.ts";
import { mixedHubComparison } from "./mixed-hub.ts";

interface TimingCell {
  hub: string;
  rounds: number;
  /** Median seconds per image of each predictor, with a batch of 64 and with single images. */
  lines: { name: string; batch: number; single: number; inferenceFlops: number }[];
}

const [side, classes] = [48, 10];
const hubOf = (request: ExperimentRequest) => request.hub ?? mixedHubComparison.hub;

function timingKey(request: ExperimentRequest): unknown {
  const { machine } = provenance();
  return { hub: openHub(hubOf(request)).fingerprint, machine, quick: request.quick };
}

function groups(request: ExperimentRequest): CellGroup[] {
  const run = async () => {
    await request.cells.cell("cost/timing", timingKey(request), async () => timings(request));
  };
  const cells = (): CellId[] => [["cost/timing", timingKey(request)]];
  return [{ name: "seconds per image", cells, run }];
}

/** Predictors of the shapes that the methods have; what their weights are does not change the time. */
function predictors(request: ExperimentRequest): { name: string; predictor: Predictor }[] {
  const hub = openHub(hubOf(request));
  const task = new ClassificationTask(classes, 0);
  const names = hub.manifest.members.map((member) => member.name);
  const single = (name: string) =>
    new MemberLearner(firstOf(loadMembers(hub, { names: [name] })), task, seedOf(0, name));
  const pathway = (k: number, isRandom: boolean) =>
    new PathwayLearner({
      members: loadMembers(hub),
      task,
      config: resolvePathwayConfig({ k, generatorKind: isRandom ? "random" : "light" }, names.length),
      seed: 0,
      imageSize: side,
    });
  return [
    ...names.map((name) => ({ name, predictor: single(name) })),
    { name: "static pair of the first two", predictor: new EnsemblePredictor(names.slice(0, 2).map(single)) },
    { name: "ensemble of all", predictor: new EnsemblePredictor(names.map(single)) },
    ...names.map((_, i) => ({ name: `Hub-Pathway, k = ${i + 1}, one route`, predictor: pathway(i + 1, false) })),
    ...names.slice(0, -1).map((_, i) => {
      return { name: `Hub-Pathway, k = ${i + 1}, random routes`, predictor: pathway(i + 1, true) };
    }),
  ];
}

function firstOf<T>(list: readonly T[]): T {
  const [first] = list;
  if (first === undefined) throw new RangeError("no member");
  return first;
}

/** Each predictor once a round, so that a machine that slows down slows all of them. */
function timings(request: ExperimentRequest): TimingCell {
  const rounds = request.quick ? 3 : 30;
  // Kernels are made for the shapes that a predictor first meets.
  const first = request.quick ? 1 : 20;
  const all = predictors(request);
  for (const { predictor } of all) predictor.eval();
  const seconds = all.map(() => ({ batch: [] as number[], single: [] as number[] }));
  try {
    for (let round = 0; round < first + rounds; round++) {
      for (const [i, { predictor }] of all.entries()) {
        const batch = timeOf(predictor, 64);
        // The first small call pays for what the large one left behind.
        timeOf(predictor, 1);
        const single = timeOf(predictor, 1);
        if (round < first) continue;
        seconds[i]?.batch.push(batch);
        seconds[i]?.single.push(single);
      }
    }
    const lines = all.map(({ name, predictor }, i) => ({
      name,
      batch: median(seconds[i]?.batch ?? []),
      single: median(seconds[i]?.single ?? []),
      inferenceFlops: predictor.inferenceFlops,
    }));
    return { hub: openHub(hubOf(request)).manifest.name, rounds, lines };
  } finally {
    for (const { predictor } of all) predictor.dispose();
  }
}

function timeOf(predictor: Predictor, batch: number): number {
  return scope(() =>
    inferenceMode(() => {
      const images = zeros([batch, 3, side, side]).add(0.5);
      const began = performance.now();
      predictor.predict(images);
      return (performance.now() - began) / 1000 / batch;
    }),
  );
}

function timingSection(cell: TimingCell): ReportSection {
  const whole = cell.lines.find(({ name }) => name === "ensemble of all");
  const rows = cell.lines.map(({ name, batch, single, inferenceFlops }) => [
    name,
    amount(inferenceFlops),
    percent(inferenceFlops / (whole?.inferenceFlops ?? 1)),
    duration(batch),
    percent(batch / (whole?.batch ?? 1)),
    duration(single),
    percent(single / (whole?.single ?? 1)),
  ]);
  const titles = [
    "predictor",
    "FLOPs/image",
    "of the ensemble",
    "batch of 64",
    "of the ensemble",
    "one image",
    "of the ensemble",
  ];
  return {
    title: "Measured inference",
    text: [
      `Median seconds per image over ${cell.rounds} rounds in which every predictor has its turn, one thread, ${side} px, preprocessing and generator included, ` +
        "beside the ensemble of all members. All images of a batch take one route, which is what training mostly ends with, or each image one drawn at random, the worst case: many passes of few rows. FLOPs are those of average members.",
    ],
    table: { columns: columnsOf(titles, 1), rows },
  };
}

/** Accuracy of one trained Hub-Pathway at each k, which nothing was trained again for. */
function sweepSection({ target, plans }: TargetCells, split: Split): ReportSection[] {
  const cells = plans.find(({ plan }) => plan.name === ours.equalCompute)?.cells ?? [];
  const ks = cells[0]?.byK?.map(({ k }) => k) ?? [];
  if (ks.length === 0) return [];
  const rows = ks.map((k) => {
    const own = cells.flatMap((cell) => cell.byK?.filter((one) => one.k === k) ?? []);
    const accuracy = mean(own.map((one) => one[split]?.accuracy ?? Number.NaN));
    return [String(k), percent(accuracy), amount(mean(own.map((one) => one.inferenceFlops)))];
  });
  const columns = columnsOf(["k", "accuracy", "FLOPs/image"], 0);
  const text = [`Trained with k = 2, used with another k; mean of ${cells.length} seeds.`];
  return [{ title: `k after training: ${target}`, text, table: { columns, rows } }];
}

function paretoSections({ target, plans }: TargetCells, split: Split): ReportSection[] {
  const lines = plans.map(({ plan, cells }) => lineOf(plan, cells, split));
  const points = (x: (line: (typeof lines)[number]) => number) =>
    lines.map((line) => ({ name: `${line.name} (${line.budget})`, x: x(line), y: line.accuracy.mean }));
  const y = `${split} accuracy`;
  const of = (title: string, x: (line: (typeof lines)[number]) => number): ReportSection => {
    const picture = `${target}-${title.toLowerCase().replaceAll(" ", "-")}`;
    const plot = scatterPlot(target, points(x), { x: `${title} (logarithmic)`, y });
    return { title: `${title}: ${target}`, plot, picture };
  };
  return [
    of("FLOPs per image", (line) => line.inferenceFlops),
    of("Seconds per image", (line) => line.secondsPerImage),
    of("Training FLOPs", (line) => line.trainingFlops),
    of("Training seconds", (line) => line.trainingSeconds),
    of("Parameters", (line) => line.parameters),
  ];
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const split = request.final ? "test" : "validation";
  const timing = request.cells.read<TimingCell>("cost/timing", timingKey(request));
  const targets = finishedCells(mixedHubComparison, request);
  if (!timing && targets.length === 0) throw new UserError("nothing is measured yet: run the experiment first");
  const about: ReportSection = {
    title: "Question",
    text: [
      "What does each point of accuracy cost? Accuracies, parameters, FLOPs and the seconds in the plots are those of mixed-hub, whose finished cells are read (they were made one after the other on a shared machine); seconds in the table below are measured side by side.",
    ],
  };
  const sections = [
    about,
    ...(timing ? [timingSection(timing)] : []),
    ...targets.flatMap((target) => [...sweepSection(target, split), ...paretoSections(target, split)]),
  ];
  return { title: "Cost and accuracy", sections, data: { split, timing } };
}

export const cost: Experiment = {
  name: "cost",
  seeds: 5,
  groups,
  report,
};

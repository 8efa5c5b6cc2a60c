/** The tables of a comparison: one line for each method, differences to rivals, cost against accuracy. */
import { amount, type Column, duration, percent, scatterPlot } from "../report/index.ts";
import { unpackBits } from "./bits.ts";
import { type ReportSection, right } from "./experiment.ts";
import { figuresOf, type MethodCell, type SplitFigures } from "./method-cell.ts";
import { allMembers } from "./plans.ts";
import type { Plan } from "./protocol.ts";
import {
  crossFittedBest,
  type Difference,
  type MeanInterval,
  mean,
  meanInterval,
  type PairedSeed,
  pairedBootstrap,
} from "./statistics.ts";

export type Split = "validation" | "test";

/** The finished cells of one target, by plan; plans without any are left out. */
export interface TargetCells {
  target: string;
  plans: PlanCells[];
}

export interface PlanCells {
  plan: Plan;
  /** All by one version of the method. */
  cells: MethodCell[];
  /** That version, where it is older than this program's. */
  older?: number;
}

/** One method over its seeds. */
export interface Line {
  name: string;
  budget: Plan["budget"];
  seeds: number[];
  accuracy: MeanInterval;
  perSeed: number[];
  macroF1: number;
  calibrationError: number;
  logLoss: number;
  parameters: number;
  trainingFlops: number;
  trainingSeconds: number;
  inferenceFlops: number;
  secondsPerImage: number;
  routing?: { shares: number[]; information: number; weightEntropy: number };
}

export function lineOf(plan: Plan, cells: readonly MethodCell[], split: Split): Line {
  const over = (value: (figures: SplitFigures) => number) => cells.map((cell) => value(figuresOf(cell, split)));
  const perSeed = over((figures) => figures.accuracy);
  const cost = (value: (cell: MethodCell) => number) => mean(cells.map(value));
  const routes = cells.flatMap((cell) => cell.routing ?? []);
  return {
    name: plan.name,
    budget: plan.budget,
    seeds: cells.map((cell) => cell.seed),
    accuracy: meanInterval(perSeed),
    perSeed,
    macroF1: mean(over((figures) => figures.macroF1)),
    calibrationError: mean(over((figures) => figures.calibrationError)),
    logLoss: mean(over((figures) => figures.logLoss)),
    parameters: cost((cell) => cell.parameters),
    trainingFlops: cost((cell) => cell.trainingFlops),
    trainingSeconds: cost((cell) => cell.trainingSeconds),
    inferenceFlops: cost((cell) => cell.inferenceFlops),
    secondsPerImage: mean(over((figures) => figures.secondsPerImage)),
    ...(routes.length > 0 ? { routing: meanRouting(routes) } : {}),
  };
}

function meanRouting(routes: readonly NonNullable<MethodCell["routing"]>[]): NonNullable<Line["routing"]> {
  const shares = routes[0]?.shares.map((_, i) => mean(routes.map((own) => own.shares[i] ?? 0))) ?? [];
  return {
    shares,
    information: mean(routes.map((own) => own.information)),
    weightEntropy: mean(routes.map((own) => own.weightEntropy)),
  };
}

export function intervalText({ mean: center, half }: MeanInterval): string {
  return half === null ? percent(center) : `${percent(center)} ± ${(100 * half).toFixed(1)}`;
}

/** Shares of models in per cent; empty where nothing routes. */
export function sharesText(shares: readonly number[] | undefined): string {
  return shares?.map((share) => Math.round(100 * share)).join("/") ?? "";
}

/** Training FLOPs of a line in units of fine-tuning all members, where the table has that. */
function ofBudget(line: Line, lines: readonly Line[]): string {
  const whole = lines.find(({ name }) => name === allMembers)?.trainingFlops;
  return whole === undefined ? "" : (line.trainingFlops / whole).toFixed(2);
}

/** The columns of a table of lines; the lines are needed for what is relative to one of them. */
export function lineColumns(lines: readonly Line[]): (Column<Line> & { detail?: boolean })[] {
  type Value = Column<Line>["value"];
  const text = (title: string, value: Value) => ({ title, value });
  const number = (title: string, value: Value) => ({ ...right(title), value });
  const detail = (title: string, value: Value) => ({ ...number(title, value), detail: true });
  return [
    text("method", (line) => line.name),
    text("budget", (line) => line.budget),
    number("accuracy", (line) => intervalText(line.accuracy)),
    number("seeds", (line) => String(line.seeds.length)),
    detail("macro F1", (line) => percent(line.macroF1)),
    detail("calib. error", (line) => percent(line.calibrationError)),
    detail("log loss", (line) => line.logLoss.toFixed(3)),
    detail("parameters", (line) => amount(line.parameters)),
    detail("training FLOPs", (line) => amount(line.trainingFlops)),
    number("of all members'", (line) => ofBudget(line, lines)),
    number("training time", (line) => duration(line.trainingSeconds)),
    number("FLOPs/image", (line) => amount(line.inferenceFlops)),
    detail("time/image", (line) => duration(line.secondsPerImage)),
    { ...text("shares, %", (line) => sharesText(line.routing?.shares)), detail: true },
    detail("I(image; model)", (line) => line.routing?.information.toFixed(2) ?? ""),
  ];
}

export function lineSection(target: string, lines: readonly Line[]): ReportSection {
  const columns = lineColumns(lines);
  const rows = lines.map((line) => columns.map((column) => column.value(line)));
  return { title: target, table: { columns, rows } };
}

/** What lines that an older version of a method computed have to say. */
export function versionRemarks({ plans }: TargetCells): string[] {
  const versions = [...new Set(plans.flatMap(({ older }) => older ?? []))];
  return versions.map((version) => {
    const names = plans.filter(({ older }) => older === version).map(({ plan }) => plan.name);
    return `By version ${version} of the method, which this program has a later one of: ${names.join("; ")}.`;
  });
}

/** Accuracy of the best single member, chosen on one half of the table's images and measured on the other. */
export function crossFittedRemark({ plans }: TargetCells): string[] {
  const singles = plans.filter(({ plan }) => plan.method.name === "fine-tune" && plan.choices["member"] !== undefined);
  const seeds = singles[0]?.cells.map(({ seed }) => seed) ?? [];
  const bests = seeds.flatMap((seed) => {
    const cells = singles.flatMap((single) => single.cells.filter((cell) => cell.seed === seed));
    if (cells.length < singles.length) return [];
    return [crossFittedBest(cells.map((cell) => bitsOf(figuresOf(cell, "validation"))))];
  });
  if (singles.length < 2 || bests.length === 0) return [];
  const accuracy = intervalText(meanInterval(bests));
  return [
    `The best member, found on one half of these images and measured on the other, has ${accuracy} (mean of ${bests.length} seeds).`,
  ];
}

/** One of our plans minus each rival, on every target and on their average. */
export function differenceSection(
  name: string,
  targets: readonly TargetCells[],
  isRival: (name: string) => boolean,
  split: Split,
): ReportSection {
  const rivals = [...new Set(targets.flatMap(({ plans }) => plans.map(({ plan }) => plan.name)))].filter(isRival);
  const rows = rivals.flatMap((rival) => {
    const pairs = targets.map(({ plans }) => pairsOf(cellsNamed(plans, name), cellsNamed(plans, rival), split));
    const known = pairs.filter((seeds) => seeds.length > 0);
    if (known.length === 0) return [];
    const cells = pairs.map((seeds) => (seeds.length > 0 ? differenceText(pairedBootstrap([seeds])) : ""));
    const average = known.length === targets.length ? differenceText(pairedBootstrap(known)) : "";
    return [[rival, ...cells, average]];
  });
  const columns = [{ title: "rival" }, ...targets.map(({ target }) => right(target)), right("mean of targets")];
  const text = ["Points of accuracy above the rival, with the 95 % interval, over the seeds that both have."];
  return { title: `${name} minus its rivals`, text, table: { columns, rows } };
}

function cellsNamed(plans: TargetCells["plans"], name: string): readonly MethodCell[] {
  return plans.find(({ plan }) => plan.name === name)?.cells ?? [];
}

export function pairsOf(ours: readonly MethodCell[], rival: readonly MethodCell[], split: Split): PairedSeed[] {
  return ours.flatMap((cell): PairedSeed[] => {
    const other = rival.find(({ seed }) => seed === cell.seed);
    return other ? [{ ours: bitsOf(figuresOf(cell, split)), rival: bitsOf(figuresOf(other, split)) }] : [];
  });
}

function bitsOf({ right: bits, items }: SplitFigures): boolean[] {
  return unpackBits(bits, items);
}

export function differenceText({ value, low, high }: Difference): string {
  const points = (part: number) => `${part >= 0 ? "+" : "-"}${Math.abs(100 * part).toFixed(1)}`;
  return `${points(value)} (${points(low)} to ${points(high)})`;
}

export function paretoSection(target: string, lines: readonly Line[], split: Split): ReportSection {
  const points = lines.map(({ name, inferenceFlops, accuracy }) => ({ name, x: inferenceFlops, y: accuracy.mean }));
  const axes = { x: "FLOPs per image (logarithmic)", y: `${split} accuracy` };
  return { title: `Cost and accuracy: ${target}`, plot: scatterPlot(target, points, axes), picture: target };
}

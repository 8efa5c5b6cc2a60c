/** The tables of a comparison: one line for each method, differences to rivals, cost against accuracy. */
import { amount, type Column, duration, percent, points, scatterPlot } from "../report/index.ts";
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
  type StudentTest,
  seedDifferences,
  standing,
  studentTest,
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

/** A difference of accuracies in points, with its interval. */
export function gainText({ mean: center, half }: MeanInterval): string {
  return half === null ? points(center) : `${points(center)} (${points(center - half)} to ${points(center + half)})`;
}

/** What cells have on validation images over routes that belong to other images; undefined where none says it. */
export function overOtherRoutes(cells: readonly MethodCell[]): MeanInterval | undefined {
  const gains = cells.flatMap(({ routing, validation }) =>
    routing?.permuted === undefined ? [] : validation.accuracy - routing.permuted,
  );
  return gains.length === 0 ? undefined : meanInterval(gains);
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

/** Seeds that it takes to say that a method is above another. */
const enoughSeeds = 5;
/** Mark of a difference that stands after correction. */
export const mark = "†";

/** One of our plans minus each rival, on every target and on their average. */
export function differenceSection(
  name: string,
  targets: readonly TargetCells[],
  isRival: (name: string) => boolean,
  split: Split,
): ReportSection {
  const rivals = [...new Set(targets.flatMap(({ plans }) => plans.map(({ plan }) => plan.name)))].filter(isRival);
  const compared = rivals.flatMap((rival) => {
    const pairs = targets.map(({ plans }) => pairsOf(cellsNamed(plans, name), cellsNamed(plans, rival), split));
    const known = pairs.filter((seeds) => seeds.length > 0);
    if (known.length === 0) return [];
    const all = known.length === targets.length ? known : [];
    const seeds = Math.min(...known.map((own) => own.length));
    return [{ rival, seeds, columns: [...pairs.map((own) => compare(own.length > 0 ? [own] : [])), compare(all)] }];
  });
  const corrected = compared[0]?.columns.map((_, column) =>
    standing(compared.map(({ columns }) => columns[column]?.student)),
  );
  const rows = compared.map(({ rival, seeds, columns }, row) => {
    const stands = (column: number) => seeds >= enoughSeeds && corrected?.[column]?.[row] === true;
    const texts = columns.map((one, column) => (one ? comparedText(one, stands(column)) : ""));
    return [rival, String(seeds), ...texts];
  });
  const titles = ["seeds", ...targets.map(({ target }) => target), "mean of targets"];
  const text = ["Points of accuracy above the rival over the seeds that both have, with two 95 % intervals."];
  const remarks = [
    "The first interval is of a paired bootstrap over seeds and images, the one after t is Student's over seeds.",
    `${mark}: stands after Holm's correction for all rivals of its column (Student's t test, 5 % in all). ` +
      `Fewer than ${enoughSeeds} seeds are a hint, and are never marked.`,
  ];
  return {
    title: `${name} minus its rivals`,
    text,
    table: { columns: [{ title: "rival" }, ...titles.map(right)], rows },
    remarks: rows.length > 0 ? remarks : [],
  };
}

/** A difference with both of its intervals. */
interface Compared extends Difference {
  student: StudentTest | undefined;
}

function compare(targets: readonly (readonly PairedSeed[])[]): Compared | undefined {
  if (targets.length === 0) return undefined;
  return { ...pairedBootstrap(targets), student: studentTest(seedDifferences(targets)) };
}

function comparedText({ value, low, high, student }: Compared, stands: boolean): string {
  const second = student ? `; t ${points(student.low)} to ${points(student.high)}` : "";
  return `${points(value)} (${points(low)} to ${points(high)}${second})${stands ? ` ${mark}` : ""}`;
}

function cellsNamed(plans: TargetCells["plans"], name: string): readonly MethodCell[] {
  return plans.find(({ plan }) => plan.name === name)?.cells ?? [];
}

function pairsOf(ours: readonly MethodCell[], rival: readonly MethodCell[], split: Split): PairedSeed[] {
  return ours.flatMap((cell): PairedSeed[] => {
    const other = rival.find(({ seed }) => seed === cell.seed);
    if (!other) return [];
    return [{ seed: cell.seed, ours: bitsOf(figuresOf(cell, split)), rival: bitsOf(figuresOf(other, split)) }];
  });
}

function bitsOf({ right: bits, items }: SplitFigures): boolean[] {
  return unpackBits(bits, items);
}

export function paretoSection(target: string, lines: readonly Line[], split: Split): ReportSection {
  const points = lines.map(({ name, inferenceFlops, accuracy }) => ({ name, x: inferenceFlops, y: accuracy.mean }));
  const axes = { x: "FLOPs per image (logarithmic)", y: `${split} accuracy` };
  return { title: `Cost and accuracy: ${target}`, plot: scatterPlot(target, points, axes), picture: target };
}

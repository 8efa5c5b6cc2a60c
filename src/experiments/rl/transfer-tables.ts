/** The tables and plots of the transfer between games. */

import { mean, type ReportSection, right, sharesText } from "../../compare/index.ts";
import { duration, lineChart } from "../../report/index.ts";
import { curveSeries, type LearningCurve } from "./curve.ts";
import { agentName, isFineTuning, ours, type Protocol, scratch } from "./protocol.ts";
import { bootstrapInterval, type Interval, interquartileMean, intervalText } from "./statistics.ts";
import type { TransferCell } from "./transfer-cell.ts";

/** One method over games and seeds. */
export interface TransferLine {
  method: string;
  /** Final return of each game, over seeds, in the game's points; undefined where nothing is finished. */
  finals: (Interval | undefined)[];
  /** Over games and seeds, in units of the mean of learning from scratch. */
  final: Interval;
  area: Interval;
  cells: number;
  /** Share of each agent over the last tenth, by game. */
  shares: (number[] | undefined)[];
  stepsPerSecond: number;
}

const bestTuned = "best agent fine-tuned";

/**
 * A line for each method that has cells, and one for the agent whose fine-tuning has the largest mean area in each game,
 * which is known only afterwards.
 */
export function transferLines(cells: readonly TransferCell[], targets: readonly string[]): TransferLine[] {
  const of = (method: string, target: string) =>
    cells.filter((cell) => cell.method === method && cell.target === target);
  const names = [...new Set(cells.map(({ method }) => method))];
  const known = targets.filter((target) => of(scratch, target).length > 0);
  const unit = (target: string, value: (cell: TransferCell) => number) => mean(of(scratch, target).map(value));
  const lineOf = (method: string, own: (target: string) => TransferCell[]): TransferLine => {
    const normal = (value: (cell: TransferCell) => number) =>
      bootstrapInterval(
        known.map((target) => own(target).map((cell) => value(cell) / unit(target, value))),
        interquartileMean,
      );
    const all = targets.flatMap(own);
    return {
      method,
      finals: targets.map((target) => meanOf(own(target).map(({ final }) => final))),
      final: normal(({ final }) => final),
      area: normal(({ area }) => area),
      cells: all.length,
      shares: targets.map((target) => meanShares(own(target))),
      stepsPerSecond: mean(all.map(({ steps, seconds }) => steps / Math.max(0.1, seconds))),
    };
  };
  const tuned = names.filter(isFineTuning);
  const areaIn = (target: string, method: string) => mean(of(method, target).map(({ area }) => area));
  const bestIn = (target: string) =>
    [...tuned]
      .filter((method) => of(method, target).length > 0)
      .sort((a, b) => areaIn(target, b) - areaIn(target, a))[0] ?? "";
  const lines = names.map((name) => lineOf(name, (target) => of(name, target)));
  return tuned.length > 0 ? [...lines, lineOf(bestTuned, (target) => of(bestIn(target), target))] : lines;
}

function meanOf(values: readonly number[]): Interval | undefined {
  return values.length > 0 ? bootstrapInterval([values], mean) : undefined;
}

/** Mean over the cells that have shares. */
export function meanShares(cells: readonly Pick<LearningCurve, "shares">[]): number[] | undefined {
  const known = cells.flatMap(({ shares }) => (shares ? [shares] : []));
  return known[0]?.map((_, i) => mean(known.map((own) => own[i] ?? 0)));
}

export function mainSection(lines: readonly TransferLine[], protocol: Protocol): ReportSection {
  const { sources, targets } = protocol;
  return {
    title: "Methods",
    text: [
      "Area: mean return while learning. Final: mean return over the last tenth. Both in units of learning from scratch in the same " +
        "game, interquartile means over games and seeds with 95 % intervals of a stratified bootstrap; the games' own columns are means in points.",
    ],
    table: {
      columns: [
        { title: "method" },
        right("area, IQM"),
        right("final, IQM"),
        ...targets.map((target) => right(`${agentName(target)}, final`)),
        right("cells"),
        ...targets.map((target) => ({ title: `% in ${agentName(target)}: ${sources.map(agentName).join("/")}` })),
        right("steps/s"),
      ],
      rows: lines.map((line) => [
        line.method,
        intervalText(line.area),
        intervalText(line.final),
        ...line.finals.map((final) => (final ? intervalText(final) : "")),
        String(line.cells),
        ...line.shares.map(sharesText),
        line.stepsPerSecond.toFixed(0),
      ]),
    },
    remarks: [
      `"${bestTuned}" is chosen after the fact, by the area in each game: it costs the training of all ${sources.length}.`,
      "Steps a second are those of the machines that computed the cells, which were not all as fast, nor always quiet.",
    ],
  };
}

/** Learning curves of a game: of the rivals, and of the method's variants. */
export function curveSections(
  cells: readonly TransferCell[],
  target: string,
  protocol: Protocol,
  methods: readonly string[],
): ReportSection[] {
  const rivals = methods.filter(
    (name) => name === scratch || name === ours || isFineTuning(name) || name === "distillation",
  );
  const variants = methods.filter((name) => name === scratch || name === ours || !rivals.includes(name));
  return [["rivals", rivals] as const, ["variants and controls", variants] as const].map(([title, names]) => ({
    title: `Learning curves in ${agentName(target)}: ${title}`,
    picture: `${agentName(target)}-${title.split(" ")[0]}`,
    text: ["Mean over seeds of the return of training episodes; shades are 95 % bootstrap intervals."],
    plot: lineChart(
      `Return in ${agentName(target)}`,
      names.map((name) => {
        const own = cells.filter((cell) => cell.method === name && cell.target === target);
        return curveSeries(name, own, protocol.targetSteps);
      }),
      { x: "steps", y: "return" },
    ),
  }));
}

export function sourceSection(sources: readonly { game: string; cell: LearningCurve }[]): ReportSection {
  return {
    title: "The hub's agents",
    table: {
      columns: [{ title: "game" }, right("steps"), right("return, last tenth"), right("time")],
      rows: sources.map(({ game, cell }) => [
        agentName(game),
        String(cell.steps),
        cell.final.toFixed(2),
        duration(cell.seconds),
      ]),
    },
  };
}

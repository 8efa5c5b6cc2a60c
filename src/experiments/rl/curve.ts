/** Learning curve and cost of an agent, from the log of its training. */
import { join } from "node:path";
import { mean } from "../../compare/index.ts";
import type { Series } from "../../report/index.ts";
import { readProgress, resultOf } from "../../rl/index.ts";
import { bootstrapInterval } from "./statistics.ts";

/** Points of a learning curve. */
export const curvePoints = 50;

export interface LearningCurve {
  steps: number;
  /** Mean return of the episodes that ended in each part of training. */
  curve: number[];
  /** Mean of the curve: how good it was while it learned. */
  area: number;
  /** Mean return over the last tenth. */
  final: number;
  seconds: number;
  /** Share of each agent of a hub over the last tenth. */
  shares?: number[];
}

/** @param out folder of a finished run */
export function learningCurve(out: string): LearningCurve {
  const events = readProgress(join(out, "events.jsonl"));
  const { steps, seconds } = resultOf(out);
  const parts = Array.from({ length: curvePoints }, (): number[] => []);
  for (const event of events) parts[Math.ceil((event.steps / steps) * curvePoints) - 1]?.push(...event.returns);
  const curve = filled(parts.map((returns) => (returns.length > 0 ? mean(returns) : undefined)));
  const late = events.filter((event) => event.steps > 0.9 * steps).flatMap(({ shares }) => (shares ? [shares] : []));
  const shares = late[0]?.map((_, i) => rounded(mean(late.map((own) => own[i] ?? 0))));
  return {
    steps,
    curve: curve.map(rounded),
    area: mean(curve),
    final: mean(curve.slice(-Math.round(curvePoints / 10))),
    seconds: Math.round(10 * seconds) / 10,
    ...(shares ? { shares } : {}),
  };
}

/** Learning curves of several seeds as a line of a plot: their mean, with its 95 % bootstrap interval as a shade. */
export function curveSeries(name: string, cells: readonly LearningCurve[], steps: number): Series {
  const points = Array.from({ length: cells.length > 0 ? curvePoints : 0 }, (_, i) => {
    const values = cells.map(({ curve }) => curve[i] ?? 0);
    return { x: Math.round(((i + 1) / curvePoints) * steps), ...bootstrapInterval([values], mean, 500) };
  });
  return {
    name,
    points: points.map(({ x, value }) => [x, value] as const),
    band: points.map(({ x, low, high }) => [x, low, high] as const),
  };
}

/** A part in which no episode ended shows what the one before showed, the first ones what came first. */
function filled(curve: readonly (number | undefined)[]): number[] {
  let last = curve.find((value) => value !== undefined) ?? 0;
  return curve.map((value) => {
    last = value ?? last;
    return last;
  });
}

/** Cells are kept in the repository: no more digits than mean something. */
const rounded = (value: number) => Number(value.toPrecision(5));

/** Names, values and formats of a cell's figures. */

import { meanInterval } from "../../compare/index.ts";
import { percent } from "../../report/index.ts";
import type { RouterCell } from "./cell.ts";
import type { FigureName } from "./settings.ts";
import { bestAccuracy } from "./world.ts";

interface Figure {
  title: string;
  /** Value for one cell; undefined where it has none. */
  value(cell: RouterCell): number | undefined;
  show(value: number): string;
}

/** Above this share of the k busiest members a run counts as collapsed. */
const collapseShare = 0.9;
const plain = (digits: number) => (value: number) => value.toFixed(digits);

export const figures: Record<FigureName, Figure> = {
  accuracy: { title: "accuracy", value: (cell) => cell.accuracy, show: percent },
  oracle: { title: "oracle", value: (cell) => cell.lines.oracle.accuracy, show: percent },
  cue: { title: "cue", value: (cell) => cell.lines.cue.accuracy, show: percent },
  told: { title: "told", value: (cell) => cell.lines.told?.accuracy, show: percent },
  constant: { title: "best constant", value: (cell) => cell.lines.constant.accuracy, show: percent },
  random: { title: "random", value: (cell) => cell.lines.random.accuracy, show: percent },
  regret: { title: "regret", value: (cell) => cell.lines.oracle.accuracy - cell.accuracy, show: percent },
  belowCeiling: { title: "below ceiling", value: belowCeiling, show: percent },
  logLossRegret: {
    title: "log-loss regret",
    value: (cell) => cell.logLoss - cell.lines.oracle.logLoss,
    show: plain(2),
  },
  agreement: { title: "agreement", value: (cell) => cell.agreement, show: percent },
  toldAgreement: { title: "told agreement", value: (cell) => cell.toldAgreement, show: percent },
  mutualInformation: { title: "route–domain nats", value: (cell) => cell.mutualInformation, show: plain(2) },
  classInformation: { title: "route–class nats", value: (cell) => cell.classInformation, show: plain(2) },
  loadEntropy: { title: "load entropy", value: (cell) => cell.loadEntropy, show: plain(2) },
  topShare: { title: "top", value: (cell) => cell.topShare, show: percent },
  own: { title: "own", value: (cell) => cell.own, show: percent },
  elsewhere: { title: "elsewhere", value: (cell) => cell.elsewhere ?? undefined, show: percent },
  collapsed: { title: "collapsed", value: (cell) => (cell.topShare > collapseShare ? 1 : 0), show: percent },
};

/**
 * Distance to the accuracy of the best routes and heads; undefined where more members are activated than a domain has
 * good ones.
 */
function belowCeiling({ setting: { world, config }, accuracy }: RouterCell): number | undefined {
  return config.k === world.good ? bestAccuracy(world) - accuracy : undefined;
}

export interface Summary {
  mean: number;
  /** Half the 95 % interval over seeds; 0 for one seed. */
  half: number;
  seeds: number;
}

/** A figure over the seeds that have it; undefined where none has. */
export function summary(name: FigureName, cells: readonly RouterCell[]): Summary | undefined {
  const values = cells.flatMap((cell) => figures[name].value(cell) ?? []);
  if (values.length === 0) return undefined;
  const { mean, half } = meanInterval(values);
  return { mean, half: half ?? 0, seeds: values.length };
}

/** "83.1 % ± 1.2 %", or "–". */
export function shown(name: FigureName, cells: readonly RouterCell[]): string {
  const result = summary(name, cells);
  if (!result) return "–";
  if (name === "collapsed") return `${Math.round(result.mean * result.seeds)} of ${result.seeds}`;
  const { show } = figures[name];
  return result.seeds < 2 ? show(result.mean) : `${show(result.mean)} ± ${show(result.half)}`;
}

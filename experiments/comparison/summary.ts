/** Tables over seeds: means, intervals, paired differences. */
import type { Entry } from "./rivals.ts";
import { meanInterval } from "./table.ts";

export interface Line {
  method: string;
  budget: string;
  accuracy: { mean: number; half: number };
  /** Accuracy of each seed, in order. */
  perSeed: number[];
  macroF1: { mean: number; half: number };
  calibrationError: { mean: number; half: number };
  parameters: number;
  trainingFlops: number;
  trainingSeconds: number;
  inferenceFlops: number;
  secondsPerImage: number;
  detail: string;
}

/** One line for each method and budget, over seeds; "best by validation" gets a line of its own. */
export function lines(seeds: readonly { seed: number; entries: readonly Entry[] }[]): Line[] {
  const groups = new Map<string, Entry[]>();
  for (const { entries } of seeds) {
    for (const entry of entries) {
      const names = [`${entry.method}|${entry.budget}`];
      if (entry.detail === "best by validation") names.push(`best member by validation|${entry.budget}`);
      for (const name of names) groups.set(name, [...(groups.get(name) ?? []), entry]);
    }
  }
  return [...groups].map(([name, entries]) => lineOf(name, entries));
}

function lineOf(name: string, entries: readonly Entry[]): Line {
  const [method = "", budget = ""] = name.split("|");
  const mean = (value: (entry: Entry) => number) =>
    entries.reduce((sum, entry) => sum + value(entry), 0) / entries.length;
  const perSeed = entries.map((entry) => entry.metrics.accuracy);
  return {
    method,
    budget,
    accuracy: meanInterval(perSeed),
    perSeed,
    macroF1: meanInterval(entries.map((entry) => entry.metrics.macroF1)),
    calibrationError: meanInterval(entries.map((entry) => entry.metrics.calibrationError)),
    parameters: mean((entry) => entry.parameters),
    trainingFlops: mean((entry) => entry.trainingFlops),
    trainingSeconds: mean((entry) => entry.trainingSeconds),
    inferenceFlops: mean((entry) => entry.inferenceFlops),
    secondsPerImage: mean((entry) => entry.secondsPerImage),
    detail: method.startsWith("best member by") ? "" : [...new Set(entries.map((entry) => entry.detail))].join("; "),
  };
}

/** Hub-Pathway minus each rival, paired by seed. */
export function pairedDifference(table: readonly Line[]): string {
  const ours = table.filter((line) => line.method.startsWith("Hub-Pathway"));
  const rivals = table.filter((line) => /^best|^ensemble/.test(line.method));
  const text = ours.flatMap((mine) =>
    rivals.map((rival) => {
      const { mean, half } = meanInterval(mine.perSeed.map((value, i) => value - (rival.perSeed[i] ?? Number.NaN)));
      const sign = mean >= 0 ? "+" : "";
      return `- ${mine.method} (${mine.budget}) minus ${rival.method} (${rival.budget}): ${sign}${(100 * mean).toFixed(1)} ± ${(100 * half).toFixed(1)} points`;
    }),
  );
  return `Paired by seed:\n\n${text.join("\n")}`;
}

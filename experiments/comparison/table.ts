/** The table of a comparison. */
import { meanInterval as overSeeds } from "../../src/experiments/statistics.ts";
import { amount, type Column, duration, percent } from "../../src/report/index.ts";
import type { Entry } from "./rivals.ts";

export const columns: readonly Column<Entry>[] = [
  { title: "method", value: (entry) => entry.method },
  { title: "budget", value: (entry) => entry.budget },
  { title: "accuracy", value: (entry) => percent(entry.metrics.accuracy), right: true },
  { title: "macro F1", value: (entry) => percent(entry.metrics.macroF1), right: true },
  { title: "calib. error", value: (entry) => percent(entry.metrics.calibrationError), right: true },
  { title: "parameters", value: (entry) => amount(entry.parameters), right: true },
  { title: "training FLOPs", value: (entry) => amount(entry.trainingFlops), right: true },
  { title: "training time", value: (entry) => duration(entry.trainingSeconds), right: true },
  { title: "FLOPs/image", value: (entry) => amount(entry.inferenceFlops), right: true },
  { title: "time/image", value: (entry) => duration(entry.secondsPerImage), right: true },
  { title: "what", value: (entry) => entry.detail },
];

/** Mean, and half the width of the 95 % interval over seeds (0 for one seed). */
export function meanInterval(values: readonly number[]): { mean: number; half: number } {
  const { mean, half } = overSeeds(values);
  return { mean, half: half ?? 0 };
}

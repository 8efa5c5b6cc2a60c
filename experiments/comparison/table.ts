/** The table of a comparison. */
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

/** Mean, and half the width of the 95 % interval by Student's t over seeds (0 for one seed). */
export function meanInterval(values: readonly number[]): { mean: number; half: number } {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n < 2) return { mean, half: 0 };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { mean, half: studentT(n - 1) * Math.sqrt(variance / n) };
}

/** 97.5 % quantile of Student's t by degrees of freedom. */
function studentT(degrees: number): number {
  const table = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
  return table[degrees - 1] ?? 1.96 + 2.5 / degrees;
}

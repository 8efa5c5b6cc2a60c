/** Rivals that are made of fine-tuned members, chosen on validation data: best single, ensembles, static pairs. */
import { bestSet, meanProbabilities } from "../../src/methods/index.ts";
import { computeMetrics, type Metrics, type SplitName } from "../../src/train/index.ts";
import type { Cell } from "./cells.ts";

/** One line of the table. */
export interface Entry {
  method: string;
  budget: "equal epochs" | "equal compute" | "all members";
  metrics: Metrics;
  /** Predictions on the measured split, row-major [N, C]. */
  probabilities: Float32Array;
  labels: number[];
  parameters: number;
  trainingFlops: number;
  inferenceFlops: number;
  trainingSeconds: number;
  secondsPerImage: number;
  /** What was chosen, for remarks. */
  detail: string;
}

/** A cell as a line of the table. */
export function entryOf(cell: Cell, method: string, budget: Entry["budget"], split: SplitName, detail = ""): Entry {
  const result = required(cell, split);
  const { metrics, labels, secondsPerImage } = result;
  const { parameters, trainingFlops, inferenceFlops, trainingSeconds } = cell;
  const probabilities = Float32Array.from(result.probabilities);
  return {
    method,
    budget,
    metrics,
    probabilities,
    labels,
    parameters,
    trainingFlops,
    inferenceFlops,
    trainingSeconds,
    secondsPerImage,
    detail,
  };
}

/** The ensemble of some fine-tuned members; its training cost is that of all members it was chosen from. */
export function ensembleEntry(
  cells: readonly Cell[],
  set: readonly number[],
  method: string,
  classes: number,
  split: SplitName,
): Entry {
  const parts = set.map((i) => at(cells, i));
  const labels = required(at(cells, 0), split).labels;
  const probabilities = meanProbabilities(parts.map((cell) => Float32Array.from(required(cell, split).probabilities)));
  const total = (value: (cell: Cell) => number, from: readonly Cell[]) =>
    from.reduce((sum, cell) => sum + value(cell), 0);
  return {
    method,
    budget: "all members",
    metrics: computeMetrics(probabilities, labels, classes),
    probabilities,
    labels,
    parameters: total((cell) => cell.parameters, parts),
    trainingFlops: total((cell) => cell.trainingFlops, cells),
    inferenceFlops: total((cell) => cell.inferenceFlops, parts),
    trainingSeconds: total((cell) => cell.trainingSeconds, cells),
    secondsPerImage: total((cell) => required(cell, split).secondsPerImage, parts),
    detail: parts.map((cell) => cell.name.split(" ")[0]).join(" + "),
  };
}

/** Position of the member with the highest validation accuracy; the lower log loss decides among equals. */
export function bestByValidation(cells: readonly Cell[]): number {
  let best = 0;
  for (const [i, cell] of cells.entries()) {
    const [a, b] = [required(cell, "validation").metrics, required(at(cells, best), "validation").metrics];
    if (a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.logLoss < b.logLoss)) best = i;
  }
  return best;
}

/** The k members whose ensemble is best on validation data. */
export function bestStaticSet(cells: readonly Cell[], k: number, classes: number): number[] {
  const tables = cells.map((cell) => Float32Array.from(required(cell, "validation").probabilities));
  return bestSet(tables, required(at(cells, 0), "validation").labels, classes, k);
}

function required(cell: Cell, split: SplitName) {
  const result = cell.splits[split];
  if (!result) throw new Error(`${cell.name} was not measured on the ${split} split`);
  return result;
}

function at(cells: readonly Cell[], i: number): Cell {
  const cell = cells[i];
  if (!cell) throw new RangeError(`no cell ${i}`);
  return cell;
}

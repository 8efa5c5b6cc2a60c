/** One measured figure with its two sides. */
import { readFileSync } from "node:fs";

export interface Figure {
  name: string;
  /** What is divided, with its unit. */
  ours: { what: string; value: number };
  other: { what: string; value: number };
  /** ours / other. */
  ratio: number;
  /** What the project aims at, such as a largest ratio; "reported" where nothing is aimed at, which is always met. */
  goal: string;
  met: boolean;
  note?: string;
}

/** A figure whose goal is a largest ratio; without one it is only reported. */
export function ratioFigure(
  name: string,
  ours: Figure["ours"],
  other: Figure["other"],
  largest?: number,
  note?: string,
): Figure {
  const ratio = ours.value / other.value;
  const goal = largest === undefined ? "reported" : `ratio at most ${largest}`;
  const met = largest === undefined || ratio <= largest;
  return { name, ours, other, ratio, goal, met, ...(note ? { note } : {}) };
}

/**
 * Largest resident memory of this process so far, MiB, from Linux's own count (VmHWM). What getrusage says of a child
 * starts at its parent's size.
 */
export function peakMiB(): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  if (kibibytes === undefined) throw new RangeError("/proc/self/status has no VmHWM: this needs Linux");
  return Number(kibibytes) / 1024;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Runs two sides in turn and returns the times of each; drift of the machine meets both alike. */
export async function inTurn(
  rounds: number,
  a: () => Promise<number> | number,
  b: () => Promise<number> | number,
): Promise<[number[], number[]]> {
  const [first, second]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    first.push(await a());
    second.push(await b());
  }
  return [first, second];
}

export function seconds(fn: () => void): number {
  const began = performance.now();
  fn();
  return (performance.now() - began) / 1000;
}

/** Processor time of this process, all its threads together: what other work on the machine takes does not count. */
export function processorSeconds(fn: () => void): number {
  const before = process.cpuUsage();
  fn();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

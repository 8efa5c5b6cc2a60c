/** One measured figure with its two sides. */

export interface Figure {
  name: string;
  /** What is divided, with its unit. */
  ours: { what: string; value: number };
  other: { what: string; value: number };
  /** ours / other. */
  ratio: number;
  /** What the project aims at: a largest ratio, or for single values a largest value of ours. */
  goal: string;
  met: boolean;
  note?: string;
}

/** A figure whose goal is a largest ratio. */
export function ratioFigure(
  name: string,
  ours: Figure["ours"],
  other: Figure["other"],
  largest: number,
  note?: string,
): Figure {
  const ratio = ours.value / other.value;
  return {
    name,
    ours,
    other,
    ratio,
    goal: `ratio at most ${largest}`,
    met: ratio <= largest,
    ...(note ? { note } : {}),
  };
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

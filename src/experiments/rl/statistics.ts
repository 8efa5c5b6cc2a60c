/**
 * Figures over seeds and games as rliable gives them (Agarwal, Schwarzer, Castro, Courville & Bellemare, "Deep Reinforcement
 * Learning at the Edge of the Statistical Precipice", NeurIPS 2021): interquartile means with intervals of a stratified
 * bootstrap, which draws seeds anew within each game.
 */
import { RandomStream } from "../../rl/index.ts";

/** Mean of the middle half; parts of a value count as parts (scipy's trim_mean cuts whole values). */
export function interquartileMean(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const cut = sorted.length / 4;
  let sum = 0;
  for (const [i, value] of sorted.entries()) {
    const inside = Math.min(i + 1, sorted.length - cut) - Math.max(i, cut);
    sum += value * Math.max(0, inside);
  }
  return sum / (sorted.length - 2 * cut);
}

export interface Interval {
  value: number;
  low: number;
  high: number;
}

/**
 * A statistic of all values with the 95 % interval of its percentile bootstrap.
 * @param games the values of each game, one for each seed
 */
export function bootstrapInterval(
  games: readonly (readonly number[])[],
  statistic: (values: readonly number[]) => number,
  draws = 2000,
  seed = 0,
): Interval {
  const random = new RandomStream(seed);
  const resampled = Array.from({ length: draws }, () =>
    statistic(games.flatMap((values) => values.map(() => values[random.below(values.length)] as number))),
  ).sort((a, b) => a - b);
  const at = (part: number) => resampled[Math.min(draws - 1, Math.floor(part * draws))] as number;
  return { value: statistic(games.flat()), low: at(0.025), high: at(0.975) };
}

export function intervalText({ value, low, high }: Interval): string {
  return `${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
}

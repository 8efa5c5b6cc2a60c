/** Learning-rate schedules: functions from the step (0, 1, …) to a factor on the initial rate. */

export type Schedule = (step: number) => number;

/** Always 1. */
export function constant(): Schedule {
  return () => 1;
}

/** Half a cosine from 1 at step 0 to `end` at step `total` and after (Loshchilov & Hutter 2017, without restarts). */
export function cosine(total: number, end = 0): Schedule {
  return (step) => end + ((1 - end) * (1 + Math.cos(Math.PI * part(step, total)))) / 2;
}

/** Times `gamma` at each milestone that has been reached. */
export function stepDecay(milestones: readonly number[], gamma = 0.1): Schedule {
  return (step) => gamma ** milestones.filter((milestone) => step >= milestone).length;
}

/** A straight line from 1 at step 0 to `end` at step `total` and after. */
export function linear(total: number, end = 0): Schedule {
  return (step) => end + (1 - end) * (1 - part(step, total));
}

export interface OneCycleOptions {
  /** Part of the steps in which the rate rises; default 0.3. */
  rise?: number;
  /** First factor is 1 / startDivisor; default 25. */
  startDivisor?: number;
  /** Last factor is first / endDivisor; default 1e4. */
  endDivisor?: number;
}

/** Cosine rise to 1 and cosine fall to nearly 0 (Smith & Topin 2018), with PyTorch's OneCycleLR values. */
export function oneCycle(total: number, options: OneCycleOptions = {}): Schedule {
  const { rise = 0.3, startDivisor = 25, endDivisor = 1e4 } = options;
  const first = 1 / startDivisor;
  const last = first / endDivisor;
  const top = rise * total - 1;
  return (step) => {
    if (step <= top) return between(first, 1, part(step, top));
    return between(1, last, part(step - top, total - 1 - top));
  };
}

/** Rises linearly over the first `steps` steps, the first of them already above 0, then follows the schedule from its start. */
export function linearWarmup(steps: number, then: Schedule = constant()): Schedule {
  return (step) => (step < steps ? ((step + 1) / steps) * then(0) : then(step - steps));
}

/** Done part of a span, within [0, 1]. */
function part(step: number, total: number): number {
  return total <= 0 ? 1 : Math.min(Math.max(step / total, 0), 1);
}

function between(from: number, to: number, done: number): number {
  return to + ((from - to) * (1 + Math.cos(Math.PI * done))) / 2;
}

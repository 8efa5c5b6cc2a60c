/** Choosing actions from a network's outputs. n observations, O outputs each, of which the first A concern actions. */
import { type Generator, rand } from "../../torch/index.ts";

/** Independent numbers in [0, 1) from a stream. */
export function uniforms(count: number, generator: Generator): Float32Array {
  using values = rand([count], { generator });
  return values.toTypedArray() as Float32Array;
}

export interface SampledActions {
  /** [n] */
  actions: Int32Array;
  /** [n]: logarithm of each action's probability. */
  logProbs: Float32Array;
}

/** Draws an action of each row from softmax of its first A outputs, by the inverse of its distribution function. */
export function sampleActions(outputs: Float32Array, n: number, A: number, draws: Float32Array): SampledActions {
  const actions = new Int32Array(n);
  const logProbs = new Float32Array(n);
  const width = outputs.length / n;
  for (let row = 0; row < n; row++) {
    const at = row * width;
    let highest = Number.NEGATIVE_INFINITY;
    for (let a = 0; a < A; a++) highest = Math.max(highest, outputs[at + a] as number);
    let total = 0;
    for (let a = 0; a < A; a++) total += Math.exp((outputs[at + a] as number) - highest);
    const target = (draws[row] as number) * total;
    let action = 0;
    let sum = Math.exp((outputs[at] as number) - highest);
    while (sum <= target && action < A - 1) {
      action += 1;
      sum += Math.exp((outputs[at + action] as number) - highest);
    }
    actions[row] = action;
    logProbs[row] = (outputs[at + action] as number) - highest - Math.log(total);
  }
  return { actions, logProbs };
}

/** The action of each row with the largest output, the first among equals. [n] */
export function greedyActions(outputs: Float32Array, n: number, A: number): Int32Array {
  const actions = new Int32Array(n);
  const width = outputs.length / n;
  for (let row = 0; row < n; row++) {
    const at = row * width;
    let best = 0;
    for (let a = 1; a < A; a++) if ((outputs[at + a] as number) > (outputs[at + best] as number)) best = a;
    actions[row] = best;
  }
  return actions;
}

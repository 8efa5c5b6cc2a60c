/**
 * The formulas of PPO: advantages and the clipped loss (Schulman et al. 2017). R rows of a rollout of n copies, row t · n + i
 * being step t of copy i; B rows of a minibatch, A actions.
 */
import { ops, type Tensor } from "../../torch/index.ts";

/** Data from which advantages are estimated, each [R]. */
export interface Trajectory {
  rewards: Float32Array;
  values: Float32Array;
  /** Value of what followed each step: 0 after a termination, of the final observation after a cut. */
  nextValues: Float32Array;
  /** 1 where the episode ended with this step, in either way. */
  ends: Uint8Array;
}

/**
 * Generalised advantage estimation (Schulman et al. 2016, equation 16) of n copies:
 * δ_t = r_t + γ V(next) - V_t; A_t = δ_t + γ λ A_{t+1} within an episode. Returns are A + V.
 */
export function advantageEstimates(
  { rewards, values, nextValues, ends }: Trajectory,
  n: number,
  gamma: number,
  lambda: number,
): { advantages: Float32Array; returns: Float32Array } {
  const R = rewards.length;
  const advantages = new Float32Array(R);
  const returns = new Float32Array(R);
  for (let i = 0; i < n; i++) {
    let advantage = 0;
    for (let row = R - n + i; row >= 0; row -= n) {
      const value = values[row] as number;
      const delta = (rewards[row] as number) + gamma * (nextValues[row] as number) - value;
      advantage = delta + (ends[row] ? 0 : gamma * lambda * advantage);
      advantages[row] = advantage;
      returns[row] = advantage + value;
    }
  }
  return { advantages, returns };
}

/** Inputs of the loss for each row beside the network's outputs, each [B]. */
export interface PpoColumns {
  /** int64 */
  actions: Tensor;
  logProbs: Tensor;
  advantages: Tensor;
  returns: Tensor;
  /** Values when acting. */
  values: Tensor;
}

/** The loss and its parts, each [B]. */
export interface PpoParts {
  loss: Tensor;
  policy: Tensor;
  value: Tensor;
  entropy: Tensor;
  ratio: Tensor;
}

/** Weights and clips of the loss: see `PpoOptions`. */
interface LossOptions {
  clip: number;
  clipValue: boolean;
  valueWeight: number;
  entropyWeight: number;
}

/**
 * -min(ρ A, clip(ρ, 1 ± ε) A) + c_v ½ (V - R)² - c_e H, with ρ the new probability of the action over the one that it was
 * chosen with. For an agent of a hub ρ compares its own policy with the one that acted, the aggregate's.
 * @param outputs [B, A + 1]
 */
export function ppoParts(outputs: Tensor, columns: PpoColumns, options: LossOptions): PpoParts {
  const { clip, clipValue, valueWeight, entropyWeight } = options;
  const A = outputs.size(1) - 1;
  const logProbs = outputs.narrow(1, 0, A).log_softmax(1);
  const chosen = logProbs.gather(1, columns.actions.unsqueeze(1)).squeeze(1);
  const ratio = chosen.sub(columns.logProbs).exp();
  const policy = clippedLoss(ratio, columns.advantages, clip);
  const value = valueLoss(outputs.select(1, A), columns, clipValue ? clip : undefined);
  const entropy = logProbs.exp().mul(logProbs).sum(1).neg();
  const loss = policy.add(value.mul(valueWeight)).sub(entropy.mul(entropyWeight));
  return { loss, policy, value, entropy, ratio };
}

/** -min(ρ A, clip(ρ, 1 ± ε) A), [B] */
export function clippedLoss(ratio: Tensor, advantages: Tensor, clip: number): Tensor {
  return ops.minimum(ratio.mul(advantages), ratio.clamp(1 - clip, 1 + clip).mul(advantages)).neg();
}

function valueLoss(values: Tensor, { returns, values: before }: PpoColumns, clip: number | undefined): Tensor {
  const error = values.sub(returns).square();
  if (clip === undefined) return error.mul(0.5);
  const near = before.add(values.sub(before).clamp(-clip, clip));
  return ops.maximum(error, near.sub(returns).square()).mul(0.5);
}

/** With mean 0 and standard deviation 1. */
export function normalised(advantages: Tensor): Tensor {
  return advantages.sub(advantages.mean()).div(advantages.var().sqrt().add(1e-8));
}

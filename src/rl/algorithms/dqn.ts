/**
 * Deep Q-learning (Mnih et al. 2015) with double estimation (van Hasselt, Guez & Silver 2016) and N-step returns (Sutton
 * 1988; Hessel et al. 2018): replay, a target network, and Huber's loss.
 *
 * n copies, A actions; B transitions make a batch. A network's outputs are the values of the actions, [B, A].
 */
import { smoothL1 } from "../../nn/index.ts";
import { clipGradNorm } from "../../optim/index.ts";
import { inferenceMode, int64, noGrad, scope, type Tensor, tensor } from "../../torch/index.ts";
import type { TrainedNetwork } from "../agents/network.ts";
import type { ObservationForm } from "../agents/observations.ts";
import { encode } from "../agents/observations.ts";
import type { Observations, StepResult } from "../environments/index.ts";
import { greedyActions, uniforms } from "./actions.ts";
import {
  type Algorithm,
  type AlgorithmState,
  adam,
  addRows,
  finiteLoss,
  type Progress,
  roundUp,
  type Setting,
} from "./algorithm.ts";
import { Replay, StepQueue } from "./replay.ts";

export interface DqnOptions {
  lr: number;
  gamma: number;
  /** Steps N whose rewards a target sums up before it trusts a value. */
  nSteps: number;
  /** The network chooses the next action, the target network values it; otherwise the latter does both. */
  double: boolean;
  batchSize: number;
  /** Transitions that the replay holds. */
  capacity: number;
  /** Steps played before the first update. */
  learningStarts: number;
  /** Steps played for each update. */
  trainEvery: number;
  /** Steps after which the target network takes over the weights. */
  targetEvery: number;
  /** Probability of a random action at the start, and at the end of its fall. */
  epsilon: readonly [number, number];
  /** Part of training over which it falls. */
  epsilonFall: number;
  maxGradNorm: number;
}

export const defaultDqnOptions: DqnOptions = {
  lr: 2.5e-4,
  gamma: 0.99,
  nSteps: 1,
  double: true,
  batchSize: 32,
  capacity: 100_000,
  learningStarts: 5000,
  trainEvery: 4,
  targetEvery: 1000,
  epsilon: [1, 0.1],
  epsilonFall: 0.1,
  maxGradNorm: 10,
};

/** Bytes that the observations of a replay may have. */
const replayBytes = 2 ** 31;

/** The options for such observations: of pictures the replay holds fewer, two for each transition. */
export function usualDqnOptions({ elements, scale }: ObservationForm): DqnOptions {
  const bytes = 2 * elements * (scale > 1 ? 1 : 4);
  const { capacity } = defaultDqnOptions;
  return { ...defaultDqnOptions, capacity: Math.min(capacity, Math.floor(replayBytes / bytes)) };
}

/** Steps between two points at which a run may stop. */
const stretch = 500;

export class Dqn implements Algorithm {
  readonly state: AlgorithmState;
  observations: Observations = new Float32Array();
  #steps = 0;
  #updates = 0;
  readonly #setting: Setting;
  readonly #target: TrainedNetwork;
  readonly #options: DqnOptions;
  readonly #optimizer: ReturnType<typeof adam>;
  readonly #replay: Replay;
  readonly #queue: StepQueue;

  /** @param target another network of the same making, which the caller disposes */
  constructor(setting: Setting, target: TrainedNetwork, options: DqnOptions) {
    const { network, environment, form } = setting;
    const bytes = environment.observationSpace.dtype === "uint8";
    this.#setting = setting;
    this.#target = target;
    this.#options = options;
    this.#optimizer = adam(network, options.lr, 1e-5);
    this.#replay = new Replay(options.capacity, form.elements, bytes);
    this.#queue = new StepQueue(environment.n, options.nSteps, options.gamma, bytes);
    this.#synchronise();
    this.state = {
      modules: { model: network.module, target: target.module },
      optimizer: this.#optimizer,
      streams: network.streams,
      arrays: () => this.#replay.arrays(),
      numbers: () => ({
        steps: this.#steps,
        updates: this.#updates,
        at: this.#replay.at,
        queue: this.#queue.state(),
        // The target's routes may be random.
        target: target.streams.state(),
      }),
      restore: (arrays, numbers) => {
        this.#steps = numbers["steps"] as number;
        this.#updates = numbers["updates"] as number;
        this.#queue.restore(numbers["queue"]);
        target.streams.restore(numbers["target"] as Record<string, string>);
        this.#replay.restore(arrays, numbers["at"] as number);
      },
    };
  }

  get steps(): number {
    return this.#steps;
  }

  /** All copies play each step. */
  get lastStep(): number {
    return roundUp(this.#setting.totalSteps, this.#setting.environment.n);
  }

  /** About 500 steps with the updates that belong to them. */
  async advance(): Promise<Progress> {
    const { environment, totalSteps } = this.#setting;
    const end = Math.min(totalSteps, this.#steps + Math.max(stretch, environment.n));
    const rows: number[] = [];
    const losses: number[] = [];
    while (this.#steps < end) {
      await this.#play();
      for (; this.#updates < this.#due(); this.#updates++) {
        if (this.#replay.size === 0) continue;
        const { loss, rows: computed } = this.#learn();
        losses.push(loss);
        addRows(rows, computed);
      }
    }
    const loss = losses.reduce((sum, value) => sum + value, 0) / Math.max(1, losses.length);
    return { logs: { loss, epsilon: this.#epsilon(), replay: this.#replay.size }, rows };
  }

  dispose(): void {
    this.#optimizer.dispose();
  }

  /** Updates that should have been done by now. */
  #due(): number {
    const { learningStarts, trainEvery } = this.#options;
    return Math.max(0, Math.floor((this.#steps - learningStarts) / trainEvery));
  }

  #epsilon(): number {
    const { epsilon, epsilonFall } = this.#options;
    return explorationRate(this.#steps / this.#setting.totalSteps, epsilon, epsilonFall);
  }

  /** One step of every copy; what it completes goes into the replay. */
  async #play(): Promise<void> {
    const { environment, episodes } = this.#setting;
    const { n } = environment;
    const before = this.observations.slice();
    const actions = this.#choose();
    const result = await environment.step(actions);
    episodes.add(result);
    for (let i = 0; i < n; i++) this.#record(i, before, actions, result);
    this.observations = result.observations;
    const { targetEvery } = this.#options;
    const isDue = Math.floor((this.#steps + n) / targetEvery) > Math.floor(this.#steps / targetEvery);
    this.#steps += n;
    if (isDue) this.#synchronise();
  }

  #record(i: number, before: Observations, actions: Int32Array, result: StepResult): void {
    const { elements } = this.#setting.form;
    const row = (from: Observations) => from.subarray(i * elements, (i + 1) * elements);
    const ended = result.terminated[i] ? "terminated" : result.truncated[i] ? "truncated" : undefined;
    const step = {
      observation: row(before),
      action: actions[i] as number,
      reward: result.rewards[i] as number,
      next: row(ended ? result.finalObservations : result.observations),
    };
    for (const transition of this.#queue.add(i, step, ended)) this.#replay.add(transition);
  }

  /** The best known action of each copy, or with probability epsilon any. */
  #choose(): Int32Array {
    const { environment, network, form, actions: A, totalSteps } = this.#setting;
    const { n } = environment;
    const outputs = scope(() =>
      inferenceMode(() => {
        const acted = network.act(encode(this.observations, form), this.#steps / totalSteps);
        return acted.outputs.toTypedArray() as Float32Array;
      }),
    );
    const actions = greedyActions(outputs, n, A);
    const draws = uniforms(2 * n, network.streams.stream("actions"));
    const epsilon = this.#epsilon();
    for (let i = 0; i < n; i++) {
      if ((draws[i] as number) < epsilon) actions[i] = Math.floor((draws[n + i] as number) * A);
    }
    return actions;
  }

  #learn(): { loss: number; rows: number[] } {
    const { network, form, totalSteps } = this.#setting;
    const { batchSize, double } = this.#options;
    const draws = uniforms(batchSize, network.streams.stream("replay"));
    const places = Array.from(draws, (draw) => Math.floor(draw * this.#replay.size));
    const batch = this.#replay.gather(places);
    const { total, rows } = scope(() => {
      const target = noGrad(() => {
        const next = encode(batch.next, form);
        const valued = this.#target.act(next).outputs;
        const chooser = double ? network.act(next).outputs : valued;
        return bootstrapped(tensor(batch.rewards), tensor(batch.discounts), valued, chooser);
      });
      const actions = int64(batch.actions);
      const rowLoss = (outputs: Tensor, rowIndex?: Tensor): Tensor => {
        const of = (column: Tensor) => (rowIndex ? column.index_select(0, rowIndex) : column);
        return temporalDifferenceLoss(outputs, of(actions), of(target));
      };
      const result = network.losses(encode(batch.observations, form), rowLoss, this.#steps / totalSteps);
      return { total: result.total, rows: result.rows ?? [] };
    });
    const loss = scope(() => {
      total.backward();
      clipGradNorm(network.module.parameters(), this.#options.maxGradNorm);
      this.#optimizer.step();
      this.#optimizer.zeroGrad();
      return finiteLoss(total);
    });
    total.dispose();
    return { loss, rows };
  }

  #synchronise(): void {
    this.#target.module.loadStateDict(this.#setting.network.module.stateDict());
  }
}

// ---- the formulas

/** Falls linearly from the first to the second number over a part of training. */
export function explorationRate(progress: number, [first, last]: readonly [number, number], fall: number): number {
  return fall <= 0 ? last : first + (last - first) * Math.min(1, progress / fall);
}

/**
 * y = R + γ^N Q'(s', argmax_a Q(s', a)), [B].
 * @param valued Q' of the target network, [B, A]
 * @param chooser Q, which chooses: the network's own for double estimation, else Q' again
 */
export function bootstrapped(rewards: Tensor, discounts: Tensor, valued: Tensor, chooser: Tensor): Tensor {
  const best = chooser.argmax(1, true);
  return rewards.add(discounts.mul(valued.gather(1, best).squeeze(1)));
}

/** Huber's loss, with threshold 1, of the chosen actions' values against their targets; [B]. */
export function temporalDifferenceLoss(outputs: Tensor, actions: Tensor, targets: Tensor): Tensor {
  const chosen = outputs.gather(1, actions.unsqueeze(1)).squeeze(1);
  return smoothL1(chosen, targets, { reduction: "none" });
}

/** The policy that returned most while an agent trained: measured every so many steps, apart from training, and kept. */
import type { OutputKind, TrainedNetwork } from "../agents/network.ts";
import type { ObservationForm } from "../agents/observations.ts";
import type { VectorEnvironment } from "../environments/index.ts";
import { playEpisodes } from "./evaluate.ts";
import type { EmitAgent } from "./events.ts";

/** When a policy in training is measured. */
export interface EvaluationPlan {
  /** Steps of training from one measurement to the next. */
  every: number;
  episodes: number;
}

export interface BestPolicy {
  /** Steps of training. */
  steps: number;
  /** Mean over the episodes of its measurement. */
  meanReturn: number;
}

export interface Measured {
  plan: EvaluationPlan;
  /** Environment apart from training's, which goes on as if nothing had been measured. */
  environment: VectorEnvironment;
  network: TrainedNetwork;
  form: ObservationForm;
  actions: number;
  kind: OutputKind;
  /** Episodes are the same in every measurement. */
  seed: number;
  emit: EmitAgent;
}

export class PolicyEvaluation {
  readonly #measured: Measured;
  best: BestPolicy | undefined;
  #next: number;

  /** @param steps of training so far, with the best policy up to then */
  constructor(measured: Measured, steps: number, best: BestPolicy | undefined) {
    this.#measured = measured;
    this.best = best;
    this.#next = this.#after(steps);
  }

  /**
   * Measures the policy when it is time, and at the end of training if it was measured before; true where it is better
   * than all before.
   * @param finished training ends here
   */
  async isBest(steps: number, finished: boolean): Promise<boolean> {
    const { plan, environment, seed, emit, ...play } = this.#measured;
    if (steps < this.#next && !(finished && steps > plan.every)) return false;
    this.#next = this.#after(steps);
    await environment.reset(seed);
    const { returns } = await playEpisodes({ ...play, environment, episodes: plan.episodes, greedy: false });
    const meanReturn = returns.reduce((sum, value) => sum + value, 0) / returns.length;
    emit({ type: "evaluation", steps, returns, meanReturn });
    if (this.best && meanReturn <= this.best.meanReturn) return false;
    this.best = { steps, meanReturn };
    return true;
  }

  #after(steps: number): number {
    const { every } = this.#measured.plan;
    return (Math.floor(steps / every) + 1) * every;
  }
}

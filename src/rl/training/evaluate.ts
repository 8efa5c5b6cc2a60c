/** Playing whole episodes with a trained network. n copies, A actions, m models of a hub. */

import { inferenceMode, scope } from "../../torch/index.ts";
import { eventLoopTurn } from "../../train/index.ts";
import type { OutputKind, TrainedNetwork } from "../agents/network.ts";
import { encode, type ObservationForm } from "../agents/observations.ts";
import { greedyActions, sampleActions, uniforms } from "../algorithms/actions.ts";
import type { Observations, VectorEnvironment } from "../environments/index.ts";
import { longestEpisode } from "./limits.ts";

export interface PlayRequest {
  environment: VectorEnvironment;
  network: TrainedNetwork;
  form: ObservationForm;
  actions: number;
  kind: OutputKind;
  episodes: number;
  /** The most likely action instead of one drawn by the policy; values of actions are always followed. */
  greedy: boolean;
  /** Steps after which an episode counts as it is: some policies never come to an end. */
  maxSteps?: number | undefined;
  /** Told about each step of the first copy's first episode. */
  onStep?: ((frame: PlayedFrame) => void) | undefined;
}

export interface PlayedFrame {
  /** Before the action; valid until the next step. */
  observation: Observations;
  action: number;
  reward: number;
  /** The activated models. */
  active: readonly number[];
}

export interface PlayResult {
  returns: number[];
  lengths: number[];
  /** Episodes that were cut after the most steps; their copies play no further ones. */
  cut: number;
  /** Share of activations of each agent of a hub. */
  shares: number[] | undefined;
  steps: number;
  seconds: number;
}

/** Steps between two turns of the event loop, on which signals and progress live. */
const stepsPerTurn = 100;

/**
 * Plays the episodes, from a fresh start of the environment. Each copy plays a fixed number of them: to take those that
 * end first would prefer short ones.
 */
export async function playEpisodes(request: PlayRequest): Promise<PlayResult> {
  const { environment, network, actions: A, episodes, maxSteps = longestEpisode } = request;
  const { n } = environment;
  const left = Array.from({ length: n }, (_, i) => Math.floor((episodes + n - 1 - i) / n));
  const [returns, lengths]: [number[], number[]] = [[], []];
  const running = Array.from({ length: n }, () => ({ return: 0, length: 0 }));
  const counts = new Array<number>(network.memberNames.length).fill(0);
  let observations = await environment.reset();
  let [steps, cut, turns] = [0, 0, 0];
  let showing = request.onStep !== undefined;
  const began = performance.now();
  while (left.some((count) => count > 0)) {
    if (turns++ % stepsPerTurn === 0) await eventLoopTurn();
    const { outputs, routes } = decide(request, observations);
    const chosen = choose(request, outputs, n, A);
    const shown = showing ? observations.slice(0, request.form.elements) : undefined;
    const result = await environment.step(chosen);
    if (shown) {
      const active = routes?.[0] ?? [];
      request.onStep?.({ observation: shown, action: chosen[0] ?? 0, reward: result.rewards[0] ?? 0, active });
    }
    for (let i = 0; i < n; i++) {
      const episode = running[i];
      if (!episode || !left[i]) continue;
      steps += 1;
      for (const model of routes?.[i] ?? []) counts[model] = (counts[model] ?? 0) + 1;
      episode.return += result.rewards[i] ?? 0;
      episode.length += 1;
      const ended = result.terminated[i] || result.truncated[i];
      if (!ended && episode.length < maxSteps) continue;
      if (i === 0) showing = false;
      returns.push(episode.return);
      lengths.push(episode.length);
      running[i] = { return: 0, length: 0 };
      left[i] = ended ? (left[i] ?? 0) - 1 : 0;
      if (!ended) cut += 1;
    }
    observations = result.observations;
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  const shares = total > 0 ? counts.map((count) => count / total) : undefined;
  return { returns, lengths, cut, shares, steps, seconds: (performance.now() - began) / 1000 };
}

function decide({ network, form }: PlayRequest, observations: Observations) {
  return scope(() =>
    inferenceMode(() => {
      const { outputs, routes } = network.act(encode(observations, form));
      return { outputs: outputs.toTypedArray() as Float32Array, routes };
    }),
  );
}

function choose({ kind, greedy, network }: PlayRequest, outputs: Float32Array, n: number, A: number): Int32Array {
  if (greedy || kind === "action-values") return greedyActions(outputs, n, A);
  return sampleActions(outputs, n, A, uniforms(n, network.streams.stream("evaluation"))).actions;
}

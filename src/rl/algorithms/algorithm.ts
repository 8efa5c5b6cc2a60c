/** Common interface of PPO and DQN: their inputs, their reports, and their state in a checkpoint. */
import type { Module } from "../../nn/index.ts";
import { AdamW, type Optimizer } from "../../optim/index.ts";
import { type RandomStreams, type Tensor, UserError } from "../../torch/index.ts";
import type { TrainedNetwork } from "../agents/network.ts";
import type { ObservationForm } from "../agents/observations.ts";
import type { Observations, VectorEnvironment } from "../environments/index.ts";
import type { EpisodeMeter } from "./episodes.ts";

/** Inputs of an algorithm. */
export interface Setting {
  environment: VectorEnvironment;
  form: ObservationForm;
  /** Number A of actions. */
  actions: number;
  network: TrainedNetwork;
  episodes: EpisodeMeter;
  /** Steps of the environment in all, over its copies. */
  totalSteps: number;
}

export interface Progress {
  logs: Record<string, number>;
  /** Rows that each model of a hub computed since the last time. */
  rows: number[];
}

/** Everything that decides how an algorithm goes on, but for the environment and its episodes. */
export interface AlgorithmState {
  modules: Readonly<Record<string, Module>>;
  optimizer: Optimizer;
  streams: RandomStreams;
  /** Further arrays, such as a replay's. The caller disposes these tensors. */
  arrays(): Map<string, Tensor>;
  numbers(): Record<string, unknown>;
  restore(arrays: ReadonlyMap<string, Tensor>, numbers: Readonly<Record<string, unknown>>): void;
}

export interface Algorithm {
  /** Steps of the environment so far, over its copies. */
  readonly steps: number;
  /** Steps at which training ends: the first point at which it can stop, at or beyond the wanted ones. */
  readonly lastStep: number;
  readonly state: AlgorithmState;
  /** Must be set before the first `advance`: what the environment shows. */
  observations: Observations;
  /** Plays and learns up to the next point at which everything can be saved. */
  advance(): Promise<Progress>;
  dispose(): void;
}

/** Adam (AdamW without decay) with each group's own factor on the rate. */
export function adam(network: TrainedNetwork, lr: number, eps: number): AdamW {
  const groups = network.parameterGroups().filter(({ params, factor }) => params.length > 0 && factor > 0);
  return new AdamW(groups.map(({ params, factor }) => ({ params, lr: lr * factor, eps, weight_decay: 0 })));
}

/** A loss as a number. @throws UserError when it is none: what follows from it would be lost */
export function finiteLoss(loss: Tensor): number {
  const value = loss.item();
  if (Number.isFinite(value)) return value;
  throw new UserError(`the loss became ${value}: use a lower learning rate (--set lr=…); the last checkpoint is kept`);
}

/** Adds up the rows of each model. */
export function addRows(sum: number[], rows: readonly number[] | undefined): void {
  for (const [i, count] of (rows ?? []).entries()) sum[i] = (sum[i] ?? 0) + count;
}

/** The next multiple of `unit` at or above `count`. */
export function roundUp(count: number, unit: number): number {
  return Math.ceil(count / unit) * unit;
}

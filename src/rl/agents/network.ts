/**
 * Network that the algorithms train, whatever its kind. n observations, O outputs, A actions, m models of a hub.
 *
 * Outputs are [n, A + 1] for a policy and a value (action preferences, then the value of the state) and [n, A] for values
 * of actions.
 */
import type { ObservationNetwork } from "../../models/index.ts";
import { init, Linear, Module } from "../../nn/index.ts";
import type { RowLoss } from "../../pathway/index.ts";
import { type Generator, noGrad, type RandomStreams, scope, type Tensor } from "../../torch/index.ts";

/** Meaning of the outputs. */
export type OutputKind = "policy-and-value" | "action-values";

export interface Acted {
  /** [n, O] */
  outputs: Tensor;
  /** [n][k]: the models of each row, over a hub. */
  routes?: number[][];
  /** [n]: logarithm of the probability that these were drawn, where routes learn from returns. */
  routeLogProbs?: Tensor;
}

/** Routes [n][k] that acted, each with its agents in the order in which they were drawn, and the loss [n] of them. */
export interface TakenRoutes {
  routes: readonly (readonly number[])[];
  /** @param logProbs new logarithms of the probabilities of the routes, [n] */
  loss(logProbs: Tensor): Tensor;
}

export interface NetworkLoss {
  total: Tensor;
  /** Parts of it, for the log. */
  parts: Record<string, Tensor>;
  /** Rows that each model computed. */
  rows?: number[];
}

export interface TrainedNetwork {
  readonly module: Module;
  readonly streams: RandomStreams;
  /** The models that routes choose from; none where there are no routes. */
  readonly memberNames: readonly string[];
  /**
   * Outputs for observations [n, C, H, W].
   * @param progress done part of training, 0 … 1; as in evaluation when left out
   * @param stretch of training, with the same noise on routes that learn from returns
   */
  act(x: Tensor, progress?: number, stretch?: number): Acted;
  /**
   * Loss of observations [n, C, H, W].
   * @param rowLoss loss of each row, of outputs [n, O] and the rows that they belong to
   * @param taken routes that acted, where they learn from returns
   */
  losses(x: Tensor, rowLoss: RowLoss, progress: number, taken?: TakenRoutes): NetworkLoss;
  /** Parameters, each group with its factor on the learning rate. */
  parameterGroups(): { params: Tensor[]; factor: number }[];
  dispose(): void;
}

class HeadedNetwork extends Module {
  readonly network: ObservationNetwork;
  readonly head: Linear;

  constructor(network: ObservationNetwork, outputs: number, generator: Generator) {
    super();
    this.network = this.module("network", network);
    this.head = this.module("head", new Linear(network.featureWidth, outputs, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => this.head.forward(this.network.forward(x)));
  }
}

export interface PlainOptions {
  outputs: number;
  kind: OutputKind;
  streams: RandomStreams;
  /** The network has weights that are worth keeping. */
  pretrained?: boolean;
}

/** One network with a head: an agent. */
export class PlainNetwork implements TrainedNetwork {
  readonly module: HeadedNetwork;
  readonly streams: RandomStreams;
  readonly memberNames: readonly string[] = [];

  constructor(network: ObservationNetwork, options: PlainOptions) {
    const { outputs, kind, streams, pretrained = false } = options;
    const generator = streams.stream("init");
    this.streams = streams;
    this.module = new HeadedNetwork(network, outputs, generator);
    if (kind === "action-values") return;
    if (!pretrained) orthogonalLayers(network, generator);
    policyHead(this.module.head, generator);
  }

  act(x: Tensor): Acted {
    return { outputs: this.module.forward(x) };
  }

  losses(x: Tensor, rowLoss: RowLoss): NetworkLoss {
    return { total: rowLoss(this.module.forward(x)).mean(), parts: {} };
  }

  parameterGroups(): { params: Tensor[]; factor: number }[] {
    return [{ params: this.module.parameters(), factor: 1 }];
  }

  dispose(): void {
    this.module.dispose();
    this.streams.dispose();
  }
}

/** Orthogonal weights of gain √2 and no biases, as in the reference implementations of PPO. */
export function orthogonalLayers(module: Module, generator: Generator): void {
  for (const parameter of module.parameters()) {
    if (parameter.dim() > 1) init.orthogonal_(parameter, Math.SQRT2, generator);
    else init.constant_(parameter, 0);
  }
}

/** Orthogonal rows: of gain 0.01 for the policy, which starts nearly uniform, and of gain 1 for the value. */
export function policyHead(head: { weight: Tensor; bias: Tensor | undefined }, generator: Generator): void {
  const { weight, bias } = head;
  scope(() => {
    noGrad(() => {
      init.orthogonal_(weight.narrow(0, 0, weight.size(0) - 1), 0.01, generator);
      init.orthogonal_(weight.narrow(0, weight.size(0) - 1, 1), 1, generator);
      if (bias) init.constant_(bias, 0);
    });
  });
}

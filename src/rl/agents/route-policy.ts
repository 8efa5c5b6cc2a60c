/**
 * Routes as a part of the policy: they are drawn, and learn from the returns that follow, as its actions do. PPO's loss
 * does not say how well an agent plays. Routes that learn from it, through their weights, lead to the agent whose values are
 * the least wrong (docs/results/rl-mix.md). n observations, m agents, k activated ones.
 *
 * The k agents are drawn without replacement from softmax(u): the k largest of u + Gumbel noise (Kool, van Hoof & Welling
 * 2019). Evaluation has the k largest u. The rest is this project's choice.
 */
import type { ObservationNetwork } from "../../models/index.ts";
import { init, Linear, Module } from "../../nn/index.ts";
import { routeMask } from "../../pathway/index.ts";
import { Generator, int64, ops, rand, scope, seedOf, type Tensor } from "../../torch/index.ts";
import { orthogonalLayers, type TakenRoutes } from "./network.ts";

/**
 * Steps for which a copy of the environment keeps the noise of its routes. Many games answer late: an agent that is changed
 * before it has come anywhere gets no reward, whether it knows the game or not.
 */
export const routeSteps = 256;

/** Weight of the entropy of softmax(u): routes of a game with few rewards must last until some have come. */
export const routeEntropyWeight = 0.05;

/** Part of training in which the agents stay as they are: one that learns before routes are found forgets its game. */
export const routesFirst = 0.5;

/** Gumbel noise for scores [n, m]: the same for a stretch of `routeSteps` steps. */
export function routeNoise(like: Tensor, seed: number, stretch: number): Tensor {
  using random = new Generator(seedOf(seed, `routes ${stretch}`));
  return scope(() =>
    rand([...like.shape], { generator: random })
      .clamp(1e-12, 1 - 1e-7)
      .log()
      .neg()
      .log()
      .neg(),
  );
}

/** Logarithm of the probability [n] that routes [n][k] are drawn, agent by agent in their order. */
export function routeLogProbs(scores: Tensor, routes: TakenRoutes["routes"]): Tensor {
  const k = routes[0]?.length ?? 0;
  return scope(() => {
    const steps = Array.from({ length: k }, (_, place) => {
      const gone = routeMask(
        routes.map((route) => route.slice(0, place)),
        scores,
      );
      const open = scores.masked_fill(gone, Number.NEGATIVE_INFINITY).log_softmax(1);
      return open.gather(1, int64(routes.map((route) => route[place] as number)).unsqueeze(1));
    });
    return ops.cat(steps, 1).sum(1);
  });
}

/** Entropy [n] of softmax(u), in nats. */
export function routeEntropy(scores: Tensor): Tensor {
  return scope(() => scores.softmax(1).mul(scores.log_softmax(1)).sum(1).neg());
}

/**
 * The value of observations, [n, 1]. It is none of the agents': measured against the values of the agent that was drawn,
 * the one that expects the least would look the best.
 */
export class Critic extends Module {
  readonly network: ObservationNetwork;
  readonly head: Linear;

  /** @param network becomes part of this module */
  constructor(network: ObservationNetwork, generator: Generator) {
    super();
    this.network = this.module("network", network);
    this.head = this.module("head", new Linear(network.featureWidth, 1, { generator }));
    orthogonalLayers(this, generator);
    init.orthogonal_(this.head.weight, 1, generator);
  }

  override forward(x: Tensor): Tensor {
    return scope(() => this.head.forward(this.network.forward(x)));
  }
}

/** The choices of the method. The paper's abstract leaves them open; each default is this project's choice. */
import { ConfigError } from "../torch/index.ts";

/** Raised when the same choices train to another network: part of the identity of runs and of cells of comparisons. */
export const pathwayVersion = 2;

export interface PathwayConfig {
  /** Number of activated models k for each input, 1 … m. */
  k: number;
  /** How the activated models' knowledge is joined at the output. */
  aggregation: "logits" | "probabilities" | "features";
  /**
   * Temperature of the weights over the activated models: 1 renormalises softmax(u~), larger is flatter. "equal" gives
   * each 1/k and the generator the gradient of temperature 1 (straight-through).
   */
  tau: number | "equal";
  /** Noise on the scores while training: a falling scale, a learned one, or none. */
  noise: "scheduled" | "learned" | "none";
  /** First and last scale of the scheduled noise. */
  noiseRange: readonly [number, number];
  /** Weight, at the start, of the exploration loss: KL(mean of p over the batch || prior). */
  explorationWeight: number;
  /** Fraction of training over which that weight falls to zero, and exploration ends; "constant" holds it. */
  explorationFade: number | "constant";
  /** Weight of the loss that trains each model on the data that activated it: the mean over activated models of their own means. */
  exploitationWeight: number;
  /** Part of the aggregate's task loss, 0 … 1, whose gradient reaches the members: none keeps them complementary (docs/results/choices.md). */
  beta: number;
  /** Fraction of training with random routes and equal weights, in which the generator does not learn. */
  warmup: number;
  /** Shared width D of projected features, for the aggregation `features`. */
  projectionWidth: number;
  /** Members allowed in one training step while exploring, warm-up included (all when the hub is not larger). */
  allowedMembers: number;
  /** Largest side of the generator's view of the input, in pixels. */
  generatorSize: number;
  /** Channels of the generator's first stage. */
  generatorWidth: number;
  /**
   * An own light network, or a frozen copy of the first stages of the hub's first member that has them. Controls: one
   * learned score of each model whatever the input, or routes by chance with equal weights, in evaluation too.
   */
  generatorKind: "light" | "member-stem" | "global" | "random";
}

export const defaultPathwayConfig: PathwayConfig = {
  k: 2,
  aggregation: "logits",
  tau: "equal",
  noise: "scheduled",
  noiseRange: [1, 0.1],
  explorationWeight: 0.1,
  explorationFade: 0.5,
  exploitationWeight: 1,
  beta: 0,
  warmup: 0.15,
  projectionWidth: 128,
  allowedMembers: 8,
  generatorSize: 64,
  generatorWidth: 8,
  generatorKind: "light",
};

/** The values that a named choice can have. */
const names = {
  aggregation: ["logits", "probabilities", "features"],
  noise: ["scheduled", "learned", "none"],
  generatorKind: ["light", "member-stem", "global", "random"],
} as const;

/**
 * Fills in the defaults and checks the choices against a hub of m models.
 * @throws ConfigError when one is out of range, naming it.
 */
export function resolvePathwayConfig(choices: Partial<PathwayConfig>, m: number): PathwayConfig {
  const config = { ...defaultPathwayConfig, ...choices };
  const between = (name: string, value: unknown, low: number, high: number) => {
    if (!(typeof value === "number" && value >= low && value <= high))
      throw new ConfigError(`${name} is ${value}: it must be from ${low} to ${high}`);
  };
  const whole = (name: string, value: unknown, low: number, high: number) => {
    between(name, value, low, high);
    if (!Number.isInteger(value)) throw new ConfigError(`${name} is ${value}: it must be a whole number`);
  };
  for (const [name, values] of Object.entries(names)) {
    const value = config[name as keyof typeof names];
    if ((values as readonly unknown[]).includes(value)) continue;
    throw new ConfigError(`${name} is ${value}: it must be one of ${values.join(", ")}`);
  }
  if (!Number.isInteger(config.k) || config.k < 1 || config.k > m)
    throw new ConfigError(
      `k is ${config.k}: it must be a whole number from 1 to ${m}, the number of models in the hub`,
    );
  if (config.tau !== "equal") between("tau", config.tau, 1e-3, Number.MAX_VALUE);
  if (config.explorationFade !== "constant") between("explorationFade", config.explorationFade, 0, 1);
  between("explorationWeight", config.explorationWeight, 0, Number.MAX_VALUE);
  between("exploitationWeight", config.exploitationWeight, 0, Number.MAX_VALUE);
  between("beta", config.beta, 0, 1);
  between("warmup", config.warmup, 0, 1);
  whole("allowedMembers", config.allowedMembers, config.k, Number.MAX_SAFE_INTEGER);
  whole("projectionWidth", config.projectionWidth, 1, 2 ** 16);
  whole("generatorSize", config.generatorSize, 1, 2 ** 12);
  whole("generatorWidth", config.generatorWidth, 1, 2 ** 10);
  for (const i of [0, 1]) between(`noiseRange[${i}]`, config.noiseRange?.[i], 0, Number.MAX_VALUE);
  return config;
}

/** Networks over observations by name, with their configuration schemas. */
import type { z } from "zod";
import type { InitOptions } from "../nn/index.ts";
import { allOrNothing, UserError } from "../torch/index.ts";
import { MinatarNetwork, minatarNetworkConfig } from "./minatar-network.ts";
import { Mlp, mlpConfig } from "./mlp.ts";
import { NatureCnn, natureCnnConfig } from "./nature-cnn.ts";
import type { ObservationNetwork } from "./observation-network.ts";

interface Entry {
  readonly paper: string;
  readonly schema: z.ZodType;
  readonly create: (config: never, options: InitOptions) => ObservationNetwork;
}

const registry: Readonly<Record<string, Entry>> = {
  "minatar-network": {
    paper: "Young and Tian, MinAtar: An Atari-Inspired Testbed, 2019",
    schema: minatarNetworkConfig,
    create: (config, options) => new MinatarNetwork(config, options),
  },
  mlp: {
    paper: "Schulman et al., Proximal Policy Optimization Algorithms, 2017",
    schema: mlpConfig,
    create: (config, options) => new Mlp(config, options),
  },
  "nature-cnn": {
    paper: "Mnih et al., Human-level control through deep reinforcement learning, Nature 2015",
    schema: natureCnnConfig,
    create: (config, options) => new NatureCnn(config, options),
  },
};

/** Names and papers of all networks over observations. */
export function observationNetworks(): { name: string; paper: string }[] {
  return Object.entries(registry).map(([name, { paper }]) => ({ name, paper }));
}

/**
 * A freshly initialised network over observations.
 * @throws UserError for an unknown name or a configuration that does not fit it
 */
export function createObservationNetwork(
  name: string,
  config: Readonly<Record<string, unknown>>,
  options: InitOptions,
): ObservationNetwork {
  const found = Object.hasOwn(registry, name) ? registry[name] : undefined;
  if (!found) {
    throw new UserError(`unknown network "${name}" for observations: known are ${Object.keys(registry).join(", ")}`);
  }
  const parsed = found.schema.safeParse(config);
  if (parsed.success) return allOrNothing(() => found.create(parsed.data as never, options));
  const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "config"}: ${issue.message}`);
  throw new UserError(`wrong configuration of network "${name}": ${issues.join("; ")}`);
}

/**
 * A trained agent as a member of a hub. n observations, C channels of the game at hand, c of the agent's own, d features.
 *
 * An agent of another game takes over the game's channels in its first layer: each weight goes to the channels that mean
 * what it has learned to see (channels.ts). On these it computes what it computed before; the weights of channels that
 * mean nothing to it start at zero, and training may change them.
 */
import { type AgentEntry, fileOf, type Hub } from "../../hub/index.ts";
import { hashFile, readSafetensors } from "../../io/index.ts";
import { createObservationNetwork, type ObservationNetwork } from "../../models/index.ts";
import { init } from "../../nn/index.ts";
import type { PathwayMember } from "../../pathway/index.ts";
import { disposeTree, Generator, keep, noGrad, ops, scope, type Tensor, tensor, UserError } from "../../torch/index.ts";
import { matchChannels } from "./channels.ts";
import type { ObservationForm } from "./observations.ts";

export class AgentMember implements PathwayMember {
  readonly name: string;
  readonly featureWidth: number;
  readonly backbone: ObservationNetwork;
  readonly flops: number;

  constructor(name: string, network: ObservationNetwork) {
    this.name = name;
    this.featureWidth = network.featureWidth;
    this.backbone = network;
    this.flops = network.flops();
  }

  /** Observations [n, C, H, W] of the game at hand to features [n, d]. */
  features(observations: Tensor): Tensor {
    return this.backbone.forward(observations);
  }

  dispose(): void {
    this.backbone.dispose();
  }
}

/** Weights of an agent's head over its features: [O, d] and [O]. */
export interface AgentHead {
  weight: Tensor;
  bias: Tensor;
}

/**
 * All agents of a hub, or those named, in the channels of the given game.
 * @throws UserError naming agent and file when one cannot be used
 */
export function loadAgents(hub: Hub, form: ObservationForm, names?: readonly string[]): AgentMember[] {
  const loaded: AgentMember[] = [];
  try {
    for (const entry of agentEntries(hub, names))
      loaded.push(new AgentMember(entry.name, adoptAgent(hub, entry, form)));
    return loaded;
  } catch (error) {
    for (const member of loaded) member.dispose();
    throw error;
  }
}

/** The network of one agent in the channels of the given game. @throws UserError as `loadAgents` */
export function adoptAgent(hub: Hub, entry: AgentEntry, form: ObservationForm): ObservationNetwork {
  const matches = checkedMatches(entry, form);
  const { network, head } = loadAgent(hub.dir, entry);
  disposeTree({ ...head });
  const isSame =
    matches.length === form.channels.length && matches.every(([only, more], i) => only === i && more === undefined);
  if (isSame) return network;
  try {
    return withChannels(entry, network, matches, form.channels.length);
  } finally {
    network.dispose();
  }
}

/** @throws UserError when the hub has no agents, or none of that name */
export function agentEntries(hub: Hub, names?: readonly string[]): AgentEntry[] {
  const { agents = [] } = hub.manifest;
  if (agents.length === 0) {
    throw new UserError(
      `${hub.dir} has no agents: train some with \`rl train\` and add them with \`hub add NAME RUN\``,
    );
  }
  return (names ?? agents.map((agent) => agent.name)).map((name) => {
    const found = agents.find((agent) => agent.name === name);
    if (found) return found;
    throw new UserError(`${hub.dir} has no agent "${name}"; it has: ${agents.map((agent) => agent.name).join(", ")}`);
  });
}

/**
 * An agent's network and head as they were trained, which the caller disposes.
 * @throws UserError naming agent and file when the file is missing or is not the one that the manifest describes
 */
export function loadAgent(dir: string, entry: AgentEntry): { network: ObservationNetwork; head: AgentHead } {
  const path = fileOf(dir, entry.name, entry.weights.file);
  const where = `agent "${entry.name}" (${path})`;
  if (hashFile(path) !== entry.weights.sha256) {
    throw new UserError(`${where}: the file is damaged or was replaced: its sha256 is not that of hub.json`);
  }
  const network = emptyNetwork(entry, {});
  const { tensors } = readSafetensors(path);
  try {
    const own = [...tensors].filter(([key]) => key.startsWith("network."));
    network.loadStateDict(new Map(own.map(([key, value]) => [key.slice("network.".length), value])));
    return { network, head: readHead(tensors, entry, network.featureWidth) };
  } catch (error) {
    network.dispose();
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${where}: ${error.message}`, { cause: error });
  } finally {
    disposeTree(tensors);
  }
}

function readHead(tensors: ReadonlyMap<string, Tensor>, entry: AgentEntry, width: number): AgentHead {
  const outputs = entry.actions.length + (entry.outputs === "policy-and-value" ? 1 : 0);
  const [weight, bias] = [tensors.get("head.weight"), tensors.get("head.bias")];
  if (!weight || !bias || String(weight.shape) !== `${outputs},${width}` || String(bias.shape) !== `${outputs}`) {
    throw new UserError(
      `its head is [${weight?.shape}], not [${outputs},${width}] as hub.json says of its actions and features`,
    );
  }
  return scope(() => keep({ weight: weight.clone(), bias: bias.clone() }));
}

function emptyNetwork({ architecture, config }: AgentEntry, changes: Record<string, unknown>): ObservationNetwork {
  using unused = new Generator(0);
  return init.skipInit(() => createObservationNetwork(architecture, { ...config, ...changes }, { generator: unused }));
}

/** The same network with a first layer for other channels: column j is the sum of the columns that j is shown to. */
function withChannels(
  entry: AgentEntry,
  network: ObservationNetwork,
  matches: readonly (readonly number[])[],
  channels: number,
): ObservationNetwork {
  const adopted = emptyNetwork(entry, { channels });
  const values = new Float32Array(matches.length * channels);
  for (const [own, shown] of matches.entries()) for (const j of shown) values[own * channels + j] = 1;
  scope(() =>
    noGrad(() => {
      const theirs = network.namedParameters();
      for (const [name, parameter] of adopted.namedParameters()) {
        const source = theirs.get(name) as Tensor;
        if (source !== network.inputWeight) parameter.copy_(source);
      }
      const matrix = tensor(values, { shape: [matches.length, channels] });
      adopted.inputWeight.copy_(ops.einsum("oc...,cC->oC...", [network.inputWeight, matrix]));
    }),
  );
  return adopted;
}

function checkedMatches({ name, observation }: AgentEntry, form: ObservationForm): number[][] {
  const [, height, width] = form.shape;
  if (observation.shape[1] !== height || observation.shape[2] !== width) {
    throw new UserError(
      `the agent "${name}" sees ${observation.shape[1]}x${observation.shape[2]} cells of ${observation.environment}, ` +
        `${form.environment} shows ${height}x${width}`,
    );
  }
  const matches = matchChannels(observation.channels, form.channels);
  if (matches.some((shown) => shown.length > 0)) return matches;
  throw new UserError(
    `nothing that ${form.environment} shows (${form.channels.join(", ")}) means anything to the agent "${name}" of ` +
      `${observation.environment} (${observation.channels.join(", ")})`,
  );
}

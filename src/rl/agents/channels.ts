/**
 * Agents in the channels of a game, which may be another one than theirs. n observations, C channels of the game at hand, c
 * of the agent's own, d features.
 *
 * A channel of the agent shows, of the game at hand, the channel of the same name; else, if its name stands in the table
 * below, all channels of the same meaning that have no namesake in the agent, together; else nothing: it stays zero. The
 * first layer's weights go to the channels that mean what they have learned to see. On these the agent computes what it
 * computed before; weights of channels that mean nothing to it start at zero, and training may change them. In a mix of
 * games it shows what it shows in each of them, so that its answer to a game is that of the agent in that game alone.
 */
import { type Hub, HubMember, loadEach, loadMember, memberEntries, type ObservationInput } from "../../hub/index.ts";
import { createObservationNetwork, type ObservationNetwork } from "../../models/index.ts";
import { init } from "../../nn/index.ts";
import { Generator, noGrad, ops, scope, type Tensor, tensor, UserError } from "../../torch/index.ts";
import type { ObservationForm } from "./observations.ts";

/** A member of a hub over observations, and such a hub. */
export type Agent = HubMember<ObservationInput>;
export type AgentHub = Hub<ObservationInput>;

/** Names of MinAtar's channels that mean the same to the player. Trails and bullets have the same names everywhere. */
const meanings: readonly (readonly string[])[] = [
  // Objects that the player moves.
  ["player", "paddle", "chicken", "sub_front", "cannon"],
  // Objects that must not touch it.
  ["enemy", "car", "alien", "enemy_fish", "enemy_sub"],
  // Objects that it should collect.
  ["gold", "diver"],
];

/** For each channel of the agent the channels of the game that it shows. */
export function matchChannels(agent: readonly string[], game: readonly string[]): number[][] {
  return agent.map((name) => {
    const same = game.indexOf(name);
    if (same >= 0) return [same];
    const alike = meanings.find((names) => names.includes(name)) ?? [];
    return game.flatMap((other, i) => (alike.includes(other) && !agent.includes(other) ? [i] : []));
  });
}

/** The same in a game, or in all games of a mix. */
function matchesIn(agent: readonly string[], { channels, games = [channels] }: ObservationForm): number[][] {
  const inGames = games.map((game) => matchChannels(agent, game).map((own) => own.map((i) => game[i] as string)));
  return agent.map((_, i) => {
    const shown = inGames.flatMap((matches) => matches[i] ?? []);
    return [...new Set(shown)].map((name) => channels.indexOf(name)).sort((a, b) => a - b);
  });
}

/**
 * All agents of a hub, or those named, in the channels of the given game.
 * @throws UserError naming agent and file when one cannot be used
 */
export function loadAgents(hub: AgentHub, form: ObservationForm, names?: readonly string[]): Agent[] {
  return loadEach(memberEntries(hub, names), (entry) => loadAgent(hub, entry, form));
}

/** One agent in the channels of the given game. @throws UserError as `loadAgents` */
export function loadAgent(hub: AgentHub, entry: Agent["entry"], form: ObservationForm): Agent {
  const matches = checkedMatches(entry, form);
  const member = loadMember(hub.dir, entry);
  const { channels } = form;
  const isSame = matches.every(([only, more], i) => only === i && more === undefined);
  if (isSame && matches.length === channels.length) return member;
  try {
    const network = withChannels(entry, member.backbone, matches, channels.length);
    const config = { ...entry.config, channels: channels.length };
    const input = { ...entry.input, shape: [...form.shape] as ObservationInput["shape"], channels: [...channels] };
    return new HubMember(hub.dir, { ...entry, config, input }, network);
  } finally {
    member.dispose();
  }
}

/** The same network with a first layer for other channels: column j is the sum of the columns that j is shown to. */
function withChannels(
  { architecture, config }: Agent["entry"],
  network: ObservationNetwork,
  matches: readonly (readonly number[])[],
  channels: number,
): ObservationNetwork {
  using unused = new Generator(0);
  const adopted = init.skipInit(() =>
    createObservationNetwork(architecture, { ...config, channels }, { generator: unused }),
  );
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

function checkedMatches({ name, input: observation }: Agent["entry"], form: ObservationForm): number[][] {
  const [, height, width] = form.shape;
  if (observation.shape[1] !== height || observation.shape[2] !== width) {
    throw new UserError(
      `the agent "${name}" sees ${observation.shape[1]}x${observation.shape[2]} cells of ${observation.environment}, ` +
        `${form.environment} shows ${height}x${width}`,
    );
  }
  const matches = matchesIn(observation.channels, form);
  if (matches.some((shown) => shown.length > 0)) return matches;
  throw new UserError(
    `nothing that ${form.environment} shows (${form.channels.join(", ")}) means anything to the agent "${name}" of ` +
      `${observation.environment} (${observation.channels.join(", ")})`,
  );
}

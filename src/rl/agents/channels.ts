/**
 * Which channels of a game an agent of another game sees where: by name, and by a small table of meanings.
 *
 * A channel of the agent shows, of the game at hand, the channel of the same name; else, if its name stands in the table
 * below, all channels of the same meaning that have no namesake in the agent, together; else nothing: it stays zero.
 */

/** Names of MinAtar's channels that mean the same to the player. Trails and bullets have the same names everywhere. */
const meanings: readonly (readonly string[])[] = [
  // What the player moves.
  ["player", "paddle", "chicken", "sub_front", "cannon"],
  // What must not touch it.
  ["enemy", "car", "alien", "enemy_fish", "enemy_sub"],
  // What it should collect.
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

/** The group of all processes that a launcher has started, and the check that they want the same. */
import { ProcessGroup, type ProcessGroupOptions, UserError } from "../torch/index.ts";
import type { Contract } from "./contract.ts";

/**
 * The group of the processes that a launcher started.
 * @param waiting how long a rank waits for the others, and what it says when they let it wait for too long after a signal
 * @throws ConfigError for an addon without process groups; CollectiveError when a rank does not come
 */
export function initProcessGroup(
  { rank, worldSize, host, port, isServed, restarts }: Contract,
  waiting: Pick<ProcessGroupOptions, "timeout" | "startTimeout" | "patience" | "answer"> = {},
): ProcessGroup {
  // Keys of processes that died must not be found by those that took their place.
  const prefix = `hub-pathway/${restarts ?? 0}`;
  return new ProcessGroup({ rank, worldSize, host, port, prefix, serves: !isServed && rank === 0, ...waiting });
}

/** The texts that all ranks give, by rank. */
function textsOfAll(group: ProcessGroup, about: string, own: string): string[] {
  const place = group.keyOf(about);
  group.set(`${place}/${group.rank}`, own);
  // Who waits for a text does not see that its rank has ended, as a collective does.
  group.barrier();
  const all = Array.from({ length: group.worldSize }, (_, rank) => group.get(`${place}/${rank}`));
  // Whoever serves the store may end only after all have read.
  group.barrier();
  return all;
}

/**
 * Sees that every rank can start, so that none waits for one that ended before.
 * @param fault why this rank cannot
 * @throws the fault on its own rank; UserError on the others, which names the first rank with one
 */
export function agreeToStart(group: ProcessGroup, fault: Error | undefined): void {
  const faults = textsOfAll(group, "faults", fault?.message ?? "");
  if (fault) throw fault;
  const rank = faults.findIndex((text) => text !== "");
  if (rank >= 0) throw new UserError(`rank ${rank} cannot start: ${faults[rank]}`);
}

/**
 * Sees that all ranks have the same values under the same names.
 * @throws UserError on every rank, in one line that names the first difference and its rank
 */
export function agreeOn(group: ProcessGroup, about: string, values: Readonly<Record<string, string>>): void {
  const [first, ...others] = textsOfAll(group, about, JSON.stringify(values));
  const reference = JSON.parse(first ?? "{}") as Record<string, string>;
  for (const [i, text] of others.entries()) {
    if (text === first) continue;
    const other = JSON.parse(text) as Record<string, string>;
    const names = [...new Set([...Object.keys(reference), ...Object.keys(other)])];
    const name = names.find((key) => reference[key] !== other[key]) ?? about;
    const [here, there] = [reference, other].map((one) => one[name] ?? "nothing");
    throw new UserError(`ranks differ in ${name}: rank 0 has ${here}, rank ${i + 1} has ${there}; start all alike`);
  }
}

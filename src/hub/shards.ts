/**
 * Members that several ranks share among them: each rank has the weights of its own, and of all others the networks without
 * weights, which say names, shapes and cost. m members, N ranks.
 */
import { countParameters, type Module } from "../nn/index.ts";
import { isAbsent, makeAbsent, type ProcessGroup, trimMemory } from "../torch/index.ts";
import { type Hub, loadEach, loadMembers } from "./hub.ts";
import { loadMember } from "./load-member.ts";
import type { ImageInput, MemberEntry } from "./manifest.ts";
import type { HubMember } from "./member.ts";

/** Cost of a member, in units of its own for each kind. */
export interface MemberCost {
  /** FLOPs of one input. */
  flops: number;
  parameters: number;
}

/**
 * The rank of each member, [m]: the member that takes the largest part of all FLOPs or of all parameters goes first, to the rank
 * whose larger load is then the smallest (Graham 1969, longest processing time first, here of two costs).
 */
export function balanced(costs: readonly MemberCost[], ranks: number): number[] {
  const sums = (["flops", "parameters"] as const).map((key) => costs.reduce((sum, cost) => sum + cost[key], 0) || 1);
  const shares = costs.map(({ flops, parameters }) => [flops, parameters].map((cost, i) => cost / (sums[i] ?? 1)));
  const loads = Array.from({ length: ranks }, () => [0, 0]);
  const owners = costs.map(() => 0);
  const order = shares.map((_, i) => i).sort((a, b) => largest(shares[b]) - largest(shares[a]) || a - b);
  for (const i of order) {
    const after = loads.map((load) => load.map((sum, kind) => sum + (shares[i]?.[kind] ?? 0)));
    const best = after.map((_, rank) => rank).reduce((a, b) => (compare(after[b], after[a]) < 0 ? b : a));
    owners[i] = best;
    loads[best] = after[best] ?? [];
  }
  return owners;
}

const largest = (load: readonly number[] = []): number => Math.max(0, ...load);
const total = (load: readonly number[] = []): number => load.reduce((sum, part) => sum + part, 0);
const compare = (a?: readonly number[], b?: readonly number[]): number =>
  largest(a) - largest(b) || total(a) - total(b);

/** Members of a hub on one rank. */
export interface SharedMembers {
  members: HubMember[];
  /** The rank that has the weights of each, [m]. */
  owners: number[];
}

/**
 * Loads a hub's members, of which this rank has its own with weights. All are made without weights first: their networks say
 * what they cost.
 * @throws UserError as `loadMembers` does
 */
export function loadShared(hub: Hub, { rank, worldSize }: Pick<ProcessGroup, "rank" | "worldSize">): SharedMembers {
  const { dir, manifest, device, trust } = hub;
  const make = (entry: MemberEntry<ImageInput>) => loadMember(dir, entry, { device, trust, unfilled: true });
  const all = loadEach(manifest.members, make, withoutWeights);
  try {
    const costs = all.map(({ flops, backbone }) => ({ flops, parameters: countParameters(backbone.parameters()) }));
    const owners = balanced(costs, worldSize);
    const isOwn = (i: number) => owners[i] === rank;
    const names = manifest.members.filter((_, i) => isOwn(i)).map(({ name }) => name);
    const own = loadMembers(hub, { names });
    trimMemory();
    const members = all.map((member, i) => {
      if (!isOwn(i)) return member;
      member.dispose();
      return own.shift() as HubMember;
    });
    return { members, owners };
  } catch (error) {
    for (const member of all) member.dispose();
    throw error;
  }
}

/** Gives the memory of a member's weights back. */
export function withoutWeights({ name, backbone }: { name: string; backbone: Module }): void {
  for (const tensor of backbone.stateDict().values()) makeAbsent(tensor, `member "${name}"`);
}

/** True for a member whose weights another rank has. */
export function isElsewhere({ backbone }: Pick<HubMember, "backbone">): boolean {
  const [first] = backbone.stateDict().values();
  return first !== undefined && isAbsent(first);
}

/** One method in one target game with one seed. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type CellId, changesFrom, type ExperimentRequest, slug } from "../../compare/index.ts";
import { defaultPathwayConfig, pathwayVersion } from "../../pathway/index.ts";
import type { NetworkPlan } from "../../rl/index.ts";
import { newNetwork, run, sourceHub, studentHub, transferFolder } from "./agents.ts";
import { type LearningCurve, learningCurve } from "./curve.ts";
import { agentName, algorithmKey, type Protocol, type TransferMethod } from "./protocol.ts";

export interface TransferCell extends LearningCurve {
  target: string;
  method: string;
  seed: number;
}

interface Place {
  target: string;
  seed: number;
}

export const groupName = ({ target, seed }: Place): string => `${agentName(target)}-seed${seed}`;

/** Name and key of a cell. */
export function identity(protocol: Protocol, method: TransferMethod, place: Place): CellId {
  const { targets: _targets, algorithm, ...budget } = protocol;
  const { seeds: _seeds, plan, ...own } = method;
  const key = { ...budget, algorithm: algorithmKey(algorithm), method: { ...own, plan: planKey(plan) }, ...place };
  return [`rl-transfer/${groupName(place)}-${slug(method.name)}`, key];
}

/** Parts of a plan that decide a cell. */
export function planKey(plan: NetworkPlan | undefined): object | undefined {
  if (plan?.kind !== "pathway") return plan;
  return { ...plan, version: pathwayVersion, config: changesFrom(defaultPathwayConfig, plan.config) };
}

/** A finished cell; undefined when there is none. */
export function readCell(
  { cells }: ExperimentRequest,
  protocol: Protocol,
  method: TransferMethod,
  place: Place,
): TransferCell | undefined {
  return cells.read<TransferCell>(...identity(protocol, method, place));
}

/** Trains what is missing, from where it was left. */
export function transferCell(
  request: ExperimentRequest,
  protocol: Protocol,
  method: TransferMethod,
  place: Place,
): Promise<TransferCell> {
  return request.cells.cell(...identity(protocol, method, place), async () => {
    const { target, seed } = place;
    const folder = join(transferFolder(request, protocol), "groups", groupName(place));
    const out = join(folder, slug(method.name));
    if (!existsSync(join(out, "result.json"))) {
      const { network, hub } = await startOf(request, protocol, method, place, folder);
      const { copies, targetSteps: totalSteps, algorithm } = protocol;
      await run({ environment: target, algorithm, network, hub, copies, totalSteps, seed, out });
    }
    return { target, method: method.name, seed, ...learningCurve(out) };
  });
}

async function startOf(
  request: ExperimentRequest,
  protocol: Protocol,
  method: TransferMethod,
  place: Place,
  folder: string,
): Promise<{ network: NetworkPlan; hub: string | undefined }> {
  if (!method.plan && !method.distilled) return { network: await newNetwork(place.target, protocol), hub: undefined };
  const hub = await sourceHub(request, protocol, groupName(place));
  if (method.plan) return { network: method.plan, hub };
  const student = await studentHub(hub, protocol, { ...place, place: join(folder, "student") });
  return { network: { kind: "agent", name: "student" }, hub: student };
}

/** Cells of the comparison: one agent of the hub, or one method in one game with one seed. Finished ones are kept. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { addAgent, openHub, readManifest } from "../../src/hub/index.ts";
import {
  type AgentRequest,
  addAgentOfRun,
  distil,
  isAgentRun,
  makeEnvironment,
  type NetworkPlan,
  observationForm,
  outputKind,
  readProgress,
  trainAgent,
  usualNetwork,
} from "../../src/rl/index.ts";
import { noGrad, scope, zeros } from "../../src/torch/index.ts";
import { agentName, type Protocol, type TransferMethod } from "./protocol.ts";

/** Points of a learning curve. */
export const curvePoints = 50;

export interface Cell {
  target: string;
  method: string;
  seed: number;
  /** Mean return of the episodes that ended in each part of training; NaN before the first one. */
  curve: number[];
  /** Mean of the curve. */
  area: number;
  /** Mean return over the last tenth. */
  final: number;
  seconds: number;
  stepsPerSecond: number;
  /** Share of each agent over the last tenth. */
  shares: number[] | undefined;
}

const quiet: AgentRequest["emit"] = () => {};

async function run(request: Omit<AgentRequest, "resume" | "emit" | "environmentOptions">): Promise<void> {
  await trainAgent({ ...request, environmentOptions: {}, resume: isAgentRun(request.out), emit: quiet });
}

async function newNetwork(game: string, { algorithm }: Protocol): Promise<Extract<NetworkPlan, { kind: "new" }>> {
  const form = observationForm(await makeEnvironment(game));
  return usualNetwork(form, outputKind(algorithm.name)) as Extract<NetworkPlan, { kind: "new" }>;
}

/** The hub of the source games' agents, made where it is missing; returns its folder. */
export async function sourceHub(protocol: Protocol, folder: string): Promise<string> {
  const hub = join(folder, "hub");
  const { sources, algorithm, copies, sourceSteps } = protocol;
  for (const game of sources) {
    const name = agentName(game);
    const has = existsSync(join(hub, "hub.json")) && readManifest(hub).agents?.some((agent) => agent.name === name);
    if (has) continue;
    const out = join(folder, "sources", name);
    const network = await newNetwork(game, protocol);
    const size = { copies, totalSteps: sourceSteps, seed: 1000 };
    await run({ environment: game, algorithm, network, hub: undefined, out, ...size });
    await addAgentOfRun({ hub, name, run: out, licence: "Apache-2.0" });
  }
  return hub;
}

/** A hub that has only the distilled student for a game. */
async function studentHub(protocol: Protocol, hub: string, target: string, seed: number, folder: string) {
  const place = join(folder, "students", `${agentName(target)}-${seed}`);
  if (existsSync(join(place, "hub.json"))) return place;
  rmSync(place, { recursive: true, force: true });
  const form = observationForm(await makeEnvironment(target));
  const network = await newNetwork(target, protocol);
  const { distilSteps, copies } = protocol;
  const student = await distil({ hub: openHub(hub), form, network, steps: distilSteps, copies, seed });
  mkdirSync(join(folder, "students"), { recursive: true });
  scope(() =>
    noGrad(() => {
      // An agent's head has a row for the value; nothing was learned of it.
      const { weight, bias } = student.head;
      const tensors = new Map(Array.from(student.network.stateDict(), ([key, value]) => [`network.${key}`, value]));
      const rows = (tensor: typeof weight, blank: number[]) => {
        const all = zeros([student.actions.length + 1, ...blank]);
        all.narrow(0, 0, student.actions.length).copy_(tensor);
        return all;
      };
      tensors.set("head.weight", rows(weight, [student.network.featureWidth]));
      if (bias) tensors.set("head.bias", rows(bias, []));
      addAgent({
        hub: place,
        name: "student",
        tensors,
        about: {
          architecture: network.architecture,
          config: { ...network.config },
          featureWidth: student.network.featureWidth,
          observation: { environment: target, shape: [...form.shape], channels: [...form.channels] },
          actions: [...student.actions],
          outputs: "policy-and-value",
          training: { algorithm: "distillation", steps: distilSteps },
          licence: "Apache-2.0",
          source: `distilled from the agents of ${protocol.sources.join(", ")}`,
        },
      });
    }),
  );
  for (const owned of [student.network, student.head]) owned.dispose();
  return place;
}

/** Trains one cell, from where it was left, and reads its curve. */
export async function transferCell(
  protocol: Protocol,
  method: TransferMethod,
  place: { hub: string; target: string; seed: number; folder: string },
): Promise<Cell> {
  const { hub, target, seed, folder } = place;
  const out = join(folder, agentName(target), method.name.replaceAll(/[^\w]+/g, "-"), String(seed));
  if (!existsSync(join(out, "result.json"))) {
    mkdirSync(join(out, ".."), { recursive: true });
    const { copies, targetSteps: totalSteps } = protocol;
    const student = method.distilled ? await studentHub(protocol, hub, target, seed, folder) : undefined;
    const network: NetworkPlan = student
      ? { kind: "agent", name: "student" }
      : (method.plan ?? (await newNetwork(target, protocol)));
    const algorithm = method.algorithm ?? protocol.algorithm;
    const own = network.kind === "new" ? undefined : (student ?? hub);
    await run({ environment: target, algorithm, network, hub: own, out, copies, totalSteps, seed });
  }
  return readCell(out, { target, method: method.name, seed });
}

function readCell(out: string, key: Pick<Cell, "target" | "method" | "seed">): Cell {
  const events = readProgress(join(out, "events.jsonl"));
  const total = events.at(-1)?.steps ?? 0;
  const sums = Array.from({ length: curvePoints }, () => ({ sum: 0, count: 0 }));
  for (const { steps, returns } of events) {
    const part = sums[Math.min(curvePoints - 1, Math.floor(((steps - 1) / total) * curvePoints))];
    for (const value of returns) if (part) Object.assign(part, { sum: part.sum + value, count: part.count + 1 });
  }
  const curve = filled(sums.map(({ sum, count }) => (count > 0 ? sum / count : Number.NaN)));
  const last = curve.slice(-Math.round(curvePoints / 10));
  const late = events.filter(({ steps }) => steps > 0.9 * total).flatMap(({ shares }) => (shares ? [shares] : []));
  const shares = late[0]?.map((_, i) => late.reduce((sum, own) => sum + (own[i] ?? 0), 0) / late.length);
  const seconds = events.reduce((sum, event, i) => {
    return sum + (event.steps - (events[i - 1]?.steps ?? 0)) / event.stepsPerSecond;
  }, 0);
  const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    ...key,
    curve,
    area: average(curve),
    final: average(last),
    seconds,
    stepsPerSecond: total / seconds,
    shares,
  };
}

/** A part in which no episode ended shows what the one before showed, the first ones what came first. */
function filled(curve: readonly number[]): number[] {
  let last = curve.find((value) => !Number.isNaN(value)) ?? 0;
  return curve.map((value) => {
    if (!Number.isNaN(value)) last = value;
    return last;
  });
}

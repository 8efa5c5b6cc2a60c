/**
 * The hub of the source games' agents. Their curves are cells; their weights lie in the cache, and where a machine has not
 * got them they are trained again, which gives the same ones.
 *
 * Groups may need the hub at the same time: each trains what is missing in a folder of its own and moves it to its place
 * when it is complete, where the first one counts. No group ever waits for another.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CellId, ExperimentRequest } from "../../compare/index.ts";
import { addTrained, openHub, trainingOf } from "../../hub/index.ts";
import {
  type AgentRequest,
  addAgentOfRun,
  distil,
  isAgentRun,
  makeEnvironment,
  type NewPlan,
  type ObservationForm,
  observationForm,
  openAgent,
  outputKind,
  type PlayResult,
  playEpisodes,
  trainAgent,
  usualNetwork,
} from "../../rl/index.ts";
import { keep, noGrad, scope, type Tensor, zeros } from "../../torch/index.ts";
import { fingerprint } from "../../train/index.ts";
import { type LearningCurve, learningCurve } from "./curve.ts";
import { agentName, algorithmKey, type Protocol } from "./protocol.ts";

/** Folder of a protocol's runs and hubs. */
export function transferFolder({ cache }: ExperimentRequest, protocol: Protocol): string {
  return join(cache, "rl-transfer", fingerprint(protocol));
}

/** Trains an agent to its end, from where it was left. */
export async function run(request: Omit<AgentRequest, "resume" | "emit" | "environmentOptions">): Promise<void> {
  mkdirSync(dirname(request.out), { recursive: true });
  await trainAgent({ ...request, environmentOptions: {}, resume: isAgentRun(request.out), emit: () => {} });
}

/** Episodes that a finished run's policy plays, as it is. @param only of a mix: the game that is played */
export async function playedEpisodes(
  out: string,
  { episodes, copies, seed, only }: { episodes: number; copies: number; seed: number; only?: string | undefined },
): Promise<PlayResult> {
  const place = { copies: Math.min(copies, episodes), seed: 2_000_000 + 1000 * seed, only };
  const { actions, form, network, environment, run: own } = await openAgent(out, place);
  try {
    const kind = outputKind(own.algorithm.name);
    const play = { environment, network, form, actions: actions.length, kind, episodes, greedy: false };
    return await playEpisodes(play);
  } finally {
    network.dispose();
    await environment.close();
  }
}

/** Form of a game's observations. */
export async function formOf(game: string): Promise<ObservationForm> {
  const environment = await makeEnvironment(game);
  try {
    return observationForm(environment);
  } finally {
    await environment.close();
  }
}

export async function newNetwork(game: string, { algorithm }: Pick<Protocol, "algorithm">): Promise<NewPlan> {
  return usualNetwork(await formOf(game), outputKind(algorithm.name));
}

/** The cell of a source game's agent; its run is in the cache afterwards. @param group whose folder it is trained in */
export async function sourceAgent(
  request: ExperimentRequest,
  protocol: Protocol,
  game: string,
  group: string,
): Promise<LearningCurve> {
  const place = sourceRun(request, protocol, game);
  if (!existsSync(place)) {
    const { algorithm, copies, sourceSteps: totalSteps, sourceSeed: seed } = protocol;
    const out = join(transferFolder(request, protocol), "groups", group, `source-${agentName(game)}`);
    const network = await newNetwork(game, protocol);
    await run({ environment: game, algorithm, network, hub: undefined, copies, totalSteps, seed, out });
    moveTo(place, out);
  }
  return request.cells.cell(...sourceCell(protocol, game), async () => learningCurve(place));
}

/** A finished source agent; undefined when there is none. */
export function readSource({ cells }: ExperimentRequest, protocol: Protocol, game: string): LearningCurve | undefined {
  return cells.read(...sourceCell(protocol, game));
}

/** Name and key of a source agent's cell. */
export function sourceCell(protocol: Protocol, game: string): CellId {
  const { version, algorithm, copies, sourceSteps, sourceSeed } = protocol;
  return [
    `rl-transfer/source-${agentName(game)}`,
    { version, game, algorithm: algorithmKey(algorithm), copies, sourceSteps, sourceSeed },
  ];
}

/** Folder of a source agent's run. */
export const sourceRun = (request: ExperimentRequest, protocol: Protocol, game: string) =>
  join(transferFolder(request, protocol), "sources", agentName(game));

/** Folder of the hub of all source agents. */
export async function sourceHub(request: ExperimentRequest, protocol: Protocol, group: string): Promise<string> {
  const folder = transferFolder(request, protocol);
  const place = join(folder, "hub");
  for (const game of protocol.sources) await sourceAgent(request, protocol, game, group);
  if (existsSync(place)) return place;
  const own = join(folder, "groups", group, "hub");
  rmSync(own, { recursive: true, force: true });
  for (const game of protocol.sources) {
    await addAgentOfRun({ hub: own, name: agentName(game), run: sourceRun(request, protocol, game), licence });
  }
  moveTo(place, own);
  return place;
}

const licence = "Apache-2.0";

/** Puts a complete folder in its place; where another one was first, that one stays. */
function moveTo(place: string, own: string): void {
  mkdirSync(dirname(place), { recursive: true });
  try {
    renameSync(own, place);
  } catch (error) {
    if (!existsSync(place)) throw error;
    rmSync(own, { recursive: true, force: true });
  }
}

/** Folder of a hub that has only the student of the source hub's agents, for a game. */
export async function studentHub(
  hub: string,
  protocol: Protocol,
  { target, seed, place }: { target: string; seed: number; place: string },
): Promise<string> {
  if (existsSync(join(place, "hub.json"))) return place;
  rmSync(place, { recursive: true, force: true });
  const form = observationForm(await makeEnvironment(target));
  const network = await newNetwork(target, protocol);
  const { distilSteps: steps, copies } = protocol;
  const student = await distil({ hub: openHub(hub, { inputs: ["observation"] }), form, network, steps, copies, seed });
  const { actions, head } = student;
  const tensors = new Map(Array.from(student.network.stateDict(), ([key, value]) => [`network.${key}`, value]));
  const [weight, bias] = [withValueRow(head.weight), withValueRow(head.bias as Tensor)];
  await addTrained(place, "student", {
    tensors: tensors.set("head.weight", weight).set("head.bias", bias),
    about: {
      architecture: network.architecture,
      config: { ...network.config },
      featureWidth: student.network.featureWidth,
      input: { kind: "observation", environment: target, shape: [...form.shape], channels: [...form.channels] },
      policy: { actions: [...actions], outputs: "policy-and-value" },
      pretraining: trainingOf(target, { algorithm: "distillation", steps }),
      licence,
      source: `distilled from the agents of ${protocol.sources.join(", ")}`,
    },
  });
  for (const owned of [student.network, head, weight, bias]) owned.dispose();
  return place;
}

/** An agent's head has a row for the value too, of which the student learned nothing. */
function withValueRow(rows: Tensor): Tensor {
  return scope(() =>
    noGrad(() => {
      const [actions = 0, ...rest] = rows.shape;
      const all = zeros([actions + 1, ...rest]);
      all.narrow(0, 0, actions).copy_(rows);
      return keep(all);
    }),
  );
}

/**
 * One student for all agents of a hub, in the manner of actor-mimic (Parisotto, Ba & Salakhutdinov 2016): the agents play
 * their own games, and the student learns to act as they do from what they see, in the channels of another game, where it
 * then goes on. n observations, C channels of the game to come, c of the teacher's, A actions, d features.
 */
import { loadMember } from "../../hub/index.ts";
import { createObservationNetwork, type ObservationNetwork } from "../../models/index.ts";
import { distillationLoss, Linear } from "../../nn/index.ts";
import { AdamW, clipGradNorm } from "../../optim/index.ts";
import {
  inferenceMode,
  keep,
  RandomStreams,
  scope,
  seedOf,
  type Tensor,
  tensor,
  UserError,
} from "../../torch/index.ts";
import type { NetworkPlan } from "../agents/build.ts";
import { type Agent, type AgentHub, matchChannels } from "../agents/channels.ts";
import { orthogonalLayers } from "../agents/network.ts";
import { encode, type ObservationForm, observationForm } from "../agents/observations.ts";
import { sampleActions, uniforms } from "../algorithms/actions.ts";
import { makeEnvironment, type Observations, type VectorEnvironment } from "../environments/index.ts";

export interface DistilRequest {
  hub: AgentHub;
  /** Form of the target game's observations. */
  form: ObservationForm;
  /** The student. */
  network: Extract<NetworkPlan, { kind: "new" }>;
  /** Steps that the teachers play in all, over games and copies. */
  steps: number;
  copies: number;
  seed: number;
  lr?: number;
}

export interface Distilled {
  /** The student and its head, which the caller disposes. */
  network: ObservationNetwork;
  head: Linear;
  actions: readonly string[];
  /** Mean divergence from the teachers over the last tenth. */
  divergence: number;
}

interface Teacher {
  agent: Agent;
  environment: VectorEnvironment;
  form: ObservationForm;
  /** [C, c]: the game to come sees the teacher's game through it. */
  view: Tensor;
  observations: Observations;
}

/** @throws UserError when the agents do not choose among the same actions, or learned values of actions */
export async function distil(request: DistilRequest): Promise<Distilled> {
  const { hub, form, steps, copies, seed, lr = 1e-3 } = request;
  const entries = hub.manifest.members;
  const actions = commonActions(entries);
  const streams = new RandomStreams(seed);
  const generator = streams.stream("init");
  const network = createObservationNetwork(request.network.architecture, request.network.config, { generator });
  orthogonalLayers(network, generator);
  const head = new Linear(network.featureWidth, actions.length, { generator });
  const optimizer = new AdamW([{ params: [...network.parameters(), ...head.parameters()], lr, weight_decay: 0 }]);
  const teachers: Teacher[] = [];
  const losses: number[] = [];
  try {
    for (const entry of entries) teachers.push(await openTeacher(hub, entry, form, copies, seed));
    const rounds = Math.ceil(steps / (copies * teachers.length));
    for (let round = 0; round < rounds; round++) {
      let sum = 0;
      for (const teacher of teachers) {
        const { shown, wished, outputs } = show(teacher, actions.length);
        sum += imitate(network, head, optimizer, shown, wished);
        const draws = uniforms(copies, streams.stream("actions"));
        const result = await teacher.environment.step(sampleActions(outputs, copies, actions.length, draws).actions);
        teacher.observations = result.observations;
      }
      losses.push(sum / teachers.length);
    }
    const last = losses.slice(-Math.max(1, Math.floor(rounds / 10)));
    return { network, head, actions, divergence: last.reduce((sum, loss) => sum + loss, 0) / last.length };
  } catch (error) {
    for (const owned of [network, head]) owned.dispose();
    throw error;
  } finally {
    optimizer.dispose();
    streams.dispose();
    for (const teacher of teachers) await closeTeacher(teacher);
  }
}

function commonActions(entries: readonly Agent["entry"][]): readonly string[] {
  const [first] = entries;
  const common = first?.policy?.actions ?? [];
  for (const { name, policy } of entries) {
    if (policy?.outputs !== "policy-and-value") throw new UserError(`the agent "${name}" has no policy to learn from`);
    if (String(policy.actions) !== String(common)) {
      throw new UserError(`the agents "${first?.name}" and "${name}" do not choose among the same actions`);
    }
  }
  return common;
}

async function openTeacher(
  hub: AgentHub,
  entry: Agent["entry"],
  form: ObservationForm,
  copies: number,
  seed: number,
): Promise<Teacher> {
  const id = entry.input.environment;
  const environment = await makeEnvironment(id, { n: copies, seed: seedOf(seed, `distil ${entry.name}`) % 2 ** 31 });
  const own = observationForm(environment);
  const values = new Float32Array(form.channels.length * own.channels.length);
  for (const [row, shown] of matchChannels(form.channels, own.channels).entries()) {
    for (const channel of shown) values[row * own.channels.length + channel] = 1;
  }
  const view = keep(tensor(values, { shape: [form.channels.length, own.channels.length] }));
  const observations = await environment.reset();
  return { agent: loadMember(hub.dir, entry), environment, form: own, view, observations };
}

async function closeTeacher({ agent, view, environment }: Teacher): Promise<void> {
  for (const owned of [agent, view]) owned.dispose();
  await environment.close();
}

/**
 * Observations of the teacher in the student's channels, [n, C, H, W], and the teacher's outputs for the actions, [n,
 * A].
 */
function show(teacher: Teacher, A: number): { shown: Tensor; wished: Tensor; outputs: Float32Array } {
  const { agent, form, view, observations } = teacher;
  return scope(() => {
    const x = encode(observations, form);
    const [n, , height, width] = x.shape as [number, number, number, number];
    const shown = view
      .matmul(x.flatten(2))
      .view([n, view.size(0), height, width])
      .clamp(0, 1);
    const outputs = inferenceMode(() => (agent.classify(x) as Tensor).narrow(1, 0, A).toTypedArray() as Float32Array);
    return { shown, wished: tensor(outputs, { shape: [n, A] }), outputs };
  });
}

function imitate(network: ObservationNetwork, head: Linear, optimizer: AdamW, shown: Tensor, wished: Tensor): number {
  const loss = scope(() => distillationLoss(head.forward(network.forward(shown)), wished));
  const value = scope(() => {
    loss.backward();
    clipGradNorm([...network.parameters(), ...head.parameters()], 0.5);
    optimizer.step();
    optimizer.zeroGrad();
    return loss.item();
  });
  for (const owned of [loss, shown, wished]) owned.dispose();
  return value;
}

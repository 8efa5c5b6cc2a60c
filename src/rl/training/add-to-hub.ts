/** A finished run as an agent of a hub. */
import { join } from "node:path";
import { type AddedMember, addTrained, type ObservationInput, trainingOf } from "../../hub/index.ts";
import { ConfigError, type Tensor } from "../../torch/index.ts";
import { plainArchitecture } from "../agents/build.ts";
import { PlainNetwork, type TrainedNetwork } from "../agents/network.ts";
import { PathwayNetwork } from "../agents/pathway-network.ts";
import { readProgress } from "./events.ts";
import { openAgent, outputKind } from "./open-agent.ts";
import { type AgentRun, agentFolder, resultOf } from "./run-folder.ts";

export interface AddRunRequest {
  hub: string;
  name: string;
  /** Folder of the run. */
  run: string;
  /**
   * Name of the agent that joins, of a run over a hub; by default the one that was activated most in the last tenth of
   * training.
   */
  agent?: string | undefined;
  licence?: string | undefined;
}

/** Agent that joins a hub. */
interface Joining {
  /** By the keys "network.…", "head.weight" and "head.bias". */
  tensors: Map<string, Tensor>;
  plan: Parameters<typeof plainArchitecture>[0];
  featureWidth: number;
  meanReturn: number | undefined;
  source: string;
}

/**
 * Adds the agent that a run trained to a hub, which is made with its first one. A run over a hub trained several, each with
 * a head of its own: one of them joins. The generator and what joins their outputs stay behind.
 * @throws UserError when the run is not finished, or the name is taken; ConfigError for an agent that the run has not
 */
export async function addAgentOfRun(request: AddRunRequest): Promise<AddedMember<ObservationInput>> {
  const { hub, name, run: out, licence = "unknown" } = request;
  const opened = await openAgent(out, { seed: 0 });
  const { network, environment, run, form, actions, steps } = opened;
  try {
    agentFolder(out).requireFinished();
    const { tensors, plan, featureWidth, meanReturn, source } = joining(request, run, network);
    const { environment: data } = run;
    const algorithm = run.algorithm.name;
    return await addTrained(hub, name, {
      tensors,
      about: {
        ...plainArchitecture(plan, form, opened.hub),
        featureWidth,
        input: { kind: "observation", environment: data, shape: [...form.shape], channels: [...form.channels] },
        policy: { actions: [...actions], outputs: outputKind(algorithm) },
        pretraining: trainingOf(data, { algorithm, steps, meanReturn }),
        licence,
        source,
      },
    });
  } finally {
    network.dispose();
    await environment.close();
  }
}

function joining({ run: out, agent }: AddRunRequest, run: AgentRun, network: TrainedNetwork): Joining {
  const source = `trained with rl train, seed ${run.seed}`;
  if (network instanceof PathwayNetwork) {
    const { name, share } = chosenAgent(out, network.memberNames, agent);
    const found = network.agent(name);
    if (!found) throw new ConfigError(`${out} has no agent "${name}"; it has: ${network.memberNames.join(", ")}`);
    const tensors = new Map(Array.from(found.network.stateDict(), ([key, value]) => [`network.${key}`, value]));
    for (const [key, value] of found.head.stateDict()) tensors.set(`head.${key}`, value);
    return {
      tensors,
      plan: { kind: "agent", name },
      featureWidth: found.featureWidth,
      // The return of the run is the work of several agents.
      meanReturn: undefined,
      source: `${source}, over a hub: its agent ${name}, ${(100 * share).toFixed(0)} % of activations at the end`,
    };
  }
  if (!(network instanceof PlainNetwork) || run.network.kind === "pathway") throw new TypeError("no network of a run");
  if (agent !== undefined) throw new ConfigError(`${out} trained one agent: --agent is for runs over a hub`);
  const { featureWidth } = network.module.network;
  const { meanReturn } = resultOf(out);
  return { tensors: network.module.stateDict(), plan: run.network, featureWidth, meanReturn, source };
}

/** The agent of that name, or the one that was activated most in the last tenth of training, with its share then. */
function chosenAgent(out: string, names: readonly string[], agent?: string): { name: string; share: number } {
  const events = readProgress(join(out, "events.jsonl"));
  const late = events.filter(({ steps, totalSteps }) => steps > 0.9 * totalSteps);
  const sums = names.map((_, i) => late.reduce((sum, { shares }) => sum + (shares?.[i] ?? 0), 0));
  const name = agent ?? (names[sums.indexOf(Math.max(...sums))] as string);
  return { name, share: (sums[names.indexOf(name)] ?? 0) / Math.max(1, late.length) };
}

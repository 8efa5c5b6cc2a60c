/** A finished run as an agent of a hub. */
import { type AgentEntry, addAgent } from "../../hub/index.ts";
import { UserError } from "../../torch/index.ts";
import { plainArchitecture } from "../agents/build.ts";
import { PlainNetwork } from "../agents/network.ts";
import { isAgentRun, openAgent, outputKind, resultOf } from "./run.ts";

export interface AddRunRequest {
  hub: string;
  name: string;
  /** Folder of the run. */
  run: string;
  licence?: string | undefined;
}

/**
 * Adds the agent that a run trained to a hub, which is made with its first one.
 * @throws UserError when the run is not finished, or trained routes over a hub, or the name is taken
 */
export async function addAgentOfRun({ hub, name, run: out, licence = "unknown" }: AddRunRequest): Promise<AgentEntry> {
  if (!isAgentRun(out)) throw new UserError(`${out} holds no agent: train one with \`rl train --out ${out}\``);
  const {
    network,
    environment,
    run,
    form,
    actions,
    steps,
    finished,
    hub: source,
  } = await openAgent(out, {
    copies: 1,
    seed: 0,
  });
  try {
    if (!finished) throw new UserError(`the run ${out} is not finished: continue it with \`rl train … --resume\``);
    if (!(network instanceof PlainNetwork) || run.network.kind === "pathway") {
      throw new UserError(`${out} trained routes over a hub, not one agent: only single agents can join a hub`);
    }
    const { meanReturn } = resultOf(out);
    return addAgent({
      hub,
      name,
      tensors: network.module.stateDict(),
      about: {
        ...plainArchitecture(run.network, form, source),
        featureWidth: network.module.network.featureWidth,
        observation: { environment: run.environment, shape: [...form.shape], channels: [...form.channels] },
        actions: [...actions],
        outputs: outputKind(run.algorithm.name),
        training: { algorithm: run.algorithm.name, steps, ...(meanReturn === undefined ? {} : { meanReturn }) },
        licence,
        source: `trained with rl train, seed ${run.seed}`,
      },
    });
  } finally {
    network.dispose();
    await environment.close();
  }
}

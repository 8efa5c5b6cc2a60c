/** Adds a policy that was trained in an environment to a hub. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { hashFile, writeSafetensors } from "../../io/index.ts";
import type { Tensor } from "../../torch/index.ts";
import type { AgentEntry } from "../manifest.ts";
import { openStaging, publish, requireFreeName } from "./change.ts";

export interface AddAgentRequest {
  /** Folder of the hub; made with its first member. */
  hub: string;
  name: string;
  /** Weights by the keys "network.…", "head.weight" and "head.bias". */
  tensors: ReadonlyMap<string, Tensor>;
  about: Omit<AgentEntry, "name" | "weights">;
}

/**
 * Adds an agent and returns its entry; a failure leaves the hub as it was.
 * @throws UserError when the name is taken or cannot be used, or the hub cannot be written
 */
export function addAgent({ hub, name, tensors, about }: AddAgentRequest): AgentEntry {
  requireFreeName(hub, name);
  const staging = openStaging(hub);
  try {
    mkdirSync(join(staging.folder, name));
    const path = join(staging.folder, name, "weights.safetensors");
    writeSafetensors(path, tensors);
    const weights = { file: `${name}/weights.safetensors`, sha256: hashFile(path) };
    const entry: AgentEntry = { name, ...about, weights };
    publish(hub, staging.folder, entry, (before) => ({ ...before, agents: [...(before.agents ?? []), entry] }));
    return entry;
  } finally {
    staging.close();
  }
}

/** Checkpoints of an agent in training: all that decides how it goes on, in one file that is written atomically. */
import { existsSync } from "node:fs";
import { z } from "zod";
import { parseJson, readSafetensors, writeSafetensors } from "../../io/index.ts";
import type { Module } from "../../nn/index.ts";
import { disposeTree, type Tensor, UserError } from "../../torch/index.ts";
import { part } from "../../train/index.ts";
import type { Algorithm } from "../algorithms/algorithm.ts";
import type { EpisodeMeter } from "../algorithms/episodes.ts";
import type { EnvironmentState, VectorEnvironment } from "../environments/index.ts";
import type { BestPolicy } from "./best-policy.ts";

export const agentCheckpointVersion = 2;

interface Meta {
  version: number;
  identity: string;
  finished: boolean;
  seconds: number;
  streams: Record<string, string>;
  optimizer: Record<string, number>;
  numbers: Record<string, unknown>;
  episodes: ReturnType<EpisodeMeter["state"]>;
  environment: EnvironmentState;
  best?: BestPolicy | undefined;
}

const metaSchema = z.looseObject({
  version: z.number(),
  identity: z.string(),
  finished: z.boolean(),
  seconds: z.number(),
  streams: z.record(z.string(), z.string()),
  optimizer: z.record(z.string(), z.number()),
  numbers: z.looseObject({ steps: z.number() }),
  episodes: z.looseObject({}),
  environment: z.looseObject({}),
});

/** Contents of a checkpoint beside the state itself. */
export interface SaveOptions {
  identity: string;
  seconds: number;
  /** Leaves out what only further training would need. */
  finished: boolean;
  /** The best policy so far, where policies are measured. */
  best?: BestPolicy | undefined;
}

export interface Parts {
  algorithm: Algorithm;
  episodes: EpisodeMeter;
  environment: VectorEnvironment;
}

/** Writes the state between two advances. */
export function saveAgent(path: string, parts: Parts, { identity, seconds, finished, best }: SaveOptions): void {
  const { modules, optimizer, streams, arrays, numbers } = parts.algorithm.state;
  const tensors = new Map<string, Tensor>();
  for (const [name, module] of Object.entries(modules)) {
    if (finished && name !== "model") continue;
    for (const [key, value] of module.stateDict()) tensors.set(`${name}/${key}`, value);
  }
  const state = optimizer.stateDict();
  const extra = finished ? new Map<string, Tensor>() : arrays();
  if (!finished) for (const [key, value] of state.tensors) tensors.set(`optimizer/${key}`, value);
  for (const [key, value] of extra) tensors.set(`arrays/${key}`, value);
  const meta: Meta = {
    version: agentCheckpointVersion,
    identity,
    finished,
    seconds,
    streams: streams.state(),
    optimizer: finished ? {} : state.numbers,
    numbers: numbers(),
    episodes: parts.episodes.state(),
    environment: parts.environment.state(),
    best,
  };
  try {
    writeSafetensors(path, tensors, { agent: JSON.stringify(meta) });
  } finally {
    disposeTree(extra);
  }
}

/**
 * Restores what `saveAgent` wrote; undefined when there is no checkpoint.
 * @throws UserError when it belongs to another run or is no checkpoint
 */
export async function resumeAgent(
  path: string,
  parts: Parts,
  identity: string,
): Promise<{ steps: number; seconds: number; finished: boolean; best: BestPolicy | undefined } | undefined> {
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = readSafetensors(path);
  try {
    const meta = parseMeta(path, metadata["agent"]);
    if (meta.identity !== identity) {
      throw new UserError(`${path} was written by another run: its options differ; use another --out folder`);
    }
    const { modules, optimizer, streams, restore } = parts.algorithm.state;
    for (const [name, module] of Object.entries(modules)) {
      if (!meta.finished || name === "model") module.loadStateDict(part(tensors, `${name}/`));
    }
    if (!meta.finished) {
      optimizer.loadStateDict({ tensors: part(tensors, "optimizer/"), numbers: meta.optimizer });
      streams.restore(meta.streams);
      restore(part(tensors, "arrays/"), meta.numbers);
    }
    parts.episodes.restore(meta.episodes);
    parts.algorithm.observations = await parts.environment.restore(meta.environment);
    const { seconds, finished, best } = meta;
    return { steps: meta.numbers["steps"] as number, seconds, finished, best };
  } finally {
    disposeTree(tensors);
  }
}

/** Loads the trained weights alone; returns their steps of training. @throws UserError when there is no checkpoint */
export function loadModel(path: string, module: Module): number {
  if (!existsSync(path)) throw new UserError(`${path} is missing: the run has not saved anything yet`);
  const { tensors, metadata } = readSafetensors(path);
  try {
    const meta = parseMeta(path, metadata["agent"]);
    module.loadStateDict(part(tensors, "model/"));
    return meta.numbers["steps"] as number;
  } finally {
    disposeTree(tensors);
  }
}

function parseMeta(path: string, text: string | undefined): Meta {
  if (!text) throw new UserError(`${path} is not the checkpoint of an agent`);
  const meta = parseJson(text, metaSchema, path, "a checkpoint of an agent") as unknown as Meta;
  if (meta.version !== agentCheckpointVersion) {
    throw new UserError(`${path} has checkpoint version ${meta.version}; this program reads ${agentCheckpointVersion}`);
  }
  return meta;
}

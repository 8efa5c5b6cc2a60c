/** Checkpoints of an agent in training: all that decides how it goes on, in one file that is written atomically. */
import { existsSync } from "node:fs";
import { readSafetensors, writeSafetensors } from "../../io/index.ts";
import type { Module } from "../../nn/index.ts";
import { disposeTree, type Tensor, UserError } from "../../torch/index.ts";
import type { Algorithm } from "../algorithms/algorithm.ts";
import type { EpisodeMeter } from "../algorithms/episodes.ts";
import type { EnvironmentState, VectorEnvironment } from "../environments/index.ts";

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
}

export interface Parts {
  algorithm: Algorithm;
  episodes: EpisodeMeter;
  environment: VectorEnvironment;
}

/**
 * Writes the state between two advances.
 * @param finished leave out what only further training would need
 */
export function saveAgent(path: string, parts: Parts, identity: string, seconds: number, finished: boolean): void {
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
): Promise<{ steps: number; seconds: number; finished: boolean } | undefined> {
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = readSafetensors(path);
  try {
    const meta = parseMeta(path, metadata["agent"]);
    if (meta.identity !== identity) {
      throw new UserError(`${path} was written by another run: its options differ; use another --out folder`);
    }
    const { modules, optimizer, streams, restore } = parts.algorithm.state;
    for (const [name, module] of Object.entries(modules)) {
      if (!meta.finished || name === "model") module.loadStateDict(below(tensors, `${name}/`));
    }
    if (!meta.finished) {
      optimizer.loadStateDict({ tensors: below(tensors, "optimizer/"), numbers: meta.optimizer });
      streams.restore(meta.streams);
      restore(below(tensors, "arrays/"), meta.numbers);
    }
    parts.episodes.restore(meta.episodes);
    parts.algorithm.observations = await parts.environment.restore(meta.environment);
    return { steps: meta.numbers["steps"] as number, seconds: meta.seconds, finished: meta.finished };
  } finally {
    disposeTree(tensors);
  }
}

/** Only the trained weights. @throws UserError when there is no checkpoint */
export function loadModel(path: string, module: Module): { steps: number; finished: boolean } {
  if (!existsSync(path)) throw new UserError(`${path} is missing: the run has not saved anything yet`);
  const { tensors, metadata } = readSafetensors(path);
  try {
    const meta = parseMeta(path, metadata["agent"]);
    module.loadStateDict(below(tensors, "model/"));
    return { steps: meta.numbers["steps"] as number, finished: meta.finished };
  } finally {
    disposeTree(tensors);
  }
}

function parseMeta(path: string, text: string | undefined): Meta {
  if (!text) throw new UserError(`${path} is not the checkpoint of an agent`);
  const meta = JSON.parse(text) as Meta;
  if (meta.version !== agentCheckpointVersion) {
    throw new UserError(`${path} has checkpoint version ${meta.version}; this program reads ${agentCheckpointVersion}`);
  }
  return meta;
}

function below(tensors: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> {
  const own = [...tensors].filter(([key]) => key.startsWith(prefix));
  return new Map(own.map(([key, value]) => [key.slice(prefix.length), value]));
}

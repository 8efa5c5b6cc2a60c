/** Checkpoints of one fit: weights, optimizer state, random streams and position, in one safetensors file, written atomically. */
import { existsSync } from "node:fs";
import { readSafetensors, writeSafetensors } from "../io/index.ts";
import type { Optimizer } from "../optim/index.ts";
import { disposeTree, type Tensor, UserError } from "../torch/index.ts";
import type { Learner } from "./learner.ts";

export const checkpointVersion = 1;

/** Where a fit stands. */
export interface Position {
  /** Epoch in progress, from 0; equal to the number of epochs when all are done. */
  epoch: number;
  /** Steps done in that epoch. */
  step: number;
  seconds: number;
  trainingFlops: number;
}

interface CheckpointMeta {
  version: number;
  /** What the checkpoint belongs to: a hash over hub, data split, method and options. */
  identity: string;
  position: Position;
  streams: Record<string, string>;
  optimizer: Record<string, number>;
}

/** Writes the whole state of a fit. Without an optimizer only the weights: the fit is finished. */
export function saveCheckpoint(
  path: string,
  learner: Learner,
  optimizer: Optimizer | undefined,
  identity: string,
  position: Position,
): void {
  const tensors = new Map<string, Tensor>();
  for (const [key, value] of learner.module.stateDict()) tensors.set(`model/${key}`, value);
  const state = optimizer?.stateDict();
  for (const [key, value] of state?.tensors ?? []) tensors.set(`optimizer/${key}`, value);
  const meta: CheckpointMeta = {
    version: checkpointVersion,
    identity,
    position,
    streams: learner.streams.state(),
    optimizer: state?.numbers ?? {},
  };
  writeSafetensors(path, tensors, { checkpoint: JSON.stringify(meta) });
}

/**
 * Restores a fit; undefined when there is no checkpoint.
 * @throws UserError when it belongs to another hub, split, method or options, or is not a checkpoint.
 */
export function loadCheckpoint(
  path: string,
  learner: Learner,
  optimizer: Optimizer | undefined,
  identity: string,
): Position | undefined {
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = readSafetensors(path);
  try {
    const meta = parseMeta(path, metadata["checkpoint"]);
    if (meta.identity !== identity) {
      throw new UserError(
        `${path} was written by another run: its hub, data, split, method or options differ; use another --out folder`,
      );
    }
    learner.module.loadStateDict(part(tensors, "model/"));
    optimizer?.loadStateDict({ tensors: part(tensors, "optimizer/"), numbers: meta.optimizer });
    learner.streams.restore(meta.streams);
    return meta.position;
  } finally {
    disposeTree(tensors);
  }
}

function parseMeta(path: string, text: string | undefined): CheckpointMeta {
  if (!text) throw new UserError(`${path} is not a checkpoint of this program`);
  const meta = JSON.parse(text) as CheckpointMeta;
  if (meta.version !== checkpointVersion) {
    throw new UserError(`${path} has checkpoint version ${meta.version}; this program reads ${checkpointVersion}`);
  }
  return meta;
}

function part(tensors: Map<string, Tensor>, prefix: string): Map<string, Tensor> {
  const own = [...tensors].filter(([key]) => key.startsWith(prefix));
  return new Map(own.map(([key, value]) => [key.slice(prefix.length), value]));
}

/** Files of features [n, d] that a frozen member computed: safetensors with the key and the hash of what they hold. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readSafetensors, writeSafetensors } from "../../io/index.ts";
import { byteChunks, disposeTree, type Tensor, UserError } from "../../torch/index.ts";

const buffer = new Uint8Array(1 << 20);

/**
 * The features of a file, memory-mapped; undefined when there is none, or it is damaged, of another key or another
 * shape, so that it must be made anew. The caller disposes them.
 */
export function readFeatures(path: string, key: string, shape: readonly [number, number]): Tensor | undefined {
  if (!existsSync(path)) return undefined;
  const weights = readOrNothing(path);
  const features = weights?.tensors.get("features");
  const valid =
    features?.dtype === "float32" &&
    features.shape.length === 2 &&
    features.shape.every((side, i) => side === shape[i]) &&
    weights?.metadata["key"] === key &&
    weights.metadata["sha256"] === hashTensors([features]);
  if (valid) return features;
  disposeTree([...(weights?.tensors.values() ?? [])]);
  return undefined;
}

/** Writes features; the file appears complete or not at all. @throws UserError when it cannot be written */
export function writeFeatures(path: string, key: string, features: Tensor): void {
  writeSafetensors(path, new Map([["features", features]]), { key, sha256: hashTensors([features]) });
}

/** SHA-256 over the tensors' elements in row-major order. */
export function hashTensors(tensors: Iterable<Tensor>): string {
  const hash = createHash("sha256");
  for (const tensor of tensors) for (const chunk of byteChunks(tensor, buffer)) hash.update(chunk);
  return hash.digest("hex");
}

function readOrNothing(path: string): ReturnType<typeof readSafetensors> | undefined {
  try {
    return readSafetensors(path);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Walks the tree of an archive's values. */
import { LazyTensor } from "../lazy-tensor.ts";
import { quoted } from "../quoted.ts";
import { Described, Global, Opaque, OpaqueGlobal, type Plain, type TorchValue, type Value } from "./values.ts";

const maximumDepth = 100;
const maximumVisits = 2_000_000;
const maximumPath = 4096;

export interface Leaves {
  /** By dotted path. */
  readonly tensors: Map<string, LazyTensor>;
  readonly plain: Map<string, Plain>;
  /** Classes of the objects that were not rebuilt. */
  readonly opaque: Map<string, string>;
}

/** A key as part of a dotted path. */
export function keyText(key: unknown): string {
  if (Array.isArray(key))
    return `(${key
      .slice(0, 8)
      .map((part) => (Array.isArray(part) ? "…" : keyText(part)))
      .join(", ")})`;
  return typeof key === "object" && key !== null ? "…" : String(key);
}

/**
 * All leaves by dotted path; a value that is reached twice appears under both paths.
 * @returns undefined, after `fail`, for a tree that contains itself, is too deep or too tangled
 */
export function leavesOf(root: TorchValue, fail: (what: string) => never): Leaves {
  const tensors = new Map<string, LazyTensor>();
  const plain = new Map<string, Plain>();
  const opaque = new Map<string, string>();
  const above = new Set<object>();
  let visits = 0;

  const visit = (value: Value, path: string): void => {
    visits += 1;
    if (visits > maximumVisits) fail("its containers hold each other too many times over");
    if (path.length > maximumPath) fail(`the keys down to ${quoted(path)} are too long`);
    if (value instanceof LazyTensor) {
      if (tensors.has(path)) fail(`two tensors are both at ${quoted(path)}`);
      tensors.set(path, value);
      return;
    }
    if (value instanceof Opaque || value instanceof OpaqueGlobal) {
      opaque.set(path, value.name);
      return;
    }
    if (value instanceof Global || value instanceof Described) {
      fail(
        `${quoted(path)} is ${value instanceof Global ? `${value.name} itself` : "a NumPy dtype"}, not a value: remove it`,
      );
    }
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
      plain.set(path, value);
      return;
    }
    if (above.has(value)) fail(`${quoted(path)} contains itself`);
    if (above.size >= maximumDepth) fail(`its containers are nested more than ${maximumDepth} deep`);
    above.add(value);
    if (value instanceof Map) for (const [key, item] of value) visit(item, joined(path, key));
    else for (const [i, item] of [...value].entries()) visit(item, joined(path, i));
    above.delete(value);
  };

  visit(root, "");
  return { tensors, plain, opaque };
}

function joined(path: string, key: unknown): string {
  const text = keyText(key);
  return path === "" ? text : `${path}.${text}`;
}

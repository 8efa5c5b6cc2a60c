/** Files that a model's main file names: shards, external data. */

import { checkedPath } from "../../fetch/names.ts";
import { onnxParts } from "../../graphs/index.ts";
import { readRegular, refuseForeign } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";

const maximumJsonBytes = 256e6;
const maximumParts = 10_000;

/**
 * Names of the further files of a model, relative to its folder and inside of it, each once.
 * @throws UserError when the main file cannot be read as what its name says, or names files outside its folder
 */
export function partsOf(path: string): string[] {
  refuseForeign(path);
  const names = new Set(namedBy(path));
  if (names.size > maximumParts) throw new UserError(`${path} names ${names.size} further files, which no model needs`);
  for (const name of names) checkedPath(name, path);
  return [...names];
}

function namedBy(path: string): readonly string[] {
  if (path.endsWith(".onnx")) return onnxParts(path).map((name) => name.replace(/^(\.\/)+/, ""));
  if (path.endsWith(".index.json")) return indexedShards(path);
  if (path.endsWith(".json")) return manifestShards(path);
  return [];
}

function indexedShards(path: string): readonly string[] {
  const map = field(readJson(path), "weight_map");
  if (typeof map !== "object" || map === null)
    throw new UserError(`${path} has no "weight_map": is it an index of shards?`);
  return Object.values(map).map((name) => text(name, path));
}

function manifestShards(path: string): readonly string[] {
  const groups = field(readJson(path), "weightsManifest");
  if (!Array.isArray(groups))
    throw new UserError(
      `${path} is no TensorFlow.js model, for it has no "weightsManifest", and no index of shards (*.index.json)`,
    );
  return groups.flatMap((group: unknown) => {
    const paths = field(group, "paths");
    if (!Array.isArray(paths)) throw new UserError(`${path} has a group of weights without "paths"`);
    return paths.map((name: unknown) => text(name, path).replace(/^(\.\/)+/, ""));
  });
}

function readJson(path: string): unknown {
  const bytes = readRegular(path, { maximumBytes: maximumJsonBytes, what: "a description of a model" });
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new UserError(`${path} is not JSON: is it the model's description?`);
  }
}

function field(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

function text(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  throw new UserError(`${path} names a file that is no text`);
}

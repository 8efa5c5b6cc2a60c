/** Finds the weights of one model in what a training run saved. */
import { UserError } from "../../torch/index.ts";
import { LazyTensor } from "../lazy-tensor.ts";
import { quoted } from "../quoted.ts";
import type { TorchArchive } from "./archive.ts";
import { onlyPython } from "./globals.ts";
import type { TorchValue } from "./values.ts";
import { keyText } from "./walk.ts";

/** Keys that a run saves beside its model: an optimiser's moments have the weights' shapes, but are no weights. */
const besides = /optim|sched|scaler|sampler|rng|random|history|metric|callback|loops|args|config|hyper|loss/i;
/** Parts of the names that runs save models under. */
const modelWords = new Set(
  "state dict model module net network params weights teacher student ema backbone encoder".split(" "),
);

interface Candidate {
  /** Keys from the root down. */
  keys: readonly string[];
  dict: Map<TorchValue, TorchValue>;
  /** True when the dicts inside belong to it. */
  isNested: boolean;
}

/**
 * The tensors of one model by their names in its state dict, for a file that holds
 * - just that: `{"conv.weight": tensor, ...}`;
 * - it among other things, at any depth: `{"state_dict": {...}, "optimizer": ...}`, `{"model": {...}, "epoch": 3}`. Without
 *   `under` it is the only dict of tensors that is named as models are, or the only one at all, optimisers and the like
 *   aside;
 * - several: `under` is the dotted path of one, such as "model_ema", and "" the whole file with its paths as names.
 * A whole module (`torch.save(model)`) has none: only its class can rebuild it, so `readTorchArchive` refuses it.
 *
 * Nothing is read: names, `shape`, `dtype` and `byteLength` are known from the archive's description. Each `read()` then
 * reads one tensor, through a buffer of 4 MiB, so a model is loaded in bounded memory by reading its tensors one after the
 * other and disposing each when it is copied. Tensors that share a storage are read each on its own.
 * @throws UserError naming the candidates when there are several or none
 */
export function stateDictOf(archive: TorchArchive, under?: string): Map<string, LazyTensor> {
  const { path, root, opaque } = archive;
  const found = candidatesIn(root, []);
  if (under !== undefined) {
    const value = valueAt(root, under);
    const tensors = value === undefined ? new Map<string, LazyTensor>() : tensorsIn(value);
    if (tensors.size > 0) return tensors;
    throw new UserError(`${path} has no tensors by name under ${quoted(under)}${offer(found)}`);
  }
  const named = found.filter(({ keys }) => keys.some(isModelName));
  const only = found.length === 1 ? found[0] : named.length === 1 ? named[0] : undefined;
  if (only) return tensorsOf(only);
  if (found.length === 0) {
    const [first] = opaque.values();
    const reason = first === undefined ? "it holds no dict of tensors by name" : onlyPython(first);
    throw new UserError(`${path} has no state dict: ${reason}`);
  }
  throw new UserError(`${path} has several state dicts: name one with --under${offer(found)}`);
}

/** Names under which runs save the moving average of their weights. */
const averageName = /(^|_)(ema|swa|averaged?)(_|$)/i;

/**
 * Dotted path of the moving average of a model, where a file has it beside the last weights, as timm and torchvision write
 * it, and the path of those; undefined for other files.
 */
export function averageIn({ root }: TorchArchive): { average: string; last: string } | undefined {
  const found = candidatesIn(root, []).filter(({ keys }) => keys.some(isModelName) || keys.some(isAverage));
  const averages = found.filter(({ keys }) => keys.some(isAverage));
  const [average, last] = [averages[0], found.find((candidate) => candidate !== averages[0])];
  if (found.length !== 2 || averages.length !== 1 || !average || !last) return undefined;
  // An average of some tensors only, without BatchNorm's statistics, is no network.
  if (tensorsOf(average).size < tensorsOf(last).size) return undefined;
  return { average: average.keys.join("."), last: last.keys.join(".") };
}

function isAverage(key: string): boolean {
  return averageName.test(key);
}

function isModelName(key: string): boolean {
  return key
    .toLowerCase()
    .split(/[^a-z]+/)
    .some((word) => modelWords.has(word));
}

function offer(found: readonly Candidate[]): string {
  if (found.length === 0) return "";
  const shown = found.slice(0, 12).map((candidate) => {
    const { keys } = candidate;
    const path = keys.length === 0 ? 'the whole file, ""' : quoted(keys.join("."));
    const { size } = tensorsOf(candidate);
    return `${path} (${size} tensor${size === 1 ? "" : "s"})`;
  });
  return `: there is ${shown.join(", ")}${found.length > 12 ? ", …" : ""}`;
}

/** Dicts that hold tensors by name; one that has models inside stands back for them. */
function candidatesIn(value: TorchValue, keys: readonly string[]): Candidate[] {
  const inner = children(value)
    .filter(([key]) => !besides.test(key))
    .flatMap(([key, child]) => candidatesIn(child, [...keys, key]));
  if (!(value instanceof Map)) return inner;
  if (directTensors(value).size === 0 || inner.some((candidate) => isModelName(candidate.keys[keys.length] ?? "")))
    return inner;
  return [{ keys, dict: value, isNested: inner.length > 0 }, ...inner];
}

/** Made only for those that are chosen or shown: nested candidates have all tensors of the inner ones again. */
function tensorsOf({ dict, isNested }: Candidate): Map<string, LazyTensor> {
  return isNested ? tensorsIn(dict) : directTensors(dict);
}

function directTensors(dict: Map<TorchValue, TorchValue>): Map<string, LazyTensor> {
  const tensors = new Map<string, LazyTensor>();
  for (const [key, item] of dict) if (typeof key === "string" && item instanceof LazyTensor) tensors.set(key, item);
  return tensors;
}

/** The containers inside, by key; none for an optimiser's own dict. */
function children(value: TorchValue): [string, TorchValue][] {
  if (Array.isArray(value)) return value.map((item, i) => [String(i), item]);
  if (!(value instanceof Map) || (value.has("state") && value.has("param_groups"))) return [];
  return Array.from(value, ([key, item]) => [keyText(key), item]);
}

/** All tensors inside, by dotted path. */
function tensorsIn(value: TorchValue): Map<string, LazyTensor> {
  const tensors = new Map<string, LazyTensor>();
  collect(value, "", tensors);
  return tensors;
}

function collect(value: TorchValue, path: string, into: Map<string, LazyTensor>): void {
  const items = Array.isArray(value) ? value.entries() : value instanceof Map ? value.entries() : [];
  for (const [key, item] of items) {
    const name = path === "" ? keyText(key) : `${path}.${keyText(key)}`;
    if (item instanceof LazyTensor) into.set(name, item);
    else collect(item, name, into);
  }
}

function valueAt(value: TorchValue, path: string): TorchValue | undefined {
  if (path === "") return value;
  for (const [key, item] of children(value)) {
    if (key === path) return item;
    const inner = path.startsWith(`${key}.`) ? valueAt(item, path.slice(key.length + 1)) : undefined;
    if (inner !== undefined) return inner;
  }
  return undefined;
}

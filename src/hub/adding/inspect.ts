/**
 * A model's files and what they hold: found or fetched, hashed, and told apart by their content where the format has a mark,
 * else by their names.
 */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import {
  checkedPath,
  configNames,
  type FetchedSource,
  type FetchOptions,
  fetchSource,
  parseSource,
} from "../../fetch/index.ts";
import { onnxParts } from "../../graphs/index.ts";
import {
  averageIn,
  describeText,
  hashFile,
  isTorchScript,
  type LazyTensor,
  quoted,
  readHead,
  readJsonFile,
  readTorchArchive,
  refuseForeign,
  refusePlaceholder,
  stateDictOf,
  streamSafetensors,
  type TorchArchive,
} from "../../io/index.ts";
import { type GraphFormat, proposeArchitecture } from "../../models/index.ts";
import { UserError } from "../../torch/index.ts";
import { type Published, publishedOf } from "./published.ts";

/** Paths of a model's files, where the user or the cache has them. */
interface Files {
  readonly main: string;
  /** Hash of the main file when it was first looked at. */
  readonly sha256: string;
  /** Further files that it names, relative to its folder. */
  readonly parts: readonly string[];
  /** Its config.json and preprocessor_config.json, where it has them. */
  readonly config: string | undefined;
  readonly preprocessor: string | undefined;
  /** Origin of the model, for the manifest. */
  readonly description: string;
}

/** A model before it joins a hub: its files, what they hold, and what the files beside them say. */
export interface Model extends Files {
  /** Tensors by name, whose network is still to be found; or a file that brings its own network. */
  readonly content:
    | {
        readonly kind: "weights";
        readonly tensors: ReadonlyMap<string, LazyTensor>;
        /** Remark on where they were. */
        readonly note?: string;
      }
    | { readonly kind: "graph"; readonly format: GraphFormat };
  readonly published: Published;
}

export interface InspectOptions {
  under?: string | undefined;
  trust?: boolean | undefined;
  fetch?: FetchOptions | undefined;
}

/**
 * Finds or fetches a model and looks into it; of weights only names and shapes are read.
 * @param source a file, an address, or hf:owner/name
 * @param options.under dotted path of the state dict inside a PyTorch file that has several
 * @param options.trust take a TorchScript program as it is; else its weights, where an architecture here is theirs
 * @throws UserError naming the file when it is missing, damaged, of no known format, or has another hash than asked for
 */
export async function inspect(source: string, options: InspectOptions = {}): Promise<Model> {
  const { fetch = {} } = options;
  const parsed = parseSource(source);
  const found =
    parsed.kind === "local"
      ? localFiles(parsed.path, fetch.sha256)
      : fetchedFiles(source, await fetchSource(parsed, partsOf, fetch));
  const content = await contentOf(found, options);
  return { ...found, content, published: publishedOf(found) };
}

function localFiles(main: string, expected: string | undefined): Files {
  if (!existsSync(main)) throw new UserError(`there is no file ${main}`);
  if (statSync(main).isDirectory()) throw new UserError(`${main} is a folder: name the model's file in it`);
  const sha256 = hashFile(main);
  if (expected !== undefined && !sha256.startsWith(expected)) {
    throw new UserError(`${main} is refused: its sha256 is ${sha256} instead of ${expected}; was it replaced?`);
  }
  const beside = (name: string): string | undefined => {
    const path = join(dirname(main), name);
    return existsSync(path) ? path : undefined;
  };
  const config = configNames.map(beside).find((found) => found !== undefined);
  const preprocessor = beside("preprocessor_config.json");
  const description = `file ${basename(main)}, sha256 ${sha256}`;
  return { main, sha256, parts: partsOf(main), config, preprocessor, description };
}

function fetchedFiles(source: string, { main, parts, config, preprocessor, revision }: FetchedSource): Files {
  const folder = dirname(main.name);
  const relative = (name: string): string => (folder === "." ? name : name.slice(folder.length + 1));
  const at = revision === undefined ? main.url : `${source} (${main.name} at commit ${revision})`;
  return {
    main: main.path,
    sha256: main.sha256,
    parts: parts.map((part) => relative(part.name)),
    config: config?.path,
    preprocessor: preprocessor?.path,
    description: `${at}, sha256 ${main.sha256}`,
  };
}

const known =
  "safetensors and PyTorch .pth, .pt and .bin (or an index of their shards), ONNX, a TensorFlow.js model.json, and TorchScript";

async function contentOf(
  { main: path, parts }: Files,
  { under, trust = false }: InspectOptions,
): Promise<Model["content"]> {
  const head = readHead(path);
  const weights = (tensors: ReadonlyMap<string, LazyTensor>) => ({ kind: "weights", tensors }) as const;
  const name = basename(path).toLowerCase();
  if (name.endsWith(".index.json")) return weights(await readShards(path, parts));
  if (name.endsWith(".json")) return { kind: "graph", format: "tfjs" };
  if (name.endsWith(".onnx")) return { kind: "graph", format: "onnx" };
  if (head.toString("latin1", 8, 9) === "{") return weights((await streamSafetensors(path)).tensors);
  const isZip = head.toString("latin1", 0, 4) === "PK\u0003\u0004";
  if (isZip && (await isTorchScript(path))) {
    return (trust ? undefined : await weightsOfProgram(path)) ?? { kind: "graph", format: "torchscript" };
  }
  if (isZip || head[0] === 0x80) return weightsOfArchive(await readTorchArchive(path), under);
  // The first field of an ONNX file is its version.
  const hint = head[0] === 8 && (head[1] ?? 99) < 20 ? "; if it is an ONNX file, give it the ending .onnx" : "";
  throw new UserError(`${path} ${describeText(head) ?? "is of no known format"}: hubs take ${known}${hint}`);
}

/** The state dict that the user names, the moving average where there is one beside the last weights, or the only one. */
function weightsOfArchive(archive: TorchArchive, under: string | undefined): Model["content"] {
  const several = under === undefined ? averageIn(archive) : undefined;
  const tensors = stateDictOf(archive, under ?? several?.average);
  if (!several) return { kind: "weights", tensors };
  const note = `took the moving average ${quoted(several.average)} (else --under ${several.last})`;
  return { kind: "weights", tensors, note };
}

/** The weights of a TorchScript program, whose code is not run; undefined where no architecture here has their names and shapes. */
async function weightsOfProgram(path: string): Promise<Model["content"] | undefined> {
  try {
    const tensors = stateDictOf(await readTorchArchive(path, { program: true }), "");
    const shapes = new Map(Array.from(tensors, ([key, { shape }]) => [key, shape]));
    const note = "took the weights of a TorchScript program, and did not run it (--trust takes the program itself)";
    return proposeArchitecture(shapes) ? { kind: "weights", tensors, note } : undefined;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

async function readShards(path: string, shards: readonly string[]): Promise<Map<string, LazyTensor>> {
  const all = new Map<string, LazyTensor>();
  for (const shard of shards) {
    for (const [name, tensor] of await readShard(join(dirname(path), shard))) {
      if (all.has(name)) throw new UserError(`${path}: two of its shards have a tensor "${name}"`);
      all.set(name, tensor);
    }
  }
  return all;
}

async function readShard(path: string): Promise<ReadonlyMap<string, LazyTensor>> {
  refusePlaceholder(path);
  if (path.endsWith(".safetensors")) return (await streamSafetensors(path)).tensors;
  return stateDictOf(await readTorchArchive(path));
}

/** For both kinds of description. */
const maximumBytes = 256e6;
const maximumParts = 10_000;

const fileName = z.string("the name of a file is no text");

const shardIndex = z.object({
  weight_map: z.record(z.string(), fileName, 'it has no "weight_map"').transform((map) => Object.values(map)),
});

const tfjsModel = z.object({
  weightsManifest: z.array(z.object({ paths: z.array(fileName, 'a group of weights has no "paths"') }), {
    error: 'it has no "weightsManifest"',
  }),
});

/**
 * Names of the further files of a model, relative to its folder and inside of it, each once.
 * @throws UserError when the main file cannot be read as what its name says, or names files outside its folder
 */
export function partsOf(path: string): string[] {
  refuseForeign(path);
  const names = new Set(namedBy(path).map((name) => name.replace(/^(\.\/)+/, "")));
  if (names.size > maximumParts) throw new UserError(`${path} names ${names.size} further files, which no model needs`);
  for (const name of names) checkedPath(name, path);
  return [...names];
}

function namedBy(path: string): readonly string[] {
  if (path.endsWith(".onnx")) return onnxParts(path);
  if (path.endsWith(".index.json")) {
    return readJsonFile(path, shardIndex, "an index of shards", { maximumBytes }).weight_map;
  }
  if (!path.endsWith(".json")) return [];
  const what = "a TensorFlow.js model, nor an index of shards (*.index.json)";
  return readJsonFile(path, tfjsModel, what, { maximumBytes }).weightsManifest.flatMap(({ paths }) => paths);
}

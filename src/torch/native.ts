/** The only file that loads the addon; everything else sees the typed face below. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { freeProcessors, mostThreads, ownsProcess } from "./environment.ts";
import { ConfigError } from "./errors.ts";

/** JavaScript's side of a native tensor or generator: an opaque External. */
export type Handle = { readonly __handle: unique symbol };

export type Dtype =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

export type MemoryFormat = "contiguous_format" | "preserve_format" | "channels_last";

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array;

export interface ArgumentInfo {
  name: string;
  /** libtorch's name of the type, for instance `Tensor?[]`. */
  type: string;
  keywordOnly: boolean;
  hasDefault: boolean;
  /** A list argument that also takes one element, which is repeated. */
  fixedLength: boolean;
}

export interface OperatorInfo {
  index: number;
  schema: string;
  arguments: ArgumentInfo[];
  returns: string[];
}

export interface Native {
  findOperator(name: string, overload: string): OperatorInfo | undefined;
  callOperator(index: number, args: unknown[], discard: boolean): unknown;
  fromBytes(data: TypedArray, sizes: readonly number[], dtype: Dtype, device: string): Handle;
  writeBytes(tensor: Handle, data: TypedArray): void;
  readBytes(tensor: Handle): ArrayBuffer;
  copyBytes(tensor: Handle, view: TypedArray, offset: number): void;
  item(tensor: Handle): number;
  sizes(tensor: Handle): number[];
  dtype(tensor: Handle): Dtype;
  device(tensor: Handle): string;
  isContiguous(tensor: Handle, format?: string): boolean;
  isLive(handle: Handle): boolean;
  dispose(handle: Handle): void;
  disposeAll(handles: Handle[]): void;
  requiresGrad(tensor: Handle): boolean;
  setRequiresGrad(tensor: Handle, value: boolean): void;
  gradient(tensor: Handle): Handle | undefined;
  setGradient(tensor: Handle, gradient: Handle | undefined): void;
  backward(tensors: Handle[], gradients: (Handle | undefined)[], retainGraph: boolean, createGraph: boolean): void;
  grad(
    outputs: Handle[],
    inputs: Handle[],
    gradients: (Handle | undefined)[],
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): (Handle | undefined)[];
  gradEnabled(): boolean;
  setGradEnabled(enabled: boolean): void;
  enterInference(enabled: boolean): void;
  exitInference(): void;
  enterAutocast(device: string, dtype: Dtype, enabled: boolean): void;
  exitAutocast(): void;
  createGenerator(device: string, seed: number | bigint): Handle;
  generatorState(generator: Handle): Handle;
  setGeneratorState(generator: Handle, state: Handle): void;
  setThreads(count: number): void;
  threads(): number;
  trimMemory(): void;
  keepFreedMemory(): void;
  guardMapping(tensor: Handle, path: string): void;
  loadScript(path: string, device: string): Handle;
  scriptTensors(script: Handle): { name: string; tensor: Handle; parameter: boolean }[];
  runScript(script: Handle, images: Handle): Handle;
  observeScript(script: Handle, images: Handle): [string, (Handle | boolean | undefined)[], (Handle | undefined)[]][];
  bearSignals(patienceMilliseconds: number, answer: string, farewell: string): void;
  openStore(name: string, host: string, port: number, serves: boolean, prefix: string, milliseconds: number): number;
  storeSet(name: string, key: string, value: string): void;
  storeGet(name: string, key: string): string;
  openGroup(name: string, rank: number, size: number, milliseconds: number, startMilliseconds: number): void;
  waitTensor(started: Handle): Handle;
  allGather(group: string, tensor: Handle): Handle;
  reduceScatter(group: string, tensor: Handle): Handle;
  allToAll(group: string, tensor: Handle, received: readonly number[], sent: readonly number[]): Handle;
  closeGroup(name: string): void;
  memory(): { handles: number; bytes: number };
  library(): { headers: string; cuda: boolean; parallel: string };
}

const path = fileURLToPath(new URL("../../build/Release/hub_pathway.node", import.meta.url));

function open(): Native {
  if (!existsSync(path)) {
    throw new ConfigError(`the native addon is not built (looked for ${path}): run \`npx hub-pathway setup\``);
  }
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(
      `the native addon does not load (${reason}): run \`npx hub-pathway setup\` to build it again`,
    );
  }
}

/** @throws ConfigError for a function of these sources that the addon was built without */
function outdated(name: string): never {
  throw new ConfigError(
    `the native addon was built from other sources (it has no ${name}): run \`npx hub-pathway setup\` to build it again`,
  );
}

function load(): Native {
  const opened = open();
  // An addon from before there was this choice has made it itself.
  if (ownsProcess() && "keepFreedMemory" in opened) opened.keepFreedMemory();
  // OpenMP knows which processors the process is bound to, and no quota; a number that it was given stands, if it is possible.
  const limit = process.env["OMP_NUM_THREADS"] === undefined ? freeProcessors() : mostThreads;
  if (opened.threads() > limit) opened.setThreads(limit);
  return opened;
}

/**
 * The addon's functions. It is loaded when the first of them is used, so that what computes nothing works before set-up;
 * from then on they are the object's own, and the proxy behind it is not reached any more.
 */
export const native: Native = Object.create(
  new Proxy(
    {},
    {
      get(_target, name) {
        if (typeof name !== "string") return undefined;
        const opened = load();
        Object.assign(native, opened);
        return opened[name as keyof Native] ?? outdated(name);
      },
    },
  ),
) as Native;

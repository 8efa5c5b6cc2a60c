/** Weights of TensorFlow.js models: shards of bytes, described by a manifest, to tensors. */
import { type Dtype, fromBytes, noGrad, scope, type Tensor, tensor, UserError } from "../../torch/index.ts";
import { confined, OpenFile } from "./files.ts";
import { isRecord, readJson } from "./json.ts";
import { parseManifest, type Quantization, type WeightGroup, type WeightSpec } from "./manifest.ts";

/**
 * All weights that a model.json or a bare weights manifest (a list of groups) describes, by their names, in
 * TensorFlow's layouts (kernels are [h, w, in, out]); quantised ones are restored. The caller disposes them.
 * @throws UserError naming the file and the weight when anything is missing, damaged or outside the model's folder
 */
export function readTfjsWeights(path: string): Map<string, Tensor> {
  const json = readJson(path);
  const manifest = isRecord(json) ? json["weightsManifest"] : json;
  if (manifest === undefined) {
    throw new UserError(`${path} is not a TensorFlow.js model: it has no "weightsManifest", and is no list of groups`);
  }
  return loadWeights(parseManifest(manifest, path), path).tensors;
}

export interface LoadedWeights {
  readonly tensors: Map<string, Tensor>;
  /** Paths of all shards. */
  readonly files: string[];
}

/** @throws UserError when shards are missing, or are smaller or larger than the manifest says */
export function loadWeights(groups: readonly WeightGroup[], description: string): LoadedWeights {
  const files: string[] = [];
  const tensors = scope(() =>
    noGrad(() => {
      const read = new Map<string, Tensor>();
      for (const group of groups) {
        using shards = new Shards(group, description);
        files.push(...shards.paths);
        for (const spec of group.weights) read.set(spec.name, decode(spec, shards.next(spec.bytes)));
      }
      return read;
    }),
  );
  return { tensors, files };
}

/** The shards of a group, read as one run of bytes. */
class Shards {
  readonly paths: string[];
  readonly #files: OpenFile[] = [];
  #current = 0;
  #position = 0;

  constructor(group: WeightGroup, description: string) {
    this.paths = group.paths.map((name) => confined(description, name));
    try {
      for (const path of this.paths) this.#files.push(new OpenFile(path));
    } catch (error) {
      this[Symbol.dispose]();
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`${description}: ${error.message}`, { cause: error });
    }
    const has = this.#files.reduce((sum, file) => sum + file.size, 0);
    const needs = group.weights.reduce((sum, weight) => sum + weight.bytes, 0);
    if (has === needs) return;
    this[Symbol.dispose]();
    const names = this.paths.length > 3 ? `${this.paths.slice(0, 3).join(", ")}, ...` : this.paths.join(", ");
    throw new UserError(
      `${description}: its weights need ${needs} bytes, but ${names || "the group without files"} ` +
        `${this.paths.length === 1 ? "has" : "have"} ${has}: download the model again`,
    );
  }

  next(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const file = this.#files[this.#current];
      if (!file) throw new UserError(`${this.paths.join(", ")}: the weights end too early`);
      const count = Math.min(length - done, file.size - this.#position);
      file.readInto(bytes.subarray(done, done + count), this.#position);
      done += count;
      this.#position += count;
      if (this.#position < file.size) continue;
      this.#current += 1;
      this.#position = 0;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.splice(0)) file[Symbol.dispose]();
  }
}

function decode(spec: WeightSpec, bytes: Uint8Array<ArrayBuffer>): Tensor {
  const { shape, dtype, stored, quantization } = spec;
  if (quantization) {
    return dequantised(stored === "uint8" ? bytes : new Uint16Array(bytes.buffer), quantization, shape, dtype);
  }
  if (stored === "float16") return fromBytes(bytes, shape, "float16").to({ dtype });
  return fromBytes(stored === "bool" ? bytes.map((byte) => Number(byte !== 0)) : bytes, shape, dtype);
}

/** In double precision, then rounded once, as TensorFlow.js does. */
function dequantised(
  stored: Uint8Array | Uint16Array,
  { scale, min }: Quantization,
  shape: readonly number[],
  dtype: Dtype,
): Tensor {
  const values = dtype === "int32" ? new Int32Array(stored.length) : new Float32Array(stored.length);
  const whole = dtype === "int32";
  for (let i = 0; i < stored.length; i++) {
    const value = (stored[i] ?? 0) * scale + min;
    values[i] = whole ? Math.round(value) : value;
  }
  return tensor(values, { shape });
}

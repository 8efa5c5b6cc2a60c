/** The weights manifest: which tensors lie in which shards, in which order and type. */
import { quoted } from "../../io/index.ts";
import { type Dtype, UserError } from "../../torch/index.ts";
import { Fields, isInt } from "./json.ts";

/** Stored numbers q that stand for q · scale + min. */
export interface Quantization {
  readonly scale: number;
  readonly min: number;
}

export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Type of the tensor that comes of it. */
  readonly dtype: Dtype;
  /** Type of the numbers in the shards. */
  readonly stored: keyof typeof widths;
  readonly quantization: Quantization | undefined;
  /** Bytes in the shards. */
  readonly bytes: number;
}

export interface WeightGroup {
  readonly paths: readonly string[];
  readonly weights: readonly WeightSpec[];
}

const widths = { float32: 4, float16: 2, int32: 4, uint8: 1, bool: 1, uint16: 2 } as const;
type WeightType = Exclude<keyof typeof widths, "uint16">;
const types: readonly WeightType[] = ["float32", "float16", "int32", "uint8", "bool"];
/** Largest value of each type that a quantised weight can become. */
const largest = { float32: (2 - 2 ** -23) * 2 ** 127, int32: 2 ** 31 - 1 } as const;
const maximumDimensions = 16;
/** Largest size of all tensors together, as float32, in bytes. */
const maximumBytes = 2 ** 32;
const reserved = new Set(["__proto__", "__metadata__", "constructor", "prototype"]);

/**
 * Checks a manifest: a list of groups of shards.
 * @throws UserError naming the file and the weight
 */
export function parseManifest(value: unknown, file: string): WeightGroup[] {
  if (!Array.isArray(value)) throw new UserError(`${file}: its weights manifest is not a list: ${quoted(value)}`);
  const names = new Set<string>();
  const shards = new Set<string>();
  let total = 0;
  return value.map((entry: unknown, i) => {
    const group = new Fields(entry, `${file}, weights group ${i}`);
    const paths = group.list("paths").map((path) => {
      if (typeof path !== "string") return group.fail(`a shard's path is ${quoted(path)}`);
      if (shards.has(path)) return group.fail(`the shard ${quoted(path)} is listed twice`);
      shards.add(path);
      return path;
    });
    const weights = group.list("weights").map((weight) => {
      const spec = parseSpec(weight, file, i);
      if (names.has(spec.name)) group.fail(`the weight ${quoted(spec.name)} is listed twice`);
      names.add(spec.name);
      total += elements(spec.shape) * 4;
      if (total > maximumBytes) group.fail(`the weights need more than ${maximumBytes} bytes, which is not supported`);
      return spec;
    });
    return { paths, weights };
  });
}

function parseSpec(value: unknown, file: string, group: number): WeightSpec {
  const name = new Fields(value, `${file}, weights group ${group}`).string("name");
  const fields = new Fields(value, `${file}, weight ${quoted(name)}`);
  if (name === "" || reserved.has(name)) fields.fail("that name is reserved");
  const shape = fields.ints("shape", { min: 0 });
  if (shape.length > maximumDimensions) fields.fail(`it has ${shape.length} dimensions`);
  const count = elements(shape);
  if (!(count * 8 <= Number.MAX_SAFE_INTEGER)) fields.fail(`its shape [${shape.join(", ")}] is too large`);
  const type = fields.choice("dtype", types);
  const dtype = type === "float16" ? "float32" : type;
  if (!fields.has("quantization")) {
    return { name, shape, dtype, stored: type, quantization: undefined, bytes: count * widths[type] };
  }
  const { stored, quantization } = parseQuantization(fields.fields("quantization"), type);
  return { name, shape, dtype, stored, quantization, bytes: count * widths[stored] };
}

function parseQuantization(fields: Fields, type: WeightType): Pick<WeightSpec, "stored" | "quantization"> {
  const stored = fields.choice("dtype", ["uint8", "uint16", "float16"]);
  if (type !== "float32" && (type !== "int32" || stored === "float16")) {
    return fields.fail(`${type} cannot be stored as ${stored}`);
  }
  if (stored === "float16") return { stored, quantization: undefined };
  const quantization = { scale: fields.number("scale"), min: fields.number("min") };
  const { scale, min } = quantization;
  if (!(scale > 0)) fields.fail(`"scale" is ${scale}, must be positive`);
  const ends = [min, min + scale * (2 ** (8 * widths[stored]) - 1)];
  if (ends.some((end) => Math.abs(end) > largest[type])) {
    fields.fail(`"scale" ${scale} and "min" ${min} give numbers that no ${type} holds`);
  }
  return { stored, quantization };
}

/** Every factor counts as one at least, so that a zero cannot hide an overflow. */
function elements(shape: readonly number[]): number {
  if (!shape.every((size) => isInt(size, { min: 0 }))) return Number.NaN;
  const bound = shape.reduce((product, size) => product * Math.max(size, 1), 1);
  return bound * 8 > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : shape.reduce((a, b) => a * b, 1);
}

/** The header of a safetensors file: parsing with all of the format's invariants checked, and writing. */
import { type Dtype, UserError } from "../torch/index.ts";
import { maximumDimensions } from "./lazy-tensor.ts";
import { quoted } from "./quoted.ts";
import { checkHeaderText } from "./safetensors-text.ts";

/** Place of a tensor in the data section, in bytes. */
export interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly entries: readonly Entry[];
  readonly metadata: Record<string, string>;
}

/** The format's own limit. */
export const maximumHeader = 100_000_000;

const types: Record<string, { dtype: Dtype; width: number }> = {
  F64: { dtype: "float64", width: 8 },
  F32: { dtype: "float32", width: 4 },
  F16: { dtype: "float16", width: 2 },
  BF16: { dtype: "bfloat16", width: 2 },
  I64: { dtype: "int64", width: 8 },
  I32: { dtype: "int32", width: 4 },
  I16: { dtype: "int16", width: 2 },
  I8: { dtype: "int8", width: 1 },
  U8: { dtype: "uint8", width: 1 },
  BOOL: { dtype: "bool", width: 1 },
};

/** The format's name of a dtype, and the bytes of one element. */
export const formatOf: ReadonlyMap<Dtype, { name: string; width: number }> = new Map(
  Object.entries(types).map(([name, { dtype, width }]) => [dtype, { name, width }]),
);

/**
 * Reads a header's text for a data section of `dataLength` bytes.
 * @throws UserError naming the file for anything that the format does not allow
 */
export function parseHeader(text: string, dataLength: number, file: string): Header {
  const fail = (what: string): never => {
    throw new UserError(`${file} is not a valid safetensors file: ${what}; download or export it again`);
  };
  checkHeaderText(text, fail);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail("its header is not JSON");
  }
  if (!text.startsWith("{") || !isRecord(json)) return fail("its header is not a JSON object");
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") {
      if (!isRecord(value) || Object.values(value).some((text) => typeof text !== "string")) {
        fail("its metadata is not a map of strings");
      }
      metadata = value as Record<string, string>;
    } else {
      entries.push(parseEntry(name, value, fail));
    }
  }
  checkCoverage(entries, dataLength, fail);
  return { entries, metadata };
}

function parseEntry(name: string, value: unknown, fail: (what: string) => never): Entry {
  if (/\p{Surrogate}/u.test(name)) return fail(`the name of tensor ${quoted(name)} is not Unicode`);
  if (!isRecord(value)) return fail(`the entry of tensor ${quoted(name)} is not an object`);
  const type =
    typeof value["dtype"] === "string" && Object.hasOwn(types, value["dtype"]) ? types[value["dtype"]] : null;
  if (!type) return fail(`tensor ${quoted(name)} has the unsupported dtype ${shownDtype(value["dtype"])}`);
  const shape = value["shape"];
  if (!isSizes(shape) || shape.length > maximumDimensions) return fail(`tensor ${quoted(name)} has no valid shape`);
  const offsets = value["data_offsets"];
  if (!isSizes(offsets) || offsets.length !== 2) return fail(`tensor ${quoted(name)} has no valid offsets`);
  const [begin = 0, end = 0] = offsets;
  const bytes = shape.reduce((product, size) => product * size, type.width);
  if (!shape.every((_, i) => Number.isSafeInteger(product(shape.slice(i)) * type.width))) {
    return fail(`tensor ${quoted(name)} is too large`);
  }
  if (end - begin !== bytes) {
    return fail(`tensor ${quoted(name)} of shape [${shape.join(", ")}] needs ${bytes} bytes but has ${end - begin}`);
  }
  return { name, dtype: type.dtype, shape, begin, end };
}

function shownDtype(value: unknown): string {
  return typeof value === "string" ? quoted(value) : "that is no text";
}

/** Tensors lie one after the other, without gap or overlap, up to the end of the file. */
function checkCoverage(entries: readonly Entry[], dataLength: number, fail: (what: string) => never): void {
  let reached = 0;
  for (const entry of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== reached) fail(`tensor ${quoted(entry.name)} does not start where the one before it ends`);
    reached = entry.end;
  }
  if (reached !== dataLength) {
    fail(`its tensors end at byte ${reached} of the data, which has ${dataLength} (is the file complete?)`);
  }
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * Math.max(size, 1), 1);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** The header's bytes with its length in front, padded so that the data starts at a multiple of 8. */
export function encodeHeader(header: Header): Uint8Array {
  const fields: [string, unknown][] = header.entries.map((entry) => [
    entry.name,
    { dtype: formatOf.get(entry.dtype)?.name, shape: entry.shape, data_offsets: [entry.begin, entry.end] },
  ]);
  if (Object.keys(header.metadata).length > 0) fields.unshift(["__metadata__", header.metadata]);
  const text = Buffer.from(JSON.stringify(Object.fromEntries(fields)));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = Buffer.alloc(8 + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded), 0);
  text.copy(bytes, 8);
  return bytes;
}

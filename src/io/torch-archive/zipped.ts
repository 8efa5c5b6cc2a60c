/** The zip format of torch.save (since PyTorch 1.6): `data.pkl`, and one entry `data/KEY` for each storage. */
import { widths } from "../lazy-tensor.ts";
import { quoted } from "../quoted.ts";
import { findGlobal } from "./globals.ts";
import { PickleEnd } from "./pickle-cursor.ts";
import { isSize, Storage, StorageType } from "./storage.ts";
import { unpickle } from "./unpickle.ts";
import { type Context, kindOf, type Value } from "./values.ts";
import type { ZipArchive } from "./zip.ts";

type Fail = (what: string) => never;

export const maximumPickle = 1 << 27;
const maximumRecord = 64;

/** The archive's common folder with its slash, "" for none; undefined when there is no pickle in it. */
function folderOf(zip: ZipArchive, fail: Fail): string | undefined {
  const folders = [...zip.entries.keys()].filter((name) => /^([^/]*\/)?data\.pkl$/.test(name));
  if (folders.length > 1) fail(`it has ${folders.length} pickles: ${folders.slice(0, 4).map(quoted).join(", ")}`);
  return folders[0]?.slice(0, -"data.pkl".length);
}

/** TorchScript keeps its constants and its code beside the pickle. */
export function isProgram(zip: ZipArchive): boolean {
  return [...zip.entries.keys()].some((name) => /^([^/]*\/)?(constants\.pkl$|code\/)/.test(name));
}

/** @param program read the modules of a TorchScript program, whose code is left alone, instead of refusing it */
export async function readZip(zip: ZipArchive, fail: Fail, program: boolean): Promise<Value> {
  if (!program && isProgram(zip)) {
    return fail(
      "it is a TorchScript program, not saved weights; save the state dict of its model, or use it as a program",
    );
  }
  const folder = folderOf(zip, fail);
  const pickle = folder === undefined ? undefined : zip.entries.get(`${folder}data.pkl`);
  if (folder === undefined || !pickle) return fail(withoutPickle(zip));
  const swapped = await isBigEndian(zip, folder, fail);
  const storages = new Map<string, Storage>();
  const bytes = await zip.bytes(pickle, maximumPickle);
  try {
    return unpickle(bytes, 0, {
      fail,
      find: findGlobal,
      persistent: (id, context) => storageOf(id, storages, context, { zip, folder, swapped }),
    }).value;
  } catch (error) {
    if (error instanceof PickleEnd) return fail("its pickle ends too early; download or save it again");
    throw error;
  }
}

function withoutPickle(zip: ZipArchive): string {
  const inner = [...zip.entries.keys()].find((name) => /\.(pth|pt|bin|ckpt|safetensors)$/.test(name));
  if (inner !== undefined) return `it is a zip archive around ${quoted(inner)}; unpack it first`;
  return "it is a zip archive without a data.pkl, so torch.save did not write it";
}

async function isBigEndian(zip: ZipArchive, folder: string, fail: Fail): Promise<boolean> {
  const record = zip.entries.get(`${folder}byteorder`);
  if (!record) return false;
  const order = (await zip.bytes(record, maximumRecord)).toString("latin1");
  if (order !== "little" && order !== "big") fail(`its byte order is ${quoted(order)}`);
  return order === "big";
}

interface Place {
  zip: ZipArchive;
  folder: string;
  swapped: boolean;
}

/** The checked parts of a storage's persistent id. */
export interface StorageId {
  type: StorageType;
  key: string;
  count: number;
  /** Bytes of one element. */
  width: number;
  /** The item after the number of elements. */
  rest: readonly Value[];
}

export function parseStorageId(id: Value, context: Context): StorageId {
  if (!Array.isArray(id)) return context.fail(`its persistent id is ${kindOf(id)}`);
  const [kind, type, key, location, count, ...rest] = id;
  if (kind === "module") return context.fail("it holds a whole module; save its state dict alone instead");
  if (kind !== "storage") return context.fail("its persistent id is not one of a storage");
  if (!(type instanceof StorageType)) return context.fail(`its storage has the type ${kindOf(type)}`);
  if (typeof key !== "string" || key.length > 1000) return context.fail("its storage has no key");
  if (typeof location !== "string") return context.fail("its storage has no device");
  const width = widths[type.dtype ?? "uint8"];
  if (!isSize(count) || !Number.isSafeInteger(count * width))
    return context.fail(`the storage ${quoted(key)} has no size`);
  return { type, key, count, width, rest };
}

function storageOf(id: Value, storages: Map<string, Storage>, context: Context, place: Place): Storage {
  const { type, key, count, width } = parseStorageId(id, context);
  const known = storages.get(key);
  if (known) {
    if (known.type.dtype !== type.dtype || known.count !== count) {
      context.fail(`the storage ${quoted(key)} is described in two ways`);
    }
    return known;
  }
  const { zip, folder, swapped } = place;
  const entry = zip.entries.get(`${folder}data/${key}`);
  if (!entry) return context.fail(`the storage ${quoted(key)} is missing from the archive`);
  if (entry.size !== count * width) {
    context.fail(`the storage ${quoted(key)} has ${entry.size} bytes, but should have ${count * width}`);
  }
  const bytes = { swapped, pieces: (start: number, length: number) => zip.pieces(entry, start, length) };
  const storage = new Storage({
    key,
    type,
    count,
    bytes,
    start: 0,
    where: `${zip.source.path}, storage ${quoted(key)}`,
  });
  storages.set(key, storage);
  return storage;
}

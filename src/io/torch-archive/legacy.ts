/**
 * The format of torch.save before PyTorch 1.6: a magic number, the protocol, the writer's machine, the value and the
 * storages' keys, each a pickle, then each storage: its number of elements in 8 bytes, and its elements, least byte first.
 */
import type { FileSource } from "../file-source.ts";
import { quoted } from "../quoted.ts";
import { findGlobal } from "./globals.ts";
import { PickleEnd } from "./pickle-cursor.ts";
import { isSize, Storage, type StorageBytes } from "./storage.ts";
import { unpickle } from "./unpickle.ts";
import { type Context, shown, type Value } from "./values.ts";
import { maximumPickle, parseStorageId, type StorageId } from "./zipped.ts";

type Fail = (what: string) => never;

const magic = 0x1950a86a20f9469cfc6cn;
const protocol = 1001;
const firstWindow = 1 << 20;
const maximumStorages = 100_000;

/** A root storage; where it lies is known only after the pickles. */
interface Root extends StorageId {
  position: number | undefined;
}

interface Pickles {
  value: Value;
  keys: Value;
  roots: Map<string, Root>;
  end: number;
}

export async function readLegacy(source: FileSource, fail: Fail): Promise<Value> {
  const pickles = await readPickles(source, fail);
  await placeStorages(source, pickles, fail);
  return pickles.value;
}

/** The pickles' length is unknown: they are read again with more of the file until they end inside. */
async function readPickles(source: FileSource, fail: Fail): Promise<Pickles> {
  for (let window = firstWindow; ; window *= 8) {
    const length = Math.min(window, source.size, maximumPickle);
    const bytes = await source.bytes(0, length);
    try {
      return parsePickles(bytes, source, fail);
    } catch (error) {
      if (!(error instanceof PickleEnd)) throw error;
      if (length === source.size) return fail("it ends too early; download or save it again");
      if (length === maximumPickle) return fail("its pickle is too large for a weights file");
    }
  }
}

function parsePickles(bytes: Buffer, source: FileSource, fail: Fail): Pickles {
  const refuse = (): never => fail("it does not start as torch.save writes (is it a PyTorch file at all?)");
  const refused = { fail: refuse, find: refuse, persistent: refuse };
  const plain = { ...refused, fail };
  const number = unpickle(bytes, 0, refused);
  if (number.value !== magic) refuse();
  const version = unpickle(bytes, number.end, plain);
  if (version.value !== protocol) fail(`it has the unknown format version ${shown(version.value)}`);
  const machine = unpickle(bytes, version.end, plain);
  if (!(machine.value instanceof Map)) fail("it does not describe its writer's machine");
  const roots = new Map<string, Root>();
  const content = unpickle(bytes, machine.end, {
    fail,
    find: findGlobal,
    persistent: (id, context) => storageOf(id, roots, source, context),
  });
  const keys = unpickle(bytes, content.end, plain);
  return { value: content.value, keys: keys.value, roots, end: keys.end };
}

function storageOf(id: Value, roots: Map<string, Root>, source: FileSource, context: Context): Storage {
  const parsed = parseStorageId(id, context);
  const { key, type, width } = parsed;
  const known = roots.get(key);
  if (known && (known.type.dtype !== type.dtype || known.count !== parsed.count)) {
    context.fail(`the storage ${quoted(key)} is described in two ways`);
  }
  const root: Root = known ?? { ...parsed, position: undefined };
  roots.set(key, root);
  const bytes: StorageBytes = {
    swapped: false,
    pieces: (start, length) => source.pieces((root.position ?? 0) + start, length),
  };
  const { first, count } = partOf(parsed, context);
  return new Storage({
    key,
    type,
    count,
    bytes,
    start: first * width,
    where: `${source.path}, storage ${quoted(key)}`,
  });
}

/** Old files let a storage be part of another one. */
function partOf({ rest, count, key }: StorageId, context: Context): { first: number; count: number } {
  const [view = null] = rest;
  if (view === null) return { first: 0, count };
  const [, first, length] = Array.isArray(view) ? view : [];
  if (!isSize(first) || !isSize(length) || first + length > count) {
    return context.fail(`a part of the storage ${quoted(key)} leaves it`);
  }
  return { first, count: length };
}

async function placeStorages(source: FileSource, pickles: Pickles, fail: Fail): Promise<void> {
  const { keys, roots } = pickles;
  if (!Array.isArray(keys) || keys.length > maximumStorages) return fail("it does not list its storages");
  let position = pickles.end;
  const handle = await source.open();
  try {
    const size = Buffer.alloc(8);
    for (const key of keys) {
      const root = typeof key === "string" ? roots.get(key) : undefined;
      if (!root || root.position !== undefined) return fail(`it lists the storage ${shown(key)} wrongly`);
      if (position + 8 > source.size) return fail("it ends before its last storage; download or save it again");
      await source.fill(handle, size, position);
      const count = size.readBigInt64LE();
      if (count !== BigInt(root.count)) {
        return fail(`the storage ${quoted(root.key)} has ${count} elements, but should have ${root.count}`);
      }
      root.position = position + 8;
      position = root.position + root.count * root.width;
    }
    if (position > source.size) return fail("it ends before its last storage does; download or save it again");
  } finally {
    await handle.close();
  }
  const missing = [...roots.values()].find((root) => root.position === undefined);
  if (missing) fail(`the storage ${quoted(missing.key)} is missing from the file`);
}

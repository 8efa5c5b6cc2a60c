import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { contentHashes, ImageStore, type Item } from "../../../src/data/index.ts";
import { Interrupted } from "../../../src/torch/index.ts";
import { prepareData } from "../../../src/train/index.ts";
import { fileDataset, temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

const cache = temporaryCache();
const later = () => Date.now() + 3600_000;
const fileItem = (path: string): Item => ({ id: path, label: 0, source: { kind: "file", path } });

async function hashOf(item: Item): Promise<string> {
  const [found] = await contentHashes([item]);
  assert.ok(found && "hash" in found);
  return found.hash;
}

test("a plain file has its own SHA-256, parts of a file and crops have others", async () => {
  const path = join(temporaryFolder(), "one.png");
  await writeNoise(path, 8, 1);
  const plain = await hashOf(fileItem(path));
  assert.equal(plain, createHash("sha256").update(readFileSync(path)).digest("hex"));
  const bytes = readFileSync(path);
  assert.equal(await hashOf({ id: "", label: 0, source: { kind: "bytes", bytes } }), plain);
  const others: Item["source"][] = [
    { kind: "file", path, crop: { bottom: 2 } },
    { kind: "file", path, crop: { bottom: 3 } },
    { kind: "file", path, trim: true },
    { kind: "part", path, offset: 0, length: 10 },
    { kind: "part", path, offset: 1, length: 10 },
    { kind: "raw", path, offset: 0, width: 2, height: 2, channels: 1 },
    { kind: "raw", path, offset: 0, width: 1, height: 4, channels: 1 },
  ];
  const hashes = await Promise.all(others.map((source) => hashOf({ id: "", label: 0, source })));
  assert.equal(new Set([plain, ...hashes]).size, others.length + 1);
});

test("files that are known by path, size and times are not read again; changed ones are", async () => {
  const folder = temporaryFolder();
  const items = ["a", "b"].map((name) => fileItem(join(folder, name)));
  for (const { id } of items) writeFileSync(id, id);
  const read = async (now: () => number): Promise<number> => {
    let steps = 0;
    await contentHashes(items, { now, onProgress: () => (steps += 1) });
    return steps;
  };
  assert.ok((await read(Date.now)) > 0);
  assert.ok((await read(later)) > 0, "files that changed a moment ago are not trusted");
  assert.equal(await read(later), 0);
  writeFileSync(join(folder, "b"), "another");
  assert.ok((await read(later)) > 0);
  assert.equal(await hashOf(items[1]!), createHash("sha256").update("another").digest("hex"));
  for (const name of readdirSync(join(cache, "hashes"))) writeFileSync(join(cache, "hashes", name), "{ damaged");
  assert.ok((await read(later)) > 0);
});

test("what cannot be read has a reason instead of a hash", async () => {
  const folder = temporaryFolder();
  const secret = join(folder, "secret.png");
  writeFileSync(secret, "x");
  chmodSync(secret, 0);
  const found = await contentHashes([fileItem(join(folder, "absent.png")), fileItem(folder), fileItem(secret)]);
  const reasons = found.map((one) => ("problem" in one ? one.problem.message : "none"));
  assert.match(reasons[0]!, /absent\.png: there is no such file/);
  assert.match(reasons[1]!, /not a file but a folder/);
  if (process.getuid?.() !== 0) assert.match(reasons[2]!, /secret\.png: no permission/);
});

test("a signal stops hashing and decoding", async () => {
  const path = join(temporaryFolder(), "one.png");
  await writeNoise(path, 8, 5);
  const abort = new AbortController();
  abort.abort();
  await assert.rejects(contentHashes([fileItem(path)], { signal: abort.signal }), Interrupted);
  const decoding = new AbortController();
  const onProgress = (_done: number, _total: number, step: string) => step === "reading" && decoding.abort();
  await assert.rejects(
    ImageStore.open(fileDataset([path]), { size: 8, signal: decoding.signal, onProgress }),
    Interrupted,
  );
});

/** Files of decoded pixels in the cache. */
const decoded = () => readdirSync(join(cache, "decoded")).filter((name) => name.endsWith(".u8")).length;

test("a folder that moved, by another path or with renamed files, is decoded once", async () => {
  const home = temporaryFolder();
  const before = join(home, "before");
  for (const [seed, name] of ["a/1", "a/2", "b/1", "b/2"].entries())
    await writeNoise(join(before, `${name}.png`), 8, seed);
  const request = { imageSize: 8, split: {}, augment: "none", batchSize: 2, seed: 0 } as const;
  const identity = async (source: string) => {
    const data = await prepareData({ source, ...request });
    data.dispose();
    return {
      split: data.splitHash,
      pixels: data.pixelsKey,
      contents: data.contentHashes,
      positions: data.positionsHash,
    };
  };
  const known = decoded();
  const first = await identity(before);
  assert.deepEqual(await identity(relative(process.cwd(), before)), first);
  mkdirSync(join(home, "elsewhere"));
  const after = join(home, "elsewhere", "after");
  renameSync(before, after);
  assert.deepEqual(await identity(after), first);
  renameSync(join(after, "a"), join(after, "z"));
  const renamed = await identity(after);
  assert.notEqual(renamed.split, first.split);
  assert.deepEqual([...renamed.contents].sort(), [...first.contents].sort());
  assert.equal(decoded(), known + 1);
  await writeNoise(join(after, "z/1.png"), 8, 77);
  assert.notEqual((await identity(after)).split, renamed.split, "other content, another split");
});

test("equal images are decoded once", async () => {
  const folder = temporaryFolder();
  await writeNoise(join(folder, "one.png"), 8, 3);
  const bytes = readFileSync(join(folder, "one.png"));
  const paths = Array.from({ length: 40 }, (_, i) => join(folder, `${i}.png`));
  for (const path of paths) writeFileSync(path, bytes);
  let most = 0;
  const onProgress = (_: number, total: number, step: string) => {
    if (step === "decoding") most = total;
  };
  const store = await ImageStore.open(fileDataset(paths), { size: 8, onProgress });
  assert.equal(most, 1);
  using batch = await store.batch([0, 39]);
  assert.deepEqual(batch.shape, [2, 3, 8, 8]);
  store.dispose();
});

test("a set with one image more, and a part of a set, decode only what is new", async () => {
  const folder = temporaryFolder();
  const paths = Array.from({ length: 4 }, (_, i) => join(folder, `${i}.png`));
  const written = await Promise.all(paths.map((path, i) => writeNoise(path, 6, 40 + i)));
  const open = async (own: readonly string[]) => {
    const store = await ImageStore.open(fileDataset(own), { size: 6 });
    using batch = await store.batch(own.map((_, i) => i));
    store.dispose();
    return batch.toNumbers();
  };
  const before = new Set(readdirSync(join(cache, "decoded")));
  await open(paths.slice(0, 3));
  const made = readdirSync(join(cache, "decoded")).find((name) => name.endsWith(".u8") && !before.has(name));
  // The value 77 shows which pixels come from the cache.
  writeFileSync(join(cache, "decoded", made ?? ""), Buffer.alloc(3 * 108, 77));
  const planes = Array.from({ length: 108 }, (_, i) => written[3]?.[(i % 36) * 3 + Math.floor(i / 36)]);
  assert.deepEqual(await open(paths), [...new Array<number>(3 * 108).fill(77), ...planes]);
  assert.deepEqual(await open(paths.slice(1, 2)), new Array<number>(108).fill(77));
});

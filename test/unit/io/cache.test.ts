import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ImageStore } from "../../../src/data/index.ts";
import { releaseCached } from "../../../src/io/cache.ts";
import { cacheEntries, cleanCache, temporaryPath } from "../../../src/io/index.ts";
import { typescript } from "../../support/typescript.ts";
import { fileDataset, temporaryCache, temporaryFolder, writeNoise } from "../data/support.ts";

const cache = temporaryCache();
const visible = (kind: string) => readdirSync(join(cache, kind)).filter((name) => !name.startsWith("."));

async function decode(seed: number): Promise<ImageStore> {
  const path = join(temporaryFolder(), "one.png");
  await writeNoise(path, 8, seed);
  return ImageStore.open(fileDataset([path]), { size: 8 });
}

/** As if it had been used so many days ago. */
function age(kind: string, name: string, days: number): void {
  const time = new Date(Date.now() - days * 24 * 3600_000);
  for (const file of visible(kind)) if (file.startsWith(name)) utimesSync(join(cache, kind, file), time, time);
}

test("entries are files of one name with their size and last use; clean leaves what a process uses", async () => {
  const store = await decode(1);
  const [decoded] = cacheEntries().filter(({ kind }) => kind === "decoded");
  assert.equal(decoded?.paths.length, 3);
  assert.match(decoded?.paths[0] ?? "", /\.json$/);
  assert.ok(decoded.inUse && decoded.bytes > 192 + 192 && Date.now() - decoded.lastUsed < 60_000);
  cleanCache({ keep: 0 });
  assert.equal(visible("decoded").length, 3);
  using batch = await store.batch([0]);
  assert.equal(batch.shape[0], 1);
  store.dispose();
  releaseCached();
  cleanCache({ keep: 0 });
  assert.deepEqual(readdirSync(join(cache, "decoded")), []);
  assert.deepEqual(readdirSync(join(cache, "in-use")), []);
});

test("the least recently used go first, until the rest fits", async () => {
  for (const seed of [2, 3, 4]) (await decode(seed)).dispose();
  releaseCached();
  const names = [...new Set(visible("decoded").map((name) => name.split(".")[0] ?? ""))];
  for (const [i, name] of names.entries()) age("decoded", name, 3 - i);
  const sizes = new Map(cacheEntries().map(({ name, bytes }) => [name, bytes]));
  const hashes = cacheEntries().filter(({ kind }) => kind === "hashes");
  const [, second = "", third = ""] = names;
  const keep = [second, third].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  const removed = cleanCache({ keep: keep + hashes.reduce((sum, { bytes }) => sum + bytes, 0) });
  assert.deepEqual(
    removed.map(({ name }) => name),
    [names[0]],
  );
  process.env["HUB_PATHWAY_CACHE_GB"] = "1e-9";
  (await decode(5)).dispose();
  delete process.env["HUB_PATHWAY_CACHE_GB"];
  assert.equal(
    visible("decoded").filter((name) => name.endsWith(".u8")).length,
    1,
    "only the new one, which is in use",
  );
  releaseCached();
});

test("what another process uses stays until it ends, however that happens", async () => {
  const program = `
    import { holdCached } from ${JSON.stringify(join(process.cwd(), "src/io/cache.ts"))};
    holdCached(process.argv[1]);
    console.log("held");
    setInterval(() => {}, 1000);
  `;
  const path = join(cache, "features", "member-1.safetensors");
  mkdirSync(join(cache, "features"), { recursive: true });
  writeFileSync(path, "numbers");
  const other = spawn(process.execPath, [...typescript, "--input-type=module", "-e", program, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(other.stdout, "data");
  cleanCache({ keep: 0 });
  assert.ok(existsSync(path));
  other.kill("SIGKILL");
  await once(other, "exit");
  cleanCache({ keep: 0 });
  assert.ok(!existsSync(path));
  assert.deepEqual(readdirSync(join(cache, "in-use")), []);
});

test("fetched data stay unless asked for, left-overs of killed processes go", () => {
  mkdirSync(join(cache, "packages/pack-1/package"), { recursive: true });
  writeFileSync(join(cache, "packages/pack-1/package/a.png"), "a");
  const killed = temporaryPath(join(cache, "packages"), "fetch").replace(`-${process.pid}-`, "-4194304999-");
  mkdirSync(killed);
  cleanCache({ keep: 0 });
  assert.deepEqual(readdirSync(join(cache, "packages")), ["pack-1"]);
  assert.deepEqual(
    cleanCache({ keep: 0, fetched: true }).map(({ kind, name }) => [kind, name]),
    [["packages", "pack-1"]],
  );
});

import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Dataset, decodeImage, openDataset } from "../../../src/data/index.ts";
import { cleanCache } from "../../../src/io/index.ts";
import { FileServer, serveRepository } from "../../support/file-server.ts";
import { noise, png, refused, tarOf, temporaryCache, temporaryFolder } from "./support.ts";

const parquet = readFileSync(join(import.meta.dirname, "../../fixtures/parquet/hf.parquet"));
let server: FileServer;

before(async () => {
  server = await FileServer.start();
  process.env["HF_ENDPOINT"] = server.origin;
});
after(() => server.stop());

/** A tar larger than a block of the cache, of noise images that no compression makes smaller. */
async function largeTar(): Promise<{ bytes: Buffer; pixels: Buffer[] }> {
  const side = 1000;
  const pixels = [1, 2, 3, 4].map((seed) => noise(side * side * 3, seed));
  const images = await Promise.all(pixels.map((own) => png(side, side, 3, own)));
  const files = images.flatMap((image, i) => [[`${i}.png`, image] as const, [`${i}.cls`, `${i % 2}`] as const]);
  return { bytes: readFileSync(tarOf(join(temporaryFolder(), "s.tar"), files)), pixels };
}

async function decodedAll({ items }: Dataset, size: number): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for (const item of items) all.push(Buffer.from(await decodeImage(item, { size, channels: 3, pixelLimit: 1e7 })));
  return all;
}

test("a tar at an address is indexed once, its blocks stay in the cache, and what went is fetched again", async () => {
  const shards = join(temporaryCache(), "shards");
  const { bytes, pixels } = await largeTar();
  assert.ok(bytes.length > 8 << 20);
  const path = "/data/s%20et.tar";
  const served = server.serve(path, { body: bytes, etag: '"v1"', failures: [503] });
  const first = await openDataset(server.origin + path);
  assert.deepEqual(
    first.items.map(({ id }) => id),
    [0, 1, 2, 3].map((i) => `s et.tar/${i}`),
  );
  const fetched = server.requests(path).length;
  assert.deepEqual(await decodedAll(first, 1000), pixels);
  assert.equal(server.requests(path).length, fetched, "decoding finds all blocks in the cache");

  const second = await openDataset(server.origin + path);
  assert.deepEqual(
    second.items.map(({ label }) => label),
    [0, 1, 0, 1],
  );
  assert.equal(server.requests(path).length, fetched + 1, "one byte says that the version is the same");

  const [block = ""] = readdirSync(shards).filter((name) => name.endsWith(".1.bin"));
  rmSync(join(shards, block));
  assert.deepEqual(await decodedAll(second, 1000), pixels);
  const asked = server.requests(path).slice(fetched + 1);
  assert.deepEqual(
    asked.map(({ headers }) => headers.range),
    [`bytes=${8 << 20}-${bytes.length - 1}`],
  );

  cleanCache({ keep: 0 });
  assert.deepEqual(readdirSync(shards), []);
  assert.deepEqual(await decodedAll(second, 1000), pixels);

  cleanCache({ keep: 0 });
  served.etag = '"v2"';
  await assert.rejects(decodedAll(second, 1000), refused(/s%20et\.tar changed while it was read/));
});

test("a repository of data on the Hub: its Parquet files, their splits, and one configuration of several", async () => {
  temporaryCache();
  const files = { "README.md": "x", "data/train-00000-of-00001.parquet": parquet, "data/test-00000.parquet": parquet };
  serveRepository(server, "me/pets", files, { isDataset: true });
  const dataset = await openDataset("hf:datasets/me/pets");
  assert.deepEqual([dataset.name, dataset.classes], ["pets", ["a fox", "cat", "dog"]]);
  assert.deepEqual(
    [...new Set(dataset.items.map(({ id, split }) => `${id.split("/")[1]} ${split}`))],
    ["test-00000.parquet test", "train-00000-of-00001.parquet train"],
  );
  const colours = (await decodedAll(dataset, 6)).map((pixels) => pixels[0]);
  assert.deepEqual(
    colours.slice(0, 12),
    Array.from({ length: 12 }, (_, row) => 20 * row),
  );

  const configurations = { "full/train/0000.parquet": parquet, "small/train/0000.parquet": parquet };
  serveRepository(server, "me/two", configurations, { isDataset: true, revision: "refs/convert/parquet" });
  const converted = "hf:datasets/me/two@refs/convert/parquet";
  await assert.rejects(
    openDataset(converted),
    refused(/several configurations \("full", "small"\): name one.*parquet\/full/),
  );
  assert.equal((await openDataset(`${converted}/small`)).items.length, 12);

  serveRepository(server, "me/pictures", { "a.jpg": "x" }, { isDataset: true });
  await assert.rejects(
    openDataset("hf:datasets/me/pictures"),
    refused(/no Parquet files and no tars among its 1 files.*@refs\/convert\/parquet/),
  );
  await assert.rejects(openDataset("hf:datasets/me/absent"), refused(/hf:datasets\/me\/absent could not be fetched/));
  await assert.rejects(openDataset("hf:me/pets"), refused(/names a model: data are hf:datasets\/owner\/name/));
});

test("what cannot be read in parts is refused in one line", async () => {
  temporaryCache();
  server.serve("/stream.tar", { body: Buffer.alloc(4096), ranges: false });
  await assert.rejects(openDataset(`${server.origin}/stream.tar`), refused(/comes as a stream.*fetch the file first/));
  await assert.rejects(openDataset(`${server.origin}/absent.tar`), refused(/absent\.tar could not be fetched.*404/));
  await assert.rejects(openDataset(`${server.origin}/a.zip`), refused(/must end with \.parquet or \.tar/));
  await assert.rejects(openDataset("https://"), refused(/not a valid address/));
  process.env["HF_HUB_OFFLINE"] = "1";
  try {
    for (const source of [`${server.origin}/stream.tar`, "hf:datasets/me/pets"])
      await assert.rejects(openDataset(source), refused(/is elsewhere, and fetching is off/));
  } finally {
    delete process.env["HF_HUB_OFFLINE"];
  }
});

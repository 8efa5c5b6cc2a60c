/**
 * Formats that this program itself writes and reads again: run folders, states of fits, decoded images in the cache.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ImageStore, openDataset } from "../../src/data/index.ts";
import { Predictor, train } from "../../src/library/index.ts";
import { SGD } from "../../src/optim/index.ts";
import { loadState, loadWeights, saveState, saveWeights } from "../../src/train/checkpoint.ts";
import { imageRun, RunFolder, readEvents } from "../../src/train/index.ts";
import { Meter } from "../../src/train/meter.ts";
import { LineLearner } from "../support/line-learner.ts";
import { writeShapeImages, writeSmallHub } from "../support/small-hub.ts";
import { mutateBytes } from "./bytes.ts";
import { contentOf, type Files, type Format, withFile } from "./format.ts";
import { mutateJson } from "./json.ts";
import type { Random } from "./random.ts";
import { mutateHeader } from "./weights.ts";

/** Runs in a folder that goes afterwards. */
async function aside<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-fuzz-seed-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Every file below a folder, the main one first. */
function filesBelow(folder: string, main: string): Files {
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const names = all.filter((name) => name !== main && statSync(join(folder, name)).isFile());
  return new Map([main, ...names].map((name) => [name, readFileSync(join(folder, name))]));
}

/** A text of JSON or of lines of it, changed in one place; sometimes cut, as a full disk leaves it. */
function mutateText(random: Random, bytes: Buffer): Buffer {
  const lines = bytes.toString().trimEnd().split("\n");
  if (random.chance(0.1)) return bytes.subarray(0, random.int(bytes.length + 1));
  if (!bytes.toString().startsWith("{\n") && lines.length > 1) {
    const at = random.int(lines.length);
    return Buffer.from(lines.map((line, i) => (i === at ? mutateJson(random, line) : line)).join("\n"));
  }
  return Buffer.from(mutateJson(random, bytes.toString()));
}

/** One of the files changed, by what it holds. */
function mutateOne(random: Random, files: Files, names: readonly string[]): Files {
  const name = random.pick(names);
  const bytes = contentOf(files, name);
  if (random.chance(0.1)) return withFile(files, name, mutateBytes(random, bytes, bytes));
  if (/\.jsonl?$/.test(name)) return withFile(files, name, mutateText(random, bytes));
  if (name.endsWith(".safetensors")) return withFile(files, name, mutateHeader(random, bytes));
  return withFile(files, name, mutateBytes(random, bytes, bytes));
}

/** The same text with every time in it set to one, so that a seed makes the same cases on every day. */
function timeless(bytes: Buffer): Buffer {
  const text = bytes.toString().replace(/("time": ?)"[^"]*"/g, '$1"2026-01-01T00:00:00.000Z"');
  return Buffer.from(
    text.replace(/("(?:\w*[sS]econds?|imagesPerSecond|secondsPerImage)": ?)[\d.e-]+/g, (_, key: string) => `${key}1`),
  );
}

const image = { width: 24, height: 24 };
const runMain = "run.json";

const runFormat: Format = {
  name: "run",
  seeds: () =>
    aside(async (folder) => {
      process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
      const [images, hub, out] = [await writeShapeImages(folder, 8), writeSmallHub(folder), join(folder, "run")];
      await train({ images, hub, out, k: 2, epochs: 1 });
      const all = [...filesBelow(out, runMain)].filter(([name]) => !/report\.html$|^training\//.test(name));
      return [new Map(all.map(([name, bytes]) => [name, /\.jsonl?$/.test(name) ? timeless(bytes) : bytes]))];
    }),
  mutate: (random, files) => {
    const names = [...files.keys()];
    const chosen = random.chance(0.8) ? names.filter((name) => /\.jsonl?$/.test(name)) : names;
    return mutateOne(random, files, chosen);
  },
  open: async (path) => {
    const folder = dirname(path);
    new RunFolder(folder, imageRun).config();
    readEvents(join(folder, "events.jsonl"));
    using predictor = await Predictor.open(folder);
    const grey = Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${image.width}" height="${image.height}"><rect width="24" height="24" fill="#888"/></svg>`,
    );
    await predictor.predict(grey);
  },
};

const base = "fit";
const stateMain = `${base}.state.safetensors`;

function withLine(use: (learner: LineLearner, optimizer: SGD) => void): void {
  const learner = new LineLearner();
  const optimizer = new SGD([{ params: learner.module.parameters(), lr: 0.1, momentum: 0.9 }]);
  try {
    use(learner, optimizer);
  } finally {
    optimizer.dispose();
    learner.dispose();
  }
}

const stateFormat: Format = {
  name: "state",
  seeds: () =>
    aside(async (folder) => {
      withLine((learner, optimizer) => {
        learner.streams.stream("noise");
        const position = { epoch: 1, step: 2, seconds: 3, trainingFlops: 4 };
        saveState(join(folder, base), "same", { learner, optimizer, position, meter: new Meter().state });
        const score = { score: 0.5, loss: 1 };
        const info = { epoch: 1, epochs: 2, finished: false, score, seconds: 3, trainingFlops: 4 };
        saveWeights(join(folder, base), "same", learner, info);
      });
      return [filesBelow(folder, stateMain)];
    }),
  mutate: (random, files) => mutateOne(random, files, [...files.keys()]),
  open: (path) => {
    withLine((learner, optimizer) => {
      const at = join(dirname(path), base);
      loadState(at, "same", { learner, optimizer });
      loadWeights(at, learner.module, "same");
    });
  },
};

/** A file that only says where the case lies. */
const cacheMain = "place";
const size = 8;

/** Decoded images that a mutated cache gives, or makes again. */
async function openStore(folder: string): Promise<void> {
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const store = await ImageStore.open(await openDataset(join(folder, "images")), { size });
  try {
    using prints = store.prints();
    if (store.contentHashes.length > 0) (await store.batch([0])).dispose();
    void prints;
  } finally {
    store.dispose();
  }
}

const cacheFormat: Format = {
  name: "cache",
  seeds: () =>
    aside(async (folder) => {
      await writeShapeImages(folder, 2);
      await openStore(folder);
      writeFileSync(join(folder, cacheMain), "");
      const all = [...filesBelow(folder, cacheMain)];
      // Named by where the images lay, and by the process.
      return [new Map(all.filter(([name]) => !/^cache\/(in-use|hashes)\//.test(name)))];
    }),
  mutate: (random, files) =>
    mutateOne(
      random,
      files,
      [...files.keys()].filter((name) => name.startsWith("cache/")),
    ),
  open: (path) => openStore(dirname(path)),
};

export const ownFormats: readonly Format[] = [runFormat, stateFormat, cacheFormat];

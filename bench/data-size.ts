/**
 * Data of real size: 100,000 files of 64 px and 10,000 of 1,000 px, trained on at 64 and 384 px. Each measurement is a process of its
 * own (data-size-run.ts), whose memory is read from outside. What is decoded at 384 px is more than one cache file may have.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { forEachConcurrently } from "../src/data/index.ts";
import { type Figure, ratioFigure } from "./figure.ts";

const classes = 10;
const run = fileURLToPath(new URL("data-size-run.ts", import.meta.url));
const loader = fileURLToPath(new URL("../scripts/typescript.mjs", import.meta.url));

/** @param part of the usual number of files, 0 … 1 */
export async function dataSize(part: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    const small = { files: Math.round(100_000 * part), side: 64, trained: 64 };
    const large = { files: Math.round(10_000 * part), side: 1000, trained: 384 };
    return [...(await measured(folder, small, writeSmall)), ...(await measured(folder, large, writeLarge))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Size {
  files: number;
  side: number;
  /** Side that training asks for. */
  trained: number;
}

async function measured(
  folder: string,
  { files, side, trained }: Size,
  write: (path: (i: number) => string, files: number) => Promise<void>,
): Promise<Figure[]> {
  const images = join(folder, `images-${side}`);
  for (let label = 0; label < classes; label++) mkdirSync(join(images, `class${label}`), { recursive: true });
  await write((i) => join(images, `class${i % classes}`, `${i}.jpg`), files);
  const env = { ...process.env, HUB_PATHWAY_CACHE: join(folder, `cache-${side}`) };
  const measure = (what: string) =>
    watched(
      spawn(process.execPath, ["--import", loader, run, what, images, `${trained}`], {
        env,
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
  const cold = await measure("train");
  const warm = await measure("train");
  const epoch = await measure("load");
  rmSync(images, { recursive: true });
  rmSync(env.HUB_PATHWAY_CACHE, { recursive: true });
  const name = `${files.toLocaleString("en")} files of ${side} px, trained at ${trained} px`;
  const peak = Math.max(cold.peakMiB, warm.peakMiB, epoch.peakMiB);
  return [
    ratioFigure(
      `time to the first step, ${name}`,
      { what: "s, nothing in the cache", value: cold.seconds },
      { what: "s, decoded before", value: warm.seconds },
    ),
    ratioFigure(
      `images a second, ${name}`,
      { what: "images/s, from nothing to the first step", value: files / cold.seconds },
      { what: "images/s, batches of an epoch, decoded before", value: epoch.imagesPerSecond },
    ),
    ratioFigure(
      `peak memory without mapped files, ${name}`,
      { what: "MiB", value: peak },
      { what: "MiB allowed", value: 2048 },
      1,
    ),
  ];
}

interface Measured {
  seconds: number;
  imagesPerSecond: number;
  peakMiB: number;
}

/** What a process prints at its end, and the most memory that was its own: pages of mapped files can go at any time. */
async function watched(child: ChildProcess): Promise<Measured> {
  let peak = 0;
  const look = setInterval(() => {
    peak = Math.max(peak, ownMiB(child.pid ?? 0));
  }, 20);
  let printed = "";
  child.stdout?.on("data", (text) => {
    printed += text;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearInterval(look);
  if (code !== 0) throw new Error(`a measurement ended with ${code}`);
  return { seconds: 0, imagesPerSecond: 0, ...(JSON.parse(printed) as Partial<Measured>), peakMiB: peak };
}

function ownMiB(pid: number): number {
  try {
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Files that all differ: a few colours, enlarged. */
async function writeSmall(path: (i: number) => string, files: number): Promise<void> {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  const all = Array.from({ length: files }, (_, i) => i);
  await forEachConcurrently(all, async (i) => {
    const colours = Buffer.from(Array.from({ length: 48 }, random));
    const image = sharp(colours, { raw: { width: 4, height: 4, channels: 3 } }).resize(64, 64, { kernel: "cubic" });
    await writeFile(path(i), await image.jpeg().toBuffer());
  });
}

const distinct = 40;

/** Few pictures, each in many files that differ in a comment: they are decoded like others, and written faster. */
async function writeLarge(path: (i: number) => string, files: number): Promise<void> {
  const pictures = await Promise.all(
    Array.from({ length: distinct }, (_, i) =>
      sharp({
        create: {
          width: 1000,
          height: 1000,
          channels: 3,
          background: "#000",
          noise: { type: "gaussian", mean: 40 + 4 * i, sigma: 12 },
        },
      })
        .blur(1.5)
        .jpeg()
        .toBuffer(),
    ),
  );
  const all = Array.from({ length: files }, (_, i) => i);
  await forEachConcurrently(all, async (i) => {
    const picture = pictures[i % distinct] as Buffer;
    const comment = Buffer.from([0xff, 0xfe, 0, 6, 0, 0, 0, 0]);
    comment.writeUInt32BE(i, 4);
    await writeFile(path(i), Buffer.concat([picture.subarray(0, 2), comment, picture.subarray(2)]));
  });
}

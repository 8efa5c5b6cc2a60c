/**
 * The server against what it cannot beat: the bare batched forward at saturation, and one forward and one decode for single
 * requests; and what happens when four times as much is asked as can be done. Requests come from processes of their own.
 */
import { fork } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Predictor, train } from "../src/library/index.ts";
import { restorePredictor } from "../src/methods/index.ts";
import { type RunningServer, serve } from "../src/serve/index.ts";
import { Generator, inferenceMode, rand, scope } from "../src/torch/index.ts";
import { openRun } from "../src/train/index.ts";
import type { ClosedLoad, LoadResult, OpenLoad } from "./autocannon-load.ts";
import { type Figure, inTurn, median, ratioFigure } from "./figure.ts";
import { writeImages } from "./loader-epoch.ts";

/** Rows of a batch, on both sides. */
const batch = 32;
const deadlineMs = 5000;

/** @param seconds of each measurement @param rounds of both sides in turn */
export async function serveRequests(rounds: number, seconds: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    const images = await writeImages(folder, 12);
    const { path } = await train({ images, out: join(folder, "run"), k: 2, epochs: 1 });
    const [label = ""] = readdirSync(images);
    const photo = join(images, label, readdirSync(join(images, label))[0] ?? "");
    const server = await serve({ models: [path], port: 0, maxBatch: batch, queue: 4 * batch, deadlineMs });
    try {
      const saturated = await atSaturation(server, path, photo, rounds, seconds);
      const single = await oneByOne(server, path, photo, rounds, seconds);
      const perSecond = saturated.ours.value;
      return [saturated, single, ...(await overloaded(server, photo, perSecond, seconds))];
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Images a second of the forward alone, over batches that are tensors already, and of the server for 64 connections. */
async function atSaturation(server: RunningServer, run: string, photo: string, rounds: number, seconds: number) {
  const { predictor, config, dispose } = openRun(run, restorePredictor);
  const { imageSize: side } = config.data.form;
  using generator = new Generator(1);
  using images = rand([batch, 3, side, side], { generator });
  const bare = (): number => {
    const began = performance.now();
    let done = 0;
    for (; performance.now() - began < 1000 * seconds; done += batch) {
      scope(() => inferenceMode(() => predictor.predict(images).probabilities.toNumbers()));
    }
    return (1000 * done) / (performance.now() - began);
  };
  bare();
  const closed = { kind: "closed", url: server.url, photo, connections: 2 * batch, seconds } as const;
  await load(closed);
  const [ours, other] = await inTurn(rounds, async () => (await load(closed)).perSecond, bare);
  dispose();
  const figure = ratioFigure(
    "requests of one image, 64 connections",
    { what: "images/s", value: median(ours) },
    { what: `images/s of the forward alone, batches of ${batch}`, value: median(other) },
  );
  return { ...figure, goal: "ratio at least 0.9", met: figure.ratio >= 0.9 };
}

/** Median milliseconds of a request after the other, and of decoding and a forward of one image. */
async function oneByOne(server: RunningServer, run: string, photo: string, rounds: number, seconds: number) {
  using predictor = await Predictor.open(run);
  const bytes = readFileSync(photo);
  const bare = async (): Promise<number> => {
    const times: number[] = [];
    for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
      const began = performance.now();
      await predictor.predict(bytes);
      times.push(performance.now() - began);
    }
    return median(times);
  };
  await bare();
  const single = { kind: "closed", url: server.url, photo, connections: 1, seconds } as const;
  const [ours, other] = await inTurn(rounds, async () => (await load(single)).p50, bare);
  return ratioFigure(
    "single requests, p50",
    { what: "ms", value: median(ours) },
    { what: "ms of decoding and one forward, p50", value: median(other) },
    1.15,
  );
}

/** Four times as many requests a second as the server answers, whether it answers or not. */
async function overloaded(server: RunningServer, photo: string, perSecond: number, seconds: number): Promise<Figure[]> {
  const { answered, refused, other, slowest, refusedP50 } = await load({
    kind: "open",
    url: server.url,
    photo,
    perSecond: 4 * perSecond,
    seconds: 2 * seconds,
  });
  const late = ratioFigure(
    `4x overload: ${answered} answered, ${refused} refused, ${other} otherwise; slowest answer`,
    { what: "ms", value: slowest },
    { what: "ms allowed", value: deadlineMs },
    1,
  );
  const quick = ratioFigure(
    "4x overload: 503, p50",
    { what: "ms", value: refusedP50 },
    { what: "ms allowed", value: 10 },
    1,
  );
  return [{ ...late, met: late.met && other === 0 }, quick];
}

const loader = fileURLToPath(new URL("./autocannon-load.ts", import.meta.url));

/** Asks from a process of its own, so that the clients' work is not on the server's event loop. */
function load(request: ClosedLoad | OpenLoad): Promise<LoadResult> {
  const execArgv = ["--import", new URL("../scripts/typescript.mjs", import.meta.url).href];
  const child = fork(loader, [JSON.stringify(request)], { execArgv });
  return new Promise((resolve, reject) => {
    child.once("message", (result) => resolve(result as LoadResult));
    child.once("exit", (code) => reject(new Error(`the load ended with ${code}`)));
  });
}

/**
 * The server against what it cannot beat: the bare batched forward at saturation, one decode and one forward for single requests;
 * and what happens when four times as much is asked as can be done. Server, engine and clients are processes of their own on the
 * same processors, which the bare side has to itself.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeImage, defaultPixelLimit } from "../src/data/index.ts";
import { Predictor, train } from "../src/library/index.ts";
import { restorePredictor } from "../src/methods/index.ts";
import { fasterOfTwo, worthwhileThreads } from "../src/serve/engine/threads.ts";
import { defaultLimits } from "../src/serve/limits.ts";
import { getNumThreads, inferenceMode, scope, setNumThreads, tensor } from "../src/torch/index.ts";
import { type OpenedRun, openRun } from "../src/train/index.ts";
import type { ClosedLoad } from "./autocannon-load.ts";
import { type Figure, inTurn, median, ratioFigure } from "./figure.ts";
import { writeImages } from "./loader-epoch.ts";
import { LoadProcess, ServerProcess } from "./server-process.ts";

/** Rows of a batch, on both sides. */
const batch = defaultLimits.maxBatch;
const deadlineMs = 5000;

type Ask = Pick<ClosedLoad, "url" | "body" | "headers">;

interface Place {
  readonly run: OpenedRun;
  readonly path: string;
  readonly photo: Buffer;
  /** Side of the squares that the run takes. */
  readonly side: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly load: LoadProcess;
  readonly askPhoto: Ask;
  readonly askPixels: Ask;
}

/** @param seconds of each measurement @param rounds of both sides in turn */
export async function serveRequests(rounds: number, seconds: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  const load = new LoadProcess();
  try {
    const images = await writeImages(folder, 12);
    const { path } = await train({ images, out: join(folder, "run"), k: 2, epochs: 1 });
    const server = await ServerProcess.start(path, "--deadline-ms", String(deadlineMs));
    const run = openRun(path, restorePredictor);
    try {
      const photo = readFileSync(join(images, "class0", "1.jpg"));
      const side = run.config.data.form.imageSize;
      const askPhoto = {
        url: `${server.url}/predict`,
        body: photo.toString("base64"),
        headers: { "content-type": "image/jpeg" },
      };
      const askPixels = pixelRequest(`${server.url}/v2/models/run/infer`, side);
      return await figures({ run, path, photo, side, seconds, rounds, load, askPhoto, askPixels });
    } finally {
      run.dispose();
      await server.stop();
    }
  } finally {
    load.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One image of noise as the v2 protocol's binary tensor. */
export function pixelRequest(url: string, side: number): Ask {
  const pixels = noise(side);
  const parameters = { binary_data_size: pixels.length };
  const input = { name: "image", shape: [1, side, side, 3], datatype: "UINT8", parameters };
  const header = Buffer.from(JSON.stringify({ inputs: [input] }));
  const headers = {
    "content-type": "application/octet-stream",
    "inference-header-content-length": String(header.length),
  };
  return { url, body: Buffer.concat([header, pixels]).toString("base64"), headers };
}

const noise = (side: number) => Uint8Array.from({ length: 3 * side ** 2 }, (_, i) => Math.imul(i, 2654435761) >>> 24);

async function figures(place: Place): Promise<Figure[]> {
  const { side, photo, run, askPhoto, askPixels } = place;
  const pixels = Array.from({ length: batch }, () => noise(side));
  // The loops without a server have the threads that serve them best, as the engine has.
  const threads = await worthwhileThreads(getNumThreads(), (count) => {
    setNumThreads(count);
    return fasterOfTwo(() => forward(run, pixels, side));
  });
  setNumThreads(threads);
  const fromPixels = await atSaturation(place, "pixels of the run's size", askPixels, "the forward alone", async () =>
    forward(run, pixels, side),
  );
  const decoded = async () => forward(run, await Promise.all(pixels.map(() => decodedTo(side, photo))), side);
  const fromFiles = await atSaturation(place, "JPEG files", askPhoto, "decoding and the forward", decoded);
  const aloneToo = ratioFigure(
    `requests of one image, JPEG files, against the forward without decoding`,
    fromFiles.ours,
    fromPixels.other,
  );
  return [fromPixels, fromFiles, aloneToo, await oneByOne(place), ...(await overloaded(place, fromFiles.ours.value))];
}

const decodedTo = (size: number, bytes: Uint8Array): Promise<Uint8Array> =>
  decodeImage(
    { id: "photo", label: -1, source: { kind: "bytes", bytes } },
    { size, channels: 3, pixelLimit: defaultPixelLimit },
  );

/** Bytes [S, S, 3] to probabilities as numbers: all that an engine has to do. */
function forward({ predictor }: OpenedRun, pixels: readonly Uint8Array[], side: number): number {
  return scope(() => {
    const images = tensor(Buffer.concat(pixels), { shape: [pixels.length, side, side, 3] })
      .permute([0, 3, 1, 2])
      .to({ dtype: "float32" })
      .mul(1 / 255)
      .contiguous();
    return inferenceMode(() => predictor.predict(images).probabilities.toNumbers()).length;
  });
}

/** Images a second of the server for two batches of connections, and of a loop over the same work without a server. */
async function atSaturation(place: Place, what: string, ask: Ask, loopName: string, once: () => Promise<unknown>) {
  const { seconds, rounds, load } = place;
  const loop = async (): Promise<number> => {
    const began = performance.now();
    let done = 0;
    for (; performance.now() - began < 1000 * seconds; done += batch) await once();
    return (1000 * done) / (performance.now() - began);
  };
  const closed = { ...ask, kind: "closed", connections: 2 * batch, until: { seconds } } as const;
  await once();
  await load.run(closed);
  const [ours, other] = await inTurn(rounds, async () => (await load.run(closed)).perSecond, loop);
  const figure = ratioFigure(
    `requests of one image, ${what}, ${closed.connections} connections`,
    { what: "images/s", value: median(ours) },
    { what: `images/s, ${loopName}, batches of ${batch}`, value: median(other) },
  );
  return { ...figure, goal: "ratio at least 0.9", met: figure.ratio >= 0.9 };
}

/** Median milliseconds of a request after the other, and of decoding and a forward of one image. */
async function oneByOne({ path, photo, rounds, load, askPhoto, ...place }: Place): Promise<Figure> {
  using predictor = await Predictor.open(path);
  // Short turns: what the machine does beside it changes within seconds by more than is to be shown.
  const [turns, seconds] = [4 * rounds, place.seconds / 4];
  const bare = async (): Promise<number> => {
    const times: number[] = [];
    for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
      const began = performance.now();
      await predictor.predict(photo);
      times.push(performance.now() - began);
    }
    return median(times);
  };
  const single = { ...askPhoto, kind: "closed", connections: 1, until: { seconds } } as const;
  await predictor.predict(photo);
  await load.run(single);
  const [ours, other] = await inTurn(turns, async () => (await load.run(single)).p50, bare);
  return ratioFigure(
    "single requests of a JPEG file, p50",
    { what: "ms", value: median(ours) },
    { what: "ms, decoding and one forward, p50", value: median(other) },
    1.15,
  );
}

/** Four times as many requests a second as the server answers, whether it answers or not. */
async function overloaded({ load, askPhoto, seconds }: Place, perSecond: number): Promise<Figure[]> {
  // More than four times: a connection that waits for an answer leaves out its next request.
  const result = await load.run({ ...askPhoto, kind: "open", perSecond: 5 * perSecond, seconds: 2 * seconds });
  const { answered, refused, other, slowest, refusedP50, refusedP99, sentPerSecond } = result;
  const factor = (sentPerSecond / perSecond).toFixed(1);
  const late = ratioFigure(
    `${factor}x overload: ${answered} answered, ${refused} refused, ${other} otherwise; the slowest answer`,
    { what: "ms", value: slowest },
    { what: "ms allowed", value: deadlineMs },
    1,
  );
  const quick = (part: string, value: number) =>
    ratioFigure(`${factor}x overload: 503, ${part}`, { what: "ms", value }, { what: "ms allowed", value: 10 }, 1);
  const stays = ratioFigure(
    `${factor}x overload: answers a second`,
    { what: "images/s", value: result.perSecond },
    { what: "images/s at saturation", value: perSecond },
  );
  return [
    { ...late, met: late.met && other === 0 && refused > 0 },
    quick("p50", refusedP50),
    quick("99 of 100", refusedP99),
    stays,
  ];
}

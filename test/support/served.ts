/** Small runs that are really trained, and servers of them on free ports. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeBundle } from "../../src/export/index.ts";
import { findMethod, restorePredictor } from "../../src/methods/index.ts";
import { type RunningServer, type ServeOptions, serve } from "../../src/serve/index.ts";
import { openRun, type TrainRequest, trainRun } from "../../src/train/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "./small-hub.ts";
import { trainRequest } from "./train-request.ts";

export interface ServedPlace {
  folder: string;
  images: string;
  /** A run of routes through three members, k = 2; the same as a bundle; a run of one member. */
  routed: string;
  bundle: string;
  single: string;
  /** An image file. */
  photo: string;
}

/** Trains for one epoch each. */
export async function servedPlace(): Promise<ServedPlace> {
  const folder = temporaryFolder();
  const hub = writeSmallHub(folder);
  const images = await writeShapeImages(folder, 8);
  const train = async (out: string, change: Partial<TrainRequest> = {}): Promise<string> => {
    const request = trainRequest({ folder, hub, images }, out);
    const choices = { ...request.choices, warmup: 0, tau: 0.5 };
    const one = { ...request, choices, options: { ...request.options, epochs: 1, lr: 1e-2 } };
    const { predictor, data } = await trainRun({ ...one, ...change });
    predictor.dispose();
    data.dispose();
    return join(folder, out);
  };
  const routed = await train("routed");
  const single = await train("single", { method: findMethod("fine-tune"), choices: {} });
  const opened = openRun(routed, restorePredictor);
  await writeBundle(opened, join(folder, "bundle"));
  opened.dispose();
  return { folder, images, routed, single, bundle: join(folder, "bundle"), photo: join(images, "circle", "1.png") };
}

/** A server on a free port, with one thread in its engines. */
export function served(
  models: string | readonly string[],
  options: Partial<ServeOptions> = {},
): Promise<RunningServer> {
  return serve({ port: 0, threads: 1, models: [models].flat(), ...options });
}

/** Sends one image as it is. */
export function send(
  server: RunningServer,
  photo: string,
  query = "",
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${server.url}/predict${query}`, {
    method: "POST",
    body: new Uint8Array(readFileSync(photo)),
    headers: { "content-type": "image/png", ...headers },
  });
}

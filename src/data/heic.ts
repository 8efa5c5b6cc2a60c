/**
 * HEIC images, by the package heic-decode where the user has installed it beside this one. It works in a thread of its own:
 * a photograph takes a second, and what libheif prints is for nobody.
 */
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";

let path: string | null | undefined;

/** Place of heic-decode; undefined where it is not installed. */
function packagePath(): string | undefined {
  if (path === undefined) {
    try {
      path = createRequire(import.meta.url).resolve("heic-decode");
    } catch {
      path = null;
    }
  }
  return path ?? undefined;
}

/** True where HEIC images can be read. */
export const readsHeic = (): boolean => packagePath() !== undefined;

/** True for HEIC by the first bytes; AVIF may begin with the same container. */
export function isHeic(bytes: Buffer): boolean {
  if (bytes.length < 16 || bytes.toString("latin1", 4, 8) !== "ftyp") return false;
  const brands = bytes.toString("latin1", 8, Math.min(bytes.readUInt32BE(0), 64));
  return /^(hei[cxms]|hev[cxms]|mif1|msf1)/.test(brands) && !/avi[fs]/.test(brands);
}

/** Size that a HEIC file states: that of its largest picture (boxes "ispe"). */
export function heicSize(file: Buffer): { width: number; height: number } {
  let size = { width: 0, height: 0 };
  for (let at = file.indexOf("ispe"); at >= 0 && at + 16 <= file.length; at = file.indexOf("ispe", at + 4)) {
    const [width, height] = [file.readUInt32BE(at + 8), file.readUInt32BE(at + 12)];
    if (width * height > size.width * size.height) size = { width, height };
  }
  return size;
}

/** Pixels [height, width, 4] of the first picture of a file, upright. */
export interface HeicPixels {
  width: number;
  height: number;
  data: Uint8ClampedArray;
}

const work = `
  const { parentPort, workerData } = require("node:worker_threads");
  const decode = require(workerData);
  parentPort.on("message", async ({ id, buffer }) => {
    try {
      const { width, height, data } = await decode({ buffer });
      parentPort.postMessage({ id, width, height, data }, [data.buffer]);
    } catch (error) {
      parentPort.postMessage({ id, problem: String(error) });
    }
  });
`;

type Answer = { id: number } & (HeicPixels | { problem: string });

let worker: Worker | undefined;
let asked = 0;
const waiting = new Map<number, (answer: Answer) => void>();

/** @throws Error when it cannot be decoded */
export async function readHeic(file: Buffer): Promise<HeicPixels> {
  worker ??= started();
  const id = asked++;
  const answer = await new Promise<Answer>((resolve) => {
    waiting.set(id, resolve);
    worker?.postMessage({ id, buffer: new Uint8Array(file) });
  });
  if (waiting.size === 0) {
    const idle = worker;
    worker = undefined;
    await idle?.terminate();
  }
  if ("problem" in answer) throw new Error(answer.problem);
  return answer;
}

function started(): Worker {
  const made = new Worker(work, { eval: true, workerData: packagePath(), stdout: true, stderr: true, execArgv: [] });
  const settle = (answer: Answer): void => {
    const resolve = waiting.get(answer.id);
    waiting.delete(answer.id);
    resolve?.(answer);
  };
  made.on("message", settle);
  made.on("error", (error) => {
    worker = undefined;
    for (const id of [...waiting.keys()]) settle({ id, problem: String(error) });
  });
  return made;
}

/** Requests of one image, from a process of its own: its argument says how many, its parent gets what came back. */
import { readFileSync } from "node:fs";
import autocannon from "autocannon";

interface Load {
  url: string;
  photo: string;
  seconds: number;
}

/** So many connections, each of which asks again when it is answered. */
export interface ClosedLoad extends Load {
  kind: "closed";
  connections: number;
}

/** So many requests a second, whether they are answered or not. */
export interface OpenLoad extends Load {
  kind: "open";
  perSecond: number;
}

export interface LoadResult {
  perSecond: number;
  /** Milliseconds of answers 200: the median, and the slowest. */
  p50: number;
  slowest: number;
  answered: number;
  refused: number;
  /** Neither 200 nor 503. */
  other: number;
  /** Milliseconds of answers 503, median; 0 where there was none. */
  refusedP50: number;
}

const request = JSON.parse(process.argv[2] ?? "") as ClosedLoad | OpenLoad;
const { url, photo, seconds } = request;
const ask = {
  url: `${url}/predict`,
  method: "POST",
  body: readFileSync(photo),
  headers: { "content-type": "image/png" },
} as const;

/** Connections that can be busy at once when requests come whether they are answered or not. */
const manyConnections = 400;

async function measure(): Promise<LoadResult> {
  const times = { 200: [] as number[], 503: [] as number[], other: 0 };
  const rate = request.kind === "open" ? { overallRate: Math.ceil(request.perSecond) } : {};
  const connections = request.kind === "open" ? manyConnections : request.connections;
  const began = performance.now();
  const errors = await new Promise<number>((resolve, reject) => {
    const options = { ...ask, ...rate, connections, duration: seconds, timeout: 60 };
    const running = autocannon(options, (error, result) => (error ? reject(error) : resolve(result.errors)));
    running.on("response", (_client, status, _bytes, ms) => {
      if (status === 200 || status === 503) times[status].push(ms);
      else times.other++;
    });
  });
  const elapsed = (performance.now() - began) / 1000;
  const [answers, refusals] = [times[200].sort(order), times[503].sort(order)];
  return {
    perSecond: answers.length / elapsed,
    p50: middle(answers),
    slowest: answers.at(-1) ?? 0,
    answered: answers.length,
    refused: refusals.length,
    other: times.other + errors,
    refusedP50: middle(refusals),
  };
}

const order = (a: number, b: number) => a - b;
const middle = (sorted: readonly number[]) => sorted[Math.floor(sorted.length / 2)] ?? 0;

process.send?.(await measure());
process.disconnect?.();

/** Requests from a process of its own: its parent says how many in messages, and gets what came back. */
import { setTimeout as pause } from "node:timers/promises";
import autocannon from "autocannon";

/** Bodies, headers and addresses do not change in a load: the clients prepare their requests once. */
interface Load {
  url: string;
  /** Base64, since messages are JSON. */
  body: string;
  headers: Record<string, string>;
}

/** So many connections, each of which asks again when it is answered: for some seconds, or until so many are answered. */
export interface ClosedLoad extends Load {
  kind: "closed";
  connections: number;
  until: { seconds: number } | { requests: number };
}

/** So many requests a second, spread evenly, whether they are answered or not. */
export interface OpenLoad extends Load {
  kind: "open";
  perSecond: number;
  seconds: number;
}

export interface LoadResult {
  /** Requests that were sent and answers 200 that came, a second. */
  sentPerSecond: number;
  perSecond: number;
  /** Milliseconds of answers 200: the median, and the slowest. */
  p50: number;
  slowest: number;
  answered: number;
  refused: number;
  /** Neither 200 nor 503. */
  other: number;
  /** Milliseconds of answers 503: median and 99th percentile; 0 where there was none. */
  refusedP50: number;
  refusedP99: number;
}

/**
 * Groups of connections that begin their seconds one after the other: autocannon sends what a second allows at its beginning. Each
 * connection sends one request a second, so that there are more of them than a queue holds.
 */
const groups = 50;
/** Time in which all connections are opened, which is part of their first requests: it is left out. */
const openingMs = 2000;

type Options = Parameters<typeof autocannon>[0];

async function measure(load: ClosedLoad | OpenLoad): Promise<LoadResult> {
  const times = { 200: [] as number[], 503: [] as number[], other: 0 };
  const { url, headers } = load;
  const began = performance.now();
  const ask = { url, headers, method: "POST", body: Buffer.from(load.body, "base64"), timeout: 60 } as const;
  const run = async (options: Omit<Options, "url">): Promise<{ sent: number; errors: number }> => {
    return new Promise((resolve, reject) => {
      const running = autocannon({ ...ask, ...options }, (error, result) =>
        error ? reject(error) : resolve({ sent: result.requests.sent, errors: result.errors }),
      );
      running.on("response", (_client, status, _bytes, ms) => {
        if (load.kind === "open" && performance.now() - began < openingMs) return;
        if (status === 200 || status === 503) times[status].push(ms);
        else times.other++;
      });
    });
  };
  const group = async ({ perSecond, seconds }: OpenLoad, i: number) => {
    await pause((1000 / groups) * i);
    const connections = Math.max(1, Math.round(perSecond / groups));
    return run({ connections, connectionRate: 1, duration: seconds });
  };
  const closed = ({ connections, until }: ClosedLoad) =>
    run({ connections, ...("seconds" in until ? { duration: until.seconds } : { amount: until.requests }) });
  const runs =
    load.kind === "open"
      ? await Promise.all(Array.from({ length: groups }, (_, i) => group(load, i)))
      : [await closed(load)];
  const elapsed = (performance.now() - began) / 1000;
  const counted = elapsed - (load.kind === "open" ? openingMs / 1000 : 0);
  const [answers, refusals] = [times[200].sort(order), times[503].sort(order)];
  return {
    sentPerSecond: sum(runs.map(({ sent }) => sent)) / elapsed,
    perSecond: answers.length / counted,
    p50: quantile(answers, 0.5),
    slowest: answers.at(-1) ?? 0,
    answered: answers.length,
    refused: refusals.length,
    other: times.other + sum(runs.map(({ errors }) => errors)),
    refusedP50: quantile(refusals, 0.5),
    refusedP99: quantile(refusals, 0.99),
  };
}

const order = (a: number, b: number) => a - b;
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const quantile = (sorted: readonly number[], part: number) => sorted[Math.floor(sorted.length * part)] ?? 0;

process.on("message", async (load: ClosedLoad | OpenLoad) => process.send?.(await measure(load)));

/** Trying again, with pauses that grow and a number of attempts that does not. */
import { setTimeout as pause } from "node:timers/promises";
import { UserError } from "../torch/index.ts";
import { Interruption, type Timing } from "./http.ts";

/** Progress that makes the earlier failures forgotten. */
const progressBytes = 64 * 1024;
/** In all, for servers that give a little each time. */
const maximumAttempts = 200;
/** No server may let us wait longer. */
const maximumPauseMs = 60_000;

export interface RetryOptions {
  readonly timing: Timing;
  readonly signal?: AbortSignal | undefined;
  /** Name of the thing that is fetched, for messages. */
  readonly what: string;
  /** What is done with it (default "fetched"). */
  readonly done?: string;
  /** Bytes so far. */
  readonly progress?: () => number;
}

/** Calls `fn` until it does not throw an Interruption. @throws UserError with the last one's reason after too many */
export async function retry<T>(options: RetryOptions, fn: () => Promise<T>): Promise<T> {
  const { timing, signal, what, done = "fetched", progress = () => 0 } = options;
  let failures = 0;
  let reached = progress();
  for (let attempt = 1; ; attempt++) {
    try {
      return await fn();
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      if (progress() >= reached + progressBytes) {
        failures = 0;
        reached = progress();
      }
      failures++;
      if (failures >= timing.attempts || attempt >= maximumAttempts)
        throw givenUp(`${what} could not be ${done}`, attempt, error);
      const ms = error.retryAfterMs ?? timing.backoffMs * 2 ** (failures - 1);
      await pause(Math.min(ms, maximumPauseMs), undefined, signal ? { signal } : {}).catch((cause: unknown) => {
        throw new UserError(`${what} was not ${done}: it was stopped`, { cause });
      });
    }
  }
}

function givenUp(failure: string, attempts: number, error: Interruption): UserError {
  const proxied = process.env["HTTPS_PROXY"] || process.env["https_proxy"] || process.env["HTTP_PROXY"];
  const hint = proxied
    ? "; HTTPS_PROXY is set, but this program does not use proxies: fetch the file by other means"
    : "";
  const times = attempts === 1 ? "once" : `${attempts} times`;
  return new UserError(`${failure} (tried ${times}): ${error.message}; try again later${hint}`, {
    cause: error,
  });
}

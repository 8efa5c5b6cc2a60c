/** Work on many values at a time, a few of them at once, within a budget of memory. */
import { Interrupted } from "../torch/index.ts";

const concurrency = 8;

export interface Watched {
  signal?: AbortSignal | undefined;
  /** Called after each part of a step. */
  onProgress?: Progress | undefined;
}

/** So many parts of a step are done, which has a name such as "decoding". */
export type Progress = (done: number, total: number, step: string) => void;

/**
 * Runs an asynchronous function over all values, a few at a time; the first failure stops the rest.
 * @throws Interrupted after the signal, once what has begun is done
 */
export async function forEachConcurrently<T>(
  values: readonly T[],
  fn: (value: T, position: number) => Promise<void>,
  { signal, onProgress, step = "" }: Watched & { step?: string } = {},
): Promise<void> {
  let next = 0;
  let done = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < values.length && !failed) {
      const position = next++;
      try {
        if (signal?.aborted) throw new Interrupted("reading of images");
        await fn(values[position] as T, position);
        done += 1;
        onProgress?.(done, values.length, step);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Bytes that tasks may hold together; a task waits until its share is free. */
export class ByteGate {
  readonly limit: number;
  #held = 0;
  readonly #waiting: { bytes: number; start: () => void }[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Runs a task that holds so many bytes, which are at most the limit, in the order of the calls. */
  async run<T>(bytes: number, task: () => Promise<T>): Promise<T> {
    if (bytes > this.limit) throw new RangeError(`a task of ${bytes} bytes behind a gate of ${this.limit}`);
    if (this.#waiting.length > 0 || this.#held + bytes > this.limit) {
      await new Promise<void>((start) => this.#waiting.push({ bytes, start }));
    } else this.#held += bytes;
    try {
      return await task();
    } finally {
      this.#held -= bytes;
      this.#admit();
    }
  }

  #admit(): void {
    for (let first = this.#waiting[0]; first && this.#held + first.bytes <= this.limit; first = this.#waiting[0]) {
      this.#held += first.bytes;
      this.#waiting.shift();
      first.start();
    }
  }
}

/** Threads inside one operator, for a process that shares its processors with decoding and requests. */

/** Part of the time that further threads have to save: those of small images only wait for each other. */
const worthwhile = 0.2;

/**
 * The number of threads, doubled up to `most` for as long as that pays.
 * @param time milliseconds of a batch with so many threads
 */
export async function worthwhileThreads(most: number, time: (threads: number) => Promise<number>): Promise<number> {
  let best = { threads: 1, ms: most > 1 ? await time(1) : 0 };
  while (best.threads < most) {
    const threads = Math.min(2 * best.threads, most);
    const ms = await time(threads);
    if (ms > (1 - worthwhile) * best.ms) break;
    best = { threads, ms };
  }
  return best.threads;
}

/** Milliseconds of the faster of two runs. */
export async function fasterOfTwo(run: () => unknown): Promise<number> {
  const once = async (): Promise<number> => {
    const began = performance.now();
    await run();
    return performance.now() - began;
  };
  return Math.min(await once(), await once());
}

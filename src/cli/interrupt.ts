/** Ctrl-C, SIGTERM and a lost terminal: the first one stops the work where it can be continued, a second one at once. */
import type { Output } from "./context.ts";
import { terminal } from "./terminal.ts";

/** Exit code of work that was stopped. */
export const interruptedCode = 130;

/** Remark of work that leaves nothing to go on from. */
export const stopping = "stopping; again to quit at once";

/** Remark of work that is saved. */
export const afterStep = "stopping after this step; again to quit at once";

/** What ends a program that people or machines no longer want. */
export const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Milliseconds in which the same signal counts once: a terminal or `timeout` sends it to all processes of a group, and the
 * one that started the others passes it on. native/distributed/waiting.cc has the same time.
 */
const sameSignal = 300;

/**
 * Runs work that stops when its signal is aborted.
 * @param remark what the user reads after the first signal
 * @param say how the user reads it
 */
export async function withInterrupt<T>(
  work: (signal: AbortSignal) => Promise<T>,
  remark = afterStep,
  say: (text: string) => void = (text) => terminal.line(text),
): Promise<T> {
  const abort = new AbortController();
  let repeated: NodeJS.Signals | undefined;
  const stop = (name: NodeJS.Signals): void => {
    if (name === repeated) return;
    if (abort.signal.aborted) process.exit(interruptedCode);
    repeated = name;
    // Whatever came in this time is heard before setImmediate, also where the work kept the loop from turning.
    const forget = () => {
      repeated = undefined;
    };
    setTimeout(() => setImmediate(forget), sameSignal).unref();
    // The terminal or the program that reads may be gone: that must not keep the work from being saved.
    for (const stream of [process.stdout, process.stderr]) {
      stream.removeAllListeners("error");
      stream.on("error", () => {});
    }
    abort.abort();
    say(remark);
  };
  for (const signal of signals) process.on(signal, stop);
  try {
    return await work(abort.signal);
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

/**
 * The end of work that was interrupted.
 * @param saved whether there is something to go on from, with the command `resume`
 * @param state of what is saved
 */
export function sayInterrupted(
  out: string,
  saved: boolean,
  resume: string,
  output: Output,
  state = "everything is saved",
): void {
  output.warn(
    saved ? `interrupted; ${state}. Go on with: ${resume}` : "interrupted before the first step; nothing was written",
  );
  output.result({ interrupted: true, exitCode: interruptedCode, out, ...(saved ? { resume } : {}) });
  process.exitCode = interruptedCode;
}

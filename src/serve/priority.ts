/** Who computes first where there are fewer processors than threads. */
import { readdirSync } from "node:fs";
import { setPriority } from "node:os";

/** Of what decodes and computes: the event loop, which lets in and refuses, comes before it. */
export const niceness = 5;

/** Lets all threads of this process but that of the event loop give way. On Linux alone do threads have priorities of their own. */
export function putLoopFirst(): void {
  if (process.platform !== "linux") return;
  for (const thread of readdirSync("/proc/self/task").map(Number)) {
    if (thread === process.pid) continue;
    try {
      setPriority(thread, niceness);
    } catch {
      // It ended meanwhile.
    }
  }
}

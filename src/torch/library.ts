/** What the loaded library is and how it runs. */
import { native } from "./native.ts";

/** Live native handles of this thread and the bytes they refer to (views of one storage count each). */
export function memory(): { handles: number; bytes: number } {
  return native.memory();
}

/** Threads inside one operator; a setting of the calling thread, so a worker sets its own. */
export function setNumThreads(count: number): void {
  native.setThreads(count);
}

export function getNumThreads(): number {
  return native.threads();
}

/** Version of the headers that the addon was built with, and what the library can do. */
export function loadedLibrary(): { headers: string; cuda: boolean; parallel: string } {
  return native.library();
}

/**
 * Gives free memory back to the system. The allocator keeps it, since a step's activations need it again; what left for
 * good would stay as holes. Costs page faults at the next step.
 */
export function trimMemory(): void {
  native.trimMemory();
}

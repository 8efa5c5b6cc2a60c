/** The loaded library: version, devices, threads, memory. */
import { mostThreads } from "./environment.ts";
import { ConfigError, UserError } from "./errors.ts";
import { native } from "./native.ts";
import { scope } from "./scope.ts";
import { ops } from "./tensor.ts";

/** Live native handles of this thread and the bytes they refer to (views of one storage count each). */
export function memory(): { handles: number; bytes: number } {
  return native.memory();
}

/**
 * Threads inside one operator; a setting of the calling thread, so a worker sets its own.
 * @throws ConfigError for what is no number from 1 to the machine's processors (to 16 on small machines)
 */
export function setNumThreads(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > mostThreads) {
    throw new ConfigError(`threads must be a whole number from 1 to ${mostThreads} on this machine, not ${count}`);
  }
  native.setThreads(count);
}

export function getNumThreads(): number {
  return native.threads();
}

/**
 * The name of a device that this machine has.
 * @param name "cpu", "cuda" or "cuda:N"
 * @throws UserError when there is none of that name
 */
export function findDevice(name: string): string {
  if (name === "cpu") return name;
  if (!/^cuda(:\d+)?$/.test(name)) throw new UserError(`there is no device "${name}": it must be cpu, cuda or cuda:N`);
  if (!native.library().cuda) {
    throw new UserError(
      `there is no device "${name}": libtorch has no CUDA here, or finds no GPU. Set LIBTORCH to a build with CUDA, ` +
        "run `hub-pathway setup` again, and see `hub-pathway doctor`",
    );
  }
  try {
    scope(() => ops.zeros([1], { device: name }).item());
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split("\n");
    throw new UserError(`the device "${name}" cannot be used: ${reason}`);
  }
  return name;
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

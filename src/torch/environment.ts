/** Environment variables and thread counts that suit libtorch to this machine. */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";

/**
 * Variables that OpenMP reads once, while it is loaded. By default its threads spin for milliseconds at every wait: on a
 * machine with other work they take the processors that the rest of the same step waits for.
 */
const whileLoading = { OMP_WAIT_POLICY: "PASSIVE", KMP_BLOCKTIME: "0" };

/**
 * Variables that libtorch reads whenever it needs them first.
 * oneDNN compiles a kernel for every shape and keeps 1,024 of them. Routes give each member sub-batches of every size, in
 * three passes of dozens of layers: with the library's number, steps with random routes compile anew all the time.
 * cuDNN's newer interface takes about 10 ms to choose a kernel for a number of rows that it has not seen, and routes
 * give new ones all the time: 46 s instead of 2 for the starter hub's first twelve steps on an H100.
 */
const lasting = { ONEDNN_PRIMITIVE_CACHE_CAPACITY: "8192", TORCH_CUDNN_V8_API_DISABLED: "1" };

let owned = false;

/**
 * Says that this process does nothing but this program's work. libtorch then keeps the memory it frees, for which the
 * process-wide allocator is set; a program that only uses the library decides about its allocator itself. Call first.
 */
export function ownProcess(): void {
  owned = true;
}

/** True when this process does nothing but this program's work. */
export function ownsProcess(): boolean {
  return owned;
}

/**
 * Runs `load` with the variables that are not set already; afterwards child processes see none that only loading needs.
 * A worker's `process.env` is a copy that libraries do not see: there they are read when the main thread has loaded first,
 * or when the worker was made with `SHARE_ENV`.
 */
export function withLibraryEnvironment<T>(load: () => T): T {
  for (const [name, value] of Object.entries(lasting)) process.env[name] ??= value;
  // A waiting policy of the user's, in whatever words, is the user's.
  const chosen = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"].some((name) => process.env[name] !== undefined);
  if (chosen) return load();
  Object.assign(process.env, whileLoading);
  try {
    return load();
  } finally {
    for (const name of Object.keys(whileLoading)) delete process.env[name];
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Processors that one control group may use, by its quota of time in each period. */
function quotaOf(folder: string): number {
  const [quota, period] =
    read(join(folder, "cpu.max"))?.split(" ") ??
    ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((name) => read(join(folder, name)));
  const processors = Number(quota) / Number(period);
  return processors > 0 ? processors : Number.POSITIVE_INFINITY;
}

/**
 * Processors that this process may keep busy, at least 1: those it is bound to, within the quotas of its control groups.
 * @param system folder that stands for the root of the file system
 */
export function freeProcessors(system = "/"): number {
  let least = availableParallelism();
  for (const line of (read(join(system, "proc/self/cgroup")) ?? "").trim().split("\n")) {
    const [, controllers = "", group = "/"] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers !== "" && !controllers.split(",").includes("cpu")) continue;
    const mount = join(system, "sys/fs/cgroup", controllers === "" ? "" : "cpu");
    // A container sees its own group as the root of the tree, whatever the path says.
    const parts = group.split("/").filter((part) => part !== "" && part !== "..");
    for (let depth = 0; depth <= parts.length; depth++) {
      least = Math.min(least, quotaOf(join(mount, ...parts.slice(0, depth))));
    }
  }
  return Math.max(1, Math.floor(least));
}

/** Most threads inside one operator: each is a thread of the kernel's, and more than processors only wait for each other. */
export const mostThreads = Math.max(16, cpus().length);

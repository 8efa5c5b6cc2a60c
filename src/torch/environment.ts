/** Process and thread counts that suit libtorch to this machine; native/environment.cc sets its environment variables. */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";

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

/** Tags that say which process made something, so that another one can tell later whether it still runs. */
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import { hostname } from "node:os";

/**
 * MACHINE-PID-START-NUMBER. MACHINE is a hash of host name, kernel start and namespace of process numbers: containers may
 * share a folder and a host's name, but not the numbers of processes. START is when the process began, in the kernel's
 * ticks: numbers are used again.
 */
export const tagPattern = /[0-9a-f]{12}-\d{1,10}-\d{1,20}-[0-9a-f]{8}/;

const wholeTag = new RegExp(`^${tagPattern.source}$`);

let machine: string | undefined;

/** A new tag of this process; no two are alike. */
export function newTag(): string {
  return `${thisMachine()}-${process.pid}-${startOf("self") ?? 0}-${randomBytes(4).toString("hex")}`;
}

/** State of a tag's process: it runs, or not, or is "unknown" for other machines, and for other containers, whose processes cannot be seen. */
export function stateOf(tag: string): "running" | "gone" | "unknown" {
  const [place, pid, start] = tag.split("-");
  if (!wholeTag.test(tag) || place !== thisMachine()) return "unknown";
  if (!isRunning(Number(pid))) return "gone";
  const now = startOf(Number(pid));
  return now === undefined || start === "0" || now === start ? "running" : "gone";
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function thisMachine(): string {
  const boot = textOf(() => fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  const namespace = textOf(() => fs.readlinkSync("/proc/self/ns/pid"));
  machine ??= createHash("sha256").update(`${hostname()}|${boot}|${namespace}`).digest("hex").slice(0, 12);
  return machine;
}

/** Field 22 of /proc/PID/stat; the second field, the program's name, may hold spaces and brackets. */
function startOf(pid: number | "self"): string | undefined {
  const stat = textOf(() => fs.readFileSync(`/proc/${pid}/stat`, "utf8"));
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .at(19);
}

/** Systems without /proc have none of it. */
function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

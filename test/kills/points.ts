/** Kills of a command at chosen system calls, by strace's injection of signals. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Calls that change what lies on the disk; a question mark leaves out what a machine's kernel does not have. */
const calls = [
  ...["mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"],
  ...["fsync", "fdatasync", "unlink", "unlinkat", "rmdir", "ftruncate", "truncate"],
];
/** With it only the traced calls stop the program, in half of the time; but then no signal is injected. */
const filter = "--seccomp-bpf";
const traced = calls.map((call) => `?${call}`).join(",");

const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));

/** A moment of a command: before the nth such call of one of its threads. */
export interface Point {
  readonly call: string;
  readonly n: number;
  /** The call as strace shows it. */
  readonly text: string;
}

export interface Command {
  /** Arguments of the program. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why commands cannot be killed at system calls here; undefined where they can. */
export function whyNoKills(): string | undefined {
  const tried = spawnSync("strace", ["-f", filter, "-o", "/dev/null", "-e", "trace=?mkdir", "true"], {
    encoding: "utf8",
  });
  if (tried.error) return "strace is not installed";
  return tried.status === 0 ? undefined : `strace may not trace here: ${tried.stderr.trim().split("\n").at(-1)}`;
}

/** Runs a command to its end. */
export function run({ args, env }: Command): Promise<Ended> {
  return ended(spawn(process.execPath, [program, ...args], { env, stdio: ["ignore", "pipe", "pipe"] }));
}

/** Runs a command whole, and returns every call of it that names `folder`, thread by thread. */
export async function pointsOf(command: Command, folder: string, log: string): Promise<Point[]> {
  const { code, stderr } = await traceRun(command, log, [filter]);
  if (code !== 0) throw new Error(`${command.args.join(" ")} ended with ${code} without a kill: ${stderr}`);
  const counts = new Map<string, number>();
  const points = new Map<string, Point>();
  for (const line of readFileSync(log, "utf8").split("\n")) {
    const [, thread, call, rest = ""] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? [];
    if (thread === undefined || call === undefined) continue;
    const n = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, n);
    // strace counts in each thread for itself: the first one to get there is killed.
    if (!rest.includes(folder)) continue;
    if (!points.has(`${call} ${n}`))
      points.set(`${call} ${n}`, { call, n, text: `${call}(${rest.replaceAll(folder, "")}` });
  }
  return [...points.values()];
}

/** Runs a command and kills it at a point; false when it ended before. */
export async function killAt(command: Command, { call, n }: Point, log: string): Promise<boolean> {
  const { code } = await traceRun(command, log, ["-e", `inject=${call}:signal=KILL:when=${n}`]);
  return code === null || code === 137;
}

/** One thread for Node's file operations, so that they come in the same order each time. */
function traceRun({ args, env }: Command, log: string, more: readonly string[]): Promise<Ended> {
  const strace = ["-f", "-y", "-o", log, "-e", `trace=${traced}`, ...more, process.execPath, program, ...args];
  return ended(
    spawn("strace", strace, { env: { ...env, UV_THREADPOOL_SIZE: "1" }, stdio: ["ignore", "pipe", "pipe"] }),
  );
}

async function ended(child: ChildProcess): Promise<Ended> {
  const texts = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.on("data", (chunk) => {
      texts[stream] += chunk;
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...texts };
}

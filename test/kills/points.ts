/** Kills of a command before chosen calls that change the disk, by a library that is loaded into it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../support/small-hub.ts";

const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));

/** A moment of a command: before its nth call that changes what lies in its folder. */
export interface Point {
  readonly n: number;
  /** The call with its paths, without the folder. */
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

/** Why commands cannot be killed here; undefined where they can. */
export const whyNoKills = (): string | undefined =>
  process.platform === "linux" ? undefined : "libraries are preloaded on Linux alone";

let compiled: string | undefined;

/** Path of the library, which is compiled once in a process. */
function preload(): string {
  if (compiled !== undefined) return compiled;
  const library = join(temporaryFolder(), "preload.so");
  const source = fileURLToPath(new URL("./preload.c", import.meta.url));
  execFileSync("cc", ["-O1", "-shared", "-fPIC", "-Wall", "-o", library, source, "-ldl"]);
  compiled = library;
  return library;
}

/** Runs a command to its end. */
export function run({ args, env }: Command): Promise<Ended> {
  return ended(spawn(process.execPath, [program, ...args], { env, stdio: ["ignore", "pipe", "pipe"] }));
}

/** Runs a command whole, and returns every call of it that names `folder`. */
export async function pointsOf(command: Command, folder: string, log: string): Promise<Point[]> {
  rmSync(log, { force: true });
  const { code, stderr } = await watched(command, { KILL_FOLDER: folder, KILL_LOG: log });
  if (code !== 0) throw new Error(`${command.args.join(" ")} ended with ${code} without a kill: ${stderr}`);
  const lines = existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : [];
  return lines.map((line, i) => ({ n: i + 1, text: line.replaceAll(folder, "") }));
}

/** Runs a command and kills it at a point; false when it ended before. */
export async function killAt(command: Command, folder: string, { n }: Point): Promise<boolean> {
  const { code } = await watched(command, { KILL_FOLDER: folder, KILL_AT: String(n) });
  return code === null;
}

/** One thread for Node's file operations, so that they come in the same order each time. */
function watched({ args, env }: Command, more: Readonly<Record<string, string>>): Promise<Ended> {
  return run({ args, env: { ...env, ...more, LD_PRELOAD: preload(), UV_THREADPOOL_SIZE: "1" } });
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

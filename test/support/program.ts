/** The program in a process of its own, as a user runs it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a command line with its own cache folder and one thread.
 * @param onStderr sees all of standard error so far, and can send one signal
 * @param place working folder and further environment
 */
export function runProgram(
  args: readonly string[],
  cache: string,
  onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
  place: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const env = { ...process.env, HUB_PATHWAY_CACHE: cache, OMP_NUM_THREADS: "1", ...place.env };
    const child = spawn(process.execPath, [program, ...args], {
      cwd: place.cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let killed = false;
    const kill = (signal: NodeJS.Signals) => {
      if (!killed) child.kill(signal);
      killed = true;
    };
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
      onStderr?.(stderr, kill);
    });
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** The result of a command that ran with --json. */
export function lastLine(text: string): Record<string, unknown> {
  return JSON.parse(text.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

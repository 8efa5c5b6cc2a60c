/** The program in a process of its own, as a user runs it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Lines that a library wrote, and none of the program's own. */
const foreign = /^\[?[WEF]\d{4}.*$|^.*\.(cpp|cc|h):\d+.*$|^.*NNPACK.*$|^libtorch:.*$|^\(node:\d+\).*$/m;

/**
 * Runs a command line with its own cache folder and one thread; fails when something but the program writes on standard
 * error.
 * @param onStderr sees all of standard error so far, and can send one signal
 * @param place working folder and further environment
 */
export function runProgram(
  args: readonly string[],
  cache: string,
  onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
  place: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
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
    child.on("close", (code) => {
      const [line] = foreign.exec(stderr) ?? [];
      if (line === undefined) resolve({ code, stdout, stderr });
      else reject(new Error(`not the program's own line: ${line}`));
    });
  });
}

/** The result of a command that ran with --json. */
export function lastLine(text: string): Record<string, unknown> {
  return JSON.parse(text.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

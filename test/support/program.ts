/** The program in a process of its own, as a user runs it. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { typescript } from "./typescript.ts";

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
      try {
        refuseForeign(stderr);
        resolve({ code, stdout, stderr });
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** @throws Error naming a line that is not the program's own */
function refuseForeign(stderr: string): void {
  const [line] = foreign.exec(stderr) ?? [];
  if (line !== undefined) throw new Error(`not the program's own line: ${line}`);
}

/**
 * One process that runs many command lines, for what does not depend on how the program starts or ends: a start takes
 * longer than most commands.
 */
export class ProgramSession {
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;

  /** @param cache of the program @param env further variables */
  constructor(cache: string, env: NodeJS.ProcessEnv = process.env) {
    this.#env = { ...env, HUB_PATHWAY_CACHE: cache, OMP_NUM_THREADS: "1" };
  }

  /** Runs a command line, not beside another one. */
  async run(args: readonly string[]): Promise<Outcome> {
    this.#child ??= fork(fileURLToPath(new URL("./program-driver.ts", import.meta.url)), {
      env: this.#env,
      execArgv: [...typescript],
    });
    const outcome = await answer(this.#child, args);
    refuseForeign(outcome.stderr);
    return outcome;
  }

  stop(): void {
    this.#child?.kill();
  }
}

function answer(child: ChildProcess, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => {
      child.off("message", said);
      reject(new Error(`the program ended with ${code} in the middle of ${args.join(" ")}`));
    };
    const said = (outcome: Outcome) => {
      child.off("exit", ended);
      resolve(outcome);
    };
    child.once("exit", ended).once("message", said);
    child.send([...args]);
  });
}

/** The result of a command that ran with --json. */
export function lastLine(text: string): Record<string, unknown> {
  return JSON.parse(text.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

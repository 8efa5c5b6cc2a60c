/** The program in a process of its own, as a user runs it, or in the test's. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { ownProcess } from "../../src/torch/environment.ts";
import { gatheredMain, type Outcome } from "./gathered-main.ts";
import { typescript } from "./typescript.ts";

const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));

/** Working folder and further environment of a command line. */
interface Place {
  cwd?: string;
  env?: Readonly<NodeJS.ProcessEnv>;
}

// Before libtorch is loaded, as in the program.
ownProcess();

/** Lines that a library wrote, and none of the program's own. */
const foreign = /^\[?[WEF]\d{4}.*$|^.*\.(cpp|cc|h):\d+.*$|^.*NNPACK.*$|^libtorch:.*$|^\(node:\d+\).*$/m;

/** A signal for the process that writes such a line to standard error or to a log, once. */
export interface Kill {
  at: RegExp;
  signal: NodeJS.Signals;
  /** Whether the process that started it gets the signal too, as from a terminal. */
  parent?: boolean;
}

/** A module for a process that sends itself the signal: from outside it may come after the end of the work. */
export function killing({ at, signal, parent = false }: Kill): string {
  const script = `import fs from "node:fs";
let sent = false;
for (const [owner, name, which] of [[process.stderr, "write", 0], [fs, "appendFileSync", 1]]) {
  const write = owner[name];
  owner[name] = (...args) => {
    const written = write.apply(owner, args);
    if (!sent && ${at}.test(args[which])) {
      sent = true;
      for (const id of [process.pid${parent ? ", process.ppid" : ""}]) process.kill(id, "${signal}");
    }
    return written;
  };
}`;
  return `data:text/javascript,${encodeURIComponent(script)}`;
}

/**
 * Runs a command line with its own cache folder and one thread; fails when something but the program writes on standard
 * error.
 */
export async function runProgram(
  args: readonly string[],
  cache: string,
  { cwd, env, kill }: Place & { kill?: Kill | undefined } = {},
): Promise<Outcome> {
  const { NODE_OPTIONS: options = "" } = process.env;
  const more = kill && { NODE_OPTIONS: `${options} --import ${killing(kill)}` };
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...process.env, HUB_PATHWAY_CACHE: cache, OMP_NUM_THREADS: "1", ...more, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [[code], stdout, stderr] = await Promise.all([once(child, "close"), text(child.stdout), text(child.stderr)]);
  refuseForeign(stderr);
  return { code, stdout, stderr };
}

/** @throws Error naming a line that is not the program's own */
function refuseForeign(stderr: string): void {
  const [line] = foreign.exec(stderr) ?? [];
  if (line !== undefined) throw new Error(`not the program's own line: ${line}`);
}

/**
 * Runs a command line in this process, not beside another one, for what does not depend on how the program starts or
 * ends: a start takes longer than most commands.
 */
export async function runHere(args: readonly string[], cache: string, { cwd, env }: Place = {}): Promise<Outcome> {
  const { main } = await import("../../src/cli/main.ts");
  const before = { ...process.env };
  Object.assign(process.env, { HUB_PATHWAY_CACHE: cache, ...env });
  try {
    const outcome = await gatheredMain(main, args, cwd);
    refuseForeign(outcome.stderr);
    return outcome;
  } finally {
    for (const name of Object.keys(env ?? {})) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

/** One process that runs many command lines by another main function than the sources'. */
export class ProgramSession {
  readonly #child: ChildProcess;

  /** @param main URL of its file @param env of the process */
  constructor(main: string, env: NodeJS.ProcessEnv) {
    const driver = fileURLToPath(new URL("./program-driver.ts", import.meta.url));
    this.#child = fork(driver, [main], { env, execArgv: [...typescript] });
  }

  /** Runs a command line in the folder `cwd`, not beside another one. */
  run(args: readonly string[], cwd: string): Promise<Outcome> {
    return answer(this.#child, { args, cwd });
  }

  stop(): void {
    this.#child.kill();
  }
}

function answer(child: ChildProcess, request: { args: readonly string[]; cwd: string }): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => {
      child.off("message", said);
      reject(new Error(`the program ended with ${code} in the middle of ${request.args.join(" ")}`));
    };
    const said = (outcome: Outcome) => {
      child.off("exit", ended);
      resolve(outcome);
    };
    child.once("exit", ended).once("message", said);
    child.send(request);
  });
}

/** The result of a command that ran with --json. */
export function lastLine(text: string): Record<string, unknown> {
  return JSON.parse(text.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

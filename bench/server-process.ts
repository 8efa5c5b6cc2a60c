/** The program in processes of its own: a command until it ends, `serve`, and the process that asks it. */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ClosedLoad, LoadResult, OpenLoad } from "./autocannon-load.ts";

export const program = fileURLToPath(new URL("../bin/hub-pathway.js", import.meta.url));

/** Runs the program to its end. @throws Error with what it wrote, when that is no success */
export function command(...args: string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}:\n${stderr}`);
}

export class ServerProcess {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** Resolves when the server is ready. */
  static async start(...args: string[]): Promise<ServerProcess> {
    const all = [program, "serve", ...args, "--port", "0", "--json", "--log-level", "error"];
    const child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "ignore"] });
    for await (const line of createInterface({ input: child.stdout })) {
      return new ServerProcess(child, (JSON.parse(line) as { url: string }).url);
    }
    throw new Error(`serve ${args.join(" ")} ended before it was ready`);
  }

  /** Resident memory of the server and of its engine, MiB. */
  memory(): [server: number, engine: number] {
    const { pid } = this.#child;
    const engine = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return [residentMiB(String(pid)), residentMiB(engine)];
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await ended;
  }
}

function residentMiB(pid: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** The clients, which stay warm from one load to the next. */
export class LoadProcess {
  readonly #child: ChildProcess;

  constructor() {
    const execArgv = ["--import", new URL("../scripts/typescript.mjs", import.meta.url).href];
    this.#child = fork(fileURLToPath(new URL("./autocannon-load.ts", import.meta.url)), { execArgv });
  }

  run(load: ClosedLoad | OpenLoad): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`the load ended with ${code}`));
      this.#child.once("exit", ended).once("message", (result) => {
        this.#child.off("exit", ended);
        resolve(result as LoadResult);
      });
      this.#child.send(load);
    });
  }

  stop(): void {
    this.#child.kill();
  }
}

/** Ranks of groups in processes of their own, on this machine: each process takes the jobs of one test file after another. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { freePort } from "../../src/cli/ranks.ts";
import { typescript } from "./typescript.ts";

/** Program of a process that takes jobs from its parent. */
export const rankCommand: readonly string[] = [
  process.execPath,
  ...typescript,
  fileURLToPath(new URL("./rank.ts", import.meta.url)),
];

export interface Group {
  ranks?: readonly number[];
  worldSize?: number;
  timeout?: number;
  startTimeout?: number | undefined;
  /** Of each rank; of those that are left out it is usual. */
  patience?: readonly number[];
  port?: number;
  /** For the job. */
  setup?: unknown;
}

/** What test/support/rank.ts is sent. */
export interface Job extends Pick<Group, "setup" | "startTimeout"> {
  job: string;
  timeout: number;
  patience?: number | undefined;
  /** What a launcher says, where it is not said to the process. */
  env?: NodeJS.ProcessEnv;
}

/** What test/support/rank.ts sends back; texts that it sends before are for whoever listens. */
export interface Found {
  [name: string]: unknown;
  error: string;
  /** Standard output of a process that ended. */
  output?: string;
}

/** A process that does jobs; it keeps nobody waiting and ends with this one. */
export class RankProcess {
  readonly child: ChildProcess;
  #errors = "";
  #output = "";

  constructor(child: ChildProcess) {
    this.child = child;
    child.stderr?.on("data", (piece) => {
      this.#errors += piece;
    });
    child.stdout?.on("data", (piece) => {
      this.#output += piece;
    });
    this.#rest();
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Sends a job, and waits for what it comes to; of a process that ended in it, what it wrote. */
  async run(job: Job): Promise<Found> {
    const { child } = this;
    child.ref();
    child.channel?.ref();
    const found = await new Promise<Found>((resolve) => {
      const finish = (found: Found) => {
        child.off("message", hear).off("close", end);
        resolve(found);
      };
      const hear = (message: Found | string) => typeof message === "string" || finish(message);
      const end = () => finish({ error: this.#errors, output: this.#output });
      child.on("message", hear).on("close", end);
      child.send(job);
    });
    this.#rest();
    if (!this.hasEnded) assert.equal(this.#errors, "", job.job);
    return found;
  }

  #rest(): void {
    const { child } = this;
    child.unref();
    child.channel?.unref();
    for (const stream of [child.stdout, child.stderr]) (stream as { unref?(): void } | null)?.unref?.();
  }
}

const processes = new Map<number, RankProcess>();

export function processOf(rank: number): RankProcess {
  const known = processes.get(rank);
  if (known && !known.hasEnded) return known;
  const [file = "", ...args] = rankCommand;
  const env = { ...process.env, OMP_NUM_THREADS: "1" };
  const started = new RankProcess(spawn(file, args, { env, stdio: ["ignore", "pipe", "pipe", "ipc"] }));
  processes.set(rank, started);
  return started;
}

/** What each rank came to: of three, where nothing else is said. */
export async function ranks(job: string, options: Group = {}): Promise<Found[]> {
  const { ranks: started = [0, 1, 2], worldSize = 3, timeout = 600, startTimeout, patience, setup } = options;
  const { port = await freePort() } = options;
  const common = { MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port), WORLD_SIZE: String(worldSize) };
  return Promise.all(
    started.map((rank) =>
      processOf(rank).run({
        ...{ job, timeout, startTimeout, patience: patience?.[rank], setup },
        env: { ...common, RANK: String(rank) },
      }),
    ),
  );
}

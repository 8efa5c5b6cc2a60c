/** An engine's process as the server sees it: started until it is ready, sent batches, replaced when it dies. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ConfigError, UserError } from "../torch/index.ts";
import type { BatchAnswer, RowRequest } from "./engine/answer-batch.ts";
import type { ModelInfo } from "./engine/parts.ts";
import type { EngineOptions, FromEngine, ToEngine } from "./engine/protocol.ts";

/** The engine died, or does not answer: whoever waits may try again. */
export class EngineGone extends Error {
  override readonly name = "EngineGone";
}

export interface EngineEvents {
  /** A member failed or was too slow, and rests. */
  onTrouble(member: string, reason: string): void;
  /** The process ended without being stopped. */
  onDeath(reason: string): void;
}

/** Milliseconds after which a batch without an answer means that the process hangs. */
const hangMs = 120_000;

interface Waiting {
  resolve(answer: BatchAnswer): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

export class EngineProcess {
  readonly info: ModelInfo;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #isStopped = false;

  private constructor(child: ChildProcess, info: ModelInfo, events: EngineEvents) {
    this.#child = child;
    this.info = info;
    child.on("message", (message: FromEngine) => {
      if (message.type === "trouble") return events.onTrouble(message.member, message.reason);
      if (message.type !== "answers" && message.type !== "failed") return;
      const waiting = this.#take(message.id);
      if (message.type === "answers") waiting?.resolve(message.answer);
      else waiting?.reject(new Error(message.message));
    });
    child.once("exit", (code, signal) => {
      const reason = `the engine ended with ${signal ?? code}`;
      for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(new EngineGone(reason));
      if (!this.#isStopped) events.onDeath(reason);
    });
  }

  /** @throws UserError, ConfigError when the model cannot be opened; EngineGone when the process dies meanwhile */
  static async start(options: EngineOptions, events: EngineEvents, signal?: AbortSignal): Promise<EngineProcess> {
    const { entry, execArgv } = await program();
    const child = fork(entry, [JSON.stringify(options)], {
      execArgv,
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    return new Promise((resolve, reject) => {
      const stop = () => child.kill("SIGKILL");
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { once: true });
      const ended = (code: number | null, by: string | null) => {
        settle();
        reject(new EngineGone(`the engine of ${options.path} ended with ${by ?? code} before it was ready`));
      };
      const said = (message: FromEngine) => {
        if (message.type !== "ready" && message.type !== "refused") return;
        settle();
        if (message.type === "ready") return resolve(new EngineProcess(child, message.info, events));
        child.kill("SIGKILL");
        reject(refusal(message));
      };
      const settle = () => {
        signal?.removeEventListener("abort", stop);
        child.off("exit", ended).off("message", said).off("error", reject);
      };
      child.once("exit", ended).on("message", said).once("error", reject);
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Batches that it has not answered. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** @param bytes images [rows, size, size, 3] @throws EngineGone when it dies before it answers */
  answer(bytes: Uint8Array, requests: readonly RowRequest[]): Promise<BatchAnswer> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), hangMs);
      this.#waiting.set(id, { resolve, reject, timer });
      const message: ToEngine = { id, bytes, requests };
      this.#child.send(message, (error) => {
        if (error) this.#take(id)?.reject(new EngineGone("the engine is gone"));
      });
    });
  }

  /** Ends the process; batches that it has not answered fail. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    return waiting;
  }
}

/** The engine's program: an installed package has it compiled, a checkout compiles it where it can keep what was compiled. */
async function program(): Promise<{ entry: string; execArgv: string[] }> {
  const at = (url: string, base = import.meta.url) => fileURLToPath(new URL(url, base));
  if (!import.meta.url.endsWith(".ts")) return { entry: at("./engine/main.js"), execArgv: [] };
  const script = (name: string) => new URL(`../../scripts/${name}`, import.meta.url).href;
  const { compiledSources } = (await import(script("compiled.mjs"))) as {
    compiledSources(): Promise<string | undefined>;
  };
  const compiled = await compiledSources();
  if (compiled !== undefined) return { entry: at("serve/engine/main.js", compiled), execArgv: [] };
  return { entry: at("./engine/main.ts"), execArgv: ["--import", script("typescript.mjs")] };
}

function refusal({ message, exitCode }: { message: string; exitCode: number }): Error {
  if (exitCode === 2) return new ConfigError(message);
  return exitCode === 1 ? new UserError(message) : new Error(message);
}

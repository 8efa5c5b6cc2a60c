/** The server: models with their engines, the watched folder, and the HTTP server, from start to drained end. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, resolve } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { type Logger, pino } from "pino";
import { shown } from "../io/index.ts";
import { answerWords } from "../runtime/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { checkRule, isAsked } from "../train/index.ts";
import { buildApp } from "./app.ts";
import type { EngineOptions } from "./engine/protocol.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { Metrics } from "./metrics.ts";
import { putLoopFirst } from "./priority.ts";
import { ServedModel, type Surroundings } from "./served-model.ts";
import { modelsNamedIn, type Named } from "./watch.ts";

export interface ServeOptions extends Partial<Limits>, Omit<Partial<EngineOptions>, "path"> {
  /** Folders of finished runs and of bundles; their last parts are the models' names. */
  models: readonly string[];
  /** Folder that names further models, which are replaced when it names others. */
  watch?: string | undefined;
  /** Milliseconds between two looks at it (default 1000). */
  watchMs?: number | undefined;
  /** Port (default 8080); 0 for any that is free. */
  port?: number | undefined;
  /** Address that is listened at (default 127.0.0.1). */
  host?: string | undefined;
  /** Bearer token that requests must have; none when left out. */
  token?: string | undefined;
  /** A word that `GET /v2` and the OpenAPI page show (default "0"). */
  version?: string | undefined;
  log?: Logger | undefined;
  /** Stops the loading. */
  signal?: AbortSignal | undefined;
}

/** A server that answers. */
export interface RunningServer {
  readonly url: string;
  readonly port: number;
  readonly models: ReadonlyMap<string, ServedModel>;
  /** Takes no new connections, answers what was let in, and ends. */
  close(): Promise<void>;
}

/**
 * Serves finished runs and bundles over HTTP; returns once all of them answer.
 * @throws UserError for models that cannot be served; ConfigError for options and a port in use; Interrupted after the signal
 *
 * @example
 * const server = await serve({ models: ["runs/photos-1"], port: 8080 });
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const limits: Limits = { ...defaultLimits, ...withoutUndefined(options, Object.keys(defaultLimits)) };
  const { perClient, degrade, rejectBelow } = options;
  checkRule(options);
  if (rejectBelow !== undefined && isAsked(options))
    throw new ConfigError("--reject-below is a threshold, and another one is to be chosen: leave one of them out");
  const log = options.log ?? pino({ level: "silent" });
  const around: Surroundings = { limits: { ...limits, perClient, degrade, rejectBelow }, metrics: new Metrics(), log };
  const named = namedModels(options);
  const models = new Map<string, ServedModel>();
  let isDraining = false;
  const { token, version = "0" } = options;
  const app = buildApp({ models, around, token, version, isDraining: () => isDraining });
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  server.requestTimeout = 3 * limits.deadlineMs;
  const watched = options.watch === undefined ? undefined : new Watch(options, models, around);
  // Before the models are loaded, which takes seconds: the port may be in use, and probes see that the process lives.
  const { port, host } = await listening(server, options);
  const close = async () => {
    isDraining = true;
    watched?.stop();
    await drained(server, limits.deadlineMs);
    await Promise.all([...models.values()].map((model) => model.stop()));
  };
  try {
    const starts = named.map(({ name, path }) =>
      ServedModel.start(name, engineOptions(options, path, limits), around, options.signal),
    );
    const started = await Promise.allSettled(starts);
    // In the order in which they are named, whichever is loaded first: the first one is the one that answers by default.
    for (const one of started) if (one.status === "fulfilled") models.set(one.value.name, one.value);
    for (const one of started) if (one.status === "rejected") throw one.reason;
    if (rejectBelow !== undefined) requireClasses(models);
    await watched?.look();
    watched?.start();
    putLoopFirst();
  } catch (error) {
    server.closeAllConnections();
    await close();
    throw error;
  }
  return { url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`, port, models, close };
}

/** @throws ConfigError for a threshold of the probability of one answer where a model gives other answers */
function requireClasses(models: ReadonlyMap<string, ServedModel>): void {
  for (const { name, info } of models.values()) {
    if (!info.task) continue;
    const has = answerWords[info.task.kind];
    throw new ConfigError(
      `--reject-below is a probability of one answer, and "${shown(name)}" answers with ${has}: leave it out`,
    );
  }
}

/** @throws UserError for none, and for two models of one name */
function namedModels({ models, watch }: ServeOptions): Pick<Named, "name" | "path">[] {
  const named = models.map((path) => ({ name: basename(resolve(path)), path }));
  const twice = named.find(({ name }, i) => named.findIndex((other) => other.name === name) !== i);
  if (twice) throw new ConfigError(`two models have the name "${shown(twice.name)}": rename one of the folders`);
  if (named.length === 0 && watch === undefined)
    throw new ConfigError("there is nothing to serve: name a run, a bundle, or --watch a folder");
  return named;
}

function engineOptions(options: ServeOptions, path: string, limits: Limits): EngineOptions {
  const { k, confidence, flops, coverage, maxError, hubMemory, trust, device, threads } = options;
  const { slowMs = limits.deadlineMs / 2 } = options;
  return { path, k, confidence, flops, coverage, maxError, hubMemory, trust, device, threads, slowMs };
}

function withoutUndefined<T extends object>(values: T, names: readonly string[]): Partial<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => names.includes(name) && value !== undefined),
  ) as Partial<T>;
}

function listening(
  server: Server,
  { port = 8080, host = "127.0.0.1" }: ServeOptions,
): Promise<{ port: number; host: string }> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(explained(error, port, host)));
    server.listen(port, host, () => resolve({ port: (server.address() as AddressInfo).port, host }));
  });
}

function explained(error: NodeJS.ErrnoException, port: number, host: string): Error {
  const causes: Record<string, string> = {
    EADDRINUSE: `port ${port} of ${host} is in use: end what uses it, or choose another --port`,
    EACCES: `port ${port} may not be opened: choose a --port above 1023`,
    EADDRNOTAVAIL: `${host} is no address of this machine: choose another --host`,
    ENOTFOUND: `${host} is no address: choose another --host`,
  };
  const cause = causes[error.code ?? ""];
  return cause === undefined ? error : new ConfigError(cause, { cause: error });
}

/** Ends the server when all that it let in is answered, or when the last deadline has passed. */
async function drained(server: Server, ms: number): Promise<void> {
  if (!server.listening) return;
  const ended = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const late = setTimeout(() => server.closeAllConnections(), ms + 1000);
  await ended;
  clearInterval(idle);
  clearTimeout(late);
}

/** Keeps the models at what a folder names. */
class Watch {
  readonly #folder: string;
  readonly #options: ServeOptions;
  readonly #models: Map<string, ServedModel>;
  readonly #around: Surroundings;
  /** What each name led to when it was last tried. */
  readonly #tried = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: ServeOptions, models: Map<string, ServedModel>, around: Surroundings) {
    this.#folder = options.watch ?? "";
    this.#options = options;
    this.#models = models;
    this.#around = around;
    // It may be missing: that is said before models are loaded.
    modelsNamedIn(this.#folder);
  }

  /** @throws UserError when a model that is new at the start cannot be served, or nothing is named at all */
  async look(): Promise<void> {
    for (const named of modelsNamedIn(this.#folder)) {
      await this.#load(named);
    }
    if (this.#models.size === 0) {
      throw new UserError(
        `${this.#folder} names no run and no bundle: put a folder or a link to one there, or name a run`,
      );
    }
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(async () => {
      try {
        for (const named of modelsNamedIn(this.#folder)) {
          if (!this.#isStopped) await this.#load(named).catch((error: unknown) => this.#keepOld(named, error));
        }
      } catch (error) {
        this.#around.log.error({ reason: String(error) }, "the watched folder cannot be read");
      }
      this.start();
    }, this.#options.watchMs ?? 1000);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #load({ name, path, identity }: Named): Promise<void> {
    if (this.#tried.get(name) === identity) return;
    this.#tried.set(name, identity);
    const model = this.#models.get(name);
    if (model) {
      await model.swap(path);
      this.#around.metrics.swaps.inc({ model: name, result: "done" });
      return;
    }
    const options = engineOptions(this.#options, path, this.#around.limits);
    this.#models.set(name, await ServedModel.start(name, options, this.#around, this.#options.signal));
  }

  #keepOld({ name }: Named, error: unknown): void {
    this.#around.metrics.swaps.inc({ model: name, result: "failed" });
    const kept = this.#models.has(name) ? "the old model stays" : "it is not served";
    this.#around.log.error({ model: name, reason: error instanceof Error ? error.message : String(error) }, kept);
  }
}

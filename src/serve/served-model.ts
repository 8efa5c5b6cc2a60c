/** A model under its name: its engine, started again when it dies and replaced while requests go on. */
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { Interrupted } from "../torch/index.ts";
import type { ModelInfo } from "./engine/parts.ts";
import type { EngineOptions } from "./engine/protocol.ts";
import { EngineProcess } from "./engine-process.ts";
import type { Limits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import { BatchQueue } from "./queue.ts";
import type { ModelDescription } from "./schemas.ts";

export interface Surroundings {
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** Milliseconds between a death and the next start: the first, and the longest. */
const [firstRest, longestRest] = [100, 10_000];

export class ServedModel {
  readonly name: string;
  readonly queue: BatchQueue;
  readonly #around: Surroundings;
  readonly #stopping = new AbortController();
  #options: EngineOptions;
  #engine: EngineProcess | undefined;
  /** Of the engine that is there, or was last. */
  #info: ModelInfo | undefined;

  private constructor(name: string, options: EngineOptions, around: Surroundings) {
    const { metrics, limits } = around;
    this.name = name;
    this.#options = options;
    this.#around = around;
    const stage = (stage: string, ms: number) => metrics.stages.observe({ model: name, stage }, ms);
    this.queue = new BatchQueue(limits, {
      onDispatched: (ms) => stage("queue", ms),
      onBatch: (rows, milliseconds, resident) => {
        metrics.batchSize.observe({ model: name }, rows);
        metrics.resident.set({ model: name }, resident);
        for (const [of, ms] of Object.entries(milliseconds)) stage(of, ms);
      },
    });
  }

  /** @throws UserError, ConfigError when the model cannot be served; Interrupted after the signal */
  static async start(
    name: string,
    options: EngineOptions,
    around: Surroundings,
    signal?: AbortSignal,
  ): Promise<ServedModel> {
    const model = new ServedModel(name, options, around);
    try {
      model.#take(await model.#startEngine(options, signal));
      return model;
    } catch (error) {
      throw signal?.aborted ? new Interrupted("loading of models") : error;
    }
  }

  get isReady(): boolean {
    return this.#engine !== undefined;
  }

  get info(): ModelInfo {
    if (!this.#info) throw new Error(`${this.name} was never ready`);
    return this.#info;
  }

  get path(): string {
    return this.#options.path;
  }

  get description(): ModelDescription {
    const { kind, task, labels, members, size, rule, choices } = this.info;
    const { largestK, budgets = [] } = choices;
    const known = { name: this.name, kind, ready: this.isReady, imageSize: size, k: rule.k };
    const answers = {
      task: task?.kind ?? ("classification" as const),
      ...(task?.kind === "multi-label" ? { thresholds: [...task.thresholds] } : {}),
    };
    const choice = {
      ...(rule.confidence === undefined ? {} : { confidence: rule.confidence }),
      ...(largestK === undefined ? {} : { largestK }),
      ...(budgets.length === 0 ? {} : { budgets: budgets.map(({ flops, accuracy }) => ({ flops, accuracy })) }),
    };
    return { ...known, ...answers, labels: [...labels], members: [...members], ...choice };
  }

  /** Loads another model beside this one and puts it in its place; what was sent to the old one is answered by it. @throws as `start` */
  async swap(path: string): Promise<void> {
    const options = { ...this.#options, path };
    const engine = await this.#startEngine(options);
    if (this.#stopping.signal.aborted) return engine.stop();
    const old = this.#engine;
    this.#options = options;
    this.#take(engine);
    while (old && old.pending > 0) await pause(20);
    await old?.stop();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.queue.engine = undefined;
    this.queue.refuseAll();
    await this.#engine?.stop();
  }

  #take(engine: EngineProcess): void {
    this.#engine = engine;
    this.#info = engine.info;
    this.queue.engine = engine;
    this.#around.metrics.ready.set({ model: this.name }, 1);
    this.#around.log.info({ model: this.name, path: this.path, pid: engine.pid }, "model is ready");
  }

  async #startEngine(options: EngineOptions, signal = this.#stopping.signal): Promise<EngineProcess> {
    const { log, metrics } = this.#around;
    const engine: EngineProcess = await EngineProcess.start(
      options,
      {
        onTrouble: (member, reason) => log.warn({ model: this.name, member, reason }, "member rests"),
        onDeath: (reason) => {
          if (this.#engine !== engine) return;
          this.#engine = undefined;
          this.queue.engine = undefined;
          this.queue.refuseAll();
          metrics.ready.set({ model: this.name }, 0);
          metrics.restarts.inc({ model: this.name });
          log.error({ model: this.name, reason }, "engine died and is started again");
          void this.#restart();
        },
      },
      signal,
    );
    return engine;
  }

  async #restart(): Promise<void> {
    const { signal } = this.#stopping;
    for (let rest = firstRest; !signal.aborted && !this.#engine; rest = Math.min(longestRest, 2 * rest)) {
      try {
        const engine = await this.#startEngine(this.#options);
        // A swap may have been faster.
        if (this.#engine || signal.aborted) return await engine.stop();
        return this.#take(engine);
      } catch (error) {
        if (signal.aborted) return;
        this.#around.log.error({ model: this.name, reason: String(error) }, "engine does not start");
        await pause(rest);
      }
    }
  }
}

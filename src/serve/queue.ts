/**
 * Rows that wait for an engine: how many are let in, which are dropped because nobody waits any more, and how they become
 * batches. One batch is computed, and a second, full one may lie ready behind it.
 */
import { BatchWindow } from "./batch-window.ts";
import type { BatchAnswer, RowAnswer, RowRequest } from "./engine/answer-batch.ts";
import type { ModelInfo } from "./engine/parts.ts";
import type { Limits } from "./limits.ts";
import { Problem } from "./problem.ts";

/** What computes batches. */
export interface BatchEngine {
  readonly info: ModelInfo;
  /** Batches that are not answered. */
  readonly pending: number;
  answer(bytes: Uint8Array, requests: readonly RowRequest[]): Promise<BatchAnswer>;
}

/** A decoded image with what it asks for. */
export interface Row {
  /** [size, size, 3]. */
  readonly bytes: Uint8Array;
  readonly request: RowRequest;
  /** The request that it is of, which may end before it is computed. */
  readonly open: Wanted;
}

export interface Wanted {
  /** Time (performance.now) after which an answer is of no use. */
  readonly deadline: number;
  /** False when nobody waits for it any more. */
  readonly isWanted: boolean;
}

export interface Answered {
  readonly answer: RowAnswer;
  readonly info: ModelInfo;
  /** Activated members, where the load lowered their number. */
  readonly loweredTo?: number | undefined;
}

interface Waiting extends Row {
  readonly since: number;
  resolve(answered: Answered): void;
  reject(error: Error): void;
}

export interface QueueEvents {
  onBatch(rows: number, milliseconds: BatchAnswer["milliseconds"], resident: number): void;
  onDispatched(waitedMs: number): void;
}

/** The model was replaced by one that takes images of another size: they have to be decoded again. */
export class OtherSize extends Error {
  override readonly name = "OtherSize";
}

/** Part of the queue, or of the deadline, from which on the load lowers k. */
const busy = 0.5;

export class BatchQueue {
  readonly #limits: Limits;
  readonly #events: QueueEvents;
  readonly #window: BatchWindow;
  #engine: BatchEngine | undefined;
  #rows: Waiting[] = [];
  #held = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Milliseconds that the engine takes for a batch, a running mean. */
  #batchMs = 0;
  #lastDone = 0;

  constructor(limits: Limits, events: QueueEvents) {
    this.#limits = limits;
    this.#events = events;
    this.#window = new BatchWindow(limits.maxWaitMs);
  }

  get engine(): BatchEngine | undefined {
    return this.#engine;
  }

  set engine(engine: BatchEngine | undefined) {
    this.#engine = engine;
    this.#pump();
  }

  /** Images that are let in and not answered. */
  get depth(): number {
    return this.#held;
  }

  /**
   * Lets images in. @returns a function that lets them out again @throws Problem 503 when there is no engine, or too much to do
   */
  admit(images: number): () => void {
    if (!this.#engine) throw notReady();
    const waitMs = this.#waitMs;
    const isLate = this.#held >= this.#limits.maxBatch && waitMs > this.#limits.deadlineMs;
    if (this.#held + images > this.#limits.queue || isLate) {
      const detail = `the server has ${this.#held} images to answer: try again later`;
      throw new Problem(503, "overloaded", detail, { retryAfter: waitMs / 1000 });
    }
    this.#held += images;
    return () => {
      this.#held -= images;
    };
  }

  /** An admitted row's answer. @throws EngineGone when the engine dies; Problem 504 when the row was too old to be computed */
  push(row: Row): Promise<Answered> {
    return new Promise((resolve, reject) => {
      if (!this.#engine) return reject(notReady());
      const now = performance.now();
      this.#window.arrived(now);
      this.#rows.push({ ...row, since: now, resolve, reject });
      this.#pump();
    });
  }

  /** Refuses what waits, because its engine is gone. */
  refuseAll(): void {
    for (const row of this.#rows.splice(0)) row.reject(notReady());
  }

  #pump(): void {
    const engine = this.#engine;
    if (!engine) return;
    this.#dropLate();
    const ready = this.#rows.length;
    const isFull = ready >= this.#limits.maxBatch;
    const isFree = engine.pending === 0 || (engine.pending === 1 && isFull);
    if (ready === 0 || !isFree || (this.#timer && !isFull)) return;
    const wait = isFull ? 0 : this.#window.waitFor(ready);
    if (wait === 0) this.#send(engine);
    else this.#timer = setTimeout(() => this.#waited(ready), wait);
  }

  #waited(before: number): void {
    this.#timer = undefined;
    this.#window.waited(this.#rows.length > before);
    if (this.#engine && this.#rows.length > 0) this.#send(this.#engine);
  }

  #send(engine: BatchEngine): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { maxBatch, degrade } = this.#limits;
    const now = performance.now();
    this.#dropLate();
    const bytes = engine.info.size ** 2 * 3;
    const rows = this.#rows.splice(0, maxBatch).filter((row) => {
      if (row.bytes.length !== bytes) row.reject(new OtherSize());
      return row.bytes.length === bytes;
    });
    if (rows.length === 0) return;
    this.#window.sent(rows.length === maxBatch, now);
    for (const { since } of rows) this.#events.onDispatched(now - since);
    const { rule, choices } = engine.info;
    const isBusy = this.#load > busy && choices.largestK !== undefined;
    const requests = rows.map(({ request }) => {
      const choice = request.choice ?? rule;
      const isLowered = isBusy && degrade !== undefined && (choice.k ?? rule.k) > degrade;
      return isLowered
        ? { ...request, choice: { confidence: choice.confidence, price: choice.price, k: degrade } }
        : request;
    });
    const lowered = rows.map(({ request }, i) => request !== requests[i]);
    engine.answer(joined(rows), requests).then(
      (answer) => {
        this.#measure(now);
        this.#events.onBatch(rows.length, answer.milliseconds, answer.resident);
        for (const [i, row] of rows.entries())
          settle(row, answer.rows[i], engine.info, lowered[i] ? degrade : undefined);
        this.#pump();
      },
      (error: Error) => {
        for (const row of rows) row.reject(error);
        this.#pump();
      },
    );
    this.#pump();
  }

  /** Part of what can be done in time that is let in. */
  get #load(): number {
    const { queue, deadlineMs } = this.#limits;
    return Math.max(this.#held / queue, this.#waitMs / deadlineMs);
  }

  /** Until all that is let in is computed, about: whoever comes now finds full batches, whatever the last ones were. */
  get #waitMs(): number {
    return Math.ceil(this.#held / this.#limits.maxBatch) * this.#batchMs;
  }

  #measure(sent: number): void {
    const now = performance.now();
    const took = now - Math.max(sent, this.#lastDone);
    this.#lastDone = now;
    this.#batchMs = this.#batchMs === 0 ? took : 0.8 * this.#batchMs + 0.2 * took;
  }

  #dropLate(): void {
    const now = performance.now();
    this.#rows = this.#rows.filter((row) => {
      const isWanted = row.open.isWanted && row.open.deadline > now;
      if (!isWanted) row.reject(tooLate());
      return isWanted;
    });
  }
}

export function tooLate(): Problem {
  return new Problem(
    504,
    "deadline",
    "the deadline passed before there was an answer: send fewer at a time, or allow more time",
  );
}

function notReady(): Problem {
  return new Problem(503, "not-ready", "the model is being loaded: try again later", { retryAfter: 1 });
}

function settle(
  row: Waiting,
  answer: BatchAnswer["rows"][number] | undefined,
  info: ModelInfo,
  loweredTo: number | undefined,
): void {
  if (answer && !("error" in answer)) {
    row.resolve({ answer, info, loweredTo });
    return;
  }
  const detail = `no member could answer (${answer?.error ?? "the engine gave none"}): try again later`;
  row.reject(new Problem(503, "no-member", detail, { retryAfter: 1 }));
}

function joined(rows: readonly Row[]): Uint8Array {
  const [first] = rows;
  if (rows.length === 1 && first) return first.bytes;
  const all = new Uint8Array(rows.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let at = 0;
  for (const { bytes } of rows) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}

/** ONNX sessions of a bundle's files: opened at their first use, one after the other, and closed when they take too much memory. */
import type { BundleFiles } from "./files.ts";
import { platform } from "./platform.ts";

/** What is used of onnxruntime-web and onnxruntime-node: `import * as ort` from either fits. */
export interface OnnxRuntime {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: SessionOptions): Promise<OnnxSession>;
  };
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => unknown;
}

interface SessionOptions {
  readonly executionProviders?: readonly string[];
  readonly logSeverityLevel?: 0 | 1 | 2 | 3 | 4;
}

interface OnnxSession {
  readonly outputNames: readonly string[];
  run(feeds: Record<string, unknown>): Promise<Record<string, { readonly data: unknown }>>;
  release(): Promise<void>;
}

export interface SessionsOptions {
  readonly ort: OnnxRuntime;
  /** Sum of the sizes of files whose sessions stay open. */
  readonly memoryBytes: number;
  /** Names of onnxruntime; by default WebGPU where there is one, and wasm, and in Node the processor. */
  readonly executionProviders?: readonly string[] | undefined;
}

/** Milliseconds that files took on their way to sessions. */
export interface OpeningTimes {
  fetch: number;
  open: number;
}

/** One after the other in the whole program: onnxruntime-web's initialisation races with itself. */
let last: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const turn = last.then(work, work);
  last = turn.catch(() => undefined);
  return turn;
}

export class Sessions {
  readonly #files: BundleFiles;
  readonly #options: SessionsOptions;
  /** In the order of their last use. */
  readonly #open = new Map<string, OnnxSession>();

  constructor(files: BundleFiles, options: SessionsOptions) {
    this.#files = files;
    this.#options = options;
  }

  /** Files whose sessions are open. */
  get open(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** The result of a file for images [rows, 3, S, S]. Times of opening are added to `times`. */
  async run(file: string, images: Float32Array, rows: number, times: OpeningTimes, signal?: AbortSignal) {
    const session = this.#open.get(file) ?? (await this.#create(file, times, signal));
    signal?.throwIfAborted();
    this.#open.delete(file);
    this.#open.set(file, session);
    const { size } = this.#files.bundle.images;
    const { Tensor } = this.#options.ort;
    const results = await inTurn(() => session.run({ images: new Tensor("float32", images, [rows, 3, size, size]) }));
    return results[session.outputNames[0] ?? ""]?.data as Float32Array;
  }

  async close(): Promise<void> {
    for (const file of this.open) await this.#release(file);
  }

  async #create(file: string, times: OpeningTimes, signal: AbortSignal | undefined): Promise<OnnxSession> {
    const started = performance.now();
    const bytes = await this.#files.read(file, signal);
    const fetched = performance.now();
    times.fetch += fetched - started;
    await this.#makeRoom(file);
    const executionProviders = this.#options.executionProviders ?? (await providers());
    const session = await inTurn(() =>
      this.#options.ort.InferenceSession.create(bytes, {
        ...(executionProviders ? { executionProviders } : {}),
        logSeverityLevel: 3,
      }),
    );
    this.#open.set(file, session);
    times.open += performance.now() - fetched;
    return session;
  }

  async #makeRoom(file: string): Promise<void> {
    const { files } = this.#files.bundle;
    const bytes = (name: string): number => files[name]?.bytes ?? 0;
    let free = this.#options.memoryBytes - bytes(file);
    for (const name of this.open) free -= bytes(name);
    for (const name of this.open) {
      if (free >= 0) return;
      free += bytes(name);
      await this.#release(name);
    }
  }

  async #release(file: string): Promise<void> {
    const session = this.#open.get(file);
    this.#open.delete(file);
    await session?.release();
  }
}

/** undefined where onnxruntime's own choice is the right one. */
async function providers(): Promise<readonly string[] | undefined> {
  const { navigator, location } = platform;
  if (!location) return undefined;
  const adapter = await navigator?.gpu?.requestAdapter().catch(() => null);
  return adapter ? ["webgpu", "wasm"] : ["wasm"];
}

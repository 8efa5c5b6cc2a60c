/**
 * A bundle in a worker, so that a page stays responsive, and so that its memory comes back: wasm memory never shrinks, but ends with
 * the worker.
 *
 *     // worker.js
 *     import * as ort from "onnxruntime-web";
 *     serveBundles(self, { ort });
 *
 *     // page
 *     const model = await openInWorker(new Worker("worker.js", { type: "module" }), "bundle");
 */
import { BundleError } from "./check.ts";
import type { Bundle } from "./manifest.ts";
import {
  type AnyBundlePrediction,
  type BundleModel,
  type Expected,
  type OpenOptions,
  openBundle,
  type PredictionOf,
  requireTask,
} from "./model.ts";

/** A Worker, the global of a worker, or a MessagePort. */
export interface WorkerEnd {
  postMessage(message: unknown): void;
  addEventListener(type: string, listener: (event: object) => void): void;
  /** Message ports wait for it. */
  start?(): void;
  terminate?(): void;
}

type Call = "open" | "predict" | "predictAll" | "verify" | "fetchAll" | "close";
interface Request {
  readonly id: number;
  readonly call: Call | "abort";
  readonly args: readonly unknown[];
}
type Reply = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly problem: string; readonly own: boolean }
);

type ServeOptions = Omit<OpenOptions, "signal" | "task">;

/**
 * Opens and runs bundles for the other end.
 * @param end the worker's own global, or a port
 * @param options may come later than messages do, as from an import
 */
export function serveBundles(end: WorkerEnd, options: ServeOptions | Promise<ServeOptions>): void {
  let model: Promise<BundleModel<AnyBundlePrediction>> | undefined;
  const running = new Map<number, AbortController>();
  const run = async ({ call, args: [first, second] }: Request, signal: AbortSignal): Promise<unknown> => {
    if (call === "open") {
      model = Promise.resolve(options).then((own) => openBundle(String(first), { ...own, task: "any", signal }));
      return (await model).bundle;
    }
    const own = await model;
    if (!own) throw new BundleError("no bundle is open in this worker");
    if (call === "predict") return own.predict(first as never, { ...(second as object), signal });
    if (call === "predictAll") return own.predictAll(first as never, { ...(second as object), signal });
    if (call === "close") return own.close();
    return call === "verify" ? own.verify({ signal }) : own.fetchAll({ signal });
  };
  listen(end, async (message) => {
    const request = message as Request;
    const { id, call } = request;
    if (call === "abort") return running.get(id)?.abort();
    const controller = new AbortController();
    running.set(id, controller);
    try {
      end.postMessage({ id, value: await run(request, controller.signal) } satisfies Reply);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      end.postMessage({ id, problem, own: error instanceof BundleError } satisfies Reply);
    } finally {
      running.delete(id);
    }
  });
}

/**
 * Opens a bundle in a worker that runs `serveBundles`; closing the model ends the worker.
 * @param address of the bundle, as the worker sees it
 * @throws BundleError when there is no bundle, its answers are others than the task's, or the worker does not run
 */
export async function openInWorker<T extends Expected = "classification">(
  worker: WorkerEnd,
  address: string,
  { task, signal }: Pick<OpenOptions<T>, "task" | "signal"> = {},
): Promise<BundleModel<PredictionOf<T>>> {
  const calls = new Calls(worker);
  const bundle = (await calls.send("open", [address], signal)) as Bundle;
  requireTask(bundle, address, task);
  return {
    bundle,
    predict: (image, { signal, ...rest } = {}) => calls.send("predict", [image, rest], signal) as never,
    predictAll: (images, { signal, ...rest } = {}) => calls.send("predictAll", [images, rest], signal) as never,
    verify: ({ signal } = {}) => calls.send("verify", [], signal) as never,
    fetchAll: ({ signal } = {}) => calls.send("fetchAll", [], signal) as never,
    async close() {
      try {
        await calls.send("close", [], undefined);
      } finally {
        calls.end(new BundleError("the model is closed: open it again"));
        worker.terminate?.();
      }
    },
  };
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

class Calls {
  readonly #worker: WorkerEnd;
  readonly #pending = new Map<number, Pending>();
  #count = 0;
  #ended: BundleError | undefined;

  constructor(worker: WorkerEnd) {
    this.#worker = worker;
    listen(worker, (message) => this.#settle(message as Reply));
    worker.addEventListener("error", (event) => {
      const { message = "its script cannot be loaded" } = event as { message?: string };
      this.#reject(new BundleError(`the worker failed: ${message}`));
    });
  }

  /** Nothing more is sent. */
  end(reason: BundleError): void {
    this.#ended = reason;
    this.#reject(reason);
  }

  #reject(error: BundleError): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  async send(call: Call, args: readonly unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    signal?.throwIfAborted();
    if (this.#ended) throw this.#ended;
    const id = this.#count++;
    const abort = (): void => this.#worker.postMessage({ id, call: "abort", args: [] } satisfies Request);
    signal?.addEventListener("abort", abort);
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { resolve, reject });
        this.#worker.postMessage({ id, call, args } satisfies Request);
      });
    } catch (error) {
      this.#pending.delete(id);
      if (error instanceof DOMException && error.name === "DataCloneError")
        throw new BundleError("this image cannot be sent to a worker: give ImageData, an ImageBitmap or pixels", {
          cause: error,
        });
      // The caller's own reason, rather than its copy from the worker.
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if ("value" in reply) pending?.resolve(reply.value);
    else pending?.reject(reply.own ? new BundleError(reply.problem) : new Error(reply.problem));
  }
}

function listen(end: WorkerEnd, handle: (message: unknown) => void): void {
  end.addEventListener("message", (event) => handle((event as { data: unknown }).data));
  end.start?.();
}

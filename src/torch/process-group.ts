/**
 * A process group of torch.distributed: ranks that find each other in a store, and collectives between them by Gloo.
 * Names and semantics are PyTorch's. N ranks.
 */
import { call } from "./call.ts";
import { ConfigError, UserError } from "./errors.ts";
import { tensor } from "./factories.ts";
import { noGrad } from "./modes.ts";
import { native } from "./native.ts";
import { keep, scope } from "./scope.ts";
import { Tensor } from "./tensor.ts";

export interface ProcessGroupOptions {
  /** Position of this process, 0 … N - 1. */
  rank: number;
  /** N. */
  worldSize: number;
  /** Address and port of the store; port 0 lets the rank that serves it choose. */
  host: string;
  port: number;
  /** This process serves the store; one does. */
  serves: boolean;
  /** Part of the store that this group uses: another one after each restart. */
  prefix?: string | undefined;
  /** Seconds that a rank waits for the others in a collective. */
  timeout?: number | undefined;
  /** Seconds that ranks have to find each other, since machines do not start at once (default: `timeout`, and 600 at least). */
  startTimeout?: number | undefined;
  /** Seconds that the others may let this process wait once it has been sent a signal; a second signal ends it at once. */
  patience?: number | undefined;
  /** Line for standard output, by the message of why the others let this process wait for too long. */
  answer?: ((message: string) => string) | undefined;
}

export type ReduceOp = "sum" | "avg" | "max" | "min" | "product";

/** A collective that did not come about: which, on which rank, of what, and why. */
export class CollectiveError extends UserError {
  override readonly name = "CollectiveError";
}

/** What an error says of a collective that no call names. */
const inWork = /^((?:reduce_scatter|all_gather|all_to_all) of \w+\[[\d, ]*\]): (.*)/;
const [defaultTimeout, leastStart, defaultPatience] = [1800, 600, 15];
let opened = 0;
const milliseconds = (seconds: number) => Math.ceil(seconds * 1000);

/** Seconds that ranks have to find each other. */
export function startSeconds({
  timeout = defaultTimeout,
  startTimeout,
}: Pick<ProcessGroupOptions, "timeout" | "startTimeout">): number {
  return startTimeout ?? Math.max(timeout, leastStart);
}

export class ProcessGroup implements Disposable {
  readonly rank: number;
  readonly worldSize: number;
  /** Where the store is served. */
  readonly port: number;
  /** Seconds that a rank waits for the others. */
  readonly timeout: number;
  readonly #name: string;
  #keys = 0;

  /**
   * Connects to all other ranks, which must do so too.
   * @throws ConfigError for an addon without process groups; CollectiveError when the store cannot be reached or served, or a rank does not come in time
   */
  constructor(options: ProcessGroupOptions) {
    const { rank, worldSize, host, port, serves, prefix = "" } = options;
    const { timeout = defaultTimeout, patience = defaultPatience, answer } = options;
    const startTimeout = startSeconds(options);
    if (typeof native.openStore !== "function") {
      throw new ConfigError("the addon was built without process groups: run `npx hub-pathway setup --distributed`");
    }
    this.rank = rank;
    this.worldSize = worldSize;
    this.timeout = timeout;
    this.#name = `hub-pathway-${opened++}`;
    const stopped = `rank ${rank} of ${worldSize}: stopped by a signal while it waited for other ranks; what is saved stays`;
    const bearSignals = (seconds: number) =>
      native.bearSignals(milliseconds(seconds), answer ? `${answer(stopped)}\n` : "", `${stopped}\n`);
    // Before the group is there nothing is to be saved.
    bearSignals(0);
    const start = milliseconds(startTimeout);
    const starting = <T>(what: string, fn: () => T) => this.#explained(what, fn, startTimeout);
    this.port = starting(`the store at ${host}:${port}`, () =>
      native.openStore(this.#name, host, port, serves, prefix, start),
    );
    try {
      starting("the start", () => native.openGroup(this.#name, rank, worldSize, milliseconds(timeout), start));
    } catch (error) {
      native.closeGroup(this.#name);
      throw error;
    }
    bearSignals(patience);
  }

  /** Each element reduced over all ranks, without a gradient; the same on each. */
  allReduce(values: Tensor, op: ReduceOp = "sum"): Tensor {
    return this.#plain("all_reduce", values, op);
  }

  /** Begins to add a tensor up over all ranks, without a gradient; the function that it returns waits for the sum. */
  startSum(values: Tensor): () => Tensor {
    const what = `all_reduce of ${values.dtype}[${values.shape.join(", ")}]`;
    const started = keep(this.#explained(what, () => noGrad(() => this.#start("all_reduce", values, "sum"))));
    return () => {
      using owned = started;
      return this.#explained(what, () => noGrad(() => this.#finish(owned)));
    };
  }

  /** The tensor of one rank, on all of them, without a gradient; all give one of its shape. */
  broadcast(values: Tensor, source: number): Tensor {
    return this.#plain("broadcast", values, source);
  }

  /** The tensors [n, …] of all ranks, one after the other, [N n, …]; its gradient is reduced and scattered. */
  allGather(values: Tensor): Tensor {
    return this.#collective("all_gather", values, () => new Tensor(native.allGather(this.#name, values.handle)));
  }

  /** This rank's part [n, …] of the sum over all ranks of [N n, …]; its gradient is gathered. */
  reduceScatter(values: Tensor): Tensor {
    return this.#collective(
      "reduce_scatter",
      values,
      () => new Tensor(native.reduceScatter(this.#name, values.handle)),
    );
  }

  /**
   * Rows for every rank and from every rank: the first `sent[0]` rows go to rank 0, and the first `received[0]` of the result
   * come from it. Its gradient goes back the same way.
   */
  allToAll(values: Tensor, received: readonly number[], sent: readonly number[]): Tensor {
    return this.#collective("all_to_all", values, () => {
      return new Tensor(native.allToAll(this.#name, values.handle, received, sent));
    });
  }

  /** Waits until all ranks have come here. */
  barrier(): void {
    scope(() => void this.allReduce(tensor([0])).item());
  }

  /** A key of the store that no text had before; ranks ask for theirs in the same order. */
  keyOf(about: string): string {
    return `${about}/${this.#keys++}`;
  }

  /** Leaves a text in the store for all ranks. */
  set(key: string, text: string): void {
    this.#explained(`"${key}" in the store`, () => native.storeSet(this.#name, key, text));
  }

  /** A text that some rank leaves in the store; waits for it. */
  get(key: string): string {
    return this.#explained(`"${key}" in the store`, () => native.storeGet(this.#name, key));
  }

  /** Closes the connections. The rank that serves the store should be the last one. */
  [Symbol.dispose](): void {
    native.closeGroup(this.#name);
  }

  /** Work that may wait for other ranks, such as a backward pass. @throws CollectiveError naming the collective that failed */
  during<T>(work: string, fn: () => T): T {
    try {
      return fn();
    } catch (error) {
      const [, collective, reason] = inWork.exec(error instanceof Error ? error.message : "") ?? [];
      if (collective === undefined) throw error;
      return this.#explained(`${collective} in ${work}`, () => {
        throw new Error(reason, { cause: error });
      });
    }
  }

  #plain(name: string, values: Tensor, how: ReduceOp | number): Tensor {
    return this.#collective(name, values, () => noGrad(() => this.#finish(this.#start(name, values, how))));
  }

  #start(name: string, values: Tensor, how: ReduceOp | number): Tensor {
    return scope(() => call(`_c10d_functional::${name}`, [values.detach(), how, this.#name]) as Tensor);
  }

  #finish(started: Tensor): Tensor {
    return new Tensor(native.waitTensor(started.handle));
  }

  #collective(name: string, values: Tensor, fn: () => Tensor): Tensor {
    return this.#explained(`${name} of ${values.dtype}[${values.shape.join(", ")}]`, () => scope(fn));
  }

  #explained<T>(what: string, fn: () => T, seconds = this.timeout): T {
    try {
      return fn();
    } catch (error) {
      const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
      const isLate = /time[d ]*out/i.test(reason);
      const isBroken = /connection (reset|closed|refused)|(read|write) error|broken pipe|closed by peer/i.test(reason);
      const late = `no answer within ${seconds} s: another rank ended, hangs, or does something else`;
      const taken =
        reason.includes("EADDRINUSE") && "the port is in use on this machine: choose another one (MASTER_PORT)";
      const why = taken || (isLate ? late : isBroken ? "another rank ended" : reason);
      throw new CollectiveError(`rank ${this.rank} of ${this.worldSize}: ${what} failed: ${why}`, { cause: error });
    }
  }
}

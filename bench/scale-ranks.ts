/** Ranks of `scale-rank.ts` on hosts, or one alone: some steps of training at a time, and what they send. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Hosts, startOn } from "../test/support/hosts.ts";
import { typescript } from "../test/support/typescript.ts";
import type { Facts, Measured, Setting } from "./scale-series.ts";

const program = fileURLToPath(new URL("./scale-rank.ts", import.meta.url));

/** A rank, and the lines of JSON that it writes. */
class RankProcess {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcess) {
    this.child = child;
    if (!child.stdout) throw new Error("a rank without output");
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async next<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("a rank ended before its time");
    return JSON.parse(value) as T;
  }
}

export class Ranks implements Disposable {
  readonly facts: Facts;
  readonly #all: readonly RankProcess[];
  readonly #hosts: Hosts | undefined;
  readonly #steps: number;

  private constructor(all: readonly RankProcess[], hosts: Hosts | undefined, { steps }: Setting, facts: Facts) {
    this.#all = all;
    this.#hosts = hosts;
    this.#steps = steps + 1;
    this.facts = facts;
  }

  /** Starts one on each host, with the hub in a folder. */
  static async start(hosts: Hosts | undefined, hub: string, setting: Setting): Promise<Ranks> {
    const command = [process.execPath, ...typescript, program, hub, JSON.stringify(setting)];
    const env = { ...process.env, OMP_WAIT_POLICY: "PASSIVE" };
    const children = startOn(hosts, command, { env, stdio: ["pipe", "pipe", "inherit"] });
    const all = children.map((child) => new RankProcess(child));
    try {
      const [facts] = await Promise.all(all.map((rank) => rank.next<Facts>()));
      if (!facts) throw new RangeError("no rank");
      return new Ranks(all, hosts, setting, facts);
    } catch (error) {
      for (const { child } of all) child.kill("SIGKILL");
      throw error;
    }
  }

  /** The steps of a phase: seconds of one, its collectives, and bytes that the rank sent which sent most. */
  async phase(): Promise<{ seconds: number; collectives: number; sentBytes: number }> {
    const before = this.#sent();
    for (const { child } of this.#all) child.stdin?.write("go\n");
    const [first] = await this.#next<Measured>();
    const { seconds, counted } = first ?? { seconds: Number.NaN, counted: [] };
    const sent = this.#sent().map((bytes, host) => bytes - (before[host] ?? 0));
    const collectives = counted.reduce((sum, { isTwice }) => sum + (isTwice ? 2 : 1), 0);
    return { seconds, collectives, sentBytes: Math.max(...sent) / this.#steps };
  }

  /** Of a step, over all ranks; after the last phase. */
  async flops(): Promise<number> {
    const [first] = await this.#next<{ flops: number }>();
    return first?.flops ?? Number.NaN;
  }

  [Symbol.dispose](): void {
    for (const { child } of this.#all) child.kill("SIGKILL");
  }

  #next<T>(): Promise<T[]> {
    return Promise.all(this.#all.map((rank) => rank.next<T>()));
  }

  #sent(): number[] {
    return this.#all.map((_, host) => this.#hosts?.traffic(host).sent ?? 0);
  }
}

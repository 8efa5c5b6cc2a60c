/** What Prometheus reads: beside requests and stages, what only a router has. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Part of the past in the entropy of routes, which each activation lowers. */
const memory = 0.999;

export class Metrics {
  readonly registry = new Registry();
  readonly requests = this.#counter("requests_total", "Requests by route and status.", ["route", "status"]);
  readonly activations = this.#counter("activations_total", "Images that activated a member.", ["model", "member"]);
  readonly degraded = this.#counter("degraded_total", "Answers that are not all that was asked for.", ["model", "why"]);
  readonly rejected = this.#counter("rejected_total", "Answers below the threshold of rejection.", ["model"]);
  readonly restarts = this.#counter("engine_restarts_total", "Engines that died and were started again.", ["model"]);
  readonly swaps = this.#counter("swaps_total", "Models that were replaced, or were to be.", ["model", "result"]);
  readonly resident = this.#gauge("resident_members", "Members whose weights are in memory.", ["model"]);
  readonly ready = this.#gauge("ready", "1 while the model answers.", ["model"]);
  readonly stages = this.#histogram(
    "stage_milliseconds",
    "Time by stage: decode and queue for an image, route, member and join for a batch.",
    ["model", "stage"],
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000],
  );
  readonly batchSize = this.#histogram(
    "batch_size",
    "Images of a batch.",
    ["model"],
    [1, 2, 4, 8, 16, 32, 64, 128, 256],
  );
  readonly #entropy = this.#gauge(
    "route_entropy_bits",
    "Entropy of the shares in which members were activated lately; 0 when one takes all.",
    ["model"],
  );
  readonly #shares = new Map<string, Map<string, number>>();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Depth is asked for when it is read, so that it is true at that moment. */
  watchQueue(depths: () => Iterable<[model: string, depth: number]>): void {
    new Gauge({
      name: "hub_pathway_queue_depth",
      help: "Images that are decoded, wait or are computed.",
      labelNames: ["model"],
      registers: [this.registry],
      collect() {
        for (const [model, depth] of depths()) this.set({ model }, depth);
      },
    });
  }

  /** An image activated these members. */
  activated(model: string, members: readonly string[]): void {
    const shares = this.#shares.get(model) ?? new Map<string, number>();
    this.#shares.set(model, shares);
    for (const [member, share] of shares) shares.set(member, share * memory);
    for (const member of members) {
      shares.set(member, (shares.get(member) ?? 0) + 1);
      this.activations.inc({ model, member });
    }
    this.#entropy.set({ model }, entropy([...shares.values()]));
  }

  #counter<T extends string>(name: string, help: string, labelNames: T[]): Counter<T> {
    return new Counter({ name: `hub_pathway_${name}`, help, labelNames, registers: [this.registry] });
  }

  #gauge<T extends string>(name: string, help: string, labelNames: T[]): Gauge<T> {
    return new Gauge({ name: `hub_pathway_${name}`, help, labelNames, registers: [this.registry] });
  }

  #histogram<T extends string>(name: string, help: string, labelNames: T[], buckets: number[]): Histogram<T> {
    return new Histogram({ name: `hub_pathway_${name}`, help, labelNames, buckets, registers: [this.registry] });
  }
}

/** Of shares that need not sum to one, in bits. */
export function entropy(shares: readonly number[]): number {
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.reduce((total, share) => (share > 0 ? total - (share / sum) * Math.log2(share / sum) : total), 0);
}

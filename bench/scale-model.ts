/**
 * What a training step costs on N ranks: FLOPs, bytes, collectives, and the seconds that these take on a machine and a link.
 * The costs of collectives are those of Gloo's algorithms (gloo/allreduce.cc: a ring of segments of at most 1 MiB, two of them
 * on their way). A receiver tells the sender that it is ready, so that each hop takes the link's delay twice.
 * B rows of the batch, m models of P parameters, T of them touched in a step, k activated for a row, C outputs.
 */

export interface Link {
  /** Seconds from one host to another. */
  delay: number;
  /** Bytes a second, in each direction. */
  rate: number;
}

export type Kind = "all_reduce" | "all_gather" | "reduce_scatter" | "all_to_all";

/** Collectives of one kind and size. */
export interface Collective {
  kind: Kind;
  /** Of what a rank gives. */
  bytes: number;
  /** Bytes of a number. */
  width: number;
  count: number;
  /** Gradients, which are not waited for: two messages are on their way at once (c10d's Gloo has two threads). */
  isBeside?: boolean;
}

/** BatchNorm layers, and the mean of their channels. */
export interface Norms {
  layers: number;
  channels: number;
}

/** A hub in training. */
export interface Workload {
  batch: number;
  k: number;
  outputs: number;
  models: number;
  /** Models that some row of a step activates. */
  touched: number;
  /** Of one model with its head. */
  parameters: number;
  /** Tensors of parameters, of one model with its head. */
  tensors: number;
  /** Of generator and aggregation, whose BatchNorm always has the statistics of all ranks. */
  common: { parameters: number; tensors: number; norms: Norms };
  /** Floating point operations of a step on one rank, all of it. */
  flops: number;
  /** Of a model, where its statistics are those of all ranks. */
  norms?: Norms | undefined;
}

/** A machine with one rank, or with all of them. */
export interface Machine {
  /** FLOP/s of a rank that has a processor for itself. */
  speed: number;
  /** Seconds of a step beside its FLOPs: of every step, and for each touched model (starting operators, optimizer). */
  perStep: number;
  perModel: number;
  /** Times that a rank is slower while all compute: 1 where each has a machine. */
  crowd: number;
  /** Bytes a second that a rank can send, whatever the link. */
  rate: number;
  /** Seconds of a hop beside the link's delay. */
  hop: number;
}

export type Plan = "replicated" | "sharded";

const float = 4;
const double = 8;
/** Numbers of a message of gradients (src/distributed/reduce-gradients.ts). */
const bucket = 4 * 2 ** 20;
/** Gloo's largest segment, bytes. */
const segment = 2 ** 20;

/** Hops of a collective, one after the other; each takes the link's delay twice. */
export function hops({ kind, bytes, width }: Collective, ranks: number): number {
  if (ranks === 1) return 0;
  const n = ranks - 1;
  if (kind === "all_to_all") return 1;
  if (kind === "all_gather") return n;
  // Gloo's reduce_scatter is an all_reduce.
  const whole = kind === "reduce_scatter" ? bytes * ranks : bytes;
  // A number that is alone goes round once to be summed and once to be known, and all are ready for it.
  if (whole <= width) return n;
  const segments = Math.max(2, Math.ceil(Math.ceil(whole / segment) / ranks));
  return 2 * Math.ceil((n * segments) / 2);
}

/** Bytes that a rank sends in a collective. */
export function sentBytes({ kind, bytes }: Collective, ranks: number): number {
  const n = ranks - 1;
  if (kind === "all_to_all") return (bytes * n) / ranks;
  if (kind === "all_gather") return bytes * n;
  return (2 * (kind === "reduce_scatter" ? bytes * ranks : bytes) * n) / ranks;
}

const reduced = (numbers: number, width: number, count = 1): Collective => ({
  kind: "all_reduce",
  bytes: numbers * width,
  width,
  count,
});

/** Messages of so many numbers of gradients. */
export function buckets(numbers: number): Collective[] {
  const count = Math.ceil(numbers / bucket);
  return count === 0 ? [] : [{ ...reduced(numbers / count, float, count), isBeside: true }];
}

/** Loss, FLOPs, a wish to stop, and rows of each model, which travel with what is touched of all that was not sent before. */
const figures = (models: number) => models + 3;

/** Means, squares and counts of a layer, and the gradients of these. */
function statistics({ layers, channels }: Norms, models = 1): Collective[] {
  const bytes = (2 * channels + 2) * float;
  const kinds = ["all_gather", "reduce_scatter"] as const;
  return kinds.map((kind) => ({ kind, bytes, width: float, count: layers * models }));
}

/** Messages of so many models' gradients, which say themselves what is touched. */
function ofEach({ parameters, tensors }: Workload, models: number): Collective[] {
  return buckets(parameters + tensors).map((one) => ({ ...one, count: one.count * models }));
}

/** Collectives of a step. */
export function collectives(plan: Plan, work: Workload, ranks: number): Collective[] {
  if (ranks === 1) return [];
  const { models, touched, tensors, common, batch, k, outputs, norms } = work;
  // Statistics of the generator's rows, and the shares of the models.
  const both = [...statistics(common.norms), reduced(models, float)];
  if (plan === "sharded") {
    return [
      ...both,
      // The loss of the task, sums and counts of each touched model's loss.
      reduced(1, float),
      reduced(touched, float, 2),
      // Who activates what; logits, and their gradients.
      reduced(models * batch, 1),
      { kind: "all_to_all", bytes: (batch / ranks) * k * outputs * float, width: float, count: 2 },
      reduced(common.tensors + figures(models), double),
      ...buckets(common.parameters),
      // The norm of all gradients, and whether a checkpoint is due.
      reduced(1, double, 2),
    ];
  }
  return [
    ...both,
    // Rows of each model, and the losses of the task and of the models.
    reduced(models, double),
    reduced(2, double),
    ...(norms ? statistics(norms, touched) : []),
    reduced((models - touched) * tensors + common.tensors + figures(models), double),
    ...ofEach(work, touched),
    ...buckets(common.parameters + common.tensors),
  ];
}

/** Models of the rank that has most. */
const ownModels = ({ models }: Workload, ranks: number) => Math.ceil(models / ranks);

/**
 * Pairs of row and model on the rank with the most of them, over the mean of all ranks, where each row's models are as good as
 * drawn: the expected largest of normal numbers (Blom 1958), one for each rank.
 */
export function imbalance(work: Workload, ranks: number): number {
  const own = ownModels(work, ranks);
  const part = own / work.models;
  const mean = work.batch * work.k * part;
  const largest = normalQuantile((ranks - 0.375) / (ranks + 0.25));
  const deviation = Math.sqrt(mean * (1 - part) * ((work.models - work.k) / Math.max(1, work.models - 1)));
  return ((mean + largest * deviation) * ranks) / (work.batch * work.k);
}

/** By an approximation of the error function's inverse, to a hundredth (Winitzki 2008). */
function normalQuantile(p: number): number {
  const x = 2 * p - 1;
  const log = Math.log(1 - x * x);
  const a = 0.147;
  const b = 2 / (Math.PI * a) + log / 2;
  return Math.sign(x) * Math.sqrt(2 * (Math.sqrt(b * b - log / a) - b));
}

export interface CollectivesCost {
  /** Sent by a rank. */
  bytes: number;
  collectives: number;
  hops: number;
  seconds: { delay: number; transfer: number };
}

export interface StepCost extends CollectivesCost {
  /** Of the rank with most. */
  flops: number;
  seconds: { compute: number; delay: number; transfer: number; all: number };
}

/** What collectives cost that follow each other, but for gradients: while one message waits, another one is sent. */
export function cost(all: readonly Collective[], ranks: number, link: Link, machine: Machine): CollectivesCost {
  const parts = [false, true].map((isBeside) => {
    const own = all.filter((one) => (one.isBeside ?? false) === isBeside);
    const total = (of: (one: Collective) => number) => own.reduce((sum, one) => sum + one.count * of(one), 0);
    const [bytes, hopCount] = [total((one) => sentBytes(one, ranks)), total((one) => hops(one, ranks))];
    const transfer = bytes / Math.min(link.rate, machine.rate);
    const delay = hopCount * (2 * link.delay + machine.hop);
    const collectives = total(() => 1);
    const waited = isBeside && collectives > 1 ? Math.max(0, (delay - transfer) / 2) : delay;
    return { bytes, collectives, hops: hopCount, seconds: { delay: waited, transfer } };
  });
  const [first, second] = parts as [CollectivesCost, CollectivesCost];
  return {
    bytes: first.bytes + second.bytes,
    collectives: first.collectives + second.collectives,
    hops: first.hops + second.hops,
    seconds: {
      delay: first.seconds.delay + second.seconds.delay,
      transfer: first.seconds.transfer + second.seconds.transfer,
    },
  };
}

/** The cost of a step. What a rank computes while gradients travel is not taken off: a processor that computes sends nothing. */
export function stepCost(plan: Plan, work: Workload, ranks: number, link: Link, machine: Machine): StepCost {
  const together = cost(collectives(plan, work, ranks), ranks, link, machine);
  const flops = (work.flops * (plan === "sharded" ? imbalance(work, ranks) : 1)) / ranks;
  const models = plan === "sharded" ? (work.touched * ownModels(work, ranks)) / work.models : work.touched;
  const compute = machine.crowd * (flops / machine.speed + models * machine.perModel + machine.perStep);
  const { delay, transfer } = together.seconds;
  return { ...together, flops, seconds: { compute, delay, transfer, all: compute + delay + transfer } };
}

/** The plan whose steps are the fastest; a hub of fewer models than ranks cannot be sharded. */
export function bestPlan(work: Workload, ranks: number, link: Link, machine: Machine): Plan {
  if (work.models < ranks) return "replicated";
  const seconds = (plan: Plan) => stepCost(plan, work, ranks, link, machine).seconds.all;
  return seconds("sharded") < seconds("replicated") ? "sharded" : "replicated";
}

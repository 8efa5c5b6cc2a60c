/** What `scale.ts` measures, and keeps in docs/results/scale.json. */
/** Data parallel, with BatchNorm's statistics as they are or those of all ranks, or each rank with its own models. */
export type MeasuredPlan = "replicated" | "synchronised" | "sharded";

export interface Setting {
  plan: MeasuredPlan;
  batch: number;
  /** Steps that are measured at each link, and links. */
  steps: number;
  phases: number;
  side: number;
  classes: number;
  k: number;
  /** Only what steps send is asked for: the machine's own limits are not measured. */
  isBare?: boolean;
}

/** Collectives of a step, as a rank called them. */
export interface Counted {
  name: "allReduce" | "startSum" | "allGather" | "allToAll";
  numbers: number;
  /** Its gradient is a collective too. */
  isTwice: boolean;
}

/** BatchNorm layers, and the mean of their channels. */
export interface Norms {
  layers: number;
  channels: number;
}

/** Of the models, the machine and its ranks. */
export interface Facts {
  /** Seconds that a fixed piece of computing takes while all ranks compute. */
  probe: number;
  /** Seconds of a small all_reduce, and of one of all gradients, at the first link. */
  limits?: { small: number; gradients?: number } | undefined;
  /** Of a model with its head, and of generator and aggregation. */
  parameters: number;
  tensors: number;
  common: { parameters: number; tensors: number; norms: Norms };
  /** Of a model. */
  norms: Norms;
}

export interface Measured {
  /** Of a step. */
  seconds: number;
  counted: Counted[];
}

/** What a step took at one link, with so many models and rows. */
export interface Point {
  delayMs: number;
  mbits: number;
  models: number;
  batch: number;
  seconds: number;
  collectives: number;
  sentBytes: number;
}

/** What was measured with so many ranks and a plan. */
export interface Series extends Facts {
  ranks: number;
  plan: MeasuredPlan;
  /** Of a step, over all ranks. */
  flops: number;
  points: Point[];
}

export interface Scale {
  machine: string;
  processors: number;
  models: number;
  batch: number;
  classes: number;
  k: number;
  series: Series[];
}

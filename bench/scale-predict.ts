/** What the model of `scale-model.ts` says of what was measured: machine and work from runs at one link, all others predicted. */
import { buckets, cost, type Machine, type Plan, type StepCost, stepCost, type Workload } from "./scale-model.ts";
import type { MeasuredPlan, Scale, Series } from "./scale-series.ts";

/** Delay and rate of the link at which the machine's own limits are measured. */
const fast = { delay: 0.1e-3, rate: 10_000e6 / 8 };

function seriesOf({ series }: Scale, ranks: number, plan: MeasuredPlan): Series {
  const found = series.find((one) => one.ranks === ranks && one.plan === plan);
  if (found) return found;
  throw new Error(`docs/results/scale.json has no ${plan} training on ${ranks}: measure it first`);
}

/** Of the hub that was measured: all models are touched in each step. */
export function workloadOf(scale: Scale, plan: MeasuredPlan): Workload {
  const { models, batch, classes: outputs, k } = scale;
  const { parameters, tensors, common, flops, norms } = seriesOf(scale, 1, "replicated");
  const about = { models, touched: models, batch, outputs, k, parameters, tensors, common, flops };
  return plan === "synchronised" ? { ...about, norms } : about;
}

/**
 * FLOP/s of a rank, and seconds beside: lines through steps with whole batches and parts of them, and with fewer models.
 * BatchNorm of all ranks is not libtorch's own operator, so that one rank alone takes longer with it too.
 */
export function computing(scale: Scale, plan: MeasuredPlan): Pick<Machine, "speed" | "perModel" | "perStep"> {
  const { points, flops } = seriesOf(scale, 1, plan === "synchronised" ? plan : "replicated");
  const of = (models: number) => {
    const own = points.filter((point) => point.models === models);
    return {
      x: mean(own.map(({ batch }) => (flops * batch) / scale.batch)),
      y: mean(own.map(({ seconds }) => seconds)),
      own,
    };
  };
  const [all, half] = [of(scale.models), of(scale.models / 2)];
  const [above, below] = [all, half]
    .flatMap(({ own, x, y }) =>
      own.map(({ batch, seconds }) => {
        const dx = (flops * batch) / scale.batch - x;
        return [dx * (seconds - y), dx * dx];
      }),
    )
    .reduce(([a = 0, b = 0], [c = 0, d = 0]) => [a + c, b + d], [0, 0]);
  const slope = (above ?? 0) / (below ?? 1);
  const rest = ({ x, y }: { x: number; y: number }) => y - slope * x;
  const perModel = Math.max(0, (rest(all) - rest(half)) / (scale.models / 2));
  return { speed: 1 / slope, perModel, perStep: Math.max(0, rest(all) - scale.models * perModel) };
}

const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

/** The machine on which so many ranks compute beside each other, as it was when a plan was measured. */
export function machineOf(scale: Scale, ranks: number, plan: MeasuredPlan): Machine {
  const alone = seriesOf(scale, 1, "replicated");
  const own = scale.series.filter((one) => one.ranks === ranks);
  const limits = (of: MeasuredPlan) => seriesOf(scale, ranks, of).limits;
  const { small = 0 } = limits(plan) ?? {};
  const gradients = limits(plan === "sharded" ? "replicated" : plan)?.gradients ?? 0;
  // Other work on the machine only ever adds.
  const slower = Math.min(...own.map(({ probe }) => probe)) / alone.probe;
  const crowd = Math.max(1, ranks / scale.processors, slower);
  const hop = Math.max(0, small / (2 * (ranks - 1)) - 2 * fast.delay);
  const endless = Number.POSITIVE_INFINITY;
  const idle: Machine = { speed: endless, perModel: 0, perStep: 0, crowd: 1, rate: endless, hop };
  // An all_reduce of all gradients without computing: what is not delay is the machine's own rate, copies included.
  const work = workloadOf(scale, "replicated");
  const reduce = buckets(work.touched * work.parameters + work.common.parameters);
  const { bytes, seconds } = cost(reduce, ranks, fast, idle);
  return {
    ...computing(scale, plan),
    crowd,
    rate: bytes / Math.max(1e-9, gradients - seconds.delay),
    hop,
  };
}

export interface Compared {
  ranks: number;
  plan: MeasuredPlan;
  delayMs: number;
  mbits: number;
  measured: { seconds: number; bytes: number; collectives: number };
  predicted: StepCost;
  /** Of the seconds: predicted / measured - 1. */
  error: number;
}

export const planOf = (plan: MeasuredPlan): Plan => (plan === "sharded" ? "sharded" : "replicated");

/** Every measured point of several ranks beside its prediction. */
export function compared(scale: Scale): Compared[] {
  return scale.series
    .filter(({ ranks }) => ranks > 1)
    .flatMap(({ ranks, plan, points }) =>
      points.map(({ delayMs, mbits, seconds, sentBytes: bytes, collectives }) => {
        const link = { delay: delayMs / 1000, rate: (mbits * 1e6) / 8 };
        const predicted = stepCost(planOf(plan), workloadOf(scale, plan), ranks, link, machineOf(scale, ranks, plan));
        const measured = { seconds, bytes, collectives };
        return { ranks, plan, delayMs, mbits, measured, predicted, error: predicted.seconds.all / seconds - 1 };
      }),
    );
}

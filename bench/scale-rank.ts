/**
 * One rank of `scale.ts`: trains Hub-Pathway on random images by the loop of real runs, some steps for each line on standard
 * input, and writes a line of JSON with what these took. The hub is the first argument, the setting the second.
 */
import { createInterface } from "node:readline";
import { GradientSums, initProcessGroup, readContract } from "../src/distributed/index.ts";
import { loadMembers, loadShared, openHub, Residency } from "../src/hub/index.ts";
import { PathwayLearner } from "../src/methods/index.ts";
import { BatchNorm2d, countParameters, type Module, rowsOfRank } from "../src/nn/index.ts";
import { resolvePathwayConfig } from "../src/pathway/index.ts";
import {
  Generator,
  noGrad,
  ones,
  ownProcess,
  ProcessGroup,
  rand,
  randint,
  scope,
  setNumThreads,
  zeros,
} from "../src/torch/index.ts";
import {
  type Batch,
  type BatchSource,
  ClassificationTask,
  defaultTrainOptions,
  fit,
  type RunEvent,
} from "../src/train/index.ts";
import { median } from "./figure.ts";
import type { Counted, Facts, Measured, Norms, Setting } from "./scale-series.ts";

ownProcess();
const [dir = "", text = "{}"] = process.argv.slice(2);
const { plan, batch, steps, phases, side, classes, k, isBare } = JSON.parse(text) as Setting;
setNumThreads(1);
const contract = readContract();
// One rank has no group; but what BatchNorm of all ranks computes is to be known without what it sends.
const own = { rank: 0, worldSize: 1, host: "127.0.0.1", port: 0, serves: true };
const group = contract ? initProcessGroup(contract) : plan === "synchronised" ? new ProcessGroup(own) : undefined;
const [rank, worldSize] = [group?.rank ?? 0, group?.worldSize ?? 1];
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const write = (value: unknown) => console.log(JSON.stringify(value));

// ---- what crosses the network

let counted: Counted[] = [];
for (const name of ["allReduce", "startSum", "allGather", "allToAll"] as const) {
  const original = ProcessGroup.prototype[name] as (...args: unknown[]) => unknown;
  const counting = function (
    this: ProcessGroup,
    values: { numel(): number; requires_grad: boolean },
    ...rest: unknown[]
  ) {
    counted.push({ name, numbers: values.numel(), isTwice: values.requires_grad });
    return original.call(this, values, ...rest);
  };
  Object.defineProperty(ProcessGroup.prototype, name, { value: counting });
}

// ---- training

const hub = openHub(dir);
const shared = plan === "sharded" && group ? loadShared(hub, group) : undefined;
const members = shared?.members ?? loadMembers(hub);
const residency = (budget: number) => new Residency({ budget, folder: `${dir}-${rank}` });
const learner = new PathwayLearner({
  members,
  ...(shared && group ? { shards: { group, owners: shared.owners, residency } } : {}),
  task: new ClassificationTask(classes),
  // Without the random routes of the beginning, which need fewer collectives.
  config: resolvePathwayConfig({ k, warmup: 0 }, members.length),
  seed: 0,
  imageSize: side,
});

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function drawn(number: number): Batch {
  using generator = new Generator(1000 + number);
  const all = rand([batch, 3, side, side], { generator });
  const labels = randint(0, classes, [batch], { generator });
  const [first, end] = rowsOfRank(batch, { rank, worldSize });
  const [images, targets] = [all.narrow(0, first, end - first), labels.narrow(0, first, end - first)];
  const indices = Array.from({ length: end - first }, (_, i) => first + i);
  const dispose = () => {
    for (const tensor of [all, labels, images, targets]) tensor.dispose();
  };
  const part = group && { part: { rows: batch, first, all } };
  return { images, targets, labels: targets.toNumbers(), indices, ...part, dispose };
}

// ---- steps

let last: number | undefined;
let seconds: number[] = [];

/** An epoch is the steps after a line: the first one is not counted, since connections have to warm to a link. */
const batches: BatchSource = {
  stepsPerEpoch: steps + 1,
  async *epoch(epoch) {
    await lines.next();
    last = undefined;
    seconds = [];
    for (let step = 0; step <= steps; step++) yield drawn(100 * epoch + step);
  },
};

/** From the end of a step to that of the next one. */
function emit({ type }: RunEvent): void {
  if (type !== "step") return;
  const now = performance.now();
  if (last !== undefined) seconds.push((now - last) / 1000);
  last = now;
  if (seconds.length === steps) write({ seconds: median(seconds), counted } satisfies Measured);
  counted = [];
}

// ---- the machine's own limits

/** Median seconds, after once for nothing. */
function timed(times: number, work: () => void): number {
  const once = () => {
    const began = performance.now();
    scope(work);
    return (performance.now() - began) / 1000;
  };
  once();
  return median(Array.from({ length: times }, once));
}

/** Seconds of a forward pass of a model while all ranks compute: their mean, since processors go from one rank to another. */
function probe(): number {
  const passes = 20;
  using generator = new Generator(0);
  using images = rand([8, 3, side, side], { generator });
  group?.barrier();
  const all = () => Array.from({ length: passes }, () => scope(() => void learner.features(0, images)));
  return timed(1, () => noGrad(all)) / passes;
}

/** What a hop of small messages takes, and all gradients, which are zeros. */
function limits(): Facts["limits"] {
  if (!group || worldSize === 1 || isBare) return undefined;
  using few = ones([64]);
  const small = timed(40, () => void group.allReduce(few).narrow(0, 0, 1).item());
  if (plan === "sharded") return { small };
  const parameters = learner.module.parameters();
  for (const parameter of parameters) parameter.grad = zeros(parameter.shape);
  const gradients = timed(9, () => void new GradientSums(group).finish(parameters));
  for (const parameter of parameters) parameter.grad = undefined;
  return { small, gradients };
}

const [first] = learner.backbones;
if (!first) throw new RangeError("a hub without models");
const tensors = [...first.parameters(), ...(learner.module.heads[0]?.parameters() ?? [])];
const common = [...learner.module.generator.parameters(), ...learner.module.aggregation.parameters()];

function normsOf(module: Module): Norms {
  const norms = module.modules().filter((part) => part instanceof BatchNorm2d);
  return { layers: norms.length, channels: mean(norms.map(({ weight }) => weight.numel())) };
}

const facts: Facts = {
  probe: isBare ? Number.NaN : probe(),
  limits: limits(),
  parameters: countParameters(tensors),
  tensors: tensors.length,
  common: { parameters: countParameters(common), tensors: common.length, norms: normsOf(learner.module.generator) },
  norms: normsOf(first),
};
write(facts);
const { trainingFlops } = await fit({
  fit: "scale",
  learner,
  batches,
  options: { ...defaultTrainOptions, epochs: phases, batchNorm: plan === "synchronised" ? "batch" : "frozen" },
  checkpoint: undefined,
  identity: "scale",
  emit,
  group,
});
write({ flops: trainingFlops / phases / (steps + 1) });
process.exit(0);

/** What a training step of a member takes: seconds, and memory beside its weights. B rows of a step. */
import { type ImageInput, loadMember, type MemberEntry } from "../../hub/index.ts";
import { MemberLearner } from "../../methods/index.ts";
import { BatchNorm2d, blocksOf, type Module } from "../../nn/index.ts";
import { ActivationMeter, elementBytes, UserError } from "../../torch/index.ts";
import { type BatchSource, fit, type Task } from "../../train/index.ts";
import type { AutoRequest } from "./request.ts";

/** What of a member is trained: all weights, or low-rank changes beside them. */
export type Trained = "all" | "lora";

export interface StepCost {
  /** Of an image. */
  seconds: number;
  /** Bytes of an image that wait for the backward pass. */
  activations: number;
  /** The same where blocks compute twice. */
  recomputed: number;
  /** Parts of a batch would have other statistics than the batch. */
  needsWhole: boolean;
}

/** How a step is computed so that memory has room for it. */
export interface Way {
  parts: number;
  recomputes: boolean;
}

/** Images that say what memory a step takes, so few that they have room. */
const fewImages = 2;

/**
 * What an image costs in a step: its memory by a step of two images, its time by the second of two steps of as many as time and memory have room for.
 * @param seconds that the two steps should take together
 * @param memory bytes that a step may take beside weights and what goes with them
 * @returns undefined for a member that cannot be trained so
 */
export async function stepCost(
  entry: MemberEntry<ImageInput>,
  tune: Trained,
  task: Task,
  { hub, data, options, signal }: AutoRequest,
  { seconds, memory }: { seconds: number; memory: number },
): Promise<StepCost | undefined> {
  const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device, verified: true });
  const learner = new MemberLearner(member, task, options.seed);
  const items = data.items("train");
  const few = Math.min(fewImages, items.length, options.batchSize);
  const meter = new StepMeter(member.backbone);
  const isMixing = tune === "all" && options.batchNorm === "batch";
  const needsWhole = isMixing && member.backbone.modules().some((part) => part instanceof BatchNorm2d);
  let [rows, began] = [few, 0];
  const batches: BatchSource = {
    stepsPerEpoch: 3,
    async *epoch() {
      for (let step = 0; step < 3; step++) {
        for await (const batch of data.trainOn(items.slice(0, rows)).epoch(0, 0)) {
          began = performance.now();
          yield batch;
        }
        if (step > 0) continue;
        meter.stop();
        const affordable = Math.min(memory / (meter.whole / few), seconds / 2 / (secondsSince(began) / few));
        rows = Math.max(few, Math.min(items.length, options.batchSize, Math.floor(affordable)));
      }
    },
  };
  const asked = { ...options, tune, epochs: 1, generatorFactor: 1, iterations: 3, ...ownWay };
  try {
    const run = { fit: "step", learner, batches, options: asked, checkpoint: undefined, identity: "" };
    await fit({ ...run, emit: () => {}, signal });
  } catch (error) {
    // A program's layers cannot be reached, and a graph may have none that low-rank changes suit.
    if (tune === "lora" && error instanceof UserError) return undefined;
    throw error;
  } finally {
    learner.dispose();
  }
  return {
    seconds: secondsSince(began) / rows,
    activations: meter.whole / few,
    recomputed: meter.recomputed / few,
    needsWhole,
  };
}

/** Steps are measured whole, with images of their own. */
const ownWay = { frozenViews: undefined, accumulate: undefined, checkpointActivations: undefined };

const secondsSince = (began: number): number => (performance.now() - began) / 1000;

/** Bytes of a network's forward pass that wait for its backward pass: all, and those inside its blocks. */
class StepMeter {
  readonly #meter = new ActivationMeter();
  readonly #undo: (() => void)[];
  #inside = 0;
  #largest = 0;

  constructor(network: Module) {
    const blocks = blocksOf(network).map((block) =>
      block.wrap((x, forward) => {
        const before = this.#meter.bytes;
        const y = forward(x);
        const own = this.#meter.bytes - before;
        // Its output stays, as what the next block starts from.
        this.#inside += own - elementBytes(y.dtype) * y.numel();
        this.#largest = Math.max(this.#largest, own);
        return y;
      }),
    );
    this.#undo = [...blocks, network.wrap((x, forward) => this.#meter.count(() => forward(x)))];
  }

  get whole(): number {
    return this.#meter.bytes;
  }

  /** One block at a time has its own again. */
  get recomputed(): number {
    return this.#meter.bytes - this.#inside + this.#largest;
  }

  stop(): void {
    for (const undo of this.#undo) undo();
  }
}

/**
 * The quickest way to compute a step of members in turn, for which memory has room; undefined where none has.
 * @param memory bytes that a step may take beside weights and what goes with them
 * @param rows of a step, at most
 */
export function wayFor(
  costs: readonly StepCost[],
  {
    accumulate = 1,
    checkpointActivations = false,
  }: Pick<AutoRequest["options"], "accumulate" | "checkpointActivations">,
  memory: number,
  rows: number,
): Way | undefined {
  const needsWhole = costs.some((cost) => cost.needsWhole);
  for (const recomputes of checkpointActivations ? [true] : [false, true]) {
    const image = Math.max(...costs.map(({ activations, recomputed }) => (recomputes ? recomputed : activations)));
    const roomy = Math.floor(memory / image);
    if (roomy < 1) continue;
    const parts = Math.max(accumulate, Math.ceil(rows / roomy));
    if (parts === accumulate || !needsWhole) return { parts, recomputes };
  }
  return undefined;
}

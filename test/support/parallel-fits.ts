/** Fits of Hub-Pathway in float64 by the training loop itself, alone or as one rank, for the proof that both are the same. */
import { augmentations, Loader } from "../../src/data/index.ts";
import { PathwayLearner } from "../../src/methods/pathway-learner.ts";
import { resolvePathwayConfig } from "../../src/pathway/index.ts";
import { Generator, int64, memory, type ProcessGroup, rand, scope } from "../../src/torch/index.ts";
import { scaleFeatures } from "../../src/train/frozen/feature-scale.ts";
import {
  type BatchSource,
  ClassificationTask,
  defaultTrainOptions,
  fit,
  type RunEvent,
  type TrainOptions,
} from "../../src/train/index.ts";
import { toyMembers } from "./toy-hub.ts";
import { freezeStatistics } from "./toy-pathway.ts";

export interface Fitted {
  losses: number[];
  /** Rows of each model, of each epoch. */
  shares: (readonly number[] | undefined)[];
  weights: Record<string, number[]>;
  trainingFlops: number;
  /** Tensors that the last two epochs left behind; below zero where what was made before them was collected. */
  leaked: number;
}

const [classes, images, batch, side] = [4, 34, 12, 8];

/** What a run has several ranks do together. */
export const fitKinds = {
  credit: { credit: "losses", frozen: false, mixup: false },
  frozen: { credit: "losses", frozen: true, mixup: false },
  mixup: { credit: "weights", frozen: false, mixup: true },
} as const;

export type FitKind = keyof typeof fitKinds;

/** Images of random pixels, in float64, with their classes. */
function toyBatches(mixup: boolean, group: ProcessGroup | undefined): BatchSource {
  const loader = new Loader({
    store: {
      batch: async (indices) =>
        scope(() => {
          using generator = new Generator(5);
          const pixels = rand([images, 3, side, side], { generator }).mul(255);
          return pixels.to({ dtype: "uint8" }).index_select(0, int64(indices));
        }),
    },
    indices: Array.from({ length: images }, (_, i) => i),
    labels: Array.from({ length: images }, (_, i) => i % classes),
    classes,
    batchSize: batch,
    seed: 3,
    shuffle: true,
    augment: { ...augmentations.none, mixup: mixup ? 0.4 : 0 },
    rank: group,
  });
  return {
    stepsPerEpoch: loader.stepsPerEpoch,
    async *epoch(epoch, startStep) {
      for await (const { images, targets, labels, indices, part } of loader.epoch(epoch, startStep)) {
        const exact = images.to({ dtype: "float64" });
        images.dispose();
        const soft = targets.dim() === 2 ? targets.to({ dtype: "float64" }) : targets;
        if (soft !== targets) targets.dispose();
        const dispose = () => {
          exact.dispose();
          soft.dispose();
        };
        yield { images: exact, targets: soft, labels, indices, part, dispose };
      }
    },
  };
}

export async function fitToy(kind: FitKind, group?: ProcessGroup): Promise<Fitted> {
  const { credit, frozen, mixup } = fitKinds[kind];
  const m = 3;
  const members = toyMembers(m);
  const config = resolvePathwayConfig({ k: 2, credit, generatorWidth: 4, warmup: 0.2 }, m);
  const items = Array.from({ length: images }, (_, i) => i);
  const learner = new PathwayLearner({
    members,
    task: new ClassificationTask(classes, 0),
    config,
    seed: 1,
    imageSize: side,
    items,
  });
  if (frozen) learner.standardizers();
  learner.module.to({ dtype: "float64" });
  freezeStatistics(members);
  const batches = toyBatches(mixup, group);
  const scaling = frozen ? await scaleFeatures(learner, batches, { group }) : 0;
  // Not AdamW: see parallel-training.ts.
  const options: TrainOptions = {
    ...defaultTrainOptions,
    epochs: 3,
    batchSize: batch,
    optimizer: "sgd",
    lr: 0.01,
    ...(frozen ? { frozenViews: 1 } : {}),
  };
  const events: RunEvent[] = [];
  const place = { checkpoint: undefined, identity: "toy" };
  const handles: number[] = [];
  const emit = (event: RunEvent) => {
    events.push(event);
    if (event.type === "epoch") handles.push(memory().handles);
  };
  const { trainingFlops } = await fit({ fit: kind, learner, batches, options, ...place, emit, group });
  const weights = Object.fromEntries([...learner.module.stateDict()].map(([name, value]) => [name, value.toNumbers()]));
  learner.dispose();
  return {
    losses: events.flatMap((event) => (event.type === "step" ? [event.loss] : [])),
    shares: events.flatMap((event) => (event.type === "epoch" ? [event.shares] : [])),
    weights,
    trainingFlops: trainingFlops + scaling,
    leaked: (handles.at(-1) ?? 0) - (handles.at(-3) ?? 0),
  };
}

/**
 * Routed execution against running all models and masking, and against training each model alone on as many rows: m = 5
 * equal members, k = 2; and steadiness.
 */

import { accumulatedStep } from "../src/methods/accumulated-step.ts";
import { createBackbone } from "../src/models/index.ts";
import { AdamW } from "../src/optim/index.ts";
import type { PathwayMember } from "../src/pathway/index.ts";
import { HubPathway, resolvePathwayConfig } from "../src/pathway/index.ts";
import { Generator, int64, memory, RandomStreams, rand, randint, scope, type Tensor } from "../src/torch/index.ts";
import { type Backward, ClassificationTask, eventLoopTurn } from "../src/train/index.ts";
import { type Figure, inTurn, median, processorSeconds, ratioFigure, seconds } from "./figure.ts";

const [m, k, side, classes] = [5, 2, 48, 10];

/** A GPU is not busy with few images. */
const batchOf = (device: string) => (device === "cpu" ? 48 : 1024);

/** Steps of training: the method's, all models on all rows and masking, and each model alone on as many rows as it last got. */
type Kind = "routed" | "dense" | "alone";

const backward: Backward = (forward) => {
  using loss = scope(forward);
  if (loss.requires_grad) loss.backward();
  return loss.item(); // a GPU may be behind
};

function setup(device: string): (kind: Kind) => void {
  const batch = batchOf(device);
  const generator = new Generator(0);
  const members = Array.from({ length: m }, (_, i): PathwayMember => {
    const backbone = createBackbone(
      "resnet",
      { layers: [2, 2, 2, 2], width: 20, stem: "small", stemStride: 2 },
      { generator },
    );
    backbone.to({ memory_format: "channels_last", device });
    const features = (x: Tensor) => backbone.forward(x.contiguous("channels_last"));
    return { name: `member${i}`, featureWidth: backbone.featureWidth, backbone, flops: backbone.flops(side), features };
  });
  const config = resolvePathwayConfig({ k }, members.length);
  const model = new HubPathway({ members, outputs: classes, config, streams: new RandomStreams(0) });
  model.to({ device });
  const optimizer = new AdamW([{ params: model.parameters(), lr: 1e-4 }]);
  const images = scope(() => rand([batch, 3, side, side], { generator }).to({ device }));
  const targets = scope(() => randint(0, classes, [batch], { generator }).to({ device }));
  const task = new ClassificationTask(classes);
  const rowLoss = (logits: Tensor, rows?: Tensor) =>
    task.rowLoss(logits, rows ? targets.index_select(0, rows) : targets);
  const all = Array.from({ length: batch }, (_, row) => row);
  const ofAll = { progress: 0.5, ranges: [{ first: 0, rows: batch }], backward };
  let counts: readonly number[] = [];
  const dense = (): Tensor => {
    const routing = { ...model.route(images, 0.5), rows: members.map(() => all) };
    return model.losses(model.execute(images, routing), rowLoss, 0.5).total;
  };
  const alone = (i: number, rows: number): Tensor => {
    const own = int64(all.slice(0, rows), device);
    const logits = model.heads[i]?.forward(members[i]?.features(images.index_select(0, own)) as Tensor) as Tensor;
    return rowLoss(logits, own).mean();
  };
  const update = () =>
    scope(() => {
      optimizer.step();
      optimizer.zeroGrad();
    });
  return (kind) => {
    if (kind === "alone") {
      for (const [i, rows] of counts.entries()) {
        if (rows === 0) continue;
        backward(() => alone(i, rows));
        update();
      }
      return;
    }
    if (kind === "dense") backward(dense);
    else
      counts = scope(() => accumulatedStep({ module: model, task, batch: { images, targets }, ...ofAll })).rows ?? [];
    update();
  };
}

/** @param steadySteps steps over which live tensors and resident memory are watched */
export async function pathwayStep(rounds: number, steadySteps: number, device: string): Promise<Figure[]> {
  const step = setup(device);
  const clock = device === "cpu" ? processorSeconds : seconds;
  const timed = (kind: Kind) => () => clock(() => Array.from({ length: 3 }, () => step(kind))) / 3;
  await inTurn(2, timed("routed"), timed("dense"));
  const [routed, dense] = await inTurn(rounds, timed("routed"), timed("dense"));
  await inTurn(1, timed("routed"), timed("alone"));
  const [again, alone] = await inTurn(rounds, timed("routed"), timed("alone"));
  const note = `${device}, median of ${rounds} rounds in turn${device === "cpu" ? ", processor time" : ""}`;
  const name = `Hub-Pathway training step, m = ${m}, k = ${k}, batch ${batchOf(device)}`;
  const speed = ratioFigure(
    name,
    { what: "s, routed", value: median(routed) },
    { what: "s, all models and masking", value: median(dense) },
    0.36,
    note,
  );
  const apart = ratioFigure(
    `${name}, against its models alone`,
    { what: "s, routed", value: median(again) },
    { what: "s, a step of each model alone", value: median(alone) },
    1.05,
    note,
  );
  const start = { handles: memory().handles, resident: process.memoryUsage().rss };
  for (let i = 0; i < steadySteps; i++) {
    step("routed");
    // Node lets go of collected handles in a turn of its event loop alone, which training makes after each step.
    await eventLoopTurn();
  }
  const end = { handles: memory().handles, resident: process.memoryUsage().rss };
  return [
    speed,
    apart,
    {
      name: `live tensors after ${steadySteps} further steps`,
      ours: { what: "handles after", value: end.handles },
      other: { what: "handles before", value: start.handles },
      ratio: end.handles / start.handles,
      goal: "unchanged",
      met: end.handles === start.handles,
    },
    ratioFigure(
      `resident memory after ${steadySteps} further steps`,
      { what: "MiB after", value: end.resident / 2 ** 20 },
      { what: "MiB before", value: start.resident / 2 ** 20 },
      1.05,
    ),
  ];
}

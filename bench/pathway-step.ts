/** Routed execution against running all models and masking: m = 5 equal members, k = 2; and steadiness. */

import { createBackbone } from "../src/models/index.ts";
import { AdamW } from "../src/optim/index.ts";
import type { PathwayMember } from "../src/pathway/index.ts";
import { HubPathway, type Routing, resolvePathwayConfig } from "../src/pathway/index.ts";
import { Generator, memory, ops, RandomStreams, rand, randint, scope, type Tensor } from "../src/torch/index.ts";
import { type Figure, inTurn, median, ratioFigure, seconds } from "./figure.ts";

const [m, k, side, classes] = [5, 2, 48, 10];

/** A GPU is not busy with few images. */
const batchOf = (device: string) => (device === "cpu" ? 48 : 1024);

interface Setup {
  model: HubPathway;
  step(dense: boolean): void;
}

function setup(device: string): Setup {
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
  const rowLoss = (logits: Tensor, rows?: Tensor) =>
    ops.cross_entropy_loss(logits, rows ? targets.index_select(0, rows) : targets, undefined, 0);
  const all = Array.from({ length: batch }, (_, row) => row);
  const step = (dense: boolean): void => {
    const loss = scope(() => {
      const routed = model.route(images, 0.5);
      const routing: Routing = dense ? { ...routed, rows: routed.rows.map(() => all) } : routed;
      return model.losses(model.execute(images, routing), rowLoss, 0.5).total;
    });
    scope(() => {
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    loss.item(); // a GPU may be behind
    loss.dispose();
  };
  return { model, step };
}

/** @param steadySteps steps over which live tensors and resident memory are watched */
export async function pathwayStep(rounds: number, steadySteps: number, device: string): Promise<Figure[]> {
  const { step } = setup(device);
  const timed = (dense: boolean) => () => seconds(() => Array.from({ length: 3 }, () => step(dense))) / 3;
  await inTurn(2, timed(false), timed(true));
  const [routed, dense] = await inTurn(rounds, timed(false), timed(true));
  const speed = ratioFigure(
    `Hub-Pathway training step, m = ${m}, k = ${k}, batch ${batchOf(device)}`,
    { what: "s, routed", value: median(routed) },
    { what: "s, all models and masking", value: median(dense) },
    0.5,
    `${device}, median of ${rounds} rounds in turn`,
  );
  const start = { handles: memory().handles, resident: process.memoryUsage().rss };
  for (let i = 0; i < steadySteps; i++) step(false);
  const end = { handles: memory().handles, resident: process.memoryUsage().rss };
  return [
    speed,
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

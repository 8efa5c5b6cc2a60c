/**
 * Hubs with a known best model for every input: the space of inputs falls into m regions, and expert r reads the class
 * correctly inside region r only; elsewhere it reads a decoy that says nothing. m experts, C classes, B batch.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Module } from "../../../src/nn/index.ts";
import { AdamW } from "../../../src/optim/index.ts";
import { HubPathway, type PathwayConfig, randomRoutes, resolvePathwayConfig } from "../../../src/pathway/index.ts";
import type { PathwayMember } from "../../../src/pathway/member.ts";
import {
  cat,
  Generator,
  inferenceMode,
  ops,
  RandomStreams,
  randint,
  scope,
  type Tensor,
} from "../../../src/torch/index.ts";

const m = 4;
const classes = 4;

/** Frozen: it has no parameters. */
class Expert extends Module {
  readonly #region: number;

  constructor(region: number) {
    super();
    this.#region = region;
  }

  override forward(images: Tensor): Tensor {
    const level = (channel: number) => images.select(1, channel).mean([1, 2]);
    const code = (channel: number, count: number) =>
      ops
        .round(level(channel).mul(count).sub(0.5))
        .clamp(0, count - 1)
        .to({ dtype: "int64" });
    const inside = code(0, m).eq(this.#region).unsqueeze(1);
    const read = (channel: number) => ops.one_hot(code(channel, classes), classes).to({ dtype: "float32" });
    return ops.where(inside, read(1), read(2)).mul(4);
  }
}

function experts(): PathwayMember[] {
  return Array.from({ length: m }, (_, region) => {
    const backbone = new Expert(region);
    return {
      name: `expert${region}`,
      featureWidth: classes,
      backbone,
      flops: 1,
      features: (x: Tensor) => backbone.forward(x),
    };
  });
}

interface Sample {
  images: Tensor;
  labels: Tensor;
  regions: number[];
}

function draw(count: number, generator: Generator): Sample {
  const [region, label, decoy] = [m, classes, classes].map((high) => randint(0, high, [count], { generator })) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const plane = (code: Tensor, of: number) =>
    code.to({ dtype: "float32" }).add(0.5).div(of).view([count, 1, 1, 1]).expand([count, 1, 8, 8]);
  const clean = cat([plane(region, m), plane(label, classes), plane(decoy, classes)], 1);
  const noise = ops.empty_like(clean.contiguous()).normal_(0, 0.02, { generator });
  return { images: clean.add(noise), labels: label, regions: region.toNumbers() };
}

function train(choices: Partial<PathwayConfig>, steps: number, seed: number): HubPathway {
  const members = experts();
  const config = resolvePathwayConfig(choices, members.length);
  const model = new HubPathway({ members, outputs: classes, config, streams: new RandomStreams(seed) });
  const groups = model.parameterGroups();
  const optimizer = new AdamW([
    { params: groups.newLayers, lr: 0.02, weight_decay: 0 },
    { params: groups.generator, lr: 0.01, weight_decay: 0 },
  ]);
  const data = new Generator(seed + 50);
  model.train();
  for (let step = 0; step < steps; step++) {
    const progress = step / steps;
    const loss = scope(() => {
      const { images, labels } = draw(64, data);
      const rowLoss = (logits: Tensor, rows?: Tensor) =>
        ops.cross_entropy_loss(logits, rows ? labels.index_select(0, rows) : labels, undefined, 0);
      return model.losses(model.execute(images, model.route(images, progress)), rowLoss, progress).total;
    });
    scope(() => {
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    loss.dispose();
  }
  optimizer.dispose();
  return model.eval();
}

function accuracies(model: HubPathway, k: number, seed: number) {
  return scope(() =>
    inferenceMode(() => {
      const { images, labels, regions } = draw(1000, new Generator(seed + 99));
      const right = (logits: Tensor) => logits.argmax(1).eq(labels).to({ dtype: "float32" }).mean().item();
      const scores = model.generator.forward(images);
      const along = (routes: number[][]) => right(model.execute(images, model.along(scores, routes)).logits);
      return {
        ours: right(model.forward(images)),
        oracle: along(regions.map((region) => [region])),
        single: Math.max(...Array.from({ length: m }, (_, i) => along(regions.map(() => [i])))),
        random: along(randomRoutes(1000, m, k, new Generator(seed))),
      };
    }),
  );
}

// Aggregation, k, steps that the heads need to read their experts, and a seed.
const settings = [
  ["logits", 1, 400, 1],
  ["logits", 2, 200, 2],
] as const;
for (const [aggregation, k, steps, seed] of settings) {
  test(`the router finds the best expert of each input: ${aggregation}, k = ${k}`, () => {
    const model = train({ aggregation, k, tau: 1, beta: 1, generatorWidth: 4, warmup: 0.05 }, steps, seed);
    const { ours, oracle, single, random } = accuracies(model, k, seed);
    const text = `ours ${ours}, oracle ${oracle}, best single ${single}, random ${random}`;
    assert.ok(oracle > 0.9, text);
    assert.ok(ours >= 0.95 * oracle, text);
    assert.ok(ours > single + 0.2 && ours > random + 0.2, text);
    model.dispose();
  });
}

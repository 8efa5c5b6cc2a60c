/** Hub-Pathway over toy members in float64, with scores that differ between rows and models. */
import type { BatchNorm2d } from "../../src/nn/index.ts";
import {
  HubPathway,
  type HubPathwayOptions,
  type PathwayConfig,
  type RowLoss,
  resolvePathwayConfig,
} from "../../src/pathway/index.ts";
import { Generator, ops, RandomStreams, rand, scope, type Tensor } from "../../src/torch/index.ts";
import { type ToyMember, toyMembers } from "./toy-hub.ts";

const float64 = { dtype: "float64" } as const;
export const classes = 4;

export function build(
  m: number,
  config: Partial<PathwayConfig>,
  seed = 1,
  make = (options: HubPathwayOptions) => new HubPathway(options),
): { model: HubPathway; members: ToyMember[] } {
  const members = toyMembers(m, seed);
  const streams = new RandomStreams(seed);
  const model = make({
    members,
    outputs: classes,
    config: resolvePathwayConfig({ beta: 1, generatorWidth: 4, projectionWidth: 6, ...config }, m),
    streams,
  });
  model.to(float64);
  // Scores that differ between rows and models, as after some training.
  const score = model.generator.namedParameters().get("score.weight");
  scope(() => score?.detach().normal_(0, 2, { generator: new Generator(seed + 7) }));
  return { model, members };
}

export function freezeStatistics(members: readonly ToyMember[]): void {
  for (const member of members) (member.backbone.norm as BatchNorm2d).policy = "running";
}

export function images(rows: number, seed = 3): Tensor {
  return rand([rows, 3, 8, 8], { generator: new Generator(seed), dtype: "float64" });
}

export function crossEntropy(targets: Tensor): RowLoss {
  return (logits, rows) => ops.cross_entropy_loss(logits, rows ? targets.index_select(0, rows) : targets, undefined, 0);
}

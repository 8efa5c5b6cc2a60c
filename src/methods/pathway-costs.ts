/** What one image costs in the parts of a trained Hub-Pathway: by count, and by the clock. S side of the images, m models. */
import { evaluating } from "../models/index.ts";
import type { Linear } from "../nn/index.ts";
import type { HubPathway } from "../pathway/index.ts";
import { countFlops, inferenceMode, scope, type Tensor, zeros } from "../torch/index.ts";
import { headFlops } from "./member-learner.ts";

/** Of one image, in the generator and in each member with its head, [m]. */
export interface Costs {
  generator: number;
  members: number[];
}

/** Forward FLOPs of one image of S pixels. */
export function flopsOf({ generator, heads, members, isRandom }: HubPathway, side: number): Costs {
  const device = heads[0]?.weight.device;
  const score = () => countFlops(() => inferenceMode(() => generator.forward(zeros([1, 3, side, side], { device }))));
  return {
    generator: isRandom ? 0 : scope(() => evaluating(generator, score)),
    members: members.map(({ flops }, i) => flops + headFlops(heads[i] as Linear)),
  };
}

/** Milliseconds of one image of S pixels, 0 for members that are not present: of batches of 16, the fastest of three. */
export function timesOf(module: HubPathway, side: number, present: readonly number[]): Costs {
  const { generator, heads, members, isRandom } = module;
  const rows = 16;
  using images = zeros([rows, 3, side, side], { device: heads[0]?.weight.device });
  const fastest = (run: () => Tensor): number => {
    const times = Array.from({ length: 4 }, () => {
      const began = performance.now();
      scope(() => inferenceMode(() => run().sum().item()));
      return (performance.now() - began) / rows;
    });
    return Math.min(...times.slice(1));
  };
  return {
    generator: isRandom ? 0 : fastest(() => generator.forward(images)),
    members: members.map((member, i) =>
      present.includes(i) ? fastest(() => (heads[i] as Linear).forward(member.features(images))) : 0,
    ),
  };
}

/**
 * DELTA (Li, Xiong, Wang, Rao, Liu & Huan, "DELTA: Deep Learning Transfer using Feature Map with Attention for
 * Convolutional Networks", ICLR 2019, sections 3.1 to 3.3): fine-tuning that holds feature maps, and not weights, near those of
 * the pre-trained network,
 *
 *   alpha Σ over layers Σ over channels j of W_j |FM_j(w, x) - FM_j(w0, x)|².
 *
 * The attention W_j is what the task loses without channel j: the softmax over a layer's channels of the rise of the
 * loss when the pre-trained network, with a head trained on the target, runs without it. As in the authors' program the
 * rises are standardised and divided by 5 before the softmax, the squared distance is divided by the map's pixels and
 * multiplied by half the number of channels, and the layers are the ends of a residual network's stages. This project's
 * choices: the mean over the batch, where the authors sum, and the last convolution at each size of map as the layers of
 * other networks. n images, c channels.
 */
import { z } from "zod";
import type { HubMember } from "../hub/index.ts";
import {
  ConfigError,
  cat,
  disposeTree,
  FlopMeter,
  inferenceMode,
  noGrad,
  scope,
  seedOf,
  type Tensor,
  tensor,
} from "../torch/index.ts";
import { forEachBatch, type MethodContext, type Task } from "../train/index.ts";
import { weight } from "./choices.ts";
import { FeatureMaps, lastConvolutions, type MapPlace } from "./feature-maps.ts";
import { loadOne, singleMemberMethod } from "./fine-tune.ts";
import { type LinearProbe, linearProbeLearner } from "./linear-probe.ts";
import { MemberLearner, type MemberStep, type Penalty } from "./member-learner.ts";

/** Softmax of what the loss rises without each channel, standardised and divided by 5; sums to one. */
export function channelAttention(rises: readonly number[]): number[] {
  const mean = rises.reduce((sum, rise) => sum + rise, 0) / rises.length;
  const deviation = Math.sqrt(rises.reduce((sum, rise) => sum + (rise - mean) ** 2, 0) / rises.length);
  const scores = rises.map((rise) => Math.exp(deviation > 0 ? (rise - mean) / deviation / 5 : 0));
  const total = scores.reduce((sum, score) => sum + score, 0);
  return scores.map((score) => score / total);
}

/** c / 2 times the mean over images of Σ over channels of W_j |a_j - b_j|² / pixels, of maps [n, c, h, w]. */
export function attendedDistance(a: Tensor, b: Tensor, attention: Tensor): Tensor {
  const distances = a.sub(b).square().mean([2, 3]).mean(0);
  return distances
    .mul(attention)
    .sum()
    .mul(attention.size(0) / 2);
}

/** A network that runs without single channels, and its loss. */
interface Ablation {
  /** Mean loss over the images; without one channel of one place where they are given. */
  loss(place?: number, channel?: number): number;
}

/** Attention over the channels of each place. */
export function attentionOf(ablation: Ablation, places: readonly MapPlace[]): number[][] {
  const whole = ablation.loss();
  return places.map(({ channels }, place) =>
    channelAttention(Array.from({ length: channels }, (_, channel) => ablation.loss(place, channel) - whole)),
  );
}

/** The pre-trained network with its trained head, over some training images. */
function probeAblation(probe: LinearProbe, maps: FeatureMaps, task: Task, images: Tensor, targets: Tensor): Ablation {
  return {
    loss: (place, channel) =>
      scope(() =>
        inferenceMode(() => {
          maps.change = (map, at) => {
            if (at !== place || channel === undefined) return map;
            map.select(1, channel).zero_();
            return map;
          };
          const logits = maps.use(() => probe.module.forward(images));
          maps.change = undefined;
          return task.rowLoss(logits, targets).mean().item();
        }),
      ),
  };
}

/** Training images as they are, and their targets; the caller disposes both. */
async function someImages(context: MethodContext, count: number): Promise<{ images: Tensor; targets: Tensor }> {
  const batches = context.data.open("train", Math.min(count, context.data.counts.train));
  const parts: { images: Tensor[]; targets: Tensor[] } = { images: [], targets: [] };
  try {
    const work = { work: "attention of feature maps", signal: context.signal };
    await forEachBatch(batches.epoch(0, 0), work, (batch) => {
      parts.images.push(batch.images.clone());
      parts.targets.push(batch.targets.clone());
    });
    return { images: cat(parts.images), targets: cat(parts.targets) };
  } finally {
    disposeTree(parts);
  }
}

class DeltaLearner extends MemberLearner {
  override readonly readsImages = true;
  readonly #source: LinearProbe;
  readonly #alpha: number;
  readonly #attention: readonly Tensor[];
  readonly #maps: { own: FeatureMaps; source: FeatureMaps };

  /** @param source the pre-trained network, which the learner then owns, with the watch over its maps */
  constructor(
    member: HubMember,
    context: MethodContext,
    source: { probe: LinearProbe; maps: FeatureMaps; places: readonly MapPlace[]; attention: readonly number[][] },
    alpha: number,
  ) {
    super(member, context.task, seedOf(context.options.seed, member.name));
    this.#alpha = alpha;
    this.#source = source.probe;
    this.#source.eval();
    const device = member.backbone.parameters()[0]?.device;
    this.#attention = source.attention.map((weights) => tensor([...weights], { device }));
    this.#maps = { own: new FeatureMaps(member.backbone, source.places), source: source.maps };
  }

  protected override penalty({ batch }: MemberStep): Penalty {
    noGrad(() => this.#source.features(0, batch.images));
    const loss = this.#maps.own.use((own) =>
      this.#maps.source.use((source) => {
        const parts = own.map((map, i) => attendedDistance(map, source[i] as Tensor, this.#attention[i] as Tensor));
        return parts.reduce((sum, next) => sum.add(next));
      }),
    );
    return { loss: loss.mul(this.#alpha), logs: { distance: loss.item() } };
  }

  override predict(images: Tensor): ReturnType<MemberLearner["predict"]> {
    return this.#maps.own.use(() => super.predict(images));
  }

  override features(backbone: number, images: Tensor): Tensor {
    return this.#maps.own.use(() => super.features(backbone, images));
  }

  override dispose(): void {
    super.dispose();
    this.#source.dispose();
    disposeTree([...this.#attention]);
  }
}

const choices = z.object({
  alpha: weight.default(0.001),
  /** Training images that the attention is measured on. */
  images: z.int().min(1).default(32),
});

async function deltaLearner(
  name: string,
  context: MethodContext,
  chosen: z.output<typeof choices>,
): Promise<DeltaLearner> {
  const member = loadOne(context, name);
  const places = lastConvolutions(member.backbone, member.entry.input.size);
  if (places.length < 2) {
    member.dispose();
    throw new ConfigError(`delta compares the feature maps of convolutions, and the member "${name}" has none inside`);
  }
  const probe = linearProbeLearner(name, context);
  await context.fit(`${name}-probe`, probe);
  const maps = new FeatureMaps(probe.backbones[0] as LinearProbe["module"], places);
  const { attention, flops } = await context.decide(`attention-${name}`, async () => {
    const { images, targets } = await someImages(context, chosen.images);
    probe.eval();
    const meter = new FlopMeter();
    const lossWithout = probeAblation(probe, maps, context.task, images, targets);
    const attention = meter.count(() => attentionOf(lossWithout, places));
    disposeTree([images, targets]);
    return { attention, flops: meter.total };
  });
  context.spend(flops);
  return new DeltaLearner(member, context, { probe, maps, places, attention }, chosen.alpha);
}

export const delta = singleMemberMethod({ name: "delta", version: 2 }, choices, deltaLearner);

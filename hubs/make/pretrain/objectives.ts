/**
 * Pre-training objectives: a loss with its own head on a backbone, and a figure of quality on held-out images.
 * B batch, S side, d feature width, N held-out images.
 */
import type { Backbone } from "../../../src/models/index.ts";
import { Linear, Module } from "../../../src/nn/index.ts";
import { cat, type Generator, ops, scope, type Tensor, tensor, zeros } from "../../../src/torch/index.ts";

export type ObjectiveName = "classification" | "rotation" | "contrastive" | "segmentation";

/** Two independent views of the same images, and what is known of them. */
export interface Views {
  /** [B, 3, S, S], normalised. */
  first: Tensor;
  second: Tensor | undefined;
  /** Foreground of the first view, [B, S, S]. */
  alpha: Tensor;
  /** int64 [B]; -1 where there is none. */
  labels: Tensor;
}

export interface Objective {
  readonly head: Module;
  /** True when a second view is needed. */
  readonly paired: boolean;
  loss(backbone: Backbone, views: Views): Tensor;
  /** Right answers of a batch, between 0 and B; [what is counted in words] is `measure`. */
  score(backbone: Backbone, views: Views): number;
  readonly measure: string;
}

/** @param classes number of classes, for the objective that has any */
export function createObjective(
  name: ObjectiveName,
  width: number,
  classes: number,
  side: number,
  generator: Generator,
): Objective {
  if (name === "classification") return new Classification(width, classes, generator);
  if (name === "rotation") return new Rotation(width, generator);
  if (name === "segmentation") return new Segmentation(width, side, generator);
  return new Contrastive(width, generator);
}

const none = { labelSmoothing: 0.1, ignored: -1, mean: 1 };

class Classification implements Objective {
  readonly head: Linear;
  readonly paired = false;
  readonly measure: string;

  constructor(width: number, classes: number, generator: Generator) {
    this.head = new Linear(width, classes, { generator });
    this.measure = `top-1 accuracy over ${classes} classes`;
  }

  loss(backbone: Backbone, views: Views): Tensor {
    const logits = this.head.forward(backbone.forward(views.first)).to({ dtype: "float32" });
    return ops.cross_entropy_loss(logits, views.labels, undefined, none.mean, none.ignored, none.labelSmoothing);
  }

  score(backbone: Backbone, views: Views): number {
    return this.head.forward(backbone.forward(views.first)).argmax(1).eq(views.labels).sum().item();
  }
}

/** Prediction of the quarter turn, one of four, that was applied (Gidaris et al. 2018). */
class Rotation implements Objective {
  readonly head: Linear;
  readonly paired = false;
  readonly measure = "accuracy of telling four rotations apart";

  constructor(width: number, generator: Generator) {
    this.head = new Linear(width, 4, { generator });
  }

  loss(backbone: Backbone, views: Views): Tensor {
    const { images, turns } = this.#turned(views.first);
    const logits = this.head.forward(backbone.forward(images)).to({ dtype: "float32" });
    return ops.cross_entropy_loss(logits, turns, undefined, none.mean);
  }

  score(backbone: Backbone, views: Views): number {
    const { images, turns } = this.#turned(views.first);
    return this.head.forward(backbone.forward(images)).argmax(1).eq(turns).sum().item();
  }

  /** Row i is turned by i mod 4 quarters: batches are shuffled, so this is as good as chance. */
  #turned(images: Tensor): { images: Tensor; turns: Tensor } {
    const batch = images.size(0);
    const turns = BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % 4));
    const parts = [0, 1, 2, 3].map((turn) => quarterTurns(ops.slice(images, 0, turn, batch, 4), turn));
    const order = [0, 1, 2, 3].flatMap((turn) =>
      Array.from({ length: batch }, (_, i) => i).filter((i) => i % 4 === turn),
    );
    const back = new BigInt64Array(batch);
    for (const [position, original] of order.entries()) back[original] = BigInt(position);
    return { images: cat(parts, 0).index_select(0, tensor(back)), turns: tensor(turns) };
  }
}

function quarterTurns(images: Tensor, turns: number): Tensor {
  if (turns === 0) return images;
  if (turns === 2) return images.flip([2, 3]);
  const swapped = images.transpose(2, 3);
  return swapped.flip([turns === 1 ? 2 : 3]);
}

/** Foreground against a random background: each cell of the feature map predicts its own patch of the mask. */
class Segmentation implements Objective {
  readonly head: Linear;
  readonly paired = false;
  readonly measure = "foreground intersection over union";
  readonly #side: number;

  constructor(width: number, side: number, generator: Generator) {
    this.#side = side;
    this.head = new Linear(width, 16 * 16, { generator });
  }

  #logits(backbone: Backbone, images: Tensor): Tensor {
    const map = backbone.forwardMap(images);
    const [batch, cells] = [map.size(0), map.size(2)];
    const patch = this.#side / cells;
    if (patch * patch !== this.head.weight.size(0))
      throw new Error(`a cell covers ${patch} pixels, the head predicts 16`);
    const patches = this.head.forward(map.permute([0, 2, 3, 1])).to({ dtype: "float32" });
    return patches
      .reshape([batch, cells, cells, patch, patch])
      .permute([0, 1, 3, 2, 4])
      .reshape([batch, this.#side, this.#side]);
  }

  loss(backbone: Backbone, views: Views): Tensor {
    const logits = this.#logits(backbone, views.first);
    return ops.binary_cross_entropy_with_logits(logits, views.alpha, undefined, undefined, none.mean);
  }

  score(backbone: Backbone, views: Views): number {
    const predicted = this.#logits(backbone, views.first).gt(0);
    const truth = views.alpha.gt(0.5);
    const both = predicted.logical_and(truth).to({ dtype: "float32" }).sum([1, 2]);
    const either = ops.logical_or(predicted, truth).to({ dtype: "float32" }).sum([1, 2]);
    return both.add(1).div(either.add(1)).sum().item();
  }
}

/** Two views of one image agree more than those of different images (SimCLR, Chen et al. 2020). */
class Contrastive implements Objective {
  readonly head: Projection;
  readonly paired = true;
  readonly measure = "retrieval of an image's other view within the batch";

  constructor(width: number, generator: Generator) {
    this.head = new Projection(width, generator);
  }

  loss(backbone: Backbone, views: Views): Tensor {
    const similarity = this.#similarity(backbone, views).div(0.2);
    const batch = similarity.size(0) / 2;
    const partner = BigInt64Array.from({ length: 2 * batch }, (_, i) => BigInt((i + batch) % (2 * batch)));
    return ops.cross_entropy_loss(similarity, tensor(partner), undefined, none.mean);
  }

  score(backbone: Backbone, views: Views): number {
    const similarity = this.#similarity(backbone, views);
    const batch = similarity.size(0) / 2;
    const partner = BigInt64Array.from({ length: 2 * batch }, (_, i) => BigInt((i + batch) % (2 * batch)));
    return similarity.argmax(1).eq(tensor(partner)).sum().item() / 2;
  }

  /** Cosine similarities [2B, 2B], an image's own left out. */
  #similarity(backbone: Backbone, views: Views): Tensor {
    if (!views.second) throw new Error("the contrastive objective needs two views");
    const images = cat([views.first, views.second], 0).contiguous("channels_last");
    const z = this.head.forward(backbone.forward(images)).to({ dtype: "float32" });
    const unit = z.div(z.norm(2, 1, true).add(1e-6));
    const own = ops.eye(z.size(0), { dtype: "bool" });
    return unit.matmul(unit.t()).masked_fill(own, -1e4);
  }
}

class Projection extends Module {
  readonly #hidden: Linear;
  readonly #out: Linear;

  constructor(width: number, generator: Generator) {
    super();
    this.#hidden = this.module("hidden", new Linear(width, 2 * width, { generator }));
    this.#out = this.module("out", new Linear(2 * width, 96, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return this.#out.forward(this.#hidden.forward(x).relu());
  }
}

/** Colours [B][3] behind drawings: white for a good part of them, any colour for the rest. */
export function randomBackgrounds(batch: number, random: () => number, whitePart: number): Float32Array {
  const colours = new Float32Array(batch * 3).fill(1);
  for (let i = 0; i < batch; i++) {
    if (random() >= whitePart) for (let c = 0; c < 3; c++) colours[i * 3 + c] = random();
  }
  return colours;
}

/** One-colour drawings in a random colour: black glyphs and icons say nothing about colour. */
export function recolour(rgba: Tensor, random: () => number): Tensor {
  return scope(() => {
    const batch = rgba.size(0);
    const colours = Float32Array.from({ length: batch * 3 }, () => random());
    const painted = zeros([batch, 3, rgba.size(2), rgba.size(3)]).add(tensor(colours, { shape: [batch, 3, 1, 1] }));
    return cat([painted, rgba.narrow(1, 3, 1)], 1);
  });
}

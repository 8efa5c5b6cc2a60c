/** The members of synthetic hubs: real members of the hub, over networks small enough to be known. n images. */
import { HubMember, type ImageInput, type MemberEntry } from "../../hub/index.ts";
import { Backbone } from "../../models/index.ts";
import { Conv2d, Linear } from "../../nn/index.ts";
import { Generator, noGrad, scope, seedOf, type Tensor, tensor } from "../../torch/index.ts";
import { classPatterns, imageSide, pixelNoise, tileCorner, tileSide, tilesInRow, type World } from "./world.ts";

/**
 * Factor of the experts' features: a head then learns within a few hundred steps at the usual learning rate, as over
 * the wide features of a real network.
 */
const gain = 8;

/** Matched filters for the classes' patterns on one tile of channel 1: [n, C]. */
class TileExpert extends Backbone {
  readonly featureWidth: number;
  readonly #filters: Conv2d;
  readonly #corner: { x: number; y: number };

  constructor(world: World, tile: number) {
    super();
    this.featureWidth = world.classes;
    this.#corner = tileCorner(tile);
    using generator = new Generator(0);
    this.#filters = this.module("filters", new Conv2d(1, world.classes, tileSide, { bias: false, generator }));
    const patterns = classPatterns(world.classes).map((pattern) => [...pattern]);
    scope(() => noGrad(() => this.#filters.weight.copy_(tensor(patterns).mul(gain).view(this.#filters.weight.shape))));
  }

  override forwardMap(x: Tensor): Tensor {
    const { x: left, y: top } = this.#corner;
    return this.#filters.forward(x.narrow(1, 1, 1).narrow(2, top, tileSide).narrow(3, left, tileSide));
  }
}

/** A linear view of the tiles: it can trust one, or mix them, but sees no cue to choose by. [n, 8] */
class Newcomer extends Backbone {
  readonly featureWidth = 8;
  readonly #filters: Linear;
  readonly #height: number;

  constructor(world: World, seed: number) {
    super();
    this.#height = tileSide * Math.ceil(world.members / tilesInRow);
    using generator = new Generator(seedOf(seed, "newcomer"));
    this.#filters = this.module("filters", new Linear(this.#height * imageSide, this.featureWidth, { generator }));
  }

  override forwardMap(x: Tensor): Tensor {
    const seen = x.narrow(1, 1, 1).narrow(2, 0, this.#height);
    return this.#filters.forward(seen.reshape([x.size(0), -1])).view([x.size(0), this.featureWidth, 1, 1]);
  }
}

/** Expert i is good in the domains that the world says, and stays as it is. */
export function experts(world: World): HubMember[] {
  return Array.from({ length: world.members }, (_, i) => member(`expert-${i}`, new TileExpert(world, i)));
}

/** Members with the same weights, to be trained. */
export function newcomers(world: World, count: number, seed: number): HubMember[] {
  return Array.from({ length: count }, (_, i) => member(`newcomer-${i}`, new Newcomer(world, seed)));
}

function member(name: string, backbone: Backbone): HubMember {
  const entry: MemberEntry<ImageInput> = {
    name,
    architecture: "synthetic",
    config: {},
    // Their weights are made above: no file is read.
    weights: { file: `${name}.safetensors`, format: "safetensors", sha256: "0".repeat(64), files: [] },
    keyMap: { prefix: "", drop: [], rename: {} },
    featureWidth: backbone.featureWidth,
    input: {
      kind: "image",
      size: imageSide,
      mean: [0.5, 0.5, 0.5],
      std: [pixelNoise, pixelNoise, pixelNoise],
      interpolation: "bilinear",
      channelOrder: "rgb",
    },
    pretraining: { data: "none", paradigm: "known by construction" },
    licence: "Apache-2.0",
    source: "made by the experiment",
  };
  return new HubMember("", entry, backbone);
}

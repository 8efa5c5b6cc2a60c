/**
 * Rotary positions of patches as in DINOv3 (Siméoni et al., 2025, after Su et al., "RoFormer", 2021): pairs of channels are
 * turned by angles that grow along both sides of the image. h heads, N tokens, c channels of a head.
 */
import { Module } from "../../nn/index.ts";
import { cat, type Dtype, ops, scope, type Tensor, tensor, zeros } from "../../torch/index.ts";

/** Ratio of the longest period to the shortest one. */
const temperature = 100;

/** Heads of DINOv3's networks by the width of their tokens: 64 channels each, 128 in the largest one. */
export function rotaryHeads(dim: number): number {
  return dim / (dim === 4096 ? 128 : 64);
}

/** Periods of a quarter of a head's channels, in image sides. */
export function rotaryPeriods(count: number): number[] {
  return Array.from({ length: count }, (_, i) => temperature ** (i / count));
}

/** Turns the patches' channels; tokens before them stay as they are. */
export class Rotary extends Module {
  readonly #periods: Tensor;
  /** Row and column of each patch, from -1 to 1. */
  readonly #places: readonly number[];
  readonly #prefix: number;

  /**
   * @param channels of a head, a multiple of four
   * @param side patches along a side of the image
   * @param prefix tokens before the patches
   */
  constructor(channels: number, side: number, prefix: number, device: string | undefined) {
    super();
    this.#periods = this.buffer("periods", tensor(rotaryPeriods(channels / 4), { device }));
    this.#prefix = prefix;
    const at = (i: number): number => (2 * (i + 0.5)) / side - 1;
    this.#places = Array.from({ length: side ** 2 }, (_, i) => [at(Math.floor(i / side)), at(i % side)]).flat();
  }

  override forward(x: Tensor): Tensor {
    return this.turning(x.size(-1), x.dtype)(x);
  }

  /** What turns queries and keys [B, h, N, c] of a type; the angles are computed once for both. */
  turning(channels: number, as: Dtype): (x: Tensor) => Tensor {
    const [cos, sin] = scope(() => {
      const { dtype, device } = this.#periods;
      const places = tensor([...this.#places], { dtype, device }).view([-1, 2, 1]);
      const half = places
        .mul(2 * Math.PI)
        .div(this.#periods)
        .reshape([-1, channels / 2]);
      const turned = cat([half, half], 1);
      const angles = cat([zeros([this.#prefix, channels], { dtype, device }), turned]);
      return [ops.cos(angles).to({ dtype: as }), ops.sin(angles).to({ dtype: as })] as const;
    });
    return (x) =>
      scope(() => {
        const [first, second] = [x.narrow(-1, 0, channels / 2), x.narrow(-1, channels / 2, channels / 2)];
        const quarter = cat([second.neg(), first], -1);
        return x.mul(cos).add(quarter.mul(sin));
      });
  }
}

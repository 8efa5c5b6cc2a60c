/**
 * Rotary positions of patches (after Su et al., "RoFormer", 2021) as in DINOv3 (Siméoni et al., 2025) and EVA-02 (Fang et al.,
 * 2023): pairs of channels are turned by angles that grow along both sides of the image. h heads, N tokens, c channels of a head.
 */
import { Module } from "../../nn/index.ts";
import { cat, type Dtype, ops, scope, type Tensor, tensor, zeros } from "../../torch/index.ts";

/** Ratios of the longest period to the shortest one. */
const temperatures = { dinov3: 100, eva02: 10_000 };

/** Heads of DINOv3's networks by the width of their tokens: 64 channels each, 128 in the largest one. */
export function rotaryHeads(dim: number): number {
  return dim / (dim === 4096 ? 128 : 64);
}

/** Periods of a quarter of a head's channels: DINOv3's in halves of the image's side, EVA-02's in patches of pre-training. */
export function rotaryPeriods(count: number, kind: "dinov3" | "eva02" = "dinov3"): number[] {
  const shortest = kind === "dinov3" ? 1 : 2 * Math.PI;
  return Array.from({ length: count }, (_, i) => shortest * temperatures[kind] ** (i / count));
}

/** Turns the patches' channels; tokens before them stay as they are. */
export class Rotary extends Module {
  readonly #periods: Tensor;
  /** Row and column of each patch: from -1 to 1 as in DINOv3, or from 0 to the grid's side as in EVA-02. */
  readonly #places: readonly number[];
  readonly #prefix: number;
  /** True when neighbours are pairs (EVA-02); else channels are paired with those half a head away. */
  readonly #pairsNeighbours: boolean;

  /**
   * @param channels of a head, a multiple of four
   * @param side patches along a side of the image
   * @param prefix tokens before the patches
   * @param grid patches along a side in pre-training: positions are EVA-02's, else DINOv3's
   */
  constructor(
    channels: number,
    side: number,
    prefix: number,
    { grid, device }: { grid: number | undefined; device: string | undefined },
  ) {
    super();
    const periods = rotaryPeriods(channels / 4, grid === undefined ? "dinov3" : "eva02");
    this.#periods = this.buffer("periods", tensor(periods, { device }));
    this.#prefix = prefix;
    this.#pairsNeighbours = grid !== undefined;
    const at = (i: number): number => (grid === undefined ? (2 * (i + 0.5)) / side - 1 : (i * grid) / side);
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
      const turned = this.#pairsNeighbours ? ops.stack([half, half], 2).reshape([-1, channels]) : cat([half, half], 1);
      const angles = cat([zeros([this.#prefix, channels], { dtype, device }), turned]);
      return [ops.cos(angles).to({ dtype: as }), ops.sin(angles).to({ dtype: as })] as const;
    });
    return (x) =>
      scope(() => {
        const length = this.#pairsNeighbours ? 1 : channels / 2;
        const pairs = this.#pairsNeighbours ? x.reshape([...x.shape.slice(0, -1), channels / 2, 2]) : x;
        const quarter = cat([pairs.narrow(-1, length, length).neg(), pairs.narrow(-1, 0, length)], -1);
        return x.mul(cos).add(quarter.reshape(x.shape).mul(sin));
      });
  }
}

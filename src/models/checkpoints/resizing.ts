/** Networks with learned positions, for images of another size than their weights are for. */
import { type Tensor, UserError } from "../../torch/index.ts";
import { maxvitCell, maxvitConfig } from "../maxvit.ts";
import { attentionCell } from "../resnet.ts";
import { positionsName, resizePositions } from "../vit.ts";
import type { Proposal } from "./checkpoint-layouts.ts";
import { keyLayout } from "./key-layouts.ts";

/** Change of a network to another size of images. */
export interface Resizing {
  config: Proposal["config"];
  /** The learned positions, where the network has some. */
  positions?: {
    /** Key of the file's tensor that changes, and how; the result is the caller's. */
    key: string;
    change: (weight: Tensor) => Tensor;
    /** What changed, for the user. */
    note: string;
  };
}

/** Name of a network's positions, and the sides of its images and of the patches that have one each. */
function gridOf(architecture: string, config: Proposal["config"]) {
  const { image, patch, layers } = config as { image?: number; patch?: number; layers?: number[] };
  if (architecture === "vit") return { name: positionsName, image: image ?? 224, patch: patch ?? 16 };
  if (architecture !== "resnet" || !layers) return undefined;
  return { name: "attnpool.positional_embedding", image, patch: attentionCell(layers) };
}

/** @throws UserError for a side that is no multiple of what the network divides images into */
function requireMultiple(side: number, cell: number, cells: string): void {
  if (side % cell === 0) return;
  const near = cell * Math.max(1, Math.round(side / cell));
  throw new UserError(
    `its ${cells} have ${cell} pixels, so that the side of its images must be a multiple of it: ` +
      `not ${side}, but ${near} (--size ${near})`,
  );
}

/**
 * Change of a proposed network for images of this side; undefined where it takes any size, or takes this one.
 * @param keys those of the file
 * @throws UserError for a side that is no multiple of the network's patches
 */
export function resizedTo(
  { architecture, config, prefix, layout }: Proposal,
  keys: Iterable<string>,
  side: number,
): Resizing | undefined {
  if (architecture === "maxvit")
    requireMultiple(side, maxvitCell(maxvitConfig.parse(config)), "windows of the last stage");
  const { name, image, patch } = gridOf(architecture, config) ?? {};
  if (!image || !patch || side === image) return undefined;
  requireMultiple(side, patch, "patches");
  const target = layout === undefined ? (name: string) => name : keyLayout(layout).target;
  const key = [...keys].find((key) => key.startsWith(prefix) && target(key.slice(prefix.length)) === name);
  const [from, to] = [image / patch, side / patch];
  const resized = { ...config, image: side };
  if (key === undefined) return { config: resized };
  const note = `its positions, learned for ${from} x ${from} patches, were resized to ${to} x ${to}`;
  return { config: resized, positions: { key, change: (weight) => resizePositions(weight, from, to), note } };
}

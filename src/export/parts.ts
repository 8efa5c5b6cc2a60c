/** The parts of a trained pathway as ONNX models of images [n, 3, H, W] in [0, 1], as decoding gives them. */
import type { HubMember } from "../hub/index.ts";
import type { Module } from "../nn/index.ts";
import type { PathwayGenerator } from "../pathway/index.ts";
import { type Tensor, zeros } from "../torch/index.ts";
import { type Exportable, exportOnnx, type OnnxExportOptions } from "./export-onnx.ts";

/** Height and width of the images, in pixels. */
export type Sides = readonly [number, number];

/** Layers over a member's features [n, d]. */
export interface MemberHead {
  /** Centring and scaling of the features, where the run has them. */
  readonly standardize?: Module | undefined;
  readonly head: Module;
}

/** Names of the input and the results in the exported parts. */
export const partNames = { images: "images", features: "features", logits: "logits", scores: "scores" } as const;

/**
 * A member with its own resizing and normalisation: images to its features [n, d], or to logits [n, C] through a head.
 * @throws UserError listing every operator that ONNX has no form for, with the member's name
 */
export function exportMember(member: HubMember, sides: Sides, layers?: MemberHead): Uint8Array {
  const { name, backbone } = member;
  const { head, standardize } = layers ?? {};
  return onBlank(sides, (images) => memberForward(member, images, layers), {
    name,
    input: partNames.images,
    output: head ? partNames.logits : partNames.features,
    modules: { backbone, ...(standardize ? { standardize } : {}), ...(head ? { head } : {}) },
  });
}

/** What `exportMember` writes, of images [n, 3, H, W] in [0, 1]. */
export function memberForward(
  member: HubMember,
  images: Tensor,
  { head, standardize }: Partial<MemberHead> = {},
): Tensor {
  const behind = [standardize, head].filter((layer) => layer !== undefined);
  return behind.reduce((x, layer) => layer.forward(x), member.features(images));
}

/** The router: images to the generator's scores [n, m], its view of them included. @throws UserError as `exportMember` */
export function exportRouter(generator: PathwayGenerator, sides: Sides): Uint8Array {
  return onBlank(sides, (images) => generator.forward(images), {
    name: "router",
    input: partNames.images,
    output: partNames.scores,
    modules: { generator },
  });
}

/** Exports with a blank image as the example, of which only the sizes matter. */
function onBlank([height, width]: Sides, network: Exportable, options: OnnxExportOptions): Uint8Array {
  using example = zeros([1, 3, height, width]);
  return exportOnnx(network, example, options);
}

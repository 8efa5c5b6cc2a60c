/** What a graph says about the images that it takes. */
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { GraphInput } from "../graph-model.ts";
import { isFloating, shapeText } from "../values.ts";
import type { Graph } from "./graph.ts";
import { dtypeOf, typeName } from "./tensors.ts";

export interface Images extends GraphInput {
  /** The number of images that the file fixes. */
  readonly batch: number | undefined;
}

/** Larger fixed batches and images would need too much for the run that checks a network. */
const largest = { batch: 64, side: 2048 };

/**
 * Reads the type of the graph's input. Sizes that are missing, named, 0 or negative are open.
 * @throws UserError when it takes no images of one or three channels and a floating type
 */
export function imagesOf(graph: Graph): Images {
  const { name, type } = graph.input.info;
  const fail = (what: string): never => {
    throw new UserError(`${graph.path}: its input ${quoted(name)} ${what}`);
  };
  const tensor = type?.value.case === "tensorType" ? type.value.value : fail("is no tensor");
  const dtype = dtypeOf(tensor.elemType);
  if (!dtype || !isFloating(dtype))
    return fail(`has elements of type ${typeName(tensor.elemType)}: a floating one is needed`);
  const open: Images = { name, layout: "NCHW", channels: 3, sides: undefined, batch: undefined };
  if (!tensor.shape) return open;
  const sizes = tensor.shape.dim.map(({ value }) => {
    const size = value.case === "dimValue" ? Number(value.value) : -1;
    return size > 0 ? size : undefined;
  });
  const shown = shapeText(sizes.map((size) => size ?? Number.NaN)).replaceAll("NaN", "?");
  if (sizes.length !== 4) return fail(`has the shape ${shown}; images of 4 dimensions are needed`);
  const [batch, second, third, fourth] = sizes;
  const isColour = second === 3 || fourth === 3;
  const last = isColour ? fourth === 3 && second !== 3 : fourth === 1 && second !== 1;
  const layout = last ? "NHWC" : "NCHW";
  const [channels = 3, height, width] = last ? [fourth, second, third] : [second, third, fourth];
  if (channels !== 3 && channels !== 1) {
    return fail(`has the shape ${shown}: images of ${channels} channels; colour or grey ones are needed`);
  }
  const [h, w] = [height ?? width, width ?? height];
  const size = Math.max(h ?? 0, w ?? 0);
  if (size > largest.side) return fail(`has a side of ${size}; ${largest.side} are supported`);
  if (batch !== undefined && batch > largest.batch) {
    return fail(`is made for ${batch} images at a time: export the network with a dynamic batch`);
  }
  return { name, layout, channels, sides: h === undefined || w === undefined ? undefined : [h, w], batch };
}

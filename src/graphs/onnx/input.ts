/** The type of an ONNX graph's input. */
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { type GraphImages, imagesOf } from "../graph-model.ts";
import { isFloating } from "../values.ts";
import type { Graph } from "./graph.ts";
import { dtypeOf, typeName } from "./tensors.ts";

/**
 * The images that a graph takes. Sizes that are missing, named, 0 or negative are open.
 * @throws UserError when it takes no images of one or three channels and a floating type
 */
export function inputOf({ path, input }: Graph): GraphImages {
  const { name, type } = input.info;
  const fail = (what: string): never => {
    throw new UserError(`${path}: its input ${quoted(name)} ${what}`);
  };
  const tensor = type?.value.case === "tensorType" ? type.value.value : fail("is no tensor");
  const dtype = dtypeOf(tensor.elemType);
  if (!dtype || !isFloating(dtype)) {
    return fail(`has elements of type ${typeName(tensor.elemType)}: a floating one is needed`);
  }
  const sizes = tensor.shape?.dim.map(({ value }) => (value.case === "dimValue" ? Number(value.value) : -1));
  return imagesOf(name, sizes, "NCHW", path);
}

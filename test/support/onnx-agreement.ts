/** Comparing small graphs with onnxruntime on the same file. */
import { openOnnx } from "../../src/graphs/index.ts";
import type { TensorProto } from "../../src/graphs/onnx/onnx-pb.generated.ts";
import { noGrad, scope } from "../../src/torch/index.ts";
import { type AttributeValue, floats, model, type NodeSpec, runtime, Workplace } from "../fixtures/onnx/builder.ts";
import { seeded } from "../fixtures/seeded-weights.ts";
import { assertClose } from "./numeric.ts";

export const workplace = new Workplace();
process.on("exit", () => workplace[Symbol.dispose]());

/** Floats in [-1, 1) from the name. */
export function weights(name: string, dims: readonly number[]): TensorProto {
  using unit = seeded(name, dims);
  return floats(name, dims, unit.toNumbers());
}

export interface Case {
  nodes: readonly NodeSpec[];
  initializers?: readonly TensorProto[];
  side?: number;
  opset?: number;
  /** True when the file may fix its batch to one image and still be given two (default true). */
  fixed?: boolean;
  tolerance?: number;
}

/** The output "out" of two images, laid out in a row each. */
export async function agrees({ nodes, initializers = [], side = 7, opset = 20, fixed = true, tolerance = 1e-5 }: Case) {
  const row: NodeSpec = { op: "Flatten", inputs: ["out"], outputs: ["row"], attributes: { axis: 1 } };
  const what = JSON.stringify(nodes, (_, value) => (typeof value === "bigint" ? Number(value) : value));
  using images = seeded("image", [2, 3, side, side], "float32");
  for (const batch of fixed ? ["n", 1] : ["n"]) {
    const graph = { nodes: [...nodes, row], initializers, input: [batch, 3, side, side], outputs: ["row"], opset };
    const path = workplace.write(model(graph), "operator.onnx");
    const parts = batch === 1 ? [images.narrow(0, 0, 1), images.narrow(0, 1, 1)] : [images];
    const expected: number[] = [];
    for (const part of parts) for (const { values } of (await runtime(path, part)).values()) expected.push(...values);
    using opened = openOnnx(path, { features: "row" });
    opened.eval();
    scope(() => noGrad(() => assertClose(opened.forward(images), expected, tolerance, `${what} batch ${batch}`)));
  }
}

/** One node on the images. */
export async function one(
  op: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
  initializers: readonly TensorProto[] = [],
  rest: Omit<Case, "nodes" | "initializers"> = {},
): Promise<void> {
  const inputs = ["image", ...initializers.map(({ name }) => name)];
  await agrees({ nodes: [{ op, inputs, attributes }], initializers, ...rest });
}

/** A small ONNX network as a file. */
import { writeFileSync } from "node:fs";
import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "../../src/graphs/onnx/onnx-pb.generated.ts";
import { floats, model } from "../fixtures/onnx/builder.ts";

/** A file with a small ONNX network for images of 3 channels. */
export function writeOnnx(path: string): void {
  writeFileSync(path, toBinary(ModelProtoSchema, convolution()));
}

/** One convolution, the mean over its pixels, and a classifier. */
function convolution() {
  const wave = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i) / 4);
  return model({
    nodes: [
      { op: "Conv", inputs: ["image", "w", "b"], outputs: ["c"], attributes: { strides: [2, 2] } },
      { op: "Relu", inputs: ["c"], outputs: ["r"] },
      { op: "GlobalAveragePool", inputs: ["r"], outputs: ["p"] },
      { op: "Flatten", inputs: ["p"], outputs: ["f"] },
      { op: "Gemm", inputs: ["f", "head"], outputs: ["out"] },
    ],
    initializers: [
      floats("w", [16, 3, 3, 3], wave(16 * 27)),
      floats("b", [16], wave(16)),
      floats("head", [16, 5], wave(80)),
    ],
  });
}

/** The bytes of a model whose weights are copied once: the encoder of messages copies them at every level of nesting. */
import { toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { onnx } from "../graphs/index.ts";

/** Bytes one after the other, and how many they are. */
interface Chunks {
  readonly parts: readonly Uint8Array[];
  readonly length: number;
}

/** Bytes behind a field's number, as wire type 2 (a length before them). */
const lengthDelimited = 2;

/** An initializer and its elements. */
export interface Initializer {
  readonly tensor: onnx.TensorProto;
  readonly raw: Uint8Array;
}

/** A model's bytes, from the parts of it that are small and the weights. */
export function serialized(
  model: onnx.ModelProto,
  graph: onnx.GraphProto,
  initializers: readonly Initializer[],
): Uint8Array {
  const weights = initializers.flatMap(({ tensor, raw }) => {
    const elements = field(onnx.TensorProtoSchema.field.rawData.number, joined([raw]));
    const whole = joined([toBinary(onnx.TensorProtoSchema, tensor), ...elements.parts]);
    return field(onnx.GraphProtoSchema.field.initializer.number, whole).parts;
  });
  const whole = joined([toBinary(onnx.GraphProtoSchema, graph), ...weights]);
  const { parts } = field(onnx.ModelProtoSchema.field.graph.number, whole);
  return Buffer.concat([toBinary(onnx.ModelProtoSchema, model), ...parts]);
}

function joined(parts: readonly Uint8Array[]): Chunks {
  return { parts, length: parts.reduce((sum, part) => sum + part.length, 0) };
}

function field(number: number, content: Chunks): Chunks {
  const head = new BinaryWriter().tag(number, lengthDelimited).uint32(content.length).finish();
  return joined([head, ...content.parts]);
}

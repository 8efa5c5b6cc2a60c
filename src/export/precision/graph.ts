/** A written ONNX model, opened to change the numbers that it computes with. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { onnx } from "../../graphs/index.ts";

type Tensor = onnx.TensorProto;

/** Precision in which files keep or compute a model's products. */
export const precisions = ["float32", "float16", "int8"] as const;
export type Precision = (typeof precisions)[number];

/** Operators whose weights are most of a model, and nearly all of its work. */
const products: ReadonlySet<string> = new Set(["Conv", "Gemm", "MatMul"]);

/** Prefix of the constants that resize the images, which stay as they are. */
const resizing = "resize";

export class EditedModel {
  readonly #model: onnx.ModelProto;
  readonly graph: onnx.GraphProto;
  readonly constants: ReadonlyMap<string, Tensor>;

  constructor(bytes: Uint8Array) {
    this.#model = fromBinary(onnx.ModelProtoSchema, bytes);
    this.graph = this.#model.graph ?? create(onnx.GraphProtoSchema);
    this.constants = new Map(this.graph.initializer.map((tensor) => [tensor.name, tensor]));
  }

  get bytes(): Uint8Array {
    return toBinary(onnx.ModelProtoSchema, this.#model);
  }

  /** Products of what depends on the images with weights, or with each other. */
  products(): onnx.NodeProto[] {
    return this.graph.node.filter(({ opType, input: [x = "", w = ""] }) => {
      return products.has(opType) && !this.constants.has(x) && !w.startsWith(resizing);
    });
  }

  /** Adds a constant. */
  constant(name: string, dataType: number, dims: readonly number[], rawData: Uint8Array): string {
    this.graph.initializer.push(create(onnx.TensorProtoSchema, { name, dataType, dims: dims.map(BigInt), rawData }));
    return name;
  }

  /** Adds a float32 number as an output. */
  output(name: string): void {
    const tensorType = { elemType: onnx.TensorProto_DataType.FLOAT, shape: { dim: [] } };
    const type = { value: { case: "tensorType" as const, value: tensorType } };
    this.graph.output.push(create(onnx.ValueInfoProtoSchema, { name, type }));
  }

  /** Puts each node behind those whose results it reads. */
  sort(): void {
    const makers = new Map(this.graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
    const placed = new Set<onnx.NodeProto>();
    const open = this.graph.node.toReversed();
    for (let node = open.at(-1); node; node = open.at(-1)) {
      const missing = node.input.flatMap((name) => makers.get(name) ?? []).filter((maker) => !placed.has(maker));
      if (missing.length > 0 && !placed.has(node)) {
        open.push(...missing);
        continue;
      }
      placed.add(node);
      open.pop();
    }
    this.graph.node = [...placed];
  }

  /** Removes constants that no node reads. */
  drop(names: ReadonlySet<string>): void {
    const read = new Set(this.graph.node.flatMap(({ input }) => input));
    this.graph.initializer = this.graph.initializer.filter(({ name }) => !names.has(name) || read.has(name));
  }
}

export function nodeOf(opType: string, input: string[], output: string, attribute: Record<string, number> = {}) {
  const { INT } = onnx.AttributeProto_AttributeType;
  return create(onnx.NodeProtoSchema, {
    ...{ opType, name: output, input, output: [output] },
    attribute: Object.entries(attribute).map(([name, i]) =>
      create(onnx.AttributeProtoSchema, { name, type: INT, i: BigInt(i) }),
    ),
  });
}

/** The elements of a float32 constant. */
export function floatsOf({ rawData }: Tensor): Float32Array {
  return new Float32Array(new Uint8Array(rawData).buffer);
}

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** An ONNX model while it is written: nodes, initializers, and the sizes that depend on the number of images. */
import { create } from "@bufbuild/protobuf";
import { onnx } from "../graphs/index.ts";
import { type Dtype, int64, scope, type Tensor, tensor, UserError } from "../torch/index.ts";
import { type Initializer, serialized } from "./serialized.ts";
import { Rows, type Size, type Value } from "./trace.ts";

/** Name of a value in the graph; "" for an input that is left out. */
export type Name = string;

/** A float attribute whose value may be whole. */
export interface Float {
  readonly float: number;
}

export type Attributes = Readonly<Record<string, number | string | readonly number[] | Float>>;

/** The dimension of the images in the model's inputs and outputs. */
const batchName = "batch";

/** The least version whose operators take their axes as the writers give them. */
const leastOpset = 13;

/** Bytes that one message holds, less what names and nodes take. */
const largestFile = 2 ** 31 - 2 ** 24;

const types = onnx.TensorProto_DataType;

const elementTypes: Readonly<Record<Dtype, number>> = {
  float32: types.FLOAT,
  float64: types.DOUBLE,
  float16: types.FLOAT16,
  bfloat16: types.BFLOAT16,
  int64: types.INT64,
  int32: types.INT32,
  int16: types.INT16,
  int8: types.INT8,
  uint8: types.UINT8,
  bool: types.BOOL,
};

export class GraphBuilder {
  /** Prefix of the names of new values: the operator that is being written. */
  prefix = "value";
  readonly #input: Name;
  #opset = leastOpset;
  readonly #nodes: onnx.NodeProto[] = [];
  readonly #initializers = new Map<Name, Initializer>();
  readonly #names = new Set<Name>();
  /** Initializers and computed sizes by what they hold. */
  readonly #known = new Map<string, Name>();
  readonly #constants = new Map<Tensor, Name>();
  readonly #derived = new Map<Tensor, Map<string, Name>>();

  /** Names of outputs that are given already. */
  readonly #given = new Set<Name>();

  /** @param outputs names that no other value may get */
  constructor(input: Name, outputs: readonly Name[]) {
    for (const name of outputs) this.#names.add(name);
    this.#input = this.#unused(input);
  }

  get input(): Name {
    return this.#input;
  }

  /** Says that an operator needs this version. */
  needs(opset: number): void {
    this.#opset = Math.max(this.#opset, opset);
  }

  /** Adds a node and names its outputs. */
  nodes(op: string, inputs: readonly Name[], attributes: Attributes, outputs: number): Name[] {
    const output = Array.from({ length: outputs }, () => this.#unused(this.prefix));
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.#nodes.push(
      create(onnx.NodeProtoSchema, { opType: op, name: output[0] ?? "", input: [...inputs], output, attribute }),
    );
    return output;
  }

  node(op: string, inputs: readonly Name[], attributes: Attributes = {}): Name {
    return this.nodes(op, inputs, attributes, 1)[0] as Name;
  }

  // ---- constants

  /** An initializer with a tensor's elements, once for each tensor. */
  tensor(content: Tensor, wish: string): Name {
    const known = this.#constants.get(content);
    if (known !== undefined) return known;
    const name = this.#unused(wish);
    this.#constants.set(content, name);
    const tensor = create(onnx.TensorProtoSchema, {
      name,
      dims: content.shape.map(BigInt),
      dataType: elementTypes[content.dtype],
    });
    this.#initializers.set(name, { tensor, raw: scope(() => content.detach().to({ device: "cpu" }).toBytes()) });
    return name;
  }

  /** An initializer with what `make` makes of a constant, once for each constant and name. */
  derived(content: Tensor, wish: string, make: () => Tensor): Name {
    const own = this.#derived.get(content) ?? new Map<string, Name>();
    this.#derived.set(content, own);
    const name = own.get(wish) ?? scope(() => this.tensor(make(), wish));
    own.set(wish, name);
    return name;
  }

  /** A vector of int64. */
  ints(values: readonly number[]): Name {
    return this.#shared(`ints ${values.join()}`, () => this.#held(int64(values), "ints"));
  }

  /** One int64 without dimensions. */
  index(value: number): Name {
    return this.#shared(`index ${value}`, () => {
      return this.#held(tensor(BigInt64Array.of(BigInt(value)), { shape: [] }), "index");
    });
  }

  /** A number without dimensions. */
  scalar(value: number, dtype: Dtype): Name {
    return this.#shared(`${dtype} ${value}`, () => this.#held(tensor(value, { dtype }), "scalar"));
  }

  /** Sizes as a vector of int64; those that depend on the number of images are computed from the input. */
  sizes(sizes: readonly Size[]): Name {
    const plain = sizes.filter((size) => typeof size === "number");
    if (plain.length === sizes.length) return this.ints(plain);
    const text = sizes.map((size) => (size instanceof Rows ? `${size.per}n` : size)).join();
    return this.#shared(`sizes ${text}`, () => {
      const parts = sizes.map((size) => (size instanceof Rows ? this.#rows(size.per) : this.ints([size])));
      return parts.length === 1 ? (parts[0] as Name) : this.node("Concat", parts, { axis: 0 });
    });
  }

  /** The number of images, without dimensions. */
  rowCount(): Name {
    return this.#shared("row count", () => this.node("Squeeze", [this.#rows(1), this.ints([0])]));
  }

  #rows(per: number): Name {
    const count = this.#shared("rows", () => {
      const shape = this.node("Shape", [this.#input]);
      return this.node("Slice", [shape, this.ints([0]), this.ints([1])]);
    });
    return per === 1 ? count : this.#shared(`rows ${per}`, () => this.node("Mul", [count, this.ints([per])]));
  }

  #held(content: Tensor, wish: string): Name {
    using own = content;
    const name = this.tensor(own, wish);
    this.#constants.delete(own);
    return name;
  }

  #shared(key: string, make: () => Name): Name {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.#known.set(key, name);
    return name;
  }

  #unused(wish: string): Name {
    let name = wish;
    for (let i = 1; this.#names.has(name); i++) name = `${wish}_${i}`;
    this.#names.add(name);
    return name;
  }

  // ---- the model

  /** Converts to another type. */
  cast(value: Name, dtype: Dtype): Name {
    return this.node("Cast", [value], { to: elementTypes[dtype] });
  }

  /**
   * The model's bytes.
   * @param outputs the values that it gives, and the names that they get
   * @throws UserError when the model is too large for one file
   */
  finish(network: string, input: Value, outputs: readonly { name: Name; from: Name; value: Value }[]): Uint8Array {
    for (const { name, from } of outputs) this.#rename(from, name);
    const names = outputs.map(({ name }) => name);
    const node = needed(this.#nodes, names);
    const used = new Set(node.flatMap((one) => one.input));
    const initializers = [...this.#initializers.values()].filter(({ tensor }) => used.has(tensor.name));
    const bytes = initializers.reduce((sum, { raw }) => sum + raw.length, 0);
    if (bytes > largestFile) {
      throw new UserError(
        `${network} cannot be exported: its weights have ${bytes} bytes, and a file of ONNX holds 2 GiB`,
      );
    }
    const model = create(onnx.ModelProtoSchema, {
      // The oldest format that knows the version of the operators, as in ONNX's own table.
      irVersion: this.#opset < 15 ? 7n : 8n,
      producerName: "hub-pathway",
      opsetImport: [{ domain: "", version: BigInt(this.#opset) }],
    });
    const graph = create(onnx.GraphProtoSchema, {
      name: network,
      node,
      input: [infoOf(this.#input, input)],
      output: outputs.map(({ name, value }) => infoOf(name, value)),
    });
    return serialized(model, graph, initializers);
  }

  /** Gives a node's output another name; what no node makes, or has a given name already, is copied. */
  #rename(from: Name, to: Name): void {
    const maker = this.#nodes.find(({ output }) => output.includes(from));
    if (!maker || this.#given.has(from)) {
      this.#nodes.push(create(onnx.NodeProtoSchema, { opType: "Identity", name: to, input: [from], output: [to] }));
      return;
    }
    maker.output = maker.output.map((name) => (name === from ? to : name));
    for (const node of this.#nodes) node.input = node.input.map((name) => (name === from ? to : name));
    this.#given.add(to);
  }
}

/** Nodes that the outputs depend on. */
function needed(nodes: readonly onnx.NodeProto[], outputs: readonly Name[]): onnx.NodeProto[] {
  const names = new Set(outputs);
  const found: onnx.NodeProto[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.output.some((name) => names.has(name))) continue;
    found.push(node);
    for (const name of node.input) names.add(name);
  }
  return found.reverse();
}

function infoOf(name: Name, { shape, dtype }: Value): onnx.ValueInfoProto {
  const dim = shape.map((size) =>
    size instanceof Rows
      ? { value: { case: "dimParam" as const, value: size.per === 1 ? batchName : `${size.per} ${batchName}` } }
      : { value: { case: "dimValue" as const, value: BigInt(size) } },
  );
  const tensorType = { elemType: elementTypes[dtype], shape: { dim } };
  return create(onnx.ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value: tensorType } } });
}

function attributeOf(name: string, value: Attributes[string]): onnx.AttributeProto {
  const kinds = onnx.AttributeProto_AttributeType;
  if (typeof value === "number") return create(onnx.AttributeProtoSchema, { name, type: kinds.INT, i: BigInt(value) });
  if (typeof value === "string") {
    return create(onnx.AttributeProtoSchema, { name, type: kinds.STRING, s: Buffer.from(value) });
  }
  if ("float" in value) return create(onnx.AttributeProtoSchema, { name, type: kinds.FLOAT, f: value.float });
  return create(onnx.AttributeProtoSchema, { name, type: kinds.INTS, ints: value.map(BigInt) });
}

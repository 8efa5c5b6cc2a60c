/**
 * Static quantisation: products of 8-bit numbers, between a QuantizeLinear and a DequantizeLinear (QDQ) on each side, which
 * runtimes fuse. Activations are uint8 by the range that training images showed; weights are int8 with a scale for each
 * output channel.
 */
import { onnx } from "../../graphs/index.ts";
import { bytesOf, EditedModel, floatsOf, nodeOf } from "./graph.ts";

/** Least and greatest element of a value, by its name in the graph. */
export type Ranges = ReadonlyMap<string, readonly [low: number, high: number]>;

/**
 * Largest weight. Kernels for processors without VNNI add two products in 16 bits, which 8 bits would overflow: the same
 * file would answer otherwise there.
 */
const largestWeight = 64;

const types = onnx.TensorProto_DataType;

/** Activations that a runtime joins with the product before them. */
const joined: ReadonlySet<string> = new Set(["Relu", "Clip"]);

/** A model whose products become integers. */
export class Quantiser {
  readonly #model: EditedModel;
  readonly #products: readonly onnx.NodeProto[];
  /** Results of products, behind the activation where it alone reads them. */
  readonly #results: ReadonlySet<string>;
  readonly #scales = new Map<string, number>();

  constructor(bytes: Uint8Array) {
    this.#model = new EditedModel(bytes);
    this.#products = this.#model.products();
    const { graph } = this.#model;
    const given = new Set(graph.output.map(({ name }) => name));
    const results = this.#products.map(({ output: [name = ""] }) => {
      const readers = graph.node.filter(({ input }) => input.includes(name));
      const [only] = readers;
      return readers.length === 1 && only && joined.has(only.opType) && !given.has(name)
        ? (only.output[0] ?? "")
        : name;
    });
    this.#results = new Set(results.filter((name) => !given.has(name)));
  }

  /** Values whose ranges are needed. */
  get values(): string[] {
    return [...new Set([...this.#products.flatMap((product) => this.#activations(product)), ...this.#results])];
  }

  #activations({ input }: onnx.NodeProto): string[] {
    return input.slice(0, 2).filter((name) => !this.#model.constants.has(name));
  }

  /** The model with the least and greatest element of each value as further outputs, `min` and `max` before its name. */
  observed(bytes: Uint8Array): Uint8Array {
    const copy = new EditedModel(bytes);
    for (const name of this.values) {
      for (const [op, output] of [
        ["ReduceMin", `min ${name}`],
        ["ReduceMax", `max ${name}`],
      ] as const) {
        copy.graph.node.push(nodeOf(op, [name], output, { keepdims: 0 }));
        copy.output(output);
      }
    }
    return copy.bytes;
  }

  /** The model with integer products. */
  quantised(ranges: Ranges): Uint8Array {
    const model = this.#model;
    const { graph } = model;
    const replaced = new Map<string, string>();
    for (const name of this.values) replaced.set(name, this.#rounded(name, ranges.get(name) ?? [0, 0]));
    const weights = new Set<string>();
    for (const product of this.#products) {
      const [x = "", w = "", b] = product.input;
      const bias = b === undefined || b === "" ? undefined : b;
      const weight = model.constants.get(w);
      const own = weight && this.#weight(product, weight);
      const scale = this.#scales.get(x) ?? 1;
      product.input = [
        replaced.get(x) ?? x,
        own?.name ?? replaced.get(w) ?? w,
        ...(bias === undefined ? [] : [own ? this.#bias(product, bias, own.scales, scale) : bias]),
      ];
      for (const name of [w, ...(b === undefined ? [] : [b])]) weights.add(name);
    }
    for (const node of graph.node) {
      if (node.opType === "QuantizeLinear" || node.opType === "DequantizeLinear") continue;
      node.input = node.input.map((name) => (this.#results.has(name) ? (replaced.get(name) ?? name) : name));
    }
    model.drop(weights);
    model.sort();
    return model.bytes;
  }

  /** Adds the steps that round a value to 8 bits. @returns the rounded value's name */
  #rounded(name: string, [least, greatest]: readonly [number, number]): string {
    const { graph } = this.#model;
    const [low, high] = [Math.min(0, least), Math.max(0, greatest)];
    const scale = Math.fround(high > low ? (high - low) / 255 : 1);
    const zero = Math.round(-low / scale);
    this.#scales.set(name, scale);
    const parameters = [
      this.#model.constant(`${name}.scale`, types.FLOAT, [], bytesOf(Float32Array.of(scale))),
      this.#model.constant(`${name}.zero`, types.UINT8, [], Uint8Array.of(zero)),
    ];
    graph.node.push(nodeOf("QuantizeLinear", [name, ...parameters], `${name}.q`));
    graph.node.push(nodeOf("DequantizeLinear", [`${name}.q`, ...parameters], `${name}.dq`));
    return `${name}.dq`;
  }

  /** Weights as int8, along the dimension of the product's output channels. */
  #weight(product: onnx.NodeProto, weight: onnx.TensorProto): { name: string; scales: Float32Array } | undefined {
    if (weight.dataType !== types.FLOAT) return undefined;
    const floats = floatsOf(weight);
    const dims = weight.dims.map(Number);
    const axis = axisOf(product, dims);
    const channels = dims[axis] ?? 1;
    const inner = dims.slice(axis + 1).reduce((size, side) => size * side, 1);
    const channelOf = (i: number): number => Math.floor(i / inner) % channels;
    const scales = new Float32Array(channels);
    for (const [i, value] of floats.entries()) {
      const c = channelOf(i);
      scales[c] = Math.max(scales[c] ?? 0, Math.abs(value) / largestWeight);
    }
    for (const [c, scale] of scales.entries()) if (scale === 0) scales[c] = 1;
    const whole = Int8Array.from(floats, (value, i) => Math.round(value / (scales[channelOf(i)] ?? 1)));
    const name = product.output[0] ?? "";
    const { FLOAT, INT8 } = types;
    const inputs = [
      this.#model.constant(`${name}.weight.q`, INT8, dims, bytesOf(whole)),
      this.#model.constant(`${name}.weight.scale`, FLOAT, [channels], bytesOf(scales)),
      this.#model.constant(`${name}.weight.zero`, INT8, [channels], new Uint8Array(channels)),
    ];
    this.#model.graph.node.push(nodeOf("DequantizeLinear", inputs, `${name}.weight.dq`, { axis }));
    return { name: `${name}.weight.dq`, scales };
  }

  /** A bias as int32 in units of the product's, which it is added to; as it is where it is no vector of channels. */
  #bias(product: onnx.NodeProto, bias: string, scales: Float32Array, scale: number): string {
    const content = this.#model.constants.get(bias);
    if (content?.dims.length !== 1 || Number(content.dims[0]) !== scales.length) return bias;
    const units = scales.map((own) => own * scale);
    const limit = 2 ** 31 - 1;
    const whole = Int32Array.from(floatsOf(content), (value, c) =>
      Math.max(-limit, Math.min(limit, Math.round(value / (units[c] ?? 1)))),
    );
    const name = product.output[0] ?? "";
    const inputs = [
      this.#model.constant(`${name}.bias.q`, types.INT32, [whole.length], bytesOf(whole)),
      this.#model.constant(`${name}.bias.scale`, types.FLOAT, [units.length], bytesOf(units)),
    ];
    this.#model.graph.node.push(nodeOf("DequantizeLinear", inputs, `${name}.bias.dq`, { axis: 0 }));
    return `${name}.bias.dq`;
  }
}

function axisOf({ opType, attribute }: onnx.NodeProto, dims: readonly number[]): number {
  if (opType === "Conv") return 0;
  if (opType === "Gemm") return attribute.some(({ name, i }) => name === "transB" && i === 1n) ? 0 : 1;
  return dims.length - 1;
}

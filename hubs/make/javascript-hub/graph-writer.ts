/** Writes TensorFlow.js graph models over weights that exist already. Tensors are [n, H, W, C]. */

type Attribute = Record<string, unknown>;

const text = (value: string): Attribute => ({ s: Buffer.from(value).toString("base64") });
const ints = (values: readonly number[]): Attribute => ({ list: { i: values.map(String) } });
const float: Attribute = { type: "DT_FLOAT" };

export interface StoredWeight {
  name: string;
  shape: number[];
  dtype: string;
  quantization?: unknown;
}

/** Adds nodes; every method gives the name of the tensor that it made. */
export class GraphWriter {
  readonly #weights: ReadonlySet<string>;
  readonly #nodes: { name: string; op: string; input: string[]; attr: Attribute }[] = [];
  readonly #constants: { name: string; shape: number[]; values: readonly number[] }[] = [];
  readonly #used = new Set<string>();

  /** Over the weights of a file, for square images of a side. */
  constructor(weights: readonly StoredWeight[], side: number) {
    this.#weights = new Set(weights.map((weight) => weight.name));
    const dim = [-1, side, side, 3].map((size) => ({ size: String(size) }));
    this.#nodes.push({
      name: "images",
      op: "Placeholder",
      input: [],
      attr: { dtype: float, shape: { shape: { dim } } },
    });
  }

  node(name: string, op: string, input: string[], attributes: Attribute = {}): string {
    this.#nodes.push({ name, op, input, attr: { T: float, ...attributes } });
    return name;
  }

  /** A weight of the file. */
  weight(name: string): string {
    if (!this.#weights.has(name)) throw new Error(`the file has no weight "${name}"`);
    if (!this.#used.has(name)) this.#nodes.push({ name, op: "Const", input: [], attr: { dtype: float } });
    this.#used.add(name);
    return name;
  }

  /** Whole numbers that steer an operator. */
  numbers(name: string, values: readonly number[], shape = [values.length]): string {
    this.#nodes.push({ name, op: "Const", input: [], attr: { dtype: { type: "DT_INT32" } } });
    this.#constants.push({ name, shape, values });
    return name;
  }

  convolution(name: string, x: string, filters: string, stride: number, padding: "SAME" | "VALID" = "SAME"): string {
    return this.node(name, "Conv2D", [x, this.weight(filters)], window(stride, padding));
  }

  depthwise(name: string, x: string, filters: string, stride: number): string {
    return this.node(name, "DepthwiseConv2dNative", [x, this.weight(filters)], window(stride, "SAME"));
  }

  bias(name: string, x: string, bias: string): string {
    return this.node(name, "BiasAdd", [x, this.weight(bias)], { data_format: text("NHWC") });
  }

  batchNorm(name: string, x: string, epsilon: number): string {
    const parts = ["gamma", "beta", "moving_mean", "moving_variance"].map((part) => this.weight(`${name}/${part}`));
    const attributes = { epsilon: { f: epsilon }, is_training: { b: false }, data_format: text("NHWC") };
    return this.node(name, "FusedBatchNormV3", [x, ...parts], attributes);
  }

  relu(x: string): string {
    return this.node(`${x}/relu`, "Relu", [x]);
  }

  add(name: string, a: string, b: string): string {
    return this.node(name, "AddV2", [a, b]);
  }

  pool(name: string, kind: "MaxPool" | "AvgPool", x: string, size: number, stride: number, padding: "SAME" | "VALID") {
    return this.node(name, kind, [x], { ...window(stride, padding), ksize: ints([1, size, size, 1]) });
  }

  /** Mean over space, [n, C]. */
  spatialMean(name: string, x: string): string {
    return this.node(name, "Mean", [x, this.numbers(`${name}/axes`, [1, 2])], { keep_dims: { b: false } });
  }

  /** Zeros behind the last row, column and channel. */
  pad(name: string, x: string, pixels: number, channels: number): string {
    const amounts = this.numbers(`${name}/amounts`, [0, 0, 0, pixels, 0, pixels, 0, channels], [4, 2]);
    return this.node(name, "Pad", [x, amounts]);
  }

  dense(name: string, x: string, weights: string, bias?: string): string {
    const attributes = { transpose_a: { b: false }, transpose_b: { b: false } };
    const product = this.node(`${name}/product`, "MatMul", [x, this.weight(weights)], attributes);
    return bias === undefined ? product : this.bias(name, product, bias);
  }

  softmax(name: string, x: string): string {
    return this.node(name, "Softmax", [x]);
  }

  /** The model's JSON, given the file of its weights, and the bytes of its own constants. */
  finish(outputs: string[], file: string, weights: readonly StoredWeight[]): { json: unknown; constants: Buffer } {
    const tensor = (name: string): [string, unknown] => [name, { name: `${name}:0`, dtype: "DT_FLOAT" }];
    const own = this.#constants.map(({ name, shape }) => ({ name, shape, dtype: "int32" }));
    const json = {
      format: "graph-model",
      modelTopology: { node: this.#nodes, versions: { producer: 175 } },
      signature: { inputs: Object.fromEntries([tensor("images")]), outputs: Object.fromEntries(outputs.map(tensor)) },
      weightsManifest: [
        { paths: [file], weights },
        { paths: ["constants.bin"], weights: own },
      ],
    };
    const values = this.#constants.flatMap((constant) => constant.values);
    return { json, constants: Buffer.from(Int32Array.from(values).buffer) };
  }
}

function window(stride: number, padding: "SAME" | "VALID"): Attribute {
  return {
    strides: ints([1, stride, stride, 1]),
    dilations: ints([1, 1, 1, 1]),
    padding: text(padding),
    data_format: text("NHWC"),
  };
}

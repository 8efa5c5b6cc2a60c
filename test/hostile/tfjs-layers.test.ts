/** Broken and malicious layers models of TensorFlow.js: each is refused with a message, in bounded memory and time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, kernel, open, type Parts, written } from "../support/hostile-tfjs.ts";
import { assertRefused, outcome } from "../support/refusal.ts";

function hostile(name: string, parts: () => Parts, pattern: RegExp): void {
  test(`refuses ${name}`, () => assertRefused(open, written(parts()), pattern));
}

type LayerJson = { class_name: string; config: Json; inbound_nodes?: unknown };
const input: LayerJson = { class_name: "InputLayer", config: { name: "x", batch_input_shape: [null, 8, 8, 3] } };
const chain = (...layers: LayerJson[]): Parts => ({
  topology: { class_name: "Sequential", config: { name: "chain", layers: [input, ...layers] } },
  weights: [],
  bytes: 0,
});
const layer = (kind: string, config: Json = {}): LayerJson => ({
  class_name: kind,
  config: { name: "layer", ...config },
});
const functional = (layers: unknown[], ends: Json = {}): Parts => ({
  topology: {
    class_name: "Model",
    config: {
      name: "m",
      layers: [{ ...input, inbound_nodes: [], name: "x" }, ...layers],
      input_layers: [["x", 0, 0]],
      output_layers: [["y", 0, 0]],
      ...ends,
    },
  },
  weights: [],
  bytes: 0,
});
const reads = (name: string, from: string): unknown => ({
  class_name: "Activation",
  name,
  config: { name, activation: "relu" },
  inbound_nodes: [[[from, 0, 0, {}]]],
});

test("a sound chain is read, so that each refusal below has its own reason", async () => {
  assert.equal(await outcome(open, written(chain(layer("GlobalAveragePooling2D")))), undefined);
  assert.equal(await outcome(open, written(functional([reads("y", "x")]))), undefined);
});
hostile("a model without layers", () => ({ topology: { class_name: "Sequential", config: [] } }), /no layers/);
hostile(
  "a model of an unknown class",
  () => ({ topology: { class_name: "Estimator", config: {} } }),
  /class "Estimator" is not supported/,
);
hostile("layers that run code", () => chain(layer("Lambda", { function: ["cost", "", ""] })), /not supported: Lambda/);
hostile("a layer called __proto__", () => chain(layer("ReLU", { name: "__proto__" })), /reserved/);
hostile("a layer of class __proto__", () => chain(layer("__proto__")), /not supported: __proto__/);
hostile(
  "two layers of one name",
  () => chain(layer("ReLU"), layer("ReLU")),
  /two layers of one model are called "layer"/,
);
hostile("a circle of layers", () => functional([reads("y", "z"), reads("z", "y")]), /in a circle/);
hostile("a layer that reads nothing that exists", () => functional([reads("y", "nowhere")]), /does not exist/);
hostile(
  "an output that does not exist",
  () => functional([reads("y", "x")], { output_layers: [["nowhere", 0, 0]] }),
  /does not exist/,
);
hostile(
  "a call that does not exist",
  () => functional([reads("y", "x")], { output_layers: [["y", 7, 0]] }),
  /does not exist/,
);
hostile(
  "models inside models without end",
  () => {
    let inner = chain(layer("ReLU")).topology;
    for (let i = 0; i < 30; i++) inner = { class_name: "Sequential", config: { name: `m${i}`, layers: [inner] } };
    return { topology: inner, weights: [], bytes: 0 };
  },
  /nest deeper|nests deeper/,
);
hostile(
  "models that call each other two hundred million times",
  () => {
    // Each model calls the one inside it four times.
    let inner: unknown = functional([reads("y", "x")]).topology;
    for (let depth = 0; depth < 14; depth++) {
      const calls = ["x", "m", "m", "m"].map((from, i) => [[from, from === "x" ? 0 : i - 1, 0, {}]]);
      const model = { ...(inner as Json), name: "m", inbound_nodes: calls };
      inner = functional([model], { output_layers: [["m", 3, 0]] }).topology;
    }
    return { topology: inner, weights: [], bytes: 0 };
  },
  /too many times|more than/,
);
hostile(
  "a Conv2D without its kernel",
  () => chain(layer("Conv2D", { filters: 4, kernel_size: [3, 3] })),
  /has no weight "layer\/kernel"/,
);
hostile(
  "a Conv2D whose kernel has another shape",
  () => ({
    ...chain(layer("Conv2D", { filters: 4, kernel_size: [3, 3], use_bias: false })),
    weights: [{ ...kernel, name: "layer/kernel" }],
    bytes: 48,
  }),
  /is \[1, 1, 3, 4\], needs \[3, 3, any, 4\]/,
);
hostile(
  "weights that no layer uses",
  () => ({ ...chain(layer("ReLU")), weights: [kernel], bytes: 48 }),
  /no layer uses the weights "kernel"/,
);
hostile(
  "filters that are a text",
  () => chain(layer("Conv2D", { filters: "4", kernel_size: 1 })),
  /"filters" must be a whole number/,
);
hostile(
  "a billion filters",
  () => chain(layer("Conv2D", { filters: 1e9, kernel_size: 1 })),
  /"filters" must be a whole number/,
);
hostile(
  "an activation that does not exist",
  () => chain(layer("Activation", { activation: "toString" })),
  /activation "toString" is not supported/,
);
hostile(
  "a ZeroPadding2D of a terapixel",
  () =>
    chain(
      layer("ZeroPadding2D", {
        padding: [
          [65536, 65536],
          [65536, 65536],
        ],
      }),
    ),
  /elements may be in use/,
);
hostile(
  "a negative ZeroPadding2D",
  () =>
    chain(
      layer("ZeroPadding2D", {
        padding: [
          [-1, 0],
          [0, 0],
        ],
      }),
    ),
  /must be pixels/,
);
hostile(
  "an UpSampling2D to a terapixel",
  () =>
    chain(
      { ...layer("UpSampling2D", { size: [1024, 1024] }) },
      { ...layer("UpSampling2D", { size: [1024, 1024], name: "more" }) },
    ),
  /elements may be in use/,
);
hostile(
  "a RepeatVector of a terabyte",
  () => chain(layer("Flatten", { name: "flat" }), layer("RepeatVector", { n: 1048576 })),
  /elements may be in use/,
);
hostile(
  "a Cropping2D that leaves nothing",
  () => chain(layer("Cropping2D", { cropping: 4 })),
  /cropping leaves nothing/,
);
hostile("a Reshape to an unfit shape", () => chain(layer("Reshape", { target_shape: [7, 11] })), /Reshape "layer"/);
hostile(
  "pooling by windows larger than the images",
  () => chain(layer("MaxPooling2D", { pool_size: 100 })),
  /does not fit a height of 8/,
);
const shaped = (shape: unknown): Parts => ({
  topology: {
    class_name: "Sequential",
    config: [{ ...input, config: { name: "x", batch_input_shape: shape } }, layer("ReLU")],
  },
  weights: [],
  bytes: 0,
});
hostile("images of a gigapixel", () => shaped([null, 32768, 32768, 3]), /2048 are supported/);
hostile("images of negative size", () => shaped([null, -8, -8, 3]), /not valid/);
hostile("images of five channels", () => shaped([null, 8, 8, 5]), /colour or grey images are needed/);
hostile("a vector as input", () => shaped([null, 8]), /colour or grey images are needed/);
hostile("an input without a shape", () => shaped(undefined), /does not say the shape/);

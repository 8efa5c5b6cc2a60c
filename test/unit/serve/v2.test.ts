/** The Open Inference Protocol v2, asked as its specification has it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import sharp from "sharp";
import type { PredictAnswer, RunningServer, ServedPrediction } from "../../../src/serve/index.ts";
import { type ServedPlace, send, served, servedPlace } from "../../support/served.ts";

let place: ServedPlace;
let server: RunningServer;

before(async () => {
  place = await servedPlace();
  server = await served(place.bundle);
});

after(() => server.close());

/** A tensor as the specification's "$response_output" has it. */
interface Output {
  name: string;
  shape: number[];
  datatype: string;
  data: (string | number)[];
}

/** A client of the protocol: what it sends and expects is the specification's alone. */
class InferenceClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async ready(model?: string): Promise<boolean> {
    const path = model === undefined ? "health/ready" : `models/${model}/ready`;
    return (await fetch(`${this.#url}/v2/${path}`)).status === 200;
  }

  async metadata(
    model: string,
  ): Promise<{ name: string; platform: string; inputs: Omit<Output, "data">[]; outputs: Omit<Output, "data">[] }> {
    return (await fetch(`${this.#url}/v2/models/${model}`)).json() as never;
  }

  async infer(
    model: string,
    request: object,
    binary?: Buffer,
  ): Promise<{ status: number; error?: string; id?: string; outputs: Output[] }> {
    const json = Buffer.from(JSON.stringify(request));
    const body = new Uint8Array(binary ? Buffer.concat([json, binary]) : json);
    const headers: Record<string, string> = binary
      ? { "content-type": "application/octet-stream", "inference-header-content-length": String(json.length) }
      : { "content-type": "application/json" };
    const answer = await fetch(`${this.#url}/v2/models/${model}/infer`, { method: "POST", body, headers });
    const { model_name: name, ...said } = (await answer.json()) as {
      model_name: string;
      error?: string;
      id?: string;
      outputs: Output[];
    };
    if (answer.ok) assert.equal(name, model);
    else assert.ok(said.error);
    return { status: answer.status, ...said };
  }
}

const names = ["circle/2.png", "square/4.png"];
const files = () => names.map((name) => readFileSync(join(place.images, name)));

/** What POST /predict answers for the same images. */
async function expected(query = ""): Promise<ServedPrediction[]> {
  const answers = names.map(async (name) => {
    const answer = await send(server, join(place.images, name), query);
    return ((await answer.json()) as PredictAnswer).predictions[0] as ServedPrediction;
  });
  return Promise.all(answers);
}

function assertSame(outputs: readonly Output[], predictions: readonly ServedPrediction[], tolerance = 1e-6): void {
  const byName = Object.fromEntries(outputs.map((output) => [output.name, output]));
  assert.deepEqual(
    byName["label"]?.data,
    predictions.map(({ label }) => label),
  );
  const probabilities = byName["probability"]?.data ?? [];
  for (const [i, { probability }] of predictions.entries())
    assert.ok(Math.abs(Number(probabilities[i]) - probability) < tolerance);
  assert.deepEqual(byName["probabilities"]?.shape, [predictions.length, 3]);
  assert.equal(byName["probabilities"]?.data.length, 3 * predictions.length);
  for (const { shape, data } of outputs)
    assert.equal(
      data.length,
      shape.reduce((a, b) => a * b, 1),
    );
}

test("health and metadata", async () => {
  const client = new InferenceClient(server.url);
  assert.deepEqual(
    [await client.ready(), await client.ready("bundle"), await client.ready("nobody")],
    [true, true, false],
  );
  const { name, platform, inputs, outputs } = await client.metadata("bundle");
  assert.deepEqual([name, platform], ["bundle", "hub-pathway_onnxruntime_onnxv1"]);
  assert.deepEqual(inputs, [{ name: "image", datatype: "BYTES", shape: [-1] }]);
  assert.deepEqual(
    outputs.map((output) => output.name),
    ["label", "probability", "probabilities"],
  );
});

test("BYTES in JSON and in binary, with an id, chosen outputs and parameters", async () => {
  const client = new InferenceClient(server.url);
  const data = files().map((file) => file.toString("base64"));
  const input = { name: "image", shape: [2], datatype: "BYTES" };
  const plain = await client.infer("bundle", { id: "7", inputs: [{ ...input, data }] });
  assert.deepEqual([plain.status, plain.id], [200, "7"]);
  assertSame(plain.outputs, await expected());
  const cheap = await client.infer("bundle", { inputs: [{ ...input, data }], parameters: { k: 1 } });
  assertSame(cheap.outputs, await expected("?k=1"));
  const binary = Buffer.concat(
    files().flatMap((file) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(file.length);
      return [length, file];
    }),
  );
  const sized = { ...input, parameters: { binary_data_size: binary.length } };
  assertSame((await client.infer("bundle", { inputs: [sized] }, binary)).outputs, await expected());
  const { outputs } = await client.infer("bundle", { inputs: [{ ...input, data }], outputs: [{ name: "label" }] });
  assert.deepEqual(
    outputs.map(({ name, datatype }) => [name, datatype]),
    [["label", "BYTES"]],
  );
});

test("UINT8 pixels, nested, flat and in binary", async () => {
  const client = new InferenceClient(server.url);
  const pixels = await Promise.all(
    files().map((file) => sharp(file).removeAlpha().toColourspace("srgb").raw().toBuffer({ resolveWithObject: true })),
  );
  const [{ width = 0, height = 0 } = {}] = pixels.map(({ info }) => info);
  const all = Buffer.concat(pixels.map(({ data }) => data));
  const input = { name: "image", shape: [2, height, width, 3], datatype: "UINT8" };
  const flat = await client.infer("bundle", { inputs: [{ ...input, data: [...all] }] });
  assert.equal(flat.status, 200, flat.error);
  assertSame(flat.outputs, await expected(), 1e-2);
  const rows = (bytes: Buffer) =>
    Array.from({ length: height }, (_, y) =>
      Array.from({ length: width }, (_, x) => [...bytes.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)]),
    );
  const nested = await client.infer("bundle", { inputs: [{ ...input, data: pixels.map(({ data }) => rows(data)) }] });
  assert.deepEqual(nested.outputs, flat.outputs);
  const sized = { ...input, parameters: { binary_data_size: all.length } };
  assert.deepEqual((await client.infer("bundle", { inputs: [sized] }, all)).outputs, flat.outputs);
});

test("what is not as the specification has it is an error with its reason", async () => {
  const client = new InferenceClient(server.url);
  const data = ["AAAA"];
  const cases: [object, RegExp][] = [
    [{}, /inputs/],
    [{ inputs: [] }, /inputs/],
    [{ inputs: [{ name: "image", shape: [1], datatype: "FP32", data: [1] }] }, /datatype/],
    [{ inputs: [{ name: "image", shape: [2], datatype: "BYTES", data }] }, /1 elements where the shape asks for 2/],
    [{ inputs: [{ name: "image", shape: [1], datatype: "BYTES" }] }, /one of both/],
    [{ inputs: [{ name: "image", shape: [1], datatype: "BYTES", data: [5] }] }, /base64/],
    [{ inputs: [{ name: "image", shape: [1], datatype: "BYTES", data }] }, /cannot be used/],
    [
      { inputs: [{ name: "image", shape: [1, 2, 2, 3], datatype: "UINT8", data: [1, 2] }] },
      /2 values where the shape asks for 12/,
    ],
    [{ inputs: [{ name: "image", shape: [1, 1, 1, 3], datatype: "UINT8", data: [1, 2, 256] }] }, /0 to 255/],
    [{ inputs: [{ name: "image", shape: [12], datatype: "UINT8", data: [1] }] }, /\[n, height, width, 3\]/],
    [{ inputs: [{ name: "image", shape: [1], datatype: "BYTES", data }], parameters: { k: 9 } }, /k is 9/],
    [{ inputs: [{ name: "image", shape: [1], datatype: "BYTES", data }], outputs: [{ name: "logits" }] }, /outputs/],
    // Before anything is decoded or computed.
    [
      { inputs: [{ name: "image", shape: [1], datatype: "BYTES", data }], outputs: [{ name: "values" }] },
      /no output values/,
    ],
  ];
  for (const [request, says] of cases) {
    const { status, error } = await client.infer("bundle", request);
    assert.equal(status, 422, error);
    assert.match(error ?? "", says);
  }
  assert.equal((await client.infer("nobody", {})).status, 404);
});

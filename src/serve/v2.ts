/**
 * The Open Inference Protocol, version 2 (kserve/open-inference-protocol): health, metadata, and inference over one input of
 * encoded images (BYTES, [n]) or of pixels (UINT8, [n, height, width, 3]), as JSON or as its extension for binary tensors.
 */
import type { Hono } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import { isPresent } from "../runtime/index.ts";
import { checked, parseJson, readBody, type SentImage } from "./body.ts";
import { type AppOptions, isAllReady, modelOf, onGone } from "./context.ts";
import type { Limits } from "./limits.ts";
import { answersOf, type Choices, predictionOf, probabilitiesOf, withDeadline } from "./predict.ts";
import { Problem } from "./problem.ts";
import type { Answered } from "./queue.ts";
import { type AnyServed, predictQuery } from "./schemas.ts";
import { type Bindings, sendJson } from "./send.ts";
import type { ServedModel } from "./served-model.ts";
import { type InferRequest, inferRequest, inferResponse, type OutputName, outputsOf } from "./v2-schemas.ts";

export function addV2(app: Hono<Bindings>, options: AppOptions): void {
  const { models, version } = options;
  const route = (summary: string) => describeRoute({ summary, tags: ["Open Inference Protocol v2"], responses: {} });
  app.get("/v2", route("Server metadata"), (c) =>
    c.json({ name: "hub-pathway", version, extensions: ["binary_tensor_data"] }),
  );
  app.get("/v2/health/live", route("The process runs"), (c) => c.json({ live: true }));
  app.get("/v2/health/ready", route("All models answer"), (c) => {
    const ready = isAllReady(options);
    return c.json({ ready }, ready ? 200 : 503);
  });
  app.get("/v2/models/:name/ready", route("The model answers"), (c) => {
    const { name, isReady: ready } = modelOf(models, c.req.param("name"));
    return c.json({ name, ready }, ready ? 200 : 503);
  });
  app.get("/v2/models/:name", route("Model metadata"), (c) =>
    c.json(metadataOf(modelOf(models, c.req.param("name")), options.around.limits)),
  );
  const described = describeRoute({
    summary: "Inference",
    tags: ["Open Inference Protocol v2"],
    requestBody: { required: true, content: { "application/json": { schema: resolver(inferRequest) } } },
    responses: {
      200: { description: "Outputs", content: { "application/json": { schema: resolver(inferResponse) } } },
    },
  });
  app.post("/v2/models/:name/infer", described, async (c) => {
    const model = modelOf(models, c.req.param("name"));
    const length = c.req.header("inference-header-content-length");
    return sendJson(
      c,
      await withDeadline(model, options.around, {}, onGone(c), async (open) => {
        const body = await readBody(c.env.incoming, options.around.limits, open.over);
        return infer(model, body, length, open, options);
      }),
    );
  });
}

function metadataOf({ name, info }: ServedModel, { rejectBelow = info.rejectBelow }: Limits): object {
  const task = info.task?.kind ?? "classification";
  const declared = (name: OutputName) => {
    const { datatype, isTable } = forms[name];
    return { name, datatype, shape: isTable ? [-1, info.labels.length] : [-1] };
  };
  const platform = info.kind === "bundle" ? "onnxruntime_onnxv1" : "pytorch_libtorch";
  return {
    name,
    versions: ["1"],
    platform: `hub-pathway_${platform}`,
    inputs: [{ name: "image", datatype: "BYTES", shape: [-1] }],
    outputs: outputsOf[task].filter((name) => name !== "rejected" || rejectBelow !== undefined).map(declared),
    parameters: { task, labels: info.labels, members: info.members },
  };
}

async function infer(
  model: ServedModel,
  body: Buffer,
  headerLength: string | undefined,
  open: Parameters<typeof answersOf>[3],
  { around }: AppOptions,
): Promise<object> {
  const header = headerLength === undefined ? body.length : Number(headerLength);
  if (!Number.isInteger(header) || header < 2 || header > body.length) {
    throw new Problem(400, "invalid", "Inference-Header-Content-Length is no length within the body", {
      field: "inference-header-content-length",
    });
  }
  const request = checked(inferRequest, parseJson(body.subarray(0, header)));
  const choices = choicesOf(request);
  requireFew(request, around.limits.maxImages);
  const all: readonly OutputName[] = outputsOf[model.info.task?.kind ?? "classification"];
  const asked = request.outputs?.map(({ name }) => name);
  const foreign = asked?.find((name) => !all.includes(name));
  if (foreign !== undefined) throw wrong("outputs", `this model has no output ${foreign}: it has ${all.join(", ")}`);
  const images = imagesOf(request, body.subarray(header), around.limits.maxPixels);
  const outcomes = await answersOf(model, images, choices, open, around);
  // The protocol has no outcome for one element alone.
  const answered = outcomes.map((outcome): Read => {
    if (outcome instanceof Problem) throw outcome;
    return read(outcome, predictionOf(model.name, outcome, choices, around));
  });
  const hasThreshold = answered.some(({ prediction }) => "rejected" in prediction);
  const outputs = asked ?? all.filter((name) => name !== "rejected" || hasThreshold);
  return {
    model_name: model.name,
    model_version: "1",
    ...(request.id === undefined ? {} : { id: request.id }),
    parameters: {
      pathway: JSON.stringify(answered.map(({ prediction }) => prediction.pathway)),
      ...(answered.some(({ prediction }) => prediction.degraded) ? { degraded: true } : {}),
    },
    outputs: outputs.map((name) => tensorOf(name, answered)),
  };
}

/** Data type of each output, and whether it has a value for each label. */
const forms: Record<OutputName, { datatype: "BYTES" | "FP32" | "BOOL"; isTable?: true }> = {
  label: { datatype: "BYTES" },
  probability: { datatype: "FP32" },
  probabilities: { datatype: "FP32", isTable: true },
  rejected: { datatype: "BOOL" },
  present: { datatype: "BOOL", isTable: true },
  values: { datatype: "FP32", isTable: true },
};

interface Read {
  readonly prediction: AnyServed;
  /** Probabilities or numbers, [C]. */
  readonly all: Float32Array;
  readonly present: readonly boolean[];
}

export function read(answered: Answered, prediction: AnyServed): Read {
  const all = probabilitiesOf(answered);
  const { task } = answered.info;
  const present = task?.kind === "multi-label" ? [...all].map((p, c) => isPresent(task.thresholds, c, p)) : [];
  return { prediction, all, present };
}

/** One output of the answers to n images. */
export function tensorOf(name: OutputName, answered: readonly Read[]) {
  const { datatype, isTable } = forms[name];
  const data = answered.flatMap(({ prediction, all, present }): (string | number | boolean)[] => {
    if (name === "present") return [...present];
    if (isTable) return [...all];
    if (!("label" in prediction)) return [];
    const { label, probability, rejected = false } = prediction;
    return [{ label, probability, rejected }[name as "label" | "probability" | "rejected"]];
  });
  const [n, width] = [answered.length, answered[0]?.all.length ?? 0];
  return { name, datatype, shape: isTable ? [n, width] : [n], data };
}

function choicesOf({ parameters = {} }: InferRequest): Choices {
  const given = ["k", "confidence", "flops"].filter((name) => parameters[name] !== undefined);
  return checked(predictQuery, Object.fromEntries(given.map((name) => [name, parameters[name]])));
}

/** @throws Problem 413, before an image is touched */
function requireFew({ inputs }: InferRequest, most: number): void {
  const { datatype, shape = [] } = inputs[0] ?? {};
  const images = datatype === "BYTES" ? shape.reduce((a, b) => a * b, 1) : (shape[0] ?? 0);
  if (images <= most) return;
  const detail = `${images} images at a time, at most ${most}: send them in several requests`;
  throw new Problem(413, "too-many-images", detail, { field: "inputs" });
}

function imagesOf({ inputs }: InferRequest, binary: Buffer, pixelLimit: number): SentImage[] {
  const [input] = inputs;
  if (!input) return [];
  const { datatype, shape, data, parameters } = input;
  const size = parameters?.binary_data_size;
  const raw = size === undefined ? undefined : binary.subarray(0, size);
  if ((raw === undefined) === (data === undefined) || (raw && raw.length !== size)) {
    throw wrong(
      "inputs[0].data",
      "data, or binary_data_size with so many bytes behind the header, is needed: one of both",
    );
  }
  if (datatype === "BYTES") return bytesOf(shape, raw, data);
  const [n = 0, height = 0, width = 0, channels] = shape;
  const each = height * width * 3;
  if (shape.length !== 4 || channels !== 3 || each === 0) {
    throw wrong("inputs[0].shape", "UINT8 has the shape [n, height, width, 3]");
  }
  if (height * width > pixelLimit) throw wrong("inputs[0].shape", `an image has more than ${pixelLimit} pixels`);
  const values = raw ?? bytesIn(flat(data));
  if (values.length !== n * each)
    throw wrong("inputs[0].data", `${values.length} values where the shape asks for ${n * each}`);
  return Array.from({ length: n }, (_, i) => {
    const bytes = values.subarray(i * each, (i + 1) * each);
    return { field: `inputs[0].data[${i}]`, bytes, size: { width, height } };
  });
}

/** Elements of a BYTES tensor: in JSON base64, in binary each behind its length in four bytes, little-endian. */
function bytesOf(shape: readonly number[], raw: Buffer | undefined, data: readonly unknown[] | undefined): SentImage[] {
  const elements: Uint8Array[] = [];
  if (raw) {
    for (let at = 0; at < raw.length; ) {
      const length = at + 4 <= raw.length ? raw.readUInt32LE(at) : Number.POSITIVE_INFINITY;
      if (at + 4 + length > raw.length)
        throw wrong("inputs[0].data", "an element is longer than what is left of the data");
      elements.push(raw.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
  } else {
    for (const [i, element] of flat(data).entries()) {
      if (typeof element !== "string" || !/^[\w+/-]+={0,2}$/.test(element)) {
        throw wrong(`inputs[0].data[${i}]`, "an element of BYTES is an image file in base64");
      }
      elements.push(Buffer.from(element, "base64"));
    }
  }
  const n = shape.reduce((a, b) => a * b, 1);
  if (elements.length !== n) throw wrong("inputs[0].data", `${elements.length} elements where the shape asks for ${n}`);
  return elements.map((bytes, i) => ({ field: `inputs[0].data[${i}]`, bytes }));
}

/** Row-major, whether it is nested or not. */
function flat(data: readonly unknown[] = []): unknown[] {
  return data.flat(4);
}

function bytesIn(values: readonly unknown[]): Uint8Array {
  return Uint8Array.from(values, (value, i) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255) return value;
    throw wrong(`inputs[0].data[${i}]`, "a value of UINT8 is a whole number from 0 to 255");
  });
}

const wrong = (field: string, detail: string) => new Problem(422, "invalid", detail, { field });

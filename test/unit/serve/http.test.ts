/** What is asked wrongly is refused with a problem that names the field; probes, metrics, the page, and who may ask. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import sharp from "sharp";
import type { ProblemDetails, RunningServer } from "../../../src/serve/index.ts";
import { type ServedPlace, send, served, servedPlace } from "../../support/served.ts";

const token = "a-token-of-this-test";
const bearer = { authorization: `Bearer ${token}` };
let place: ServedPlace;
let server: RunningServer;

before(async () => {
  place = await servedPlace();
  const limits = { maxBody: 50_000, maxPixels: 10_000, maxImages: 3 };
  server = await served([place.routed, place.single], { token, ...limits });
});

after(() => server.close());

const post = (path: string, body: NonNullable<RequestInit["body"]>, type?: string) =>
  fetch(`${server.url}${path}`, {
    method: "POST",
    body,
    headers: { ...bearer, ...(type ? { "content-type": type } : {}) },
  });

async function refused(
  response: Promise<Response>,
  status: number,
  field: string | undefined,
  says: RegExp,
): Promise<void> {
  const answer = await response;
  const problem = (await answer.json()) as ProblemDetails;
  assert.equal(answer.status, status, JSON.stringify(problem));
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.deepEqual([problem.status, problem.field], [status, field]);
  assert.match(problem.detail, says);
  assert.ok(problem.title && problem.type && problem.code);
}

const image = (query: string) => send(server, place.photo, query, bearer);
const json = (value: unknown) => post("/predict", JSON.stringify(value), "application/json");

test("choices that a model does not have", async () => {
  await refused(image("?k=0"), 422, "k", /k: /);
  await refused(image("?k=many"), 422, "k", /k: /);
  await refused(image("?confidence=0"), 422, "confidence", /confidence: /);
  await refused(image("?model=single&confidence=0.5"), 422, "confidence", /does not choose members/);
  await refused(image("?k=9"), 422, "k", /k is 9: it must be a whole number from 1 to \d/);
  await refused(image("?k=1&flops=1e9"), 422, "flops", /leave one of them out/);
  await refused(image("?flops=10"), 422, "flops", /even one model costs \d+ FLOPs for an image/);
  await refused(image("?model=single&k=1"), 422, "k", /does not choose members/);
  await refused(image("?explain=perhaps"), 422, "explain", /explain/);
  await refused(image("?kk=1"), 422, "kk", /kk/);
  await refused(image("?model=nobody"), 404, "model", /no model "nobody"; there are: routed, single/);
});

test("bodies that bring no image", async () => {
  await refused(post("/predict", "<p>", "text/html"), 415, "content-type", /"text\/html": send an image/);
  await refused(post("/predict", new Uint8Array(8)), 415, "content-type", /no content type/);
  await refused(post("/predict", "{", "application/json"), 400, "body", /not JSON/);
  await refused(post("/predict", "x", "multipart/form-data; boundary=y"), 400, "body", /multipart/);
  await refused(post("/predict", new Uint8Array(), "image/png"), 422, "body", /no image/);
  await refused(post("/predict", "no image", "image/png"), 422, "body", /body cannot be used: /);
  await refused(json({}), 422, "body", /no image/);
  await refused(json({ images: [] }), 422, "images", /images/);
  await refused(json({ image: "AAAA", images: ["AAAA"] }), 422, "image", /leave one/);
  await refused(json({ image: "AAAA", k: 1 }), 422, "k", /k/);
  await refused(json({ images: ["AAAA", 5] }), 422, "images[1]", /images/);
  const form = new FormData();
  form.append("k", "1");
  await refused(post("/predict", form), 422, "k", /"k" is text: send files/);
});

test("an address that a client names is no image, and nobody is asked for it", async () => {
  await refused(json({ image: `${server.url}/healthz` }), 422, "image", /image/);
  await refused(json({ url: `${server.url}/healthz` }), 422, "url", /url/);
});

test("limits of body, pixels and images", async () => {
  await refused(post("/predict", new Uint8Array(50_001), "image/png"), 413, "body", /more than 50000 bytes/);
  const large = await sharp({ create: { width: 101, height: 100, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  await refused(post("/predict", new Uint8Array(large), "image/png"), 422, "body", /megapixels, more than the limit/);
  const one = readFileSync(place.photo).toString("base64");
  await refused(json({ images: [one, one, one, one] }), 413, "images", /4 images at a time, at most 3/);
});

test("a body without a length is cut off at the limit", async () => {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { ...bearer, "content-type": "image/png", "transfer-encoding": "chunked" };
    const sent = httpRequest(`${server.url}/predict`, { method: "POST", headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    // The server may end the connection while this is still writing.
    sent.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "EPIPE" || error.code === "ECONNRESET" ? undefined : reject(error),
    );
    sent.write(new Uint8Array(60_000));
    sent.write(new Uint8Array(60_000));
  });
  assert.equal(status, 413);
});

test("paths and methods that there are not", async () => {
  await refused(
    fetch(`${server.url}/nowhere`, { headers: bearer }),
    404,
    undefined,
    /no GET \/nowhere: see \/openapi\.json/,
  );
  await refused(fetch(`${server.url}/predict`, { headers: bearer }), 405, undefined, /does not take GET/);
});

test("without the token only probes and the page answer", async () => {
  for (const wrong of [{}, { authorization: "Bearer another-token" }, { authorization: token }]) {
    for (const path of ["/predict", "/models", "/metrics", "/v2/models/routed"]) {
      const method = path === "/predict" ? "POST" : "GET";
      await refused(fetch(server.url + path, { method, headers: wrong }), 401, "authorization", /bearer token/);
    }
  }
  for (const path of ["/", "/openapi.json", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"]) {
    assert.equal((await fetch(server.url + path)).status, 200, path);
  }
});

test("no other origin is allowed", async () => {
  const asked = {
    method: "OPTIONS",
    headers: { ...bearer, origin: "http://example.com", "access-control-request-method": "POST" },
  };
  const answers = [
    await fetch(`${server.url}/predict`, asked),
    await fetch(`${server.url}/models`, { headers: { ...bearer, origin: "http://example.com" } }),
  ];
  for (const { headers } of answers) assert.equal(headers.get("access-control-allow-origin"), null);
});

test("readiness, models and metrics say what there is", async () => {
  const get = async (path: string) => (await fetch(server.url + path, { headers: bearer })).text();
  assert.deepEqual(JSON.parse(await get("/readyz")), { ready: true, models: { routed: "ready", single: "ready" } });
  const { models } = JSON.parse(await get("/models")) as {
    models: { name: string; labels: string[]; members: string[] }[];
  };
  assert.deepEqual(
    models.map(({ name }) => name),
    ["routed", "single"],
  );
  assert.deepEqual(models[0]?.labels, ["circle", "square", "stripe"]);
  for (let i = 0; i < 3; i++) assert.equal((await image("?k=1")).status, 200);
  const metrics = await get("/metrics");
  const value = (pattern: string) =>
    Number(new RegExp(`^hub_pathway_${pattern} ([\\d.e+-]+)$`, "m").exec(metrics)?.[1]);
  const activations = [
    ...metrics.matchAll(/^hub_pathway_activations_total\{model="routed",member="[\w-]+"\} (\d+)$/gm),
  ];
  assert.equal(
    activations.reduce((sum, [, count]) => sum + Number(count), 0),
    3,
  );
  assert.equal(value('queue_depth\\{model="routed"\\}'), 0);
  assert.equal(value('ready\\{model="single"\\}'), 1);
  assert.ok(value('resident_members\\{model="routed"\\}') >= 2);
  assert.ok(value('route_entropy_bits\\{model="routed"\\}') >= 0);
  for (const stage of ["decode", "queue", "route", "member", "join"]) {
    assert.ok(
      value(`stage_milliseconds_count\\{stage="${stage}",model="routed"\\}`) >= 1 ||
        value(`stage_milliseconds_count\\{model="routed",stage="${stage}"\\}`) >= 1,
      stage,
    );
  }
  assert.ok(value('requests_total\\{route="/predict",status="200"\\}') >= 3);
  assert.ok(value('requests_total\\{route="/predict",status="422"\\}') >= 3);
});

test("OpenAPI describes the routes with the schemas, and the page needs no other host", async () => {
  const spec = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
    openapi: string;
    paths: Record<string, Record<string, { parameters?: { name: string }[]; responses: Record<string, unknown> }>>;
  };
  assert.match(spec.openapi, /^3\.1/);
  const predict = spec.paths["/predict"]?.["post"];
  assert.deepEqual(predict?.parameters?.map(({ name }) => name).sort(), [
    "confidence",
    "deadline",
    "explain",
    "flops",
    "k",
    "model",
    "top",
  ]);
  for (const status of ["200", "400", "413", "415", "422", "429", "503", "504"])
    assert.ok(predict?.responses[status], status);
  assert.match(JSON.stringify(predict?.responses["200"]), /agreement/);
  for (const path of ["/healthz", "/readyz", "/metrics", "/models", "/v2/models/{name}/infer"])
    assert.ok(spec.paths[path], path);
  const page = await fetch(server.url);
  assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'/);
  assert.doesNotMatch(await page.text(), /https?:\/\//);
});

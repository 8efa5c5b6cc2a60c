/** A run's choices for budgets and confidences: the run, its bundle in the runtime, and servers of both answer the same. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as ort from "onnxruntime-node";
import sharp from "sharp";
import { type ImagePrediction, Predictor } from "../../../src/library/index.ts";
import { restorePredictor } from "../../../src/methods/index.ts";
import type { Bundle, BundlePrediction, Wish } from "../../../src/runtime/index.ts";
import { openBundle } from "../../../src/runtime/node.ts";
import type { ModelDescription, PredictAnswer, RunningServer } from "../../../src/serve/index.ts";
import { openRun } from "../../../src/train/index.ts";
import { send, served } from "../../support/served.ts";
import { exportedBundle, trainedRun, writeSmallTask } from "../../support/small-bundle.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;
let bundle: Bundle;
let server: RunningServer;

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder, 12);
  await trainedRun(folder, "run", ({ choices, options }) => ({
    choices: { ...choices, k: 1, credit: "losses", warmup: 0 },
    options: { ...options, epochs: 4, lr: 1e-2 },
  }));
  bundle = await exportedBundle(folder, "run", "bundle");
  server = await served([join(folder, "run"), join(folder, "bundle")]);
});
after(() => server.close());

const names = ["circle/1.png", "square/2.png", "stripe/3.png", "circle/4.png", "square/5.png", "stripe/6.png"];
const place = (name: string): string => join(folder, "images", name);

async function pixelsOf(name: string) {
  const { data, info } = await sharp(place(name)).raw().toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data), width: info.width, height: info.height };
}

type Answer = Pick<ImagePrediction | BundlePrediction, "top" | "pathway">;

function assertSame(actual: Answer, expected: Answer, what: string): void {
  const namesOf = ({ top, pathway }: Answer) => [top[0]?.label, ...pathway.map(({ member }) => member)];
  assert.deepEqual(namesOf(actual), namesOf(expected), what);
  for (const [i, { weight }] of actual.pathway.entries())
    assert.ok(Math.abs(weight - (expected.pathway[i]?.weight ?? 9)) < 1e-5, what);
  assert.ok(Math.abs((actual.top[0]?.probability ?? 9) - (expected.top[0]?.probability ?? 0)) < 1e-5, what);
}

async function fromServer(model: string, name: string, wish: Wish): Promise<Answer> {
  const query = Object.entries(wish).map(([key, value]) => `&${key}=${value}`);
  const response = await send(server, place(name), `?model=${model}${query.join("")}`);
  assert.equal(response.status, 200, await response.clone().text());
  const [first] = ((await response.json()) as PredictAnswer).predictions;
  assert.ok(first && "label" in first);
  return first;
}

test("every budget and confidence has the run's answers in the runtime and over HTTP", async () => {
  const opened = openRun(join(folder, "run"), restorePredictor);
  const ofRun = opened.predictor.budgets?.map(({ uses: _, ...choice }) => choice);
  assert.deepEqual(bundle.budgets, JSON.parse(JSON.stringify(ofRun)));
  opened.dispose();
  const budgets = bundle.budgets ?? [];
  const model = await openBundle(join(folder, "bundle"), { ort });
  const images = await Promise.all(names.map(pixelsOf));
  const wishes: Wish[] = [
    ...budgets.map(({ flops }) => ({ flops: Math.ceil(flops) })),
    ...[0.35, 0.5, 0.9].map((confidence) => ({ confidence })),
    { k: 2, confidence: 0.99 },
    { flops: 1e12, confidence: 0.4 },
  ];
  const used = new Set<number>();
  for (const wish of wishes) {
    using predictor = await Predictor.open(join(folder, "run"), wish);
    const expected = await predictor.predict(names.map(place));
    const found = await model.predictAll(images, wish);
    for (const [i, name] of names.entries()) {
      const own = expected[i] as ImagePrediction;
      const what = `${name} with ${JSON.stringify(wish)}`;
      assertSame(found[i] as Answer, own, what);
      for (const served of ["run", "bundle"])
        assertSame(await fromServer(served, name, wish), own, `${served}: ${what}`);
      used.add(own.pathway.length);
    }
  }
  assert.ok(budgets.length > 0 && used.size > 1, `${budgets.length} budgets; ${[...used]} models`);
  await model.close();
});

test("with a confidence only the models that are asked are fetched, one after the other", async () => {
  const image = await pixelsOf(names[0] ?? "");
  const bytes: number[] = [];
  for (const confidence of [0.01, 1]) {
    const model = await openBundle(join(folder, "bundle"), { ort });
    bytes.push((await model.predict(image, { confidence })).bytesFetched);
    await model.close();
  }
  const sizes = bundle.members.map(({ file }) => bundle.files[file]?.bytes ?? 0);
  const router = bundle.files["router.onnx"]?.bytes ?? 0;
  assert.ok(sizes.some((size) => router + size === bytes[0]));
  assert.equal(bytes[1], router + sizes.reduce((a, b) => a + b, 0));
});

test("a bundle may be exported with a budget or a confidence as its own choice, which passes the gate and the self-test", async () => {
  const { exportRun } = await import("../../../src/cli/export-command.ts");
  const results: Record<string, unknown>[] = [];
  const output = { json: false, say() {}, warn() {}, result: (one: Record<string, unknown>) => results.push(one) };
  const out = join(folder, "sure");
  await exportRun(join(folder, "run"), { device: "cpu", out, confidence: 0.9 }, output as never);
  const gate = results[0]?.["gate"] as { otherLabels: number; items: number };
  assert.ok(gate.items > 0 && gate.otherLabels === 0);
  const model = await openBundle(out, { ort });
  assert.equal(model.bundle.confidence, 0.9);
  using predictor = await Predictor.open(join(folder, "run"), { confidence: 0.9 });
  const expected = await predictor.predict(names.map(place));
  const found = await model.predictAll(await Promise.all(names.map(pixelsOf)));
  for (const [i, one] of found.entries()) assertSame(one, expected[i] as Answer, names[i] ?? "");
  assert.equal((await model.verify()).otherRoutes, 0);
  await model.close();
});

test("the same models for every image make a bundle without a router and without other models", async () => {
  const { exportRun } = await import("../../../src/cli/export-command.ts");
  const results: Record<string, unknown>[] = [];
  const output = { json: false, say() {}, warn() {}, result: (one: Record<string, unknown>) => results.push(one) };
  await trainedRun(folder, "pair", ({ choices }) => ({ choices: { ...choices, k: 2 } }));
  const all = (await exportedBundle(folder, "pair", "whole")).members.map(({ name }) => name);
  for (const [of, models] of [
    ["run", bundle.members.slice(-1).map(({ name }) => name)],
    ["pair", all.slice(0, 1)],
    ["pair", all.slice(0, 2)],
  ] as const) {
    const out = join(folder, `fixed-${of}-${models.length}`);
    await exportRun(join(folder, of), { device: "cpu", out, models: [...models] }, output as never);
    const model = await openBundle(out, { ort });
    assert.deepEqual(
      model.bundle.members.map(({ name }) => name),
      models,
    );
    assert.equal(model.bundle.router, undefined);
    assert.deepEqual(model.bundle.budgets ?? [], []);
    using predictor = await Predictor.open(join(folder, of), { models });
    const expected = await predictor.predict(names.map(place));
    const found = await model.predictAll(await Promise.all(names.map(pixelsOf)));
    for (const [i, one] of found.entries()) {
      assertSame(one, expected[i] as Answer, names[i] ?? "");
      assert.deepEqual(one.pathway.map(({ member }) => member).sort(), [...models].sort());
    }
    assert.equal((await model.verify()).otherRoutes, 0);
    await model.close();
  }
  const gates = results.map(({ gate }) => gate as { otherLabels: number; items: number });
  assert.ok(gates.every(({ items, otherLabels }) => items > 0 && otherLabels === 0));
});

test("one of several named models may be chosen for each image, and a name that the run lacks is refused", async () => {
  const models = bundle.members.slice(0, 2).map(({ name }) => name);
  using predictor = await Predictor.open(join(folder, "run"), { models, k: 1 });
  for (const { pathway } of await predictor.predict(names.map(place))) {
    assert.equal(pathway.length, 1);
    assert.ok(models.includes(pathway[0]?.member ?? ""));
  }
  const opened = (wish: object) => Predictor.open(join(folder, "run"), wish);
  await assert.rejects(opened({ models: ["nobody"] }), /kept no model "nobody"; its models are .*, /);
  await assert.rejects(opened({ models, flops: 1e9 }), /--models, --flops and --ms all choose/);
  await assert.rejects(opened({ models, k: 3 }), /k is 3: it must be a whole number from 1 to 2/);
});

test("the server says what may be chosen", async () => {
  const { models } = (await (await fetch(`${server.url}/models`)).json()) as { models: ModelDescription[] };
  for (const { budgets, largestK } of models) {
    assert.deepEqual(
      budgets,
      (bundle.budgets ?? []).map(({ flops, accuracy }) => ({ flops, accuracy })),
    );
    assert.equal(largestK, bundle.members.length);
  }
  const refused = await send(server, place(names[0] ?? ""), "?model=bundle&flops=1");
  assert.equal(refused.status, 422);
  assert.match(((await refused.json()) as { detail: string }).detail, /even one model costs \d+ FLOPs/);
});

test("a bundle without rare models has budgets of its own, and answers within them", async () => {
  const rare = await exportedBundle(folder, "run", "rare", 1, { minShare: 0.9 });
  const used = new Set<string>();
  const model = await openBundle(join(folder, "rare"), { ort });
  const images = await Promise.all(names.map(pixelsOf));
  for (const { flops } of rare.budgets ?? [])
    for (const { pathway } of await model.predictAll(images, { flops: Math.ceil(flops) }))
      for (const { member } of pathway) used.add(member);
  assert.ok(used.size > 0 && rare.budgets?.every(({ k }) => k <= rare.members.length));
  await model.close();
});

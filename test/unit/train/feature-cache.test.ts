import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { ImageStore, viewOf } from "../../../src/data/index.ts";
import { HubMember } from "../../../src/hub/index.ts";
import { readSafetensors } from "../../../src/io/index.ts";
import { findMethod } from "../../../src/methods/index.ts";
import { FoldedNorms, type Linear } from "../../../src/nn/index.ts";
import { ConfigError, disposeTree, Interrupted, memory, type Tensor } from "../../../src/torch/index.ts";
import {
  type Choices,
  defaultTrainOptions,
  evaluateTask,
  prepareData,
  type RunEvent,
  type RunOutcome,
  type TrainRequest,
  trainRun,
} from "../../../src/train/index.ts";
import { beforeEach } from "../../support/hooks.ts";
import { assertClose } from "../../support/numeric.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;
let hub: string;
let images: string;
let caches = 0;
const members = 3;
const views = 2;

before(async () => {
  folder = temporaryFolder();
  hub = writeSmallHub(folder);
  images = await writeShapeImages(folder, 16);
});

beforeEach(() => emptyCache());

function emptyCache(): void {
  process.env["HUB_PATHWAY_CACHE"] = join(folder, `cache-${++caches}`);
}

const options = { ...defaultTrainOptions, epochs: 3, batchSize: 12, seed: 3, lr: 2e-3, frozenViews: views };

function request(out: string, more: Partial<TrainRequest> = {}): TrainRequest {
  const usual = trainRequest({ folder, hub, images }, out);
  const data = { ...usual.data, split: { validationFraction: 0.25, testFraction: 0.25 } };
  return { ...usual, data, options, ...more };
}

function release(run: RunOutcome): void {
  run.predictor.dispose();
  run.data.dispose();
}

let whole: RunOutcome | undefined;

/** The usual run, which nothing interrupts. */
async function wholeRun(): Promise<RunOutcome> {
  whole ??= await trainRun(request("whole"));
  return whole;
}

after(() => whole && release(whole));

function cacheFiles(): string[] {
  const path = join(process.env["HUB_PATHWAY_CACHE"] ?? "", "features");
  return existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : [];
}

function checkpoint(out: string, fit = "hub-pathway"): Map<string, Tensor> {
  return readSafetensors(join(folder, out, "training", `${fit}.weights.safetensors`)).tensors;
}

function assertNear(actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length);
  const largest = Math.max(...actual.map((value, i) => Math.abs(value - (expected[i] ?? Number.NaN))));
  assert.ok(largest <= 1e-6, `the largest difference is ${largest}`);
}

/** Rows that members compute while `fn` runs, before its last fit is done. */
async function rowsComputed(fn: (emit: (event: RunEvent) => void) => Promise<RunOutcome>): Promise<number> {
  const original = HubMember.prototype.features;
  let rows = 0;
  let atLastFit = 0;
  HubMember.prototype.features = function features(this: HubMember, batch: Tensor): Tensor {
    rows += batch.size(0);
    return original.call(this, batch);
  };
  try {
    release(
      await fn((event) => {
        if (event.type === "fitted") atLastFit = rows;
      }),
    );
    return atLastFit;
  } finally {
    HubMember.prototype.features = original;
  }
}

const cases: { method: string; fit: string; choices: Choices; augment: "standard" | "none" }[] = [
  { method: "hub-pathway", fit: "hub-pathway", choices: { k: 2, generatorWidth: 4 }, augment: "standard" },
  { method: "hub-pathway", fit: "hub-pathway", choices: { k: 1, aggregation: "features" }, augment: "none" },
  { method: "fine-tune", fit: "small-resnet", choices: {}, augment: "standard" },
  { method: "static-k", fit: "other-resnet", choices: { k: 2 }, augment: "standard" },
];
for (const [i, { method, fit, choices, augment }] of cases.entries()) {
  test(`${method} on kept features equals computing them in every step (${i})`, async (t) => {
    // Its rounding is not that of steps.
    t.mock.method(FoldedNorms.prototype, "run", (fn: () => unknown) => fn());
    const data = { ...request("x").data, augment };
    const common = { method: findMethod(method), choices, data };
    const kept = await trainRun(request(`kept-${i}`, common));
    const computed = await trainRun(request(`computed-${i}`, { ...common, cacheFeatures: false }));
    // A generator's small images are a table like that of a member.
    const tables = members + (method === "hub-pathway" ? 1 : 0);
    assert.equal(cacheFiles().length, tables * ((augment === "none" ? 1 : views) + 1), "one file for each view");
    assertNear(kept.validation.probabilities, computed.validation.probabilities);
    const [a, b] = [checkpoint(`kept-${i}`, fit), checkpoint(`computed-${i}`, fit)];
    assert.deepEqual([...a.keys()], [...b.keys()]);
    for (const [key, tensor] of a) assertClose(tensor, b.get(key)?.toNumbers() ?? [], 1e-6, key);
    disposeTree([...a.values(), ...b.values()]);
    release(kept);
    release(computed);
  });
}

/** Images that a run reads from its store. */
async function imagesRead(t: TestContext, out: string, more: Partial<TrainRequest>): Promise<number> {
  let images = 0;
  const open = ImageStore.open;
  t.mock.method(ImageStore, "open", async (...given: Parameters<typeof open>) => {
    const store = await open(...given);
    const read = store.batch.bind(store);
    store.batch = (indices) => {
      images += indices.length;
      return read(indices);
    };
    return store;
  });
  const run = await trainRun(request(out, more), async ({ predictor, task, validation }, batches) => {
    // What follows training finds the features still there.
    const again = await evaluateTask(predictor, batches, task);
    assert.deepEqual(again.probabilities, validation.probabilities);
  });
  release(run);
  return images;
}

for (const { method, choices, tables } of [
  { method: "fine-tune", choices: { member: "small-resnet" }, tables: 1 },
  { method: "hub-pathway", choices: { k: 1 }, tables: members + 1 },
  { method: "hub-pathway", choices: { k: 2, credit: "weights" }, tables: members + 1 },
]) {
  test(`${method} (${JSON.stringify(choices)}) reads images for its tables, and some for the time of a prediction`, async (t) => {
    const { train, validation } = await counts();
    const read = await imagesRead(t, `reads-${JSON.stringify(choices)}`, { method: findMethod(method), choices });
    assert.equal(read, tables * (views * train + validation) + Math.min(16, validation));
  });
}

test("members stay exactly as the hub has them, BatchNorm statistics included", async () => {
  await wholeRun();
  const trained = checkpoint("whole");
  const kept = readdirSync(hub).filter((file) => existsSync(join(folder, "whole", "model", file)));
  for (const name of kept.filter((file) => file.endsWith(".safetensors"))) {
    const { tensors } = readSafetensors(join(hub, name));
    const { tensors: stored } = readSafetensors(join(folder, "whole", "model", name));
    for (const [key, tensor] of tensors) {
      assert.deepEqual(stored.get(key)?.toNumbers(), tensor.toNumbers(), `${name} ${key}`);
      const inCheckpoint = trained.get(`members.${name.replace(".safetensors", "")}.${key}`);
      if (/running_|tracked/.test(key)) assert.deepEqual(inCheckpoint?.toNumbers(), tensor.toNumbers());
      else assert.equal(inCheckpoint, undefined, "the hub has it");
    }
    disposeTree([...tensors.values(), ...stored.values()]);
  }
  assert.ok(kept.length > 0);
  disposeTree([...trained.values()]);
});

test("a second run, of whatever method, computes no member; more views add to those that are there", async () => {
  const { train, validation } = await counts();
  const first = await rowsComputed((emit) => trainRun(request("first", { emit })));
  assert.equal(first, members * (views * train + validation));
  assert.equal(await rowsComputed((emit) => trainRun(request("second", { emit, choices: { k: 1 } }))), 0);
  const method = findMethod("ensemble");
  assert.equal(await rowsComputed((emit) => trainRun(request("third", { emit, method, choices: {} }))), 0);
  const more = { ...options, frozenViews: views + 1 };
  assert.equal(await rowsComputed((emit) => trainRun(request("more", { emit, options: more }))), members * train);
});

async function counts(): Promise<{ train: number; validation: number }> {
  const data = await prepareData(request("x").data);
  data.dispose();
  return data.counts;
}

test("the FLOPs of a run count a forward pass of each view, or of each step when nothing is kept", async () => {
  const { train } = await counts();
  const one = { method: findMethod("fine-tune"), choices: { member: "small-resnet" } };
  // The head is trained in every case.
  const passes = async (out: string, more: Partial<TrainRequest>): Promise<number> => {
    const run = await trainRun(request(out, { ...one, ...more }));
    const { member, module } = run.predictor as unknown as { member: HubMember; module: { head: Linear } };
    const heads = 3 * options.epochs * 2 * module.head.weight.numel();
    const { flops } = member;
    release(run);
    return (run.trainingFlops / train - heads) / flops;
  };
  assert.equal(await passes("flops-1", {}), views);
  assert.equal(await passes("flops-2", {}), views, "found or computed, the same");
  assert.equal(await passes("flops-3", { options: { ...options, frozenViews: 1 } }), 1);
  assert.equal(await passes("flops-4", { data: { ...request("x").data, augment: "none" } }), 1);
  const steps = await passes("flops-5", { cacheFeatures: false });
  assert.equal(steps, options.epochs + 1, "without the backward pass, and once for the scale of the features");
  assert.equal(await passes("flops-6", { options: { ...options, frozenViews: undefined } }), 3 * options.epochs);
});

test("other weights, preprocessing, precision, seed, recipe and image size are other features", async () => {
  const one = { choices: { member: "small-resnet" }, method: findMethod("fine-tune") };
  const train = async (out: string, more: Partial<TrainRequest>) =>
    release(await trainRun(request(out, { ...one, ...more })));
  const added = async (out: string, more: Partial<TrainRequest>) => {
    const before = cacheFiles().length;
    await train(out, more);
    return cacheFiles().length - before;
  };
  assert.equal(await added("key-first", {}), views + 1);
  assert.equal(await added("key-same", { options: { ...options, lr: 1, epochs: 1 } }), 0);
  const { data } = request("x");
  const changed = (text: (manifest: string) => string, name: string): string => {
    const dir = join(folder, name);
    cpSync(hub, dir, { recursive: true });
    writeFileSync(join(dir, "hub.json"), text(readFileSync(join(hub, "hub.json"), "utf8")));
    return dir;
  };
  const std = changed((text) => text.replace('"std":[0.5,0.5,0.5]', '"std":[0.4,0.5,0.5]'), "other-std");
  assert.equal(await added("key-std", { hub: std }), views + 1, "preprocessing");
  const swapped = changed((text) => {
    const manifest = JSON.parse(text) as { members: { weights: { file: string; sha256: string } }[] };
    const weights = manifest.members[0]?.weights;
    writeFileSync(join(folder, "other-weights", weights?.file ?? ""), flipped(join(hub, weights?.file ?? "")));
    if (weights) weights.sha256 = sha256(readFileSync(join(folder, "other-weights", weights.file)));
    return JSON.stringify(manifest);
  }, "other-weights");
  assert.equal(await added("key-weights", { hub: swapped }), views + 1, "weights");
  assert.equal(
    await added("key-recipe", { data: { ...data, augment: "randaugment" } }),
    views - 1,
    "all but the images",
  );
  assert.equal(await added("key-size", { data: { ...data, imageSize: 28 } }), views + 1, "image size");
  const seeded = { data: { ...data, seed: 4 }, options: { ...options, seed: 4 } };
  assert.equal(await added("key-seed", seeded), views + 1, "seed");
  assert.equal(await added("key-precision", { options: { ...options, precision: "bfloat16" } }), views, "precision");
});

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** A file's bytes with the lowest mantissa bit of the last number turned over. */
function flipped(path: string): Uint8Array {
  const bytes = readFileSync(path);
  const at = bytes.length - 4;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}

test("a damaged file is noticed and made anew", async () => {
  const one = { choices: { member: "small-resnet" }, method: findMethod("fine-tune") };
  const whole = await trainRun(request("sound", one));
  const sound = new Map(cacheFiles().map((path) => [path, readFileSync(path)]));
  const damages: ((path: string) => void)[] = [
    (path) => truncateSync(path, statSync(path).size - 4),
    (path) => truncateSync(path, 0),
    (path) => writeFileSync(path, flipped(path)),
    (path) => writeFileSync(path, sound.get([...sound.keys()].find((other) => other !== path) ?? "") ?? ""),
  ];
  for (const [i, damage] of damages.entries()) {
    for (const path of sound.keys()) damage(path);
    const again = await trainRun(request(`damaged-${i}`, one));
    assert.deepEqual(again.validation.probabilities, whole.validation.probabilities);
    for (const [path, bytes] of sound) assert.ok(readFileSync(path).equals(bytes), "the file is as it was");
    release(again);
  }
  release(whole);
});

test("an interruption while features are computed leaves whole files only, and the run goes on", async () => {
  const { train } = await counts();
  const stop = async (afterRows: number) => {
    const abort = new AbortController();
    const original = HubMember.prototype.features;
    let rows = 0;
    HubMember.prototype.features = function features(this: HubMember, batch: Tensor): Tensor {
      rows += batch.size(0);
      if (rows >= afterRows) abort.abort();
      return original.call(this, batch);
    };
    try {
      await assert.rejects(trainRun(request("stopped", { signal: abort.signal })), Interrupted);
    } finally {
      HubMember.prototype.features = original;
    }
  };
  await stop(train);
  const known = cacheFiles();
  assert.ok(known.length > 0 && known.length < members * (views + 1));
  assert.ok(
    known.every((path) => /^[\w-]+\.safetensors$/.test(path.split("/").at(-1) ?? "")),
    known.join(" "),
  );
  for (const path of known) disposeTree([...readSafetensors(path).tensors.values()]);
  // No step was made yet, so that there is no run to resume.
  const rows = await rowsComputed((emit) => trainRun(request("stopped", { emit })));
  const { validation } = await counts();
  assert.ok(rows < members * (views * train + validation), "what was finished is not computed again");
  await wholeRun();
  const [a, b] = [checkpoint("stopped"), checkpoint("whole")];
  for (const [key, tensor] of a) assert.deepEqual(tensor.toNumbers(), b.get(key)?.toNumbers(), key);
  disposeTree([...a.values(), ...b.values()]);
});

for (const stopAt of [2, 5]) {
  test(`resuming from step ${stopAt} equals the uninterrupted run bit for bit`, async () => {
    const whole = await wholeRun();
    const abort = new AbortController();
    let steps = 0;
    const emit = (event: RunEvent) => {
      if (event.type === "step" && ++steps === stopAt) abort.abort();
    };
    await assert.rejects(trainRun(request(`cut-${stopAt}`, { emit, signal: abort.signal })), Interrupted);
    // Elsewhere, or with an emptied cache, the features are computed once more.
    if (stopAt === 5) emptyCache();
    const resumed = await trainRun(request(`cut-${stopAt}`, { resume: true }));
    assert.deepEqual(resumed.validation.probabilities, whole.validation.probabilities);
    assert.equal(resumed.trainingFlops, whole.trainingFlops);
    release(resumed);
  });
}

test("a run that began before its options decided anything goes on as it began", async () => {
  const { completed: _, ...older } = findMethod("hub-pathway");
  const abort = new AbortController();
  const emit = (event: RunEvent) => {
    if (event.type === "step") abort.abort();
  };
  await assert.rejects(trainRun(request("older", { method: older, emit, signal: abort.signal })), Interrupted);
  const resumed = await trainRun(request("older", { resume: true }));
  assert.equal(resumed.folder.config().choices["credit"], undefined);
  release(resumed);
});

test("kept features and members in bounded memory go together", async () => {
  const whole = await wholeRun();
  const bounded = await trainRun(request("bounded", { hubMemory: 1 }));
  assert.deepEqual(bounded.validation.probabilities, whole.validation.probabilities);
  release(bounded);
  bounded.hub.residency?.dispose();
});

test("kept features leave no handles behind", async () => {
  release(await trainRun(request("leak-1")));
  const before = memory().handles;
  release(await trainRun(request("leak-2")));
  assert.ok(memory().handles <= before, `${memory().handles} handles, ${before} before`);
});

test("what cannot be frozen is refused before anything is written", async () => {
  const refused = async (more: Partial<TrainRequest>, pattern: RegExp) => {
    await assert.rejects(trainRun(request("refused", more)), (error: unknown) => {
      return error instanceof ConfigError && pattern.test(error.message);
    });
    assert.ok(!existsSync(join(folder, "refused")));
  };
  await refused({ data: { ...request("x").data, augment: "mixup" } }, /mixup.*--augment/);
  await refused({ options: { ...options, batchNorm: "recalibrated" } }, /--batch-norm/);
  for (const frozenViews of [0, 1.5, Number.NaN])
    await refused({ options: { ...options, frozenViews } }, /number of views/);
  await refused({ method: { ...findMethod("fine-tune"), freezesMembers: false }, choices: {} }, /fine-tune cannot/);
});

test("epochs go round the views, the first of which is the image itself", async () => {
  const data = await prepareData({ ...request("x").data, views });
  const shown = async (epoch: number): Promise<Map<number, number[]>> => {
    const pixels = new Map<number, number[]>();
    for await (const batch of data.train.epoch(epoch, 0)) {
      for (const [row, index] of batch.indices.entries()) pixels.set(index, batch.images.select(0, row).toNumbers());
      batch.dispose();
    }
    return pixels;
  };
  const [zero, one, two] = [await shown(0), await shown(1), await shown(2)];
  for (const [index, pixels] of zero) {
    using stored = await data.pixels([index]);
    assert.deepEqual(
      pixels.map((value) => Math.round(value * 255)),
      stored.toNumbers(),
    );
    assert.deepEqual(two.get(index), pixels);
    assert.notDeepEqual(one.get(index), pixels);
  }
  assert.notDeepEqual([...zero.keys()], [...two.keys()], "the order still differs from epoch to epoch");
  data.dispose();
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((epoch) => viewOf(epoch, 3)),
    [0, 1, 2, 0, 1],
  );
  assert.equal(viewOf(7, undefined), 7);
});

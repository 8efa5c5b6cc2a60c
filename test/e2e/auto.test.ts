/** `train --auto`: settings from what models are worth and what steps take, each fall-back, and the program. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { memberEntries, openHub, withMembers } from "../../src/hub/index.ts";
import type { Candidate as AutoCandidate } from "../../src/library/auto/comparison.ts";
import { planned } from "../../src/library/auto/plan.ts";
import { stepCost, wayFor } from "../../src/library/auto/step-cost.ts";
import { type AutoRequest, chooseSettings } from "../../src/library/index.ts";
import { memory } from "../../src/torch/index.ts";
import { prepareData, type TaskData, taskOf } from "../../src/train/index.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";
import { trainRequest } from "../support/train-request.ts";

let folder: string;
let request: Omit<AutoRequest, "seconds">;
let data: TaskData;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const place = { folder, hub: writeSmallHub(folder), images: await writeShapeImages(folder, 12) };
  const { data: asked, options } = trainRequest(place, "none");
  data = await prepareData(asked);
  request = { hub: openHub(place.hub), data, options, validationFraction: 0.2 };
});
after(() => data.dispose());

test("with time for nothing else, one model is compared and stays as it is, and the reasons say so", async () => {
  // The first pass makes what stays: decoded images.
  await chooseSettings({ ...request, seconds: 1e-3 });
  const { handles } = memory();
  const { settings, reasons } = await chooseSettings({ ...request, seconds: 1e-3 });
  assert.equal(memory().handles, handles);
  assert.deepEqual([settings.freezeMembers, settings.views], [true, 1]);
  // The one with the smallest file.
  assert.deepEqual(settings.members, ["small-convnext"]);
  assert.match(reasons[0] ?? "", /^1 model by a linear head on 24 images/);
  assert.match(reasons[1] ?? "", /^not compared, .* a third of the time: small-resnet, other-resnet$/);
  assert.deepEqual(reasons.slice(2, 4), [
    "all weights take more time than there is",
    "low-rank changes take more time than there is",
  ]);
  assert.match(reasons.at(-3) ?? "", /there is time for about 12 of \d+ images to train and 3 of \d+ to validate/);
  assert.deepEqual([settings.trainPerClass, typeof settings.validationFraction], [4, "number"]);
  assert.match(reasons.at(-2) ?? "", /stay as they are, .* \(1 view of each image\)/);
  assert.match(reasons.at(-1) ?? "", /^that is more than there is: /);
});

test("where the best model has time for few images, one is taken that only chance puts behind it and that has time for more", async () => {
  const entries = request.hub.manifest.members.filter(({ input }) => input.kind === "image");
  const [first, second, third] = entries as AutoCandidate["entry"][];
  assert.ok(first && second && third);
  const candidate = (entry: AutoCandidate["entry"], right: number, forward: number): AutoCandidate => {
    const merits = Array.from({ length: 100 }, (_, i) => (i < right ? 1 : 0));
    const quality = { score: right / 100, loss: 1 } as AutoCandidate["judged"]["quality"];
    return { entry, logMe: 0, answers: new Float32Array(), judged: { quality, merits }, forward, bytes: 1 };
  };
  // One image more of a hundred is chance, twenty are not.
  const [slow, quick, poor] = [candidate(first, 70, 1e3), candidate(second, 69, 1e-5), candidate(third, 50, 1e-6)];
  const task = taskOf(data, request.options);
  const { train, validation } = data.counts;
  // Of a pass of the slow one over all images, twice over those of validation.
  const planOf = async (tried: AutoCandidate[], shown: AutoCandidate[], part: number) => {
    const room = { left: () => part * 1e3 * (train + 2 * validation), memory: 1e9 };
    const { members, settings, reasons } = await planned({ tried, shown }, task, { ...request, seconds: 60 }, room);
    const names = members.map(({ entry }) => entry.name);
    return { names, isWhole: settings.trainPerClass === undefined, reasons: reasons.join("\n") };
  };
  const all = [slow, quick, poor];
  const taken = await planOf([slow], all, 0.4);
  assert.deepEqual([taken.names, taken.isWhole], [[second.name], true]);
  assert.match(taken.reasons, new RegExp(`${second.name} is quicker, and chance may explain 69.0 % against 70.0 %`));
  assert.deepEqual((await planOf(all, all, 0.4)).names, [second.name]);
  for (const kept of [await planOf([slow], [slow, poor], 0.4), await planOf([slow], all, 0.6)])
    assert.deepEqual([kept.names, kept.isWhole], [[first.name], false]);
});

test("memory decides what is trained and how, by weights and by what waits for the backward pass", async () => {
  const { hub, options } = request;
  const one = withMembers(hub, memberEntries(hub, ["small-resnet"]));
  const entry = one.manifest.members[0] ?? assert.fail();
  const bytes = statSync(join(hub.dir, entry.weights.file)).size;
  const room = { seconds: 0.1, memory: 1e9 };
  const { handles } = memory();
  const cost = await stepCost(entry, "all", taskOf(data, options), { ...request, hub: one, seconds: 1 }, room);
  assert.equal(memory().handles, handles);
  const { activations, recomputed, needsWhole } = cost ?? assert.fail();
  assert.ok(needsWhole && recomputed < activations);
  const chosen = async (memory: number) => {
    const { settings } = await chooseSettings({ ...request, hub: one, seconds: 1e6, memory: (memory + 1) / 0.6 });
    return [settings.tune ?? (settings.freezeMembers ? "frozen" : "all"), settings.checkpointActivations ?? false];
  };
  const rows = options.batchSize;
  assert.deepEqual(await chosen(4 * bytes + rows * activations), ["all", false]);
  assert.deepEqual(await chosen(4 * bytes + rows * recomputed), ["all", true]);
  // Statistics of batches refuse parts, low-rank changes leave them as they are.
  assert.equal((await chosen(4 * bytes))[0], "lora");
  assert.deepEqual(await chosen(1.1 * bytes), ["frozen", false]);
});

test("a step is computed in parts before blocks compute twice, and whole where statistics need it", () => {
  const cost = { seconds: 1, activations: 10, recomputed: 4, needsWhole: false };
  const asked = { accumulate: undefined, checkpointActivations: undefined };
  const way = (memory: number, changes = {}, own = asked) => wayFor([cost, { ...cost, ...changes }], own, memory, 8);
  assert.deepEqual(way(80), { parts: 1, recomputes: false });
  assert.deepEqual(way(79), { parts: 2, recomputes: false });
  assert.deepEqual(way(79, { activations: 20 }), { parts: 3, recomputes: false });
  assert.deepEqual(way(9), { parts: 4, recomputes: true });
  assert.deepEqual(way(79, { needsWhole: true }), { parts: 1, recomputes: true });
  assert.equal(way(31, { needsWhole: true }), undefined);
  assert.equal(way(3), undefined);
  assert.deepEqual(way(80, {}, { ...asked, accumulate: 4 } as never), { parts: 4, recomputes: false });
});

test("of one member nothing is compared: it is fine-tuned for the usual number of passes", async () => {
  const { hub } = request;
  const one = withMembers(hub, memberEntries(hub, ["small-convnext"]));
  const { settings, reasons } = await chooseSettings({ ...request, hub: one, seconds: 1e6 });
  const { members, method, epochs, k } = settings;
  assert.deepEqual(
    { members, method, epochs, k },
    { members: ["small-convnext"], method: "fine-tune", epochs: 30, k: undefined },
  );
  assert.equal(reasons.length, 2);
});

test("several members are chosen exactly where a pair answers more than chance makes likely", async () => {
  const { settings, reasons } = await chooseSettings({ ...request, seconds: 1e6 });
  const isSeveral = settings.members.length > 1;
  assert.equal(
    isSeveral,
    reasons.some((reason) => reason.endsWith("several models are worth it")),
  );
  assert.equal(
    !isSeveral,
    reasons.some((reason) => reason.endsWith("a single model is enough here")),
  );
  assert.equal(settings.method, isSeveral ? "hub-pathway" : "fine-tune");
  assert.match(reasons[0] ?? "", /^3 models by a linear head on \d+ images.*%/);
  assert.equal(settings.tune, undefined, "there is time for all weights");
  assert.equal(settings.imageSize, 24);
});

test("the program says why, trains, and keeps settings that train the same again", async () => {
  const cache = join(folder, "cache");
  const images = join(folder, "images");
  const place = ["--hub", join(folder, "hub"), "--out"];
  const run = join(folder, "auto");
  const done = await runProgram(["train", images, ...place, run, "--auto", "--minutes", "1"], cache);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /3 models by a linear head/);
  assert.match(done.stdout, /passes of|stay as they are/);
  assert.ok(existsSync(join(run, "model", "model.json")));
  const config = readFileSync(join(run, "config.yaml"), "utf8");
  assert.match(config, /^epochs: \d+$/m);
  assert.match(config, /^members:$/m);
  assert.match(config, /^auto: false$/m);
  const refused = await runProgram(
    ["train", images, ...place, `${run}-2`, "--auto", "--k", "1", "--epochs", "3"],
    cache,
  );
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /--auto chooses --k and --epochs: leave one or the other out/);
  const alone = await runProgram(["train", images, ...place, `${run}-2`, "--minutes", "3"], cache);
  assert.match(alone.stderr, /--minutes is the time for --auto/);
  assert.ok(!existsSync(`${run}-2`));
});

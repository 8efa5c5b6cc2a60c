/** Members that are trained in part: which weights move, what checkpoints keep, resumption, and plain networks at the end. */
import assert from "node:assert/strict";
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { openHub } from "../../../src/hub/index.ts";
import { readSafetensors } from "../../../src/io/index.ts";
import { findMethod } from "../../../src/methods/index.ts";
import {
  ConfigError,
  disposeTree,
  Interrupted,
  memory,
  scope,
  type Tensor,
  UserError,
} from "../../../src/torch/index.ts";
import { type RunOutcome, resumeRun, type TrainRequest, trainRun } from "../../../src/train/index.ts";
import { isTune, parseTune } from "../../../src/train/tune.ts";
import { addGraphAndProgram } from "../../support/graph-members.ts";
import { measured } from "../../support/opened-run.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

const members = ["small-resnet", "small-convnext", "other-resnet"];
let place: { folder: string; hub: string; images: string };

before(async () => {
  const folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  place = { folder, hub: writeSmallHub(folder), images: await writeShapeImages(folder, 8) };
});

/** All members run on every image, so that the run keeps each. */
function tuned(out: string, tune: string, more: Partial<TrainRequest> = {}): TrainRequest {
  const base = trainRequest(place, out);
  return { ...base, choices: { k: 3, generatorWidth: 4 }, options: { ...base.options, tune, epochs: 1 }, ...more };
}

function release({ predictor, data }: RunOutcome): void {
  predictor.dispose();
  data.dispose();
}

function read<T>(path: string, use: (tensors: Map<string, Tensor>) => T): T {
  const { tensors } = readSafetensors(path);
  try {
    return use(tensors);
  } finally {
    disposeTree(tensors);
  }
}

const isSame = (a: Tensor | undefined, b: Tensor): boolean => scope(() => a?.eq(b).all().item() === 1);

/** Names of a member's tensors that are not as the hub has them. */
function moved(run: string, member: string): string[] {
  return read(join(place.hub, `${member}.safetensors`), (old) =>
    read(join(place.folder, run, "model", `${member}.safetensors`), (now) => {
      assert.deepEqual([...now.keys()].sort(), [...old.keys()].sort(), "a plain network, without what was beside it");
      return [...now].flatMap(([name, own]) => (isSame(old.get(name), own) ? [] : [name]));
    }),
  );
}

test("each kind moves its part of the weights, and BatchNorm's statistics only with all", async () => {
  const { handles } = memory();
  release(await trainRun(tuned("parts", "bitfit,small-resnet=last:1,other-resnet=head")));
  assert.equal(memory().handles, handles);
  const [resnet = [], convnext = [], other = []] = members.map((name) => moved("parts", name));
  assert.ok(resnet.length > 5 && resnet.every((name) => /^layer2\.0\.(?!.*running)/.test(name)), String(resnet));
  assert.ok(convnext.length > 5 && convnext.every((name) => name.endsWith("bias")), String(convnext));
  assert.deepEqual(other, []);
  release(await trainRun(tuned("whole", "small-resnet=all,small-convnext=last:9,other-resnet=ssf")));
  assert.ok(moved("whole", "small-resnet").includes("bn1.running_mean"));
  assert.ok(moved("whole", "small-convnext").includes("features.0.0.weight"));
  const scaled = moved("whole", "other-resnet");
  assert.ok(
    scaled.length > 0 && scaled.every((name) => /(bn\d|downsample\.1)\.(weight|bias)$/.test(name)),
    String(scaled),
  );
});

test("checkpoints have what is trained, a stopped run goes on bit for bit, and predicts without its hub", async () => {
  const stop = new AbortController();
  const base = tuned("stopped", "lora:2");
  const options = { ...base.options, epochs: 3 };
  const whole = await trainRun({ ...base, options, out: join(place.folder, "uninterrupted") });
  const counting = (event: { type: string; step?: number; epoch?: number }) => {
    if (event.type === "step" && event.epoch === 2 && event.step === 1) stop.abort();
  };
  await assert.rejects(trainRun({ ...base, options, signal: stop.signal, emit: counting }), Interrupted);
  const training = join(base.out, "training");
  const state = readdirSync(training).find((name) => name.endsWith("state.safetensors")) ?? "";
  read(join(training, state), (tensors) => {
    const names = [...tensors.keys()];
    assert.ok(names.includes("model/adapters.small-resnet.conv1.lora_A"), String(names));
    const ofMembers = names.filter((name) => name.startsWith("model/members."));
    assert.ok(
      ofMembers.every((name) => /running_|num_batches/.test(name)),
      String(ofMembers),
    );
    const small = [...tensors]
      .filter(([name]) => name.startsWith("optimizer/"))
      .reduce((sum, [, own]) => sum + own.numel(), 0);
    const trained = [...tensors].filter(
      ([name]) => name.startsWith("model/") && !/running_|tracked|temperature/.test(name),
    );
    assert.equal(
      small,
      2 * trained.reduce((sum, [, own]) => sum + own.numel(), 0),
      "two moments of each trained value",
    );
  });
  const resumed = await resumeRun(base.out, { method: findMethod, emit: () => {} });
  assert.deepEqual(resumed.validation.probabilities, whole.validation.probabilities);
  for (const name of members) {
    const weightsOf = (run: string) => join(place.folder, run, "model", `${name}.safetensors`);
    read(weightsOf("stopped"), (a) =>
      read(weightsOf("uninterrupted"), (b) => {
        for (const [key, own] of a) assert.ok(isSame(b.get(key), own), key);
      }),
    );
    assert.ok(moved("stopped", name).every((key) => key.endsWith("weight") && !/bn|norm/.test(key)));
    assert.ok(moved("stopped", name).length > 2);
  }
  release(whole);
  release(resumed);
  const away = `${place.hub}-away`;
  renameSync(place.hub, away);
  const { handles } = memory();
  const opened = await measured(base.out);
  opened.dispose();
  renameSync(away, place.hub);
  assert.equal(memory().handles, handles);
  assert.deepEqual(opened.evaluation.probabilities, resumed.validation.probabilities);
  const finished = await resumeRun(base.out, { method: findMethod, emit: () => {} });
  assert.deepEqual(finished.validation.probabilities, resumed.validation.probabilities);
  release(finished);
});

test("rivals that fine-tune members tune them, with members in bounded memory too", async () => {
  const base = tuned("single", "lora:2");
  const single = { ...base, method: findMethod("fine-tune"), choices: { member: "small-convnext" } };
  release(await trainRun(single));
  const bounded = await trainRun({ ...tuned("bounded", "lora:2"), hubMemory: 100_000 });
  const free = await trainRun(tuned("free", "lora:2"));
  assert.deepEqual(bounded.validation.probabilities, free.validation.probabilities);
  for (const outcome of [bounded, free]) release(outcome);
  bounded.hub.residency?.dispose();
  assert.ok(moved("single", "small-convnext").every((name) => name.endsWith("weight")));
});

test("a step in parts and blocks that compute twice train what a whole step does", async () => {
  for (const [method, choices] of [
    ["hub-pathway", { k: 2, generatorWidth: 4 }],
    ["fine-tune", { member: "small-resnet" }],
  ] as const) {
    const train = async (out: string, more: Partial<TrainRequest["options"]>) => {
      const base = tuned(`${method}-${out}`, "lora:2", { method: findMethod(method), choices });
      const options = { ...base.options, optimizer: "sgd", ...more } as const;
      const outcome = await trainRun({ ...base, options });
      release(outcome);
      return outcome;
    };
    const whole = await train("whole", {});
    const parted = await train("parted", { accumulate: 3, checkpointActivations: true });
    for (const [i, p] of parted.validation.probabilities.entries()) {
      assert.ok(Math.abs(p - (whole.validation.probabilities[i] ?? 0)) < 1e-4, `${method} ${i}`);
    }
    assert.ok(parted.trainingFlops > 1.2 * whole.trainingFlops, "blocks count twice");
  }
  const refused = (more: Partial<TrainRequest>, pattern: RegExp) =>
    assert.rejects(
      trainRun({ ...tuned("b", "all"), ...more }),
      (error) => error instanceof ConfigError && pattern.test(error.message),
    );
  const { options } = tuned("b", "all");
  await refused({ options: { ...options, accumulate: 2 } }, /BatchNorm in "small-resnet".*--batch-norm frozen/);
  const frozen = { ...options, accumulate: 2, batchNorm: "frozen" } as const;
  await refused({ options: frozen, choices: { k: 2, credit: "losses" } }, /loss is no mean over images/);
});

test("graphs are tuned where their weights are known, and a program's are not", async () => {
  const folder = temporaryFolder();
  const hub = writeSmallHub(folder);
  await addGraphAndProgram(hub, folder);
  const request = (out: string, member: string, tune: string): TrainRequest => {
    const base = tuned(out, tune);
    return { ...base, method: findMethod("fine-tune"), choices: { member }, hub, trust: true };
  };
  const { handles } = memory();
  release(await trainRun(request("of-graph", "graph", "lora:2")));
  read(join(place.folder, "of-graph", "model", "graph.safetensors"), (now) => {
    assert.deepEqual([...now.keys()], ["graph.w"]);
  });
  for (const [member, tune, reason] of [
    ["graph", "last:1", /"graph" is a graph, which does not say what its blocks are/],
    ["graph", "ssf", /"graph" has no layers with biases/],
    ["graph", "bitfit", /"graph" has no biases/],
    ["program", "lora", /"program" is a TorchScript program/],
  ] as const) {
    await assert.rejects(
      trainRun(request(`refused-${tune}`, member, tune)),
      (error) => error instanceof UserError && reason.test(error.message) && !error.message.includes("\n"),
    );
  }
  assert.equal(memory().handles, handles);
  assert.ok(openHub(hub).manifest.members.length === 5);
});

test("texts that name no parts, members that there are not, and methods that train members whole are refused", async () => {
  assert.deepEqual(parseTune("lora, a=b=last:3,vit=head").named.get("a=b"), { kind: "last", blocks: 3 });
  assert.deepEqual(parseTune("vit=ssf").others, { kind: "all" });
  const wrong = ["", "lora:0", "lora:8:2", "last", "last:0", "head:1", "lora,ssf", "a=lora,a=ssf", "=lora", "adapter"];
  for (const text of wrong) assert.ok(!isTune(text), text);
  const refused = (request: TrainRequest, pattern: RegExp) =>
    assert.rejects(trainRun(request), (error) => error instanceof ConfigError && pattern.test(error.message));
  await refused(tuned("a", "vit=lora"), /names "vit".*small-resnet/);
  await refused(tuned("a", "lora", { method: findMethod("l2-sp"), choices: {} }), /l2-sp trains members whole/);
  const frozen = tuned("a", "lora");
  await refused({ ...frozen, options: { ...frozen.options, frozenViews: 2 } }, /--freeze-members.*--tune/);
});

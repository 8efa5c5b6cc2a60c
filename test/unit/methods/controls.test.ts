/** Controls: frozen and new members, global and dense gates; and how choices are refused. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { choice } from "../../../src/cli/flags.ts";
import { type HubManifest, loadMembers, openHub } from "../../../src/hub/index.ts";
import { freshMembers } from "../../../src/methods/from-scratch.ts";
import {
  findMethod,
  type MemberLearner,
  methods,
  type PathwayLearner,
  restorePredictor,
} from "../../../src/methods/index.ts";
import { resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { ConfigError, Generator, inferenceMode, rand, scope, type Tensor } from "../../../src/torch/index.ts";
import { type Choices, defaultTrainOptions, openRun, trainRun, versionOf } from "../../../src/train/index.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";
import { writeZooHub, zooRequests } from "../../support/zoo-hub.ts";

let request: Awaited<ReturnType<typeof zooRequests>>;
let zoo: HubManifest;
let mixed: HubManifest;

before(async () => {
  request = await zooRequests(12);
  zoo = openHub(writeZooHub(temporaryFolder())).manifest;
  mixed = openHub(writeSmallHub(temporaryFolder())).manifest;
});

const options = defaultTrainOptions;

function weightsOf(hub: string, name: string): number[][] {
  const [member] = loadMembers(openHub(hub), { names: [name] });
  const weights = [...(member?.backbone.stateDict().values() ?? [])].map((tensor) => tensor.toNumbers());
  member?.dispose();
  return weights;
}

test("a linear probe leaves its member exactly as the hub has it, and costs one forward pass", async () => {
  const own = request("probe", "linear-probe", { choices: { member: "first" } });
  const run = await trainRun(own);
  const { backbones, inferenceFlops } = run.predictor as MemberLearner;
  const head = 2 * 16 * 3;
  const weights = [...(backbones[0]?.stateDict().values() ?? [])].map((tensor) => tensor.toNumbers());
  assert.deepEqual(weights, weightsOf(own.hub, "first"));
  assert.equal(run.trainingFlops, 3 * run.data.counts.train * (inferenceFlops + 2 * head));
  run.predictor.dispose();
  run.data.dispose();
});

test("members from scratch have nothing of the hub's weights, and the same ones for a seed", async () => {
  const own = request("scratch", "from-scratch", { choices: { member: "first" } });
  const hub = openHub(own.hub);
  const make = (seed: number) => {
    const context = { hub, options: { ...options, seed } } as Parameters<typeof freshMembers>[0];
    const [member] = freshMembers(context, ["first"]);
    const weights = member?.backbone.parameters().flatMap((parameter) => parameter.toNumbers());
    member?.dispose();
    return weights ?? [];
  };
  assert.deepEqual(make(1), make(1));
  assert.notDeepEqual(make(1), make(2));
  const [conv] = weightsOf(own.hub, "first");
  assert.ok(conv?.every((value, i) => value !== make(1)[i]));
});

for (const name of ["global-gate", "dense"]) {
  test(`${name} in evaluation`, async () => {
    const run = await trainRun(request(name, name));
    const learner = run.predictor as PathwayLearner;
    using images = rand([7, 3, 24, 24], { generator: new Generator(1) });
    const weights = scope(() => inferenceMode(() => learner.predict(images).weights?.toArray() as number[][]));
    const active = weights.map((row) => row.map((weight) => weight > 0));
    if (name === "dense") {
      assert.ok(
        active.every((row) => row.every(Boolean)),
        "all members for every image",
      );
      assert.ok(new Set(weights.map((row) => row.join())).size > 1, "weights that depend on the image");
    } else {
      assert.ok(active.every((row) => row.filter(Boolean).length === 2));
      assert.equal(new Set(weights.map((row) => row.join())).size, 1, "the same for every image");
      const score = learner.module.generator.namedParameters().get("score.weight");
      assert.ok(
        score?.toNumbers().some((value) => value !== 0),
        "the scores are learned",
      );
    }
    run.predictor.dispose();
    run.data.dispose();
  });
}

test("first stages that the generator shares with a member are paid for, forward alone", async () => {
  const { hub } = request("x", "hub-pathway");
  const [member] = loadMembers(openHub(hub), { names: ["first"] });
  assert.ok(member);
  // By hand: a 3x3 convolution of 3 to 8 channels at half of 24 pixels, and two of 8 to 8 in the first block.
  const stem = 2 * 12 * 12 * 9 * (3 * 8 + 2 * 8 * 8);
  const choices = { k: 1, generatorKind: "member-stem", generatorWidth: 4, warmup: 0 };
  const run = await trainRun(request("stem", "hub-pathway", { choices }));
  const own = 2 * (8 * 32 + 32 * 3 + 16 * 3);
  assert.equal(run.predictor.inferenceFlops, stem + own + member.flops);
  assert.equal(run.trainingFlops, 3 * run.data.counts.train * (stem + 3 * (own + member.flops)));
  for (const part of [member, run.predictor, run.data]) part.dispose();
});

test("a run of before random routes were a generator kind opens, and its routes are random", async () => {
  const run = await trainRun(request("chance", "random-routing", { choices: { k: 2, generatorWidth: 4 } }));
  run.predictor.dispose();
  run.data.dispose();
  const path = join(run.folder.path, "model", "model.json");
  const model = JSON.parse(readFileSync(path, "utf8"));
  model.plan = { ...model.plan, randomRoutes: true, config: { ...model.plan.config, generatorKind: "light" } };
  writeFileSync(path, JSON.stringify(model));
  const opened = openRun(run.folder.path, restorePredictor);
  using images = rand([40, 3, 24, 24], { generator: new Generator(1) });
  const { weights, scores } = inferenceMode(() => opened.predictor.predict(images));
  assert.equal(scores, undefined);
  assert.ok(new Set(((weights as Tensor).toArray() as number[][]).map((row) => row.join())).size > 1);
  weights?.dispose();
  opened.dispose();
});

test("random members are trained as new layers, from weights that are not the hub's", async () => {
  const own = request("fresh", "random-members");
  const run = await trainRun({ ...own, options: { ...own.options, epochs: 1, lr: 1e-9 } });
  const learner = run.predictor as PathwayLearner;
  assert.deepEqual(learner.parameterGroups().backbone, []);
  const trained = learner.backbones[0]?.stateDict().get("conv1.weight")?.toNumbers() ?? [];
  const [conv = []] = weightsOf(own.hub, "first");
  const size = Math.max(...conv.map(Math.abs));
  assert.ok(Math.max(...trained.map((value, i) => Math.abs(value - (conv[i] ?? 0)))) > size / 4);
  run.predictor.dispose();
  run.data.dispose();
});

test("every method refuses a choice that it does not have, and names those that it has", () => {
  for (const method of methods) {
    const own = method.name === "co-tuning" || method.name.startsWith("zoo") ? zoo : mixed;
    method.configure({}, own, options);
    const refused = (error: unknown) =>
      error instanceof ConfigError && error.message.includes(method.name) && /no choice nonsense; /.test(error.message);
    assert.throws(() => method.configure({ nonsense: 1 }, own, options), refused);
  }
});

test("wrong values of choices are refused by name", () => {
  const wrong: [string, Choices, RegExp][] = [
    ["fine-tune", { member: "x" }, /no member "x"; it has: small-resnet/],
    ["fine-tune", { member: 3 }, /member/],
    ["from-scratch", { member: "x" }, /no member/],
    ["linear-probe", { member: "x" }, /no member/],
    ["l2-sp", { alpha: -1 }, /alpha/],
    ["bss", { k: 0 }, /k/],
    ["delta", { images: 0.5 }, /images/],
    ["distillation", { temperature: 0 }, /temperature/],
    ["knowledge-flow", { independence: 0 }, /independence/],
    ["b-tuning", { teachers: 0 }, /teachers/],
    ["best-by-ranking", { score: "x" }, /score/],
    ["greedy-ensemble", { rounds: "many" }, /rounds/],
    ["static-k", { k: 4 }, /from 1 to 3/],
    ["soup", { recipe: "cold" }, /recipe/],
    ["soup", { rates: [0] }, /rates/],
    ["co-tuning", {}, /classifier.*small-resnet, small-convnext, other-resnet/],
    ["dense", { k: 2 }, /no choice k/],
    ["global-gate", { generatorKind: "light" }, /no choice generatorKind/],
    ["random-routing", { generatorKind: "light" }, /no choice generatorKind/],
    ["hub-pathway", { aggregation: "concat" }, /aggregation concat was retired, .*: commit d500bc5 has it$/],
    ["hub-pathway", { aggregation: "probabilities" }, /aggregation probabilities was retired/],
    ["hub-pathway", { credit: "losses", noise: "learned" }, /credit is losses, which cannot teach with learned/],
    ["hub-pathway", { credit: "losses", preset: "paper" }, /cannot teach with learned/],
    ["hub-pathway", { credit: "losses", generatorKind: "member-stem" }, /cannot teach with member-stem/],
    ["random-routing", { credit: "losses" }, /cannot teach with random/],
    ["hub-pathway", { heldOut: 0.2 }, /heldOut 0.2 was retired, .*: commit 13d1cbf has it$/],
    ["random-routing", { exploration: "switch" }, /exploration switch was retired/],
    ["hub-pathway", { aggregation: "x" }, /aggregation is x: it must be one of logits/],
    ["hub-pathway", { generatorKind: "x" }, /generatorKind/],
    ["hub-pathway", { noise: "x" }, /noise/],
    ["hub-pathway", { exploration: "x" }, /exploration/],
    ["hub-pathway", { beta: "1" }, /beta/],
    ["hub-pathway", { generatorSize: 0 }, /generatorSize/],
    ["hub-pathway", { generatorWidth: 1.5 }, /generatorWidth/],
    ["hub-pathway", { noiseRange: [1] }, /noiseRange/],
    ["hub-pathway", { projectionWidth: 0 }, /projectionWidth/],
    ["hub-pathway", { prior: "x" }, /no score "x"; there are: logme/],
    ["random-routing", { prior: "logme" }, /random-routing explores nothing that a prior could guide/],
  ];
  for (const [name, choices, pattern] of wrong) {
    const refused = (error: unknown) => error instanceof ConfigError && pattern.test(error.message);
    assert.throws(
      () => findMethod(name).configure(choices, mixed, options),
      refused,
      `${name} ${JSON.stringify(choices)}`,
    );
  }
});

test("presets are choices by a name, before which single choices go; a control's own is not to be chosen", () => {
  const config = (choices: Choices) => resolvePathwayConfig(choices, 12);
  assert.deepEqual(config({ preset: "default" }), config({}));
  const { noise, tau, beta, explorationFade, warmup, allowedMembers } = config({ preset: "paper" });
  assert.deepEqual([noise, tau, beta, explorationFade, warmup, allowedMembers], ["learned", 1, 1, "constant", 0, 12]);
  assert.equal(config({ preset: "paper", beta: 0.5 }).beta, 0.5);
  assert.equal(config({ preset: "random" }).generatorKind, "random");
  assert.equal(config({ preset: "global" }).generatorKind, "global");
  assert.equal(config({ preset: "dense" }).k, 12);
  const [hubPathway, dense] = [findMethod("hub-pathway"), findMethod("dense")];
  assert.equal(hubPathway.configure({ preset: "paper" }, mixed, options).activated, 2);
  assert.equal(hubPathway.configure({ preset: "dense" }, mixed, options).activated, 3);
  assert.equal(dense.configure({}, mixed, options).activated, 3);
  assert.throws(
    () => hubPathway.configure({ preset: "best" }, mixed, options),
    /preset is best: it must be one of default, /,
  );
  assert.throws(() => dense.configure({ preset: "paper" }, mixed, options), /no choice preset/);
  assert.throws(() => config({ allowedMembers: 1 }), /allowedMembers is 1: it must be at least k, which is 2/);
});

test("--choice reads JSON or text, and refuses what is neither", () => {
  assert.deepEqual(choice("k=2"), { k: 2 });
  assert.deepEqual(choice("kind=light", { k: 2 }), { k: 2, kind: "light" });
  assert.deepEqual(choice('members=["a","b"]'), { members: ["a", "b"] });
  assert.deepEqual(choice("fade=constant=x"), { fade: "constant=x" });
  assert.deepEqual(choice("on=true"), { on: true });
  for (const text of ["k", "=2", 'members=["a"']) assert.throws(() => choice(text), /not /);
  assert.throws(() => choice("k=3", { k: 2 }), /"k" is given twice/);
});

test("a version rises for the choices alone that train to something else: losses that teach a generator which sees images", () => {
  const version = (method: string, choices: Choices) => versionOf(findMethod(method), choices);
  const [usual, taught] = [{}, { credit: "losses" }].map((choices) => version("hub-pathway", choices));
  assert.equal(taught, (usual ?? 0) + 3);
  assert.equal(version("global-gate", { credit: "losses" }), usual);
  assert.equal(version("fine-tune", {}), 1);
});

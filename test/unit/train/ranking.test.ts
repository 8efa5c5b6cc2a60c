/** Ranking of a hub on a target's training images, and the prior that comes of it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { type HubMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { findMethod } from "../../../src/methods/index.ts";
import { findScore, rankingScores } from "../../../src/ranking/index.ts";
import {
  ConfigError,
  cat,
  countFlops,
  Generator,
  Interrupted,
  inferenceMode,
  memory,
  rand,
  scope,
  type Tensor,
  UserError,
} from "../../../src/torch/index.ts";
import {
  defaultTrainOptions,
  prepareData,
  type RunConfig,
  type RunEvent,
  rankHub,
  softPrior,
  type TaskData,
  type TrainRequest,
  trainRun,
} from "../../../src/train/index.ts";
import { sourceClasses, writeColourHub, writeColourImages } from "../../support/colour-hub.ts";
import { assertClose } from "../../support/numeric.ts";
import { measured } from "../../support/opened-run.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { finished } from "../../support/steps.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;
let hub: string;
let images: string;
let data: TaskData;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeColourHub(folder);
  images = await writeColourImages(folder, 40);
  data = await prepareData(request("none").data);
});

function request(out: string, more: Partial<TrainRequest> = {}): TrainRequest {
  const choices = { k: 2, generatorWidth: 4, prior: "logme" };
  const options = { ...defaultTrainOptions, epochs: 2, batchSize: 12, seed: 3 };
  return { ...trainRequest({ folder, hub, images }, out), choices, options, ...more };
}

/** All training images [n, 3, 24, 24] and their classes. */
async function trainingImages(): Promise<{ all: Tensor; labels: number[] }> {
  const parts: Tensor[] = [];
  const labels: number[] = [];
  for await (const batch of data.open("train").epoch(0, 0)) {
    parts.push(batch.images);
    labels.push(...batch.labels);
    batch.targets.dispose();
  }
  const all = cat(parts);
  for (const part of parts) part.dispose();
  return { all, labels };
}

test("the member that sees what the classes differ in comes first, by every score", async () => {
  const rankings = await rankHub(openHub(hub), data, { seed: 3 });
  assert.deepEqual(
    rankings.map((ranking) => ranking.name),
    ["blind", "seeing", "also-blind"],
  );
  for (const { key } of rankingScores) {
    const [blind, seeing, alsoBlind] = rankings.map((ranking) => ranking.scores[key] ?? Number.NaN) as [
      number,
      number,
      number,
    ];
    assert.ok(seeing > Math.max(blind, alsoBlind), `${key}: ${seeing} against ${blind} and ${alsoBlind}`);
  }
  for (const { images: n, sourceClasses: s, seconds, flops } of rankings) {
    assert.deepEqual([n, s], [data.counts.train, sourceClasses]);
    assert.ok(flops > 0 && Object.values(seconds).length === 6 && Object.values(seconds).every((time) => time > 0));
  }
});

test("the scores are those of all training images at once, and no other split is opened", async () => {
  const opened: string[] = [];
  const watched: TaskData = {
    ...data,
    open(split, limit) {
      opened.push(split);
      return data.open(split, limit);
    },
  };
  const rankings = await rankHub(openHub(hub), watched, { seed: 3 });
  assert.deepEqual(opened, ["train", "train", "train"]);
  const { all, labels } = await trainingImages();
  using owned = all;
  for (const [i, member] of loadMembers(openHub(hub)).entries()) {
    member.backbone.eval();
    scope(() =>
      inferenceMode(() => {
        const outputs = { features: member.features(owned), logits: member.classify(owned), labels, classes: 3 };
        for (const { key, compute } of rankingScores) {
          const [value, expected] = [rankings[i]?.scores[key] ?? 0, finished(compute(outputs, 3)) ?? 0];
          assert.ok(Math.abs(value - expected) < 1e-4 * (1 + Math.abs(expected)), `${key}: ${value}, not ${expected}`);
        }
      }),
    );
    member.dispose();
  }
});

test("features and class scores come from one forward pass", () => {
  const [member] = loadMembers(openHub(hub), { names: ["seeing"] }) as [HubMember];
  member.backbone.eval();
  using batch = rand([4, 3, 24, 24], { generator: new Generator(5) });
  scope(() =>
    inferenceMode(() => {
      const { features, scores } = member.outputs(batch);
      assertClose(features, member.features(batch));
      assert.ok(scores);
      assertClose(scores, member.classify(batch) ?? []);
      const both = countFlops(() => member.outputs(batch));
      assert.equal(both, countFlops(() => member.features(batch)) + 2 * 4 * sourceClasses * member.featureWidth);
    }),
  );
  member.dispose();
});

test("without a classifier LEEP and NCE are left out", async () => {
  const plain = openHub(writeColourHub(join(folder, "plain"), false));
  for (const { scores, seconds, sourceClasses: s } of await rankHub(plain, data, { seed: 3 })) {
    assert.equal(s, null);
    assert.deepEqual([scores.leep, scores.nce, seconds.leep], [null, null, undefined]);
    assert.ok([scores.logme, scores.hScore, scores.nLeep].every(Number.isFinite));
  }
});

test("a limit keeps the classes' proportions, the same images for the same seed", async () => {
  const chosen = async (limit: number) => {
    const counts = [0, 0, 0];
    const indices: number[] = [];
    for await (const batch of data.open("train", limit).epoch(0, 0)) {
      for (const label of batch.labels) counts[label] = (counts[label] ?? 0) + 1;
      indices.push(...batch.indices);
      batch.dispose();
    }
    return { counts, indices };
  };
  assert.deepEqual((await chosen(30)).counts, [10, 10, 10]);
  assert.deepEqual((await chosen(30)).indices, (await chosen(30)).indices);
  assert.equal(new Set((await chosen(30)).indices).size, 30);
  assert.equal((await chosen(1e6)).indices.length, data.counts.train);
  const [ranking] = await rankHub(openHub(hub), data, { seed: 3, limit: 30 });
  assert.equal(ranking?.images, 30);
  await assert.rejects(rankHub(openHub(hub), data, { seed: 3, limit: 2 }), ConfigError);
  await assert.rejects(rankHub(openHub(hub), data, { seed: 3, limit: 7.5 }), /whole number of at least 3/);
});

test("ranking releases everything, also when it is interrupted or a member is not usable", async () => {
  const opened = openHub(hub);
  await rankHub(opened, data, { seed: 3 });
  const { handles } = memory();
  await rankHub(opened, data, { seed: 3 });
  assert.equal(memory().handles, handles);
  await assert.rejects(rankHub(opened, data, { seed: 3, signal: AbortSignal.abort() }), Interrupted);
  assert.equal(memory().handles, handles);
  for (const [classifier, pattern] of [
    ["fc", /has no classifier "fc\.weight"/],
    ["layer1.0.conv1", /"layer1\.0\.conv1\.weight" has the shape \[8, 8, 3, 3\], which does not fit/],
  ] as const) {
    const members = opened.manifest.members.map((entry) => ({ ...entry, classifier }));
    const wrong = { ...opened, manifest: { ...opened.manifest, members } };
    await assert.rejects(
      rankHub(wrong, data, { seed: 3 }),
      (error) => error instanceof UserError && pattern.test(error.message),
    );
    assert.equal(memory().handles, handles);
  }
});

test("a signal ends the computation of a score that takes long, and nothing is left of it", async () => {
  const opened = openHub(hub);
  const { handles } = memory();
  const abort = new AbortController();
  const later = (turns: number): unknown => setImmediate(() => (turns === 0 ? abort.abort() : later(turns - 1)));
  const begun: string[] = [];
  const ranking = rankHub(opened, data, {
    seed: 3,
    scores: [findScore("n-leep")],
    signal: abort.signal,
    onMember: (name) => begun.push(name),
    onProgress: (done, total) => done === total && later(4),
  });
  await assert.rejects(ranking, Interrupted);
  assert.deepEqual(begun, ["blind"]);
  assert.equal(memory().handles, handles);
});

test("the prior in closed form", () => {
  const e = Math.E;
  const close = (actual: number[], expected: number[]) => {
    for (const [i, value] of actual.entries()) assert.ok(Math.abs(value - (expected[i] ?? 0)) < 1e-12, `${actual}`);
  };
  close(softPrior([1, 3]), [1 / (1 + e ** 2), e ** 2 / (1 + e ** 2)]);
  // Mean 0, variance 2/3.
  const step = Math.exp(Math.sqrt(3 / 2));
  const total = 1 / step + 1 + step;
  close(softPrior([-1, 0, 1]), [1 / step / total, 1 / total, step / total]);
  close(softPrior([-107, -100, -93]), softPrior([-1, 0, 1]));
  close(softPrior([0.3, 0.1 + 0.2, 0.3]), [1 / 3, 1 / 3, 1 / 3]);
  close(softPrior([0, 0]), [0.5, 0.5]);
  close(softPrior([-4]), [1]);
});

test("a run follows, records and resumes with the prior of the ranking", async () => {
  const events: RunEvent[] = [];
  const run = await trainRun(request("prior", { emit: (event) => events.push(event) }));
  const config = JSON.parse(readFileSync(join(folder, "prior", "run.json"), "utf8")) as RunConfig;
  const rankings = await rankHub(openHub(hub), data, { seed: 3 });
  const values = rankings.map((ranking) => ranking.scores.logme ?? 0);
  const prior = softPrior(values);
  assert.deepEqual(config.prior, {
    score: "logme",
    flops: rankings.reduce((sum, ranking) => sum + ranking.flops, 0),
    members: rankings.map(({ name }, i) => ({ name, score: values[i], probability: prior[i] })),
  });
  const [largest] = [...config.prior.members].sort((a, b) => b.probability - a.probability);
  assert.equal(largest?.name, "seeing");
  const log = readFileSync(join(folder, "prior", "events.jsonl"), "utf8")
    .trim()
    .split("\n");
  const recorded = log.map((line) => JSON.parse(line) as RunEvent).find((event) => event.type === "prior");
  assert.deepEqual(recorded, { type: "prior", ...config.prior });
  // The generator begins with equal scores: the loss is KL(uniform || prior).
  const first = events.find((event) => event.type === "step");
  const divergence = prior.reduce((sum, p) => sum - Math.log(3 * p) / 3, 0);
  assert.ok(Math.abs((first?.logs["exploration"] ?? 0) - divergence) < 1e-5);

  const abort = new AbortController();
  let steps = 0;
  const emit = (event: RunEvent) => {
    if (event.type === "step" && ++steps === 4) abort.abort();
  };
  await assert.rejects(trainRun(request("cut", { emit, signal: abort.signal })), Interrupted);
  const later: RunEvent[] = [];
  const resumed = await trainRun(request("cut", { resume: true, emit: (event) => later.push(event) }));
  assert.ok(!later.some((event) => event.type === "note"), "the hub was ranked again");
  assert.deepEqual(
    later.find((event) => event.type === "prior"),
    recorded,
  );
  assert.deepEqual(resumed.validation.probabilities, run.validation.probabilities);
  assert.equal(resumed.trainingFlops, run.trainingFlops);

  const opened = await measured(join(folder, "prior"));
  opened.dispose();
  assert.deepEqual(opened.evaluation.probabilities, run.validation.probabilities);
  for (const part of [run, resumed]) {
    part.predictor.dispose();
    part.data.dispose();
  }
  const other = { ...request("cut").choices, prior: "n-leep" };
  await assert.rejects(
    trainRun(request("cut", { resume: true, choices: other })),
    /another run: prior was logme, now n-leep/,
  );
});

test("a recorded prior is what counts: a changed one is another run", async () => {
  const run = await trainRun(request("changed"));
  run.predictor.dispose();
  run.data.dispose();
  const path = join(folder, "changed", "run.json");
  writeFileSync(path, readFileSync(path, "utf8").replace(/"probability": 0\./, '"probability": 0.9'));
  await assert.rejects(trainRun(request("changed", { resume: true })), /was written by another run/);
});

test("a prior that cannot be had is refused, and nothing is written", async () => {
  const plain = join(folder, "plain", "hub");
  const choices = (prior: string, more = {}) => ({ k: 2, prior, ...more });
  const cases: [Partial<TrainRequest>, RegExp][] = [
    [
      { choices: choices("leep"), hub: plain },
      /needs .* classifier .*: blind, seeing, also-blind; use logme or h-score/,
    ],
    [{ choices: choices("magic") }, /no score "magic"; there are: logme/],
    [{ choices: choices("logme", { exploration: "switch" }) }, /exploration switch was retired/],
    [{ choices: choices("logme"), method: findMethod("random-routing") }, /random-routing explores nothing/],
    [{ choices: { prior: "logme" }, method: findMethod("fine-tune") }, /fine-tune has no choice prior/],
    [{ choices: choices("logme", { k: 4 }) }, /k is 4/],
  ];
  for (const [more, pattern] of cases) {
    await assert.rejects(
      trainRun(request("refused", more)),
      (error) => error instanceof ConfigError && pattern.test(error.message),
    );
    assert.ok(!existsSync(join(folder, "refused")));
  }
});

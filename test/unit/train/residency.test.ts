/** Members in bounded memory: the same results, bit for bit, as with everything resident. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { loadMembers, openHub, Residency } from "../../../src/hub/index.ts";
import { AdamW } from "../../../src/optim/index.ts";
import { Generator, Interrupted, inferenceMode, memory, rand, scope, type Tensor } from "../../../src/torch/index.ts";
import { type RunEvent, type TrainRequest, trainRun } from "../../../src/train/index.ts";
import { measured } from "../../support/opened-run.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;
let hub: string;
let images: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeSmallHub(folder);
  images = await writeShapeImages(folder, 14);
});

function request(out: string, more: Partial<TrainRequest> = {}): TrainRequest {
  const choices = { k: 1, generatorWidth: 4, allowedMembers: 1 };
  return { ...trainRequest({ folder, hub, images }, out), choices, ...more };
}

const checkpoint = (run: string): Buffer =>
  readFileSync(join(folder, run, "training", "hub-pathway.weights.safetensors"));
const data = (bytes: Buffer): Buffer => bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));

/** Too little for any two members, so that each leaves when another comes. */
const tight = 1000;

for (const batchNorm of ["batch", "recalibrated"] as const) {
  test(`training and evaluating under a tight budget equals the all-resident run (${batchNorm})`, async () => {
    const options = { ...request("x").options, batchNorm };
    const before = memory().handles;
    const whole = await trainRun(request(`all-${batchNorm}`, { options }));
    const handles = memory().handles;
    const bound = await trainRun(request(`tight-${batchNorm}`, { options, hubMemory: tight }));
    // The block of the member in memory, and that of the one that left last.
    assert.equal(memory().handles - handles, handles - before + 2, "as many tensors as the all-resident run");
    assert.deepEqual(bound.validation.probabilities, whole.validation.probabilities);
    assert.ok(data(checkpoint(`tight-${batchNorm}`)).equals(data(checkpoint(`all-${batchNorm}`))));
    const counts = bound.hub.residency?.counts ?? { loads: 0, spills: 0 };
    assert.ok(counts.loads > 10 && counts.spills > 5, JSON.stringify(counts));

    const opened = await measured(join(folder, `all-${batchNorm}`), { hubMemory: tight });
    opened.dispose();
    assert.deepEqual(opened.evaluation.probabilities, whole.validation.probabilities);
    for (const run of [whole, bound]) {
      run.predictor.dispose();
      run.data.dispose();
      run.hub.residency?.dispose();
    }
    assert.ok(!existsSync(join(folder, `tight-${batchNorm}`, "training", "members")));
  });
}

test("a run that was cut under one budget goes on under another", async () => {
  const whole = await trainRun(request("one-go"));
  const abort = new AbortController();
  let steps = 0;
  const emit = (event: RunEvent) => {
    if (event.type === "step" && ++steps === 4) abort.abort();
  };
  const cut = { emit, signal: abort.signal, hubMemory: tight };
  await assert.rejects(trainRun(request("two-goes", cut)), Interrupted);
  assert.ok(!existsSync(join(folder, "two-goes", "members")), "nothing but the checkpoint is left");
  const resumed = await trainRun(request("two-goes", { resume: true, hubMemory: 20_000 }));
  assert.deepEqual(resumed.validation.probabilities, whole.validation.probabilities);
  assert.ok(data(checkpoint("two-goes")).equals(data(checkpoint("one-go"))));
  for (const run of [whole, resumed]) {
    run.predictor.dispose();
    run.data.dispose();
  }
});

test("the budget bounds what is in memory, the least recently used leave, and unchanged members are not written", () => {
  const opened = openHub(hub);
  const all = loadMembers(opened);
  const sizes = all.map((member) =>
    [...member.backbone.stateDict().values()].reduce(
      (sum, tensor) => sum + tensor.numel() * (tensor.dtype === "int64" ? 8 : 4),
      0,
    ),
  );
  const [first = 0, second = 0, third = 0] = sizes;
  const budget = Math.max(first + second, first + third, second + third);
  const residency = new Residency({ budget, folder: join(folder, "spill") });
  opened.residency = residency;
  const members = loadMembers(opened);
  assert.equal(residency.residentBytes(), 0);
  const generator = new Generator(1);
  scope(() =>
    inferenceMode(() => {
      const x = rand([2, 3, 24, 24], { generator });
      for (const i of [0, 1, 2, 0, 2, 1, 1]) {
        const member = members[i];
        const reference = all[i];
        assert.ok(member && reference);
        member.backbone.eval();
        reference.backbone.eval();
        assert.deepEqual(member.features(x).toNumbers(), reference.features(x).toNumbers());
        assert.ok(residency.residentBytes() <= budget);
      }
    }),
  );
  // 0, 1 | 2 for 0 | 0 for 1 | 2 stays | 1 for 0 | 1 stays
  assert.deepEqual(residency.counts, { loads: 5, spills: 0 });
  assert.ok(!existsSync(join(folder, "spill")));
  for (const member of [...all, ...members]) member.dispose();
});

test("optimizer state leaves and returns with its member, and members that wait for backward stay", () => {
  const run = (budget: number | undefined): { weights: Tensor[]; bytes: number } => {
    const opened = openHub(hub);
    if (budget !== undefined) opened.residency = new Residency({ budget, folder: join(folder, `spill-${budget}`) });
    const { residency } = opened;
    const members = loadMembers(opened);
    const optimizer = new AdamW([{ params: members.flatMap((member) => member.backbone.parameters()), lr: 0.01 }]);
    residency?.attach(optimizer);
    const generator = new Generator(7);
    for (const active of [[0, 1], [2], [0], [1, 2], [0, 2]]) {
      using loss = scope(() => {
        const x = rand([9, 3, 24, 24], { generator });
        const losses = active.map((i) => members[i]?.features(x).square().mean() as Tensor);
        return losses.reduce((sum, next) => sum.add(next));
      });
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      residency?.settle();
    }
    const bytes = residency?.residentBytes() ?? 0;
    const weights = members.flatMap((member) => {
      member.beforeUse?.();
      return member.backbone.parameters().map((parameter) => parameter.detach().clone());
    });
    optimizer.dispose();
    for (const member of members) member.dispose();
    return { weights, bytes };
  };
  scope(() => {
    const free = run(undefined);
    const bound = run(10);
    assert.equal(bound.bytes, 0);
    assert.deepEqual(
      bound.weights.map((tensor) => tensor.toNumbers()),
      free.weights.map((tensor) => tensor.toNumbers()),
    );
  });
});

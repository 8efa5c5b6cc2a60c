import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { restorePredictor } from "../../../src/methods/index.ts";
import { Interrupted, memory, UserError } from "../../../src/torch/index.ts";
import { openRun, type RunEvent, type TrainRequest, trainRun } from "../../../src/train/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainClassifier, trainRequest } from "../../support/train-request.ts";

let folder: string;
let hub: string;
let images: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeSmallHub(folder);
  images = await writeShapeImages(folder, 24);
});

function request(out: string, more: Partial<TrainRequest> = {}): TrainRequest {
  return { ...trainRequest({ folder, hub, images }, out), ...more };
}

/** Events of a run's steps and epochs, without times. */
function figures(events: readonly RunEvent[]): unknown[] {
  return events.flatMap((event): unknown[] => {
    if (event.type === "step") return [{ ...event, imagesPerSecond: 0 }];
    return event.type === "epoch" ? [{ ...event, seconds: 0 }] : [];
  });
}

// Four steps an epoch: in the middle of one, at the end of one, and close to that.
const stops = { standard: [2, 4, 7], mixup: [7] } as const;
for (const augment of ["standard", "mixup"] as const) {
  const logged: RunEvent[] = [];
  let uninterrupted: ReturnType<typeof trainRun> | undefined;
  const wholeRun = () => {
    const data = { ...request("x").data, augment };
    uninterrupted ??= trainRun(request(`whole-${augment}`, { data, emit: (event) => logged.push(event) }));
    return uninterrupted;
  };
  after(async () => {
    const run = await uninterrupted;
    run?.predictor.dispose();
    run?.data.dispose();
  });

  for (const stopAt of stops[augment]) {
    test(`resuming from step ${stopAt} equals the uninterrupted run bit for bit (${augment})`, async () => {
      const name = `cut-${augment}-${stopAt}`;
      const data = { ...request("x").data, augment };
      const whole = await wholeRun();
      assert.equal(whole.data.train.stepsPerEpoch, 4);
      const cut: RunEvent[] = [];
      const abort = new AbortController();
      const emit = (event: RunEvent) => {
        cut.push(event);
        if (event.type === "step" && cut.filter(({ type }) => type === "step").length === stopAt) abort.abort();
      };
      await assert.rejects(trainRun(request(name, { data, emit, signal: abort.signal })), Interrupted);
      const resumed = await trainRun(request(name, { data, resume: true, emit }));
      assert.deepEqual(resumed.validation.probabilities, whole.validation.probabilities);
      assert.deepEqual(figures(cut), figures(logged));
      assert.equal(resumed.trainingFlops, whole.trainingFlops);
      for (const part of ["weights", "state"]) {
        const file = (run: string) => readFileSync(join(folder, run, "training", `hub-pathway.${part}.safetensors`));
        const strip = (bytes: Buffer) => bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
        assert.ok(strip(file(`whole-${augment}`)).equals(strip(file(name))), part);
      }
      resumed.predictor.dispose();
      resumed.data.dispose();
    });
  }
}

test("training learns: far above chance on shapes it has not seen", async () => {
  const source = await writeShapeImages(join(folder, "many"), 40);
  const data = { ...request("x").data, source };
  const run = await trainClassifier(
    request("learns", { data, options: { ...request("x").options, epochs: 18, lr: 5e-3 } }),
  );
  assert.ok(run.validation.metrics.accuracy > 0.6, `${run.validation.metrics.accuracy}`);
  const lines = readFileSync(join(folder, "learns", "events.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as RunEvent);
  const losses = lines.flatMap((event) => (event.type === "epoch" ? [event.loss] : []));
  assert.equal(losses.length, 18);
  assert.ok((losses.at(-1) ?? 9) < (losses[0] ?? 0));
  run.predictor.dispose();
  run.data.dispose();
});

test("other precisions and BatchNorm policies train too", async () => {
  for (const more of [{ precision: "bfloat16" }, { batchNorm: "frozen" }, { batchNorm: "recalibrated" }] as const) {
    const run = await trainRun(
      request(`variant-${JSON.stringify(more).replace(/\W/g, "")}`, { options: { ...request("x").options, ...more } }),
    );
    assert.ok(run.validation.probabilities.every(Number.isFinite));
    run.predictor.dispose();
    run.data.dispose();
  }
});

test("runs do not leak handles", async () => {
  const once = async (name: string) => {
    const run = await trainRun(request(name));
    run.predictor.dispose();
    run.data.dispose();
  };
  await once("leak-1");
  const before = memory().handles;
  await once("leak-2");
  assert.ok(memory().handles <= before + 4, `${memory().handles} handles, ${before} before`);
});

test("a run's folder is not overwritten, and only the same run resumes", async () => {
  const run = await trainRun(request("guard"));
  run.predictor.dispose();
  const user = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message);
  await assert.rejects(trainRun(request("guard")), user(/already holds a run.*--resume/));
  const other = { ...request("guard").options, lr: 1 };
  await assert.rejects(
    trainRun(request("guard", { resume: true, options: other })),
    user(/another run: lr was 0\.002, now 1/),
  );
  await assert.rejects(trainRun(request("nothing-here", { resume: true })), user(/holds no run to resume/));
  assert.throws(() => openRun(join(folder, "nowhere"), restorePredictor), user(/holds no run/));
});

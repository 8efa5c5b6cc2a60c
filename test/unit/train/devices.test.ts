/** Devices of a run: their names on every machine; where there is a GPU, all methods and networks on it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { before, test } from "node:test";
import { openHub } from "../../../src/hub/index.ts";
import { methods } from "../../../src/methods/index.ts";
import { createBackbone } from "../../../src/models/index.ts";
import { AdamW } from "../../../src/optim/index.ts";
import {
  ConfigError,
  findDevice,
  Generator,
  Interrupted,
  loadedLibrary,
  memory,
  randn,
  scope,
} from "../../../src/torch/index.ts";
import { prepareData, type RunEvent, rankHub, trainRun } from "../../../src/train/index.ts";
import { measured } from "../../support/opened-run.ts";
import { smallNetworks } from "../../support/small-networks.ts";
import { methodChoices, zooRequests } from "../../support/zoo-hub.ts";

let request: Awaited<ReturnType<typeof zooRequests>>;
const gpu = loadedLibrary().cuda;
const onGpu = { skip: gpu ? false : "no GPU, or a libtorch without CUDA" };

before(async () => {
  request = await zooRequests();
});

test("a device has a name that is known, and is there", () => {
  assert.equal(findDevice("cpu"), "cpu");
  for (const name of ["gpu", "cuda:", "cuda:x", "CUDA", "", "cpu:0"]) {
    assert.throws(() => findDevice(name), /there is no device .*cpu, cuda or cuda:N/, name);
  }
  if (gpu) assert.throws(() => findDevice("cuda:99"), /"cuda:99" cannot be used/);
  else assert.throws(() => findDevice("cuda"), /no CUDA here, or finds no GPU.*doctor/);
});

test("memory that is limited is main memory: another device is refused, and nothing is written", async () => {
  const given = request("limited", "hub-pathway", { device: "cuda", hubMemory: 2 ** 20 });
  await assert.rejects(trainRun(given), (error) => error instanceof ConfigError && /--hub-memory/.test(error.message));
  assert.ok(!existsSync(given.out));
});

for (const [name, config] of smallNetworks) {
  test(`${name} ${JSON.stringify(config)} begins and learns on a GPU as on the CPU`, onGpu, () => {
    scope(() => {
      using own = new Generator(1);
      const x = randn([6, 3, 32, 32], { generator: own, dtype: "float64" });
      const [host, device] = ["cpu", "cuda"].map((place) => {
        using generator = new Generator(7);
        using backbone = createBackbone(name, config, { generator, device: place, dtype: "float64" });
        const begin = backbone.parameters().map((parameter) => parameter.toNumbers());
        using optimizer = new AdamW([{ params: backbone.parameters(), lr: 1e-3 }]);
        const images = x.to({ device: place });
        const losses = [0, 1, 2].map(() => {
          const loss = backbone.forward(images).square().mean();
          optimizer.zeroGrad();
          loss.backward();
          optimizer.step();
          return loss.item();
        });
        return { begin, losses };
      });
      assert.deepEqual(device?.begin, host?.begin);
      for (const [i, loss] of (device?.losses ?? []).entries()) {
        const expected = host?.losses[i] ?? 0;
        assert.ok(Math.abs(loss - expected) <= 1e-6 * Math.abs(expected), `step ${i}: ${loss}, ${expected} on the CPU`);
      }
    });
  });
}

for (const method of methods) {
  test(`${method.name} trains on a GPU, and predicts the same on the CPU`, onGpu, async () => {
    const handles = memory().handles;
    const losses: number[] = [];
    const emit = (event: RunEvent) => {
      if (event.type === "epoch") losses.push(event.loss);
    };
    const own = methodChoices[method.name] ?? {};
    const run = await trainRun(request(`gpu-${method.name}`, method.name, { choices: own, emit, device: "cuda" }));
    assert.ok(losses.every(Number.isFinite));
    const again = await evaluated(run.folder.path, "cuda");
    const host = await evaluated(run.folder.path);
    if (method.name !== "random-routing") {
      assertAlike(again, run.validation.probabilities, 1e-3);
      assertAlike(host, run.validation.probabilities, 2e-2);
    }
    run.predictor.dispose();
    run.data.dispose();
    assert.equal(memory().handles, handles, "live handles after the run");
  });
}

async function evaluated(path: string, device?: string): Promise<Float32Array> {
  const run = await measured(path, { device });
  run.dispose();
  return run.evaluation.probabilities;
}

/** @param tolerance on the mean difference: convolutions of a GPU round to 10 bits, and a route may turn over */
function assertAlike(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  const difference = actual.reduce((sum, value, i) => sum + Math.abs(value - (expected[i] ?? 0)), 0) / actual.length;
  assert.ok(difference <= tolerance, `probabilities differ by ${difference} in the mean`);
}

test("frozen members, bfloat16 and resumption on a GPU", onGpu, async () => {
  const more = { choices: methodChoices["hub-pathway"] ?? {}, device: "cuda" };
  const frozen = request("gpu-frozen", "hub-pathway", more);
  for (const options of [
    { ...frozen.options, frozenViews: 2 },
    { ...frozen.options, precision: "bfloat16" as const },
  ]) {
    const out = `${frozen.out}-${options.precision}`;
    const whole = await trainRun({ ...frozen, options, out });
    const abort = new AbortController();
    let steps = 0;
    const emit = (event: RunEvent) => {
      if (event.type === "step" && ++steps === 5) abort.abort();
    };
    const cut = { ...frozen, options, out: `${out}-cut` };
    await assert.rejects(trainRun({ ...cut, emit, signal: abort.signal }), Interrupted);
    const rest = await trainRun({ ...cut, resume: true });
    assertAlike(rest.validation.probabilities, whole.validation.probabilities, 3e-2);
    for (const part of [whole, rest]) {
      part.predictor.dispose();
      part.data.dispose();
    }
  }
});

test("a ranking on a GPU has the CPU's scores", onGpu, async () => {
  const { hub, data: source } = request("ranking", "hub-pathway");
  const scores = [];
  for (const device of ["cpu", "cuda"]) {
    const data = await prepareData({ ...source, device });
    scores.push(await rankHub(openHub(hub, { device }), data, { seed: 0 }));
    data.dispose();
  }
  for (const [i, { name, scores: there }] of (scores[1] ?? []).entries()) {
    const host = scores[0]?.[i]?.scores ?? {};
    for (const [key, value] of Object.entries(there)) {
      const expected = host[key as keyof typeof host] ?? 0;
      const gap = Math.abs((value ?? 0) - expected);
      assert.ok(gap <= 2e-2 * Math.max(1, Math.abs(expected)), `${name}, ${key}: ${value}, ${expected} on the CPU`);
    }
  }
});

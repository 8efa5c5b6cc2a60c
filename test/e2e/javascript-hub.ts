/** hubs/javascript against the packages' own code on a real photograph. Made by `npm run javascript-hub`, which downloads. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { packageFolder } from "../../src/fetch/index.ts";
import { loadMember, memberEntry, openHub, verifyHub } from "../../src/hub/index.ts";
import { BatchNorm2d } from "../../src/nn/index.ts";
import { inferenceMode, memory, scope, type Tensor, tensor } from "../../src/torch/index.ts";
import { core, handler, runGraph, useWasm } from "../fixtures/tfjs/oracle.ts";
import { packageCode } from "../support/javascript-packages.ts";

const dir = fileURLToPath(new URL("../../hubs/javascript", import.meta.url));
const nsfwjs = packageFolder("nsfwjs");
const faceApi = packageFolder("@vladmandic/face-api");
const skip =
  nsfwjs && faceApi ? false : "the packages of hubs/javascript are not there: `npm run javascript-hub` gets them";

type TfTensor = import("@tensorflow/tfjs-core").Tensor;

interface Photograph {
  /** [1, 3, S, S] in [0, 1]. */
  ours: Tensor;
  /** [S, S, 3] in [0, 255]. */
  theirs: TfTensor;
}

/** A photograph of people, of the size that a network takes. */
async function photograph(size: number): Promise<Photograph> {
  const file = join(faceApi ?? "", "package/demo/sample1.jpg");
  const pixels = await sharp(file).resize(size, size, { fit: "cover" }).removeAlpha().raw().toBuffer();
  const theirs = core.tensor(Uint8Array.from(pixels), [size, size, 3], "int32");
  using bytes = tensor(Float32Array.from(pixels), { shape: [1, size, size, 3] });
  return { ours: scope(() => bytes.permute([0, 3, 1, 2]).div(255)), theirs };
}

/** Features and scores of a member. */
function outcome(name: string, image: Tensor): { features: number[]; scores: number[] | undefined } {
  const hub = openHub(dir);
  const member = loadMember(dir, memberEntry(hub, name));
  member.backbone.eval();
  const result = scope(() =>
    inferenceMode(() => ({
      features: member.features(image).toNumbers(),
      scores: member.classify(image)?.toNumbers(),
    })),
  );
  member.dispose();
  return result;
}

/** Reports the largest difference, which must be under 1e-4 of the values' size. */
function assertNear(what: string, actual: readonly number[] | undefined, expected: TfTensor | Float32Array): void {
  const values = expected instanceof Float32Array ? expected : expected.dataSync();
  assert.equal(actual?.length, values.length, what);
  let furthest = 0;
  let largest = 0;
  for (const [i, value] of (actual ?? []).entries()) {
    const wanted = Number(values[i]);
    assert.ok(Number.isFinite(value) && Number.isFinite(wanted), `${what}: ${value} and ${wanted}`);
    furthest = Math.max(furthest, Math.abs(value - wanted) / (1 + Math.abs(wanted)));
    largest = Math.max(largest, Math.abs(wanted));
  }
  console.log(`${what}: largest value ${largest.toPrecision(3)}, largest difference ${furthest.toExponential(1)}`);
  assert.ok(furthest < 1e-4, `${what} differs by ${furthest}`);
}

/** The mean over space of a map [1, h, w, C]. */
function spatialMean(map: TfTensor): TfTensor {
  return core.mean(map, [1, 2]);
}

describe("the hub of npm packages", { skip }, () => {
  before(useWasm);

  it("is whole", () => {
    const before = memory().handles;
    const reports = verifyHub(openHub(dir));
    assert.ok(reports.length >= 5);
    assert.deepEqual(
      reports.flatMap((report) => report.problems),
      [],
    );
    assert.equal(memory().handles, before);
  });

  it("holds the models that the bundles of nsfwjs export when they are run", () => {
    for (const [name, folder] of [
      ["nsfwjs-mobilenet-v2", "mobilenet_v2"],
      ["nsfwjs-mobilenet-v2-mid", "mobilenet_v2_mid"],
      ["nsfwjs-inception-v3", "inception_v3"],
    ] as const) {
      const require = createRequire(join(nsfwjs ?? "", "package/dist/models", folder, "index.js"));
      const model = require("./model.min.js") as { weightsManifest: { paths: string[] }[] };
      // JSON has no negative zero, which one bundle holds.
      assert.equal(readFileSync(join(dir, name, "model.json"), "utf8"), JSON.stringify(model));
      for (const path of model.weightsManifest.flatMap((group) => group.paths)) {
        const bytes = Buffer.from(require(`./${path}.min.js`) as string, "base64");
        assert.ok(bytes.equals(readFileSync(join(dir, name, path))), path);
      }
    }
  });

  for (const [name, size, type] of [
    ["nsfwjs-mobilenet-v2", 224, "layers"],
    ["nsfwjs-mobilenet-v2-mid", 224, "graph"],
    ["nsfwjs-inception-v3", 299, "layers"],
  ] as const) {
    it(`gives what nsfwjs gives: ${name}`, async () => {
      const { NSFWJS } = packageCode(join(nsfwjs ?? "", "package/dist/cjs/core.js")) as {
        NSFWJS: new (
          handler: unknown,
          options: object,
        ) => { load(): Promise<void>; infer(image: TfTensor, endpoint?: string): TfTensor; dispose(): void };
      };
      const path = join(dir, name, "model.json");
      const theirs = new NSFWJS(handler(path), { size, type });
      await theirs.load();
      const image = await photograph(size);
      const { features, scores } = outcome(name, image.ours);
      assertNear(`${name}: scores`, scores, theirs.infer(image.theirs));
      const { config } = memberEntry(openHub(dir), name);
      const tensorName = String(config["features"]);
      if (type === "layers") assertNear(`${name}: features`, features, theirs.infer(image.theirs, tensorName));
      else assertNear(`${name}: features`, features, (await runGraph(path, image.ours, tensorName)).values);
      image.ours.dispose();
    });
  }

  it("gives what face-api gives", async () => {
    const { nets } = packageCode(join(faceApi ?? "", "package/dist/face-api.node-wasm.js")) as {
      nets: Record<string, FaceNet>;
    };
    const load = async (net: string): Promise<FaceNet> => {
      const found = nets[net] as FaceNet;
      await found.loadFromDisk(join(faceApi ?? "", "package/model"));
      return found;
    };
    const small = await photograph(112);
    const batch = core.expandDims(small.theirs);
    const expressions = outcome("face-expression-densenet", small.ours);
    const expression = await load("faceExpressionNet");
    assertNear("face-expression-densenet: scores", expressions.scores, await forward(expression, batch));
    const ages = outcome("face-age-gender-xception", small.ours);
    const { gender } = (await forward(await load("ageGenderNet"), batch)) as unknown as { gender: TfTensor };
    assertNear("face-age-gender-xception: scores", ages.scores, gender);
    const points = outcome("face-landmarks-densenet", small.ours);
    const landmarks = await load("faceLandmark68Net");
    const extractor = landmarks["faceFeatureExtractor"] as FaceNet;
    const pooled = spatialMean(await forward(extractor, batch));
    assertNear("face-landmarks-densenet: features", points.features, pooled);
    assertNear("face-landmarks-densenet: scores", points.scores, await forward(landmarks, batch));
    small.ours.dispose();

    const face = await photograph(150);
    const recognised = outcome("face-recognition-resnet", face.ours);
    const descriptor = await forward(await load("faceRecognitionNet"), core.expandDims(face.theirs));
    assertNear("face-recognition-resnet: features", recognised.features, descriptor);
    assert.equal(recognised.scores, undefined);
    face.ours.dispose();

    const scene = await photograph(512);
    const detected = outcome("face-detection-mobilenet-v1", scene.ours);
    const detector = await load("ssdMobilenetv1");
    const map = await lastMap(() => forward(detector, core.expandDims(scene.theirs)), [1, 16, 16, 1024]);
    assertNear("face-detection-mobilenet-v1: features", detected.features, spatialMean(map));
    assert.equal(detected.scores, undefined);
    scene.ours.dispose();
  });

  it("has BatchNorm layers where the networks have them", () => {
    const hub = openHub(dir);
    const counts = new Map<string, number>();
    for (const entry of hub.manifest.members) {
      const member = loadMember(dir, entry);
      counts.set(entry.name, member.backbone.modules().filter((part) => part instanceof BatchNorm2d).length);
      member.dispose();
    }
    assert.equal(counts.get("nsfwjs-mobilenet-v2"), 52);
    assert.equal(counts.get("nsfwjs-inception-v3"), 94);
    assert.equal(counts.get("face-detection-mobilenet-v1"), 13);
  });
});

interface FaceNet extends Record<string, unknown> {
  loadFromDisk(folder: string): Promise<void>;
  forward(input: unknown): Promise<TfTensor>;
}

function forward(net: FaceNet, batch: TfTensor): Promise<TfTensor> {
  return net.forward(batch);
}

/** Watches the kernels that run: the last clipped map of a shape. */
async function lastMap(run: () => Promise<unknown>, shape: readonly number[]): Promise<TfTensor> {
  const name = "ClipByValue";
  const backend = core.getBackend();
  const kernel = core.getKernel(name, backend);
  let last: TfTensor | undefined;
  core.unregisterKernel(name, backend);
  core.registerKernel({
    ...kernel,
    kernelFunc: (params) => {
      const made = kernel.kernelFunc(params) as import("@tensorflow/tfjs-core").TensorInfo;
      if (String(made.shape) === String(shape)) {
        const values = core.backend().readSync(made.dataId) as Float32Array;
        last = core.keep(core.tensor(new Float32Array(values), [...shape]));
      }
      return made;
    },
  });
  try {
    await run();
  } finally {
    core.unregisterKernel(name, backend);
    core.registerKernel(kernel);
  }
  assert.ok(last, `a map of shape ${shape} is made`);
  return last;
}

import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  describeHub,
  loadMembers,
  openHub,
  preprocess,
  readManifest,
  setMemberBatchNorm,
  verifyHub,
} from "../../../src/hub/index.ts";
import { readSafetensors, writeSafetensors } from "../../../src/io/index.ts";
import { BatchNorm2d, BatchNormRecalibration } from "../../../src/nn/index.ts";
import { HubPathway, resolvePathwayConfig } from "../../../src/pathway/index.ts";
import {
  Generator,
  inferenceMode,
  memory,
  noGrad,
  RandomStreams,
  rand,
  scope,
  type Tensor,
  tensor,
  UserError,
  zeros,
} from "../../../src/torch/index.ts";
import { beforeEach } from "../../support/hooks.ts";
import { assertClose } from "../../support/numeric.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";

let dir: string;

beforeEach(() => {
  dir = writeSmallHub(temporaryFolder());
});

interface Manifest {
  members: { name: string; featureWidth: number; input: { size: number }; weights: { sha256: string; file: string } }[];
}

function edit(change: (manifest: Manifest) => void): void {
  const path = join(dir, "hub.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  change(manifest);
  writeFileSync(path, JSON.stringify(manifest));
}

const refusal = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message);

test("members load with their own weights and give features of the promised width", () => {
  const members = loadMembers(openHub(dir));
  assert.deepEqual(
    members.map((member) => member.name),
    ["small-resnet", "small-convnext", "other-resnet"],
  );
  const images = rand([2, 3, 24, 24], { generator: new Generator(1) });
  for (const member of members) {
    member.backbone.eval();
    assert.deepEqual(inferenceMode(() => member.features(images)).shape, [2, member.featureWidth]);
  }
  const stored = readSafetensors(join(dir, "small-resnet.safetensors")).tensors.get("conv1.weight")!;
  assertClose(members[0]!.backbone.namedParameters().get("conv1.weight")!, stored, 0);
});

test("many rows pass a network in parts where answers are wanted, and at once otherwise", () => {
  using generator = new Generator(1);
  scope(() => {
    const [member] = loadMembers(openHub(dir));
    assert.ok(member);
    const forward = member.backbone.forward.bind(member.backbone);
    const seen: number[] = [];
    member.backbone.forward = (x) => {
      seen.push(x.size(0));
      return forward(x);
    };
    // Sixteen images of 224 px have the pixels of 1,393 of 24 px.
    const images = rand([1400, 3, 24, 24], { generator });
    member.backbone.eval();
    const parts = inferenceMode(() => member.features(images));
    const whole = member.features(images);
    assert.deepEqual(seen, [1393, 7, 1400]);
    assertClose(parts, whole.detach(), 1e-5);
    const recalibration = new BatchNormRecalibration(member.backbone);
    recalibration.observe(() => member.features(images));
    inferenceMode(() => recalibration.observe(() => member.features(images)));
    recalibration.finish();
    assert.deepEqual(seen.slice(3), [1400, 1400], "BatchNorm has statistics of all rows");
    member.dispose();
  });
});

test("a changed file, a missing file and a wrong width are refused, naming member and file", () => {
  const path = join(dir, "small-resnet.safetensors");
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(path, bytes);
  assert.throws(() => loadMembers(openHub(dir)), refusal(/"small-resnet".*sha256.*damaged/));
  rmSync(path);
  assert.throws(() => loadMembers(openHub(dir)), refusal(/"small-resnet".*missing/));
  edit((manifest) => {
    manifest.members[1]!.featureWidth = 7;
  });
  assert.throws(() => loadMembers(openHub(dir), { names: ["small-convnext"] }), refusal(/feature width 7.*gives 16/));
});

test("missing and unexpected keys are listed", () => {
  const path = join(dir, "other-resnet.safetensors");
  const { tensors } = readSafetensors(path);
  const renamed = new Map([...tensors].map(([key, value]) => [key === "conv1.weight" ? "conv1.wight" : key, value]));
  writeSafetensors(path, renamed);
  edit((manifest) => {
    const { createHash } = process.getBuiltinModule("node:crypto");
    manifest.members[2]!.weights.sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  });
  assert.throws(
    () => loadMembers(openHub(dir)),
    refusal(/"other-resnet".*missing keys: conv1.weight.*unexpected keys: conv1.wight/),
  );
});

test("a manifest that breaks the format says which field", () => {
  edit((manifest) => {
    manifest.members[0]!.input.size = -3;
  });
  assert.throws(() => readManifest(dir), refusal(/hub.json.*members.0.input.size/));
  writeFileSync(join(dir, "hub.json"), "{");
  assert.throws(() => readManifest(dir), refusal(/not JSON/));
  assert.throws(() => openHub(join(dir, "nowhere")), refusal(/not a hub/));
});

test("verify reports each member and describe counts parameters and FLOPs", () => {
  assert.deepEqual(
    verifyHub(openHub(dir)).flatMap((report) => report.problems),
    [],
  );
  writeFileSync(join(dir, "small-convnext.safetensors"), "x");
  const reports = verifyHub(openHub(dir));
  assert.deepEqual(
    reports.map((report) => report.problems.length),
    [0, 1, 0],
  );
  dir = writeSmallHub(temporaryFolder());
  for (const report of describeHub(openHub(dir))) assert.ok(report.parameters > 100 && report.flops > 1000);
});

test("preprocessing normalises per channel, orders channels and resizes", () => {
  const images = tensor([[[[0.2]], [[0.4]], [[0.6]]]])
    .expand([1, 3, 8, 8])
    .contiguous();
  const base = {
    kind: "image",
    size: 8,
    mean: [0.1, 0.2, 0.3],
    std: [0.5, 0.5, 0.25],
    interpolation: "bilinear",
    channelOrder: "rgb",
  } as const;
  const input = { ...base, mean: [...base.mean], std: [...base.std] };
  assertClose(preprocess(images, input).amax([0, 2, 3]), [0.2, 0.4, 1.2], 1e-6);
  assertClose(preprocess(images, { ...input, channelOrder: "bgr" }).amax([0, 2, 3]), [1, 0.4, -0.4], 1e-6);
  for (const interpolation of ["bilinear", "bicubic", "nearest"] as const) {
    const resized = preprocess(images, { ...input, size: 12, interpolation });
    assert.deepEqual(resized.shape, [1, 3, 12, 12]);
    assertClose(resized.amax([0, 2, 3]), [0.2, 0.4, 1.2], 1e-5);
  }
  const checker = zeros([1, 3, 16, 16]);
  for (let i = 0; i < 16; i += 2) checker.select(3, i).fill_(1);
  const shrunk = preprocess(checker, { ...input, size: 8, mean: [0, 0, 0], std: [1, 1, 1] });
  assert.ok(shrunk.max().item() - shrunk.min().item() < 0.3, "shrinking averages instead of skipping pixels");
});

test("the BatchNorm policy reaches every layer", () => {
  const [member] = loadMembers(openHub(dir), { names: ["small-resnet"] });
  const layers = member!.backbone.modules().filter((layer) => layer instanceof BatchNorm2d);
  setMemberBatchNorm([member!.backbone], "frozen");
  assert.ok(layers.length > 2 && layers.every((layer) => layer.policy === "running"));
  setMemberBatchNorm([member!.backbone], "batch");
  assert.ok(layers.every((layer) => layer.policy === "batch"));
});

test("loading and disposing leaves no handle", () => {
  for (const member of loadMembers(openHub(dir))) member.dispose();
  const before = memory().handles;
  for (const member of loadMembers(openHub(dir))) member.dispose();
  assert.ok(memory().handles <= before + 1, `${memory().handles - before} handles left`);
});

test("the generator sees through a frozen copy of a member's first stages", () => {
  const { handles } = memory();
  const members = loadMembers(openHub(dir));
  const streams = new RandomStreams(1);
  const config = resolvePathwayConfig({ k: 1, generatorKind: "member-stem" }, members.length);
  const model = new HubPathway({ members, outputs: 3, config, streams });
  const [first, second] = members;
  assert.ok(first && second);
  using generator = new Generator(2);
  scope(() => {
    const images = rand([9, 3, 24, 24], { generator });
    const state = model.stateDict();
    state.get("generator.score.weight")?.detach().normal_(0, 1, { generator });
    const seen = model.route(images, 0.5).scores.toNumbers();
    const expected = first.backbone.eval().stem(preprocess(images, first.entry.input));
    assertClose(model.generator.children().get("stem")?.forward(images) as Tensor, expected, 1e-6);
    // Training the member does not change what the generator sees; its looking does not change the member's statistics.
    first.backbone.train();
    const running = first.backbone.namedBuffers().get("bn1.running_mean")?.toNumbers();
    noGrad(() => first.backbone.namedParameters().get("conv1.weight")?.mul_(3));
    assert.deepEqual(model.route(images, 0.5).scores.toNumbers(), seen);
    assert.deepEqual(first.backbone.namedBuffers().get("bn1.running_mean")?.toNumbers(), running);
    const copied = [...state.keys()].filter((name) => name.startsWith("generator.stem."));
    assert.ok(copied.includes("generator.stem.conv1.weight"), "part of the state");
    assert.ok(copied.length < first.backbone.stateDict().size, "without the later stages");
    assert.ok(
      copied.every((name) => !model.namedParameters().has(name)),
      "not trained",
    );
  });
  assert.throws(() => second.copyStem(), /no first stages/);
  model.dispose();
  streams.dispose();
  for (const member of members) member.dispose();
  generator.dispose();
  assert.ok(memory().handles <= handles, "nothing is left behind");
});

/** Members with their preprocessing and heads, and routers of every kind. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { exportMember, exportRouter } from "../../../src/export/index.ts";
import { HubMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { Linear, Standardize } from "../../../src/nn/index.ts";
import { BlindStem, PathwayGenerator, type Stem } from "../../../src/pathway/generator.ts";
import {
  call,
  Generator,
  inferenceMode,
  noGrad,
  rand,
  scope,
  type Tensor,
  UserError,
} from "../../../src/torch/index.ts";
import { modelAgrees } from "../../support/exported.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";

const generator = new Generator(4);
let members: HubMember[];

before(() => {
  members = loadMembers(openHub(writeSmallHub(temporaryFolder())));
});

/** A member of the small hub that sees its images otherwise. */
function seeing(input: Partial<HubMember["entry"]["input"]>): HubMember {
  const [{ entry, backbone }] = members as [HubMember];
  return new HubMember("", { ...entry, input: { ...entry.input, ...input } }, backbone);
}

test("a member's file resizes, orders and normalises its images", async () => {
  using images = rand([5, 3, 32, 28], { generator });
  const views = [
    seeing({ mean: [0.1, 0.5, 0.7], std: [0.2, 0.3, 0.4] }),
    seeing({ channelOrder: "bgr", mean: [0.1, 0.5, 0.7], interpolation: "bicubic" }),
    seeing({ sides: [40, 20], interpolation: "nearest" }),
  ];
  for (const member of [...members, ...views]) {
    member.backbone.eval();
    await modelAgrees(exportMember(member, [32, 28]), (x) => ({ features: member.features(x) }), images, member.name);
  }
});

test("a head makes logits of the features", async () => {
  const [, member] = members as [HubMember, HubMember];
  using head = new Linear(member.featureWidth, 4, { generator });
  using standardize = new Standardize(member.featureWidth);
  scope(() => standardize.set(rand([member.featureWidth], { generator }), 0.3));
  using images = rand([5, 3, 24, 24], { generator });
  await modelAgrees(
    exportMember(member, [24, 24], { standardize, head }),
    (x) => ({ logits: head.forward(standardize.forward(member.features(x))) }),
    images,
  );
});

test("routers of all kinds", async () => {
  const options = { m: 3, width: 4, learnedNoise: true, generator };
  const [member] = members as [HubMember];
  const stem: Stem = { width: member.stemWidth as number, network: member.copyStem() };
  const routers: [string, PathwayGenerator][] = [
    ["a view of all of it", new PathwayGenerator({ ...options, size: 32 })],
    ["a smaller view", new PathwayGenerator({ ...options, size: 20 })],
    ["no convolutions", new PathwayGenerator({ ...options, size: 5 })],
    ["blind", new PathwayGenerator({ ...options, size: 32, stem: new BlindStem(16) })],
    ["a member's first stages", new PathwayGenerator({ ...options, size: 32, stem })],
  ];
  using images = rand([5, 3, 32, 32], { generator });
  for (const [name, router] of routers) {
    // Scores begin at zero.
    scope(() =>
      noGrad(() =>
        router.parameters().map((parameter) => parameter.add_(rand(parameter.shape, { generator }), { alpha: 0.2 })),
      ),
    );
    router.eval();
    const scores = scope(() => inferenceMode(() => router.forward(images).toNumbers()));
    assert.ok(scores.every((score) => score !== 0));
    await modelAgrees(exportRouter(router, [32, 32]), (x) => ({ scores: router.forward(x) }), images, name);
    router.dispose();
  }
});

test("a member that cannot be exported is named", () => {
  const [member] = members as [HubMember];
  const remove = member.backbone.registerForwardHook((features) => call("aten::digamma", [features]) as Tensor);
  assert.throws(
    () => exportMember(member, [24, 24]),
    (error) => error instanceof UserError && /^small-resnet cannot be exported.*aten::digamma$/.test(error.message),
  );
  remove();
});

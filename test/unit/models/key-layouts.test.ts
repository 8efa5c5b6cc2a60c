/** State dicts of other packages (make-layouts.py): recognised, converted, loaded, and their features compared. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rotaryPeriods } from "../../../src/models/blocks/rotary.ts";
import { relativePositions } from "../../../src/models/blocks/windows.ts";
import {
  createBackbone,
  type Hints,
  keyLayout,
  keyLayouts,
  type Proposal,
  presets,
  proposeArchitecture,
  resizedTo,
} from "../../../src/models/index.ts";
import { relativeOffsets } from "../../../src/models/swin.ts";
import { init } from "../../../src/nn/index.ts";
import {
  Generator,
  inferenceMode,
  memory,
  scope,
  type Tensor,
  tensor,
  UserError,
  zeros,
} from "../../../src/torch/index.ts";
import { fixtureLines, ruled, seeded } from "../../fixtures/seeded-weights.ts";
import { expectedProposals } from "../../support/expected-proposals.ts";
import { assertClose, assertNoLeak } from "../../support/numeric.ts";

interface Reference {
  size: number;
  /** Of one image, where the package is timm. */
  flops?: number;
  features: number[];
  state: Record<string, number[]>;
}

const generator = new Generator(1);

const clipActivations: Readonly<Record<string, string>> = {
  timm_vit_clip: "quick_gelu",
  open_clip: "gelu",
  transformers_clip: "quick_gelu",
};

/** Options that the weights do not show: the heads of small networks, activations. */
function hintsOf(name: string): Hints {
  const heads =
    /^(timm_vit|timm_deit|transformers_(vit|siglip|dinov2)|torchvision_vit|original_dinov2|resized_dinov2)/.test(name)
      ? { heads: 2 }
      : {};
  const activation = clipActivations[name];
  if (name === "timm_resnet_gn") return { name: "resnet50_gn" };
  if (name === "timm_swin_v2") return { name: "swinv2_tiny_window4to8_32to64" };
  if (name === "transformers_swin_v2") return { config: { window: [8, 8, 4], pretrainedWindow: [4, 4, 2] } };
  if (name === "transformers_swin_v2_modules") return { config: { window: 4 } };
  return { config: activation === undefined ? heads : { ...heads, activation } };
}

/** The file's tensors that the key map keeps, by the rule, under the names that the key map gives them. */
function mapped(state: Record<string, number[]>, { prefix, drop, rename }: Proposal): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [key, shape] of Object.entries(state)) {
    const name = key.slice(prefix.length);
    if (!key.startsWith(prefix) || drop.some((beginning) => name.startsWith(beginning))) continue;
    const [from, to] = Object.entries(rename).find(([from]) => name.startsWith(from)) ?? ["", ""];
    tensors.set(to + name.slice(from.length), made(key, shape));
  }
  return tensors;
}

function made(key: string, shape: number[]): Tensor {
  if (key.endsWith(".periods")) return tensor(rotaryPeriods(shape[0] ?? 0));
  if (key.endsWith("relative_coords_table")) return tensor(relativeOffsets(4), { shape });
  if (!key.endsWith("relative_position_index")) return ruled(key, shape);
  return tensor(relativePositions(4), { dtype: "int64", shape });
}

/** The network of a file, for images of another size if it is given. */
function load(state: Record<string, number[]>, proposal: Proposal, size?: number) {
  const resizing = size === undefined ? undefined : resizedTo(proposal, Object.keys(state), size);
  const config = resizing?.config ?? proposal.config;
  const backbone = init.skipInit(() => createBackbone(proposal.architecture, config, { generator }));
  scope(() => {
    const tensors = mapped(state, proposal);
    const { positions } = resizing ?? {};
    if (positions) {
      const key = positions.key.slice(proposal.prefix.length);
      tensors.set(key, positions.change(tensors.get(key) ?? assert.fail(`${key} is missing`)));
    }
    backbone.loadStateDict(proposal.layout ? keyLayout(proposal.layout).convert(tensors) : tensors);
  });
  return backbone.eval();
}

const layouts = fixtureLines<Reference>("layouts.jsonl");

function referenceOf(name: string): Reference {
  return layouts.get(name) ?? assert.fail(`layouts.jsonl has no ${name}`);
}

for (const [name, { size, flops, features, state }] of layouts) {
  test(`${name}: proposed, converted, and features as in the package`, () => {
    const proposal = proposeArchitecture(new Map(Object.entries(state)), hintsOf(name));
    assert.ok(proposal);
    assert.equal(proposal.guess, undefined);
    const known = expectedProposals[name] ?? assert.fail(`nothing is expected of ${name}`);
    assert.deepEqual({ ...proposal, ...known }, proposal);
    assert.equal(proposal.layout, known.layout);
    assert.equal(proposal.classifier, known.classifier);
    assert.equal(proposal.featureWidth, features.length);
    using backbone = load(state, proposal, size);
    if (flops !== undefined) assert.equal(backbone.flops(size), flops);
    scope(() =>
      inferenceMode(() =>
        assertClose(backbone.forward(seeded("image", [1, 3, size, size], "float32")), features, 1e-4),
      ),
    );
  });
}

/** Names and shapes of a file of fixtures, with keys added, changed or (undefined) taken away. */
function edited(name: string, changes: Record<string, number[] | undefined> = {}, prefix = ""): Map<string, number[]> {
  const shapes = new Map(Object.entries(referenceOf(name).state));
  for (const [key, shape] of Object.entries(changes)) {
    if (shape) shapes.set(key, shape);
    else shapes.delete(key);
  }
  return new Map(Array.from(shapes, ([key, shape]) => [prefix + key, shape]));
}

function outline(architecture: string, config: Record<string, unknown>): Map<string, number[]> {
  using backbone = init.skipInit(() => createBackbone(architecture, config, { generator, device: "meta" }));
  return new Map(Array.from(backbone.stateDict(), ([key, { shape }]) => [key, [...shape]]));
}

/** Of processor time: a busy machine takes longer by the clock. */
function secondsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

const prefixed = (shapes: ReadonlyMap<string, number[]>, prefix: string): Map<string, number[]> =>
  new Map(Array.from(shapes, ([key, shape]) => [prefix + key, shape]));

test("positions are resized for sides that patches divide, and only where they are learned", () => {
  const { state } = referenceOf("original_dinov2_registers");
  const proposal = proposeArchitecture(new Map(Object.entries(state)), { config: { heads: 2 } });
  assert.ok(proposal);
  assert.equal(resizedTo(proposal, Object.keys(state), 32), undefined);
  assert.deepEqual(resizedTo(proposal, Object.keys(state), 64)?.config["image"], 64);
  assert.throws(
    () => resizedTo(proposal, Object.keys(state), 36),
    (error: unknown) =>
      error instanceof UserError && /patches have 8 pixels.*not 36, but 40 \(--size 40\)/.test(error.message),
  );
  const other = proposeArchitecture(edited("resnet50"));
  assert.ok(other);
  assert.equal(resizedTo(other, ["conv1.weight"], 96), undefined);
  const resizing = resizedTo(proposal, Object.keys(state), 64);
  assertNoLeak(() => {
    using given = zeros([1, 17, 64], { dtype: "float16" });
    using changed = resizing?.positions?.change(given) ?? assert.fail();
    assert.deepEqual([changed.shape, changed.dtype], [[1, 65, 64], "float16"]);
  });
});

test("every preset is recognised from its own names and shapes, quickly and without leaving handles", () => {
  const handles = memory().handles;
  for (const [name, { architecture, config, input }] of Object.entries(presets())) {
    const shapes = prefixed(outline(architecture, config), "module.backbone.");
    const start = process.cpuUsage();
    const proposal = proposeArchitecture(shapes);
    const seconds = secondsSince(start);
    assert.ok(proposal, name);
    assert.equal(proposal.preset, name);
    assert.deepEqual([proposal.architecture, proposal.config, proposal.input], [architecture, config, input]);
    assert.deepEqual([proposal.prefix, proposal.drop, proposal.leftOut], ["module.backbone.", [], []]);
    assert.ok(seconds < 4, `${name} took ${seconds} s`);
  }
  assert.equal(memory().handles, handles);
});

test("configurations that are no preset are told from shapes", () => {
  for (const [architecture, config] of [
    ["resnet", { layers: [1, 2, 1], block: "basic", width: 16, stem: "small" }],
    ["resnet", { layers: [1, 1], block: "bottleneck", width: 32, groups: 4, widthPerGroup: 16 }],
    ["convnext", { depths: [1, 2], dims: [8, 24], patch: 2 }],
    ["swin", { patch: 2, dim: 12, depths: [1, 2], heads: [3, 2], window: 5, mlpRatio: 3 }],
    ["swin", { version: 2, patch: 2, dim: 12, depths: [1, 2], heads: [3, 2], window: [7, 6] }],
    ["vit", { image: 48, patch: 8, dim: 128, depth: 3, heads: 2, mlpRatio: 3, pool: "avg" }],
    ["mobilenet-v2", { width: 0.35 }],
    ["mobilenet-v2", { width: 0.25, lastChannels: 320 }],
  ] as const) {
    const proposal = proposeArchitecture(prefixed(outline(architecture, config), "state_dict.model."));
    assert.deepEqual(proposal && { ...proposal.config }, config);
    assert.equal(proposal?.preset, undefined);
    assert.equal(proposal?.prefix, "state_dict.model.");
  }
});

test("of several networks the one that is meant to be used is taken", () => {
  const proposal = (shapes: ReadonlyMap<string, number[]>) => proposeArchitecture(shapes);
  const network = outline("resnet", { layers: [1, 1], width: 8 });
  const large = outline("resnet", { layers: [1, 1], width: 16 });
  const both = (a: string, b: string, second = network) => new Map([...prefixed(network, a), ...prefixed(second, b)]);
  assert.equal(proposal(both("student.backbone.", "teacher.backbone."))?.prefix, "teacher.backbone.");
  assert.equal(proposal(both("model_ema.", "model."))?.prefix, "model.");
  assert.equal(proposal(both("target_network.", "online_network."))?.prefix, "online_network.");
  assert.equal(proposal(both("small.", "large.", large))?.prefix, "large.");
  assert.equal(proposal(prefixed(network, "module.encoder_k."))?.prefix, "module.encoder_k.");
});

test("segmentation backbones are dilated, and refused where the architecture cannot be", () => {
  const head = { "model.classifier.0.weight": [512, 2048, 3, 3], "model.classifier.4.weight": [21, 512, 1, 1] };
  const shapes = edited("resnet50", { "fc.weight": undefined, "fc.bias": undefined }, "model.backbone.");
  for (const [key, shape] of Object.entries(head)) shapes.set(key, shape);
  const proposal = proposeArchitecture(shapes);
  assert.equal(proposal?.config["dilated"], 2);
  assert.equal(proposeArchitecture(shapes, { config: { dilated: 0 } })?.config["dilated"], 0, "as the user says");
  assert.equal(proposal?.paradigm, "semantic segmentation (FCN)");
  assert.equal(proposal?.classifier, undefined);
  const mobile = prefixed(outline("mobilenet-v2", {}), "model.backbone.");
  assert.equal(proposeArchitecture(mobile)?.preset, "mobilenet_v2");
  for (const [key, shape] of Object.entries(head)) mobile.set(key, shape);
  assert.equal(proposeArchitecture(mobile), undefined);
});

test("a detector's body without its module of features is renamed", () => {
  const network = outline("mobilenet-v2", { width: 0.25, lastChannels: 64 });
  const body = Array.from(network, ([key, shape]) => [`backbone.body.${key.replace("features.", "")}`, shape] as const);
  const shapes = new Map([...body, ["rpn.head.conv.weight", [4, 4, 3, 3]]]);
  const proposal = proposeArchitecture(shapes);
  assert.deepEqual(proposal?.rename, { "": "features." });
  assert.deepEqual([proposal?.prefix, proposal?.leftOut], ["backbone.body.", ["rpn"]]);
  assert.ok(proposal);
  load(Object.fromEntries(shapes), proposal).dispose();
});

test("a network that only resembles a known one is not proposed", () => {
  const cases: [string, Record<string, number[] | undefined>][] = [
    ["resnet50", { "layer1.0.se.fc1.weight": [16, 256, 1, 1] }],
    ["resnet50", { "layer2.1.conv2.weight": undefined }],
    ["resnet50", { "layer2.1.conv2.weight": [128, 128, 5, 5] }],
    ["resnet50", { "conv2.weight": [64, 64, 3, 3] }],
    ["resnet50", { "layer5.extra.weight": [1] }],
    ["resnet50", { "conv1.weight": [64, 3, 5, 5] }],
    ["resnet50", { "conv1.weight": [64, 1, 7, 7] }],
    ["transformers_vit", { "vit.embeddings.distillation_token": [1, 1, 128] }],
    ["transformers_vit", { "vit.encoder.layer.1.attention.attention.key.bias": undefined }],
    ["transformers_vit", { "vit.encoder.layer.1.attention.attention.key.weight": [64, 128] }],
    ["transformers_vit", { "vit.encoder.layer.0.layer_scale1.lambda1": [128] }],
    ["timm_convnext", { "stages.1.blocks.0.mlp.grn.weight": [64] }],
    ["timm_swin", { absolute_pos_embed: [1, 256, 24] }],
  ];
  for (const [name, changes] of cases) {
    assert.equal(proposeArchitecture(edited(name, changes)), undefined, JSON.stringify(changes));
  }
  const vit = outline("vit", { image: 32, patch: 8, dim: 64, depth: 1, heads: 1 });
  assert.ok(proposeArchitecture(new Map(vit).set("mask_token", [1, 1, 64])));
  for (const key of ["dist_token", "reg_token", "fc_norm.weight", "norm_pre.weight", "blocks.0.ls1.gamma"]) {
    assert.equal(proposeArchitecture(new Map(vit).set(key, [64])), undefined, key);
  }
  assert.equal(proposeArchitecture(new Map()), undefined);
});

test("state dicts that no trainer wrote are refused in no time", () => {
  const start = process.cpuUsage();
  const handles = memory().handles;
  const many = new Map(Array.from({ length: 300_000 }, (_, i) => [`a${i}.layer1.0.conv1.weight`, [1, 1, 1, 1]]));
  assert.equal(proposeArchitecture(many), undefined);
  assert.equal(proposeArchitecture(new Map([...many].slice(0, 20_000))), undefined);
  for (const size of [2 ** 31, 2 ** 53, 1e300, Number.NaN, -1, 0, 0.5]) {
    for (const name of ["resnet50", "transformers_vit", "timm_swin", "timm_convnext"]) {
      const shapes = new Map(Array.from(edited(name), ([key, shape]) => [key, shape.map(() => size)]));
      assert.equal(proposeArchitecture(shapes), undefined, `${name} of ${size}`);
    }
  }
  const names = ["__proto__", "constructor", ".", "..", "", ".layer1.0.conv1.weight", "x".repeat(1e6)];
  assert.equal(proposeArchitecture(new Map(names.map((name) => [name, [1]]))), undefined);
  assert.equal(proposeArchitecture(edited("timm_swin", { [".".repeat(1e5)]: [1] })), undefined);
  assert.equal(memory().handles, handles);
  assert.ok(secondsSince(start) < 8);
});

test("converted tensors are the given ones, but for new ones that the caller's scope releases", () => {
  const { state } = referenceOf("transformers_vit_modules");
  const layout = keyLayout("transformers-vit");
  assert.ok(layout.matches(new Set(Object.keys(state))));
  assertNoLeak(() =>
    scope(() => {
      const given = new Map(Object.entries(state).map(([key, shape]) => [key, zeros(shape)]));
      scope(() => {
        const converted = layout.convert(given);
        assert.equal(converted.get("cls_token"), given.get("embeddings.cls_token"));
        assert.equal(converted.get("pooler.dense.weight"), given.get("pooler.dense.weight"));
        assert.deepEqual(converted.get("blocks.1.attn.qkv.weight")?.shape, [384, 128]);
      });
      assert.ok([...given.values()].every((tensor) => tensor.isLive));
    }),
  );
});

test("conversions say what is missing", () => {
  const vit = keyLayout("transformers-vit");
  const refused = (fn: () => unknown, pattern: RegExp): void =>
    assert.throws(fn, (error: unknown) => error instanceof UserError && pattern.test(error.message));
  const query = "encoder.layer.3.attention.attention.query.weight";
  refused(
    () => vit.convertShapes(new Map([[query, [4, 4]]])),
    /"blocks\.3\.attn\.qkv\.weight" needs query, key and value.*query\.weight \[4,4\]/,
  );
  const twice = new Map([
    ["encoder.layer.0.layernorm_before.weight", [4]],
    ["layers.0.layernorm_before.weight", [4]],
  ]);
  refused(() => vit.convertShapes(twice), /transformers-vit weights have two tensors for "blocks\.0\.norm1\.weight"/);
  refused(() => keyLayout("keras"), /unknown key layout "keras": known are transformers-vit, /);
  assert.equal(new Set(keyLayouts.map(({ name }) => name)).size, keyLayouts.length);
});

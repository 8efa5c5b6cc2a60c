/** Every classification network of torchvision and the most downloaded ones of timm: taken as what they are, or named. */
// Long: networks of full size are made by the hundred.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  createBackbone,
  describeNearMiss,
  keyLayout,
  type Proposal,
  proposeArchitecture,
  recogniseNetwork,
} from "../../../src/models/index.ts";
import { isDisguised } from "../../../src/models/known-networks.ts";
import { init } from "../../../src/nn/index.ts";
import { Generator, inferenceMode, scope } from "../../../src/torch/index.ts";
import { ruled, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";

/** Outline of a network as make-outlines.py writes it. */
interface Outline {
  /** config.json beside timm's weights. */
  config?: { architecture: string };
  /** Width of the features before the classifier; null where the network could not be counted. */
  width: number | null;
  size: number;
  flops: number | null;
  /** Features of the seeded image with weights by the rule, of small networks. */
  features?: number[];
  state: Record<string, number[]>;
}

const file = readFileSync(new URL("../../fixtures/outlines.json.gz", import.meta.url));
const outlines = JSON.parse(gunzipSync(file).toString()) as Record<"torchvision" | "timm", Record<string, Outline>>;
const generator = new Generator(1);

/** Names whose network this program has not; they are refused by name, or with the nearest network. */
const refused =
  /^(swinv2_cr|legacy_se|seresnet33ts|resnet(aa|blur|rs)|resnest|skresnet|res2net|mobilenetv4_hybrid|mobilenetv3_rw|hardcorenas|mixnet|\w*_rope_|beit|mixer|resmlp|gmlp|densenetblur|inception_(v4|resnet|next)|\w*xception|hrnet|dpn|dla|regnetz|nf_|nfnet|dm_nfnet|coat|maxxvit|mobileone|mobilevit|repvgg|repvit|edgenext|efficientvit|fastvit|ghostnet|rexnet|csp|levit|cait|pit|twins|xcit|pvt|poolformer|davit|focalnet|hiera|nextvit|volo|crossvit|convit|visformer|tnt|convmixer|hgnet|samvit|gcres|halonet|botnet|selecsls|tresnet|mambaout|starnet|test_resnet)/;

/** Parts of a file that are left out: heads, of classification and beside it. */
const heads = /^(fc|head|head_dist|heads|classifier|classifier\.\d|head\.(fc|pre_logits)|aux\d|AuxLogits)$/;

/** Above these a forward pass takes too long for a test. */
const counted = { flops: 1e8, weights: 5e6 };

for (const [library, networks] of Object.entries(outlines)) {
  test(`${library}: ${Object.keys(networks).length} networks by names and shapes`, () => {
    for (const [name, outline] of Object.entries(networks)) {
      const shapes = new Map(Object.entries(outline.state));
      const told = outline.config?.architecture ?? "";
      const proposal = proposeArchitecture(shapes, { name: told });
      if (refused.test(name)) {
        assert.equal(proposal, undefined, name);
        const nearest = name.startsWith("test_resnet") ? describeNearMiss(shapes) : undefined;
        assert.ok(recogniseNetwork(shapes, told) ?? nearest, `${name} is not told`);
        // Renamed files, without their config.json, are told as well, but for those that only a name tells apart.
        if (!isDisguised(told)) assert.ok(recogniseNetwork(shapes, "") ?? nearest, `${name} is not told by its keys`);
        continue;
      }
      assert.ok(proposal, `${name}: ${describeNearMiss(shapes)}`);
      if (outline.width !== null) assert.equal(proposal.featureWidth, outline.width, name);
      assert.deepEqual(
        proposal.leftOut.filter((group) => !heads.test(group)),
        [],
        name,
      );
      // The heads of this one are no multiple of 64 channels, which its config.json says.
      if (!name.startsWith("test_vit")) assert.equal(proposal.guess, undefined, name);
    }
  });
}

const weightsOf = (state: Record<string, number[]>): number =>
  Object.values(state).reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);

const all = [...Object.entries(outlines.torchvision), ...Object.entries(outlines.timm)];

/** The network of a file, with weights by the rule where its features are known. */
function built({ state, features }: Outline, { architecture, config, layout, drop }: Proposal) {
  const backbone = init.skipInit(() => createBackbone(architecture, config, { generator }));
  if (!features) return backbone.eval();
  scope(() => {
    const used = Object.entries(state).filter(([key]) => !drop.some((beginning) => key.startsWith(beginning)));
    const tensors = new Map(used.map(([key, shape]) => [key, ruled(key, shape)]));
    backbone.loadStateDict(layout ? keyLayout(layout).convert(tensors) : tensors);
  });
  return backbone.eval();
}

test("networks that are taken cost as many FLOPs as in their package, and small ones give the same features", () => {
  const seen = new Set<string>();
  for (const [name, outline] of all) {
    const { size, flops, features, state, config: told } = outline;
    const proposal = proposeArchitecture(new Map(Object.entries(state)), { name: told?.architecture });
    // A linear layer of timm's, whose output is not taken.
    if (!proposal || flops === null || name.startsWith("convnext_large_mlp")) continue;
    // timm resizes the positions of this one.
    if ((proposal.config["image"] ?? size) !== size) continue;
    const isLarge = flops > counted.flops || weightsOf(state) > counted.weights;
    if (isLarge && !features) continue;
    const key = JSON.stringify([proposal.architecture, proposal.config]);
    if (seen.has(key) && !features) continue;
    seen.add(key);
    using backbone = built(outline, proposal);
    assert.equal(backbone.flops(size), flops, name);
    if (!features) continue;
    scope(() =>
      inferenceMode(() =>
        assertClose(backbone.forward(seeded("image", [1, 3, size, size], "float32")), features, 1e-4, name),
      ),
    );
  }
});

test("what shapes do not tell is asked for, unless the name tells it", () => {
  const shapesOf = (name: string) => new Map(Object.entries(outlines.timm[name]?.state ?? {}));
  const efficientnet = shapesOf("efficientnet_b0.ra_in1k");
  assert.match(proposeArchitecture(efficientnet)?.guess?.question ?? "", /tf_efficientnet_b0.*--arch/s);
  assert.equal(proposeArchitecture(efficientnet, { name: "tf_efficientnet_b0" })?.config["padding"], "same");
  assert.equal(proposeArchitecture(efficientnet, { name: "efficientnet_b0" })?.config["padding"], undefined);
  assert.equal(proposeArchitecture(efficientnet, { config: { padding: "same" } })?.guess, undefined);
  const vit = shapesOf("test_vit.r160_in1k");
  assert.match(proposeArchitecture(vit)?.guess?.question ?? "", /64 wide.*--config '\{"heads":1\}'/);
  assert.deepEqual(proposeArchitecture(vit, { config: { heads: 2 } })?.config["heads"], 2);
  const swin = shapesOf("swinv2_tiny_window8_256.ms_in1k");
  assert.match(proposeArchitecture(swin)?.guess?.question ?? "", /windows.*--arch, such as swinv2_tiny_window8_256/);
  assert.deepEqual(proposeArchitecture(swin, { config: { window: [16, 16, 16, 8] } })?.config["depths"], [2, 2, 6, 2]);
  assert.deepEqual(proposeArchitecture(swin, { name: "swinv2_tiny_window16_256" })?.config["window"], [16, 16, 16, 8]);
  assert.equal(proposeArchitecture(swin, { name: "swinv2_tiny_window8_256" })?.preset, "swin_v2_t");
  const blur = shapesOf("resnetblur50.bt_in1k");
  const giant = shapesOf("eva_giant_patch14_224.clip_ft_in1k");
  assert.equal(proposeArchitecture(giant)?.config["rotaryGrid"], undefined);
  // EVA-02's enormous network: its norms follow its branches, which only its sizes tell.
  const enormous = new Map(giant);
  for (const [key, shape] of giant) {
    for (let i = 0; i < 64; i++) enormous.set(key.replace(/^blocks\.0\./, `blocks.${i}.`), shape);
  }
  enormous.set("patch_embed.proj.weight", [1792, 3, 14, 14]);
  assert.equal(proposeArchitecture(enormous), undefined);
  assert.match(recogniseNetwork(enormous, "") ?? "", /eva02_enormous/);
  assert.ok(proposeArchitecture(blur), "its shapes are those of ResNet-50");
  assert.equal(proposeArchitecture(blur, { name: "resnetblur50" }), undefined);
});

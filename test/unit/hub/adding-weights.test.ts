/** Weights as people save them: what lies beside them, other ranges and channels, and networks that are not taken. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type AddRequest, addMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { writeSafetensors } from "../../../src/io/index.ts";
import { createBackbone } from "../../../src/models/index.ts";
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
import { assertClose } from "../../support/numeric.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const folder = temporaryFolder();
let count = 0;

/** A folder with weights of a network by the rule, and files beside them. */
function saved(state: Map<string, Tensor>, beside: Record<string, unknown> = {}, name = "model.safetensors"): string {
  const place = join(folder, `model-${++count}`);
  fs.mkdirSync(place);
  writeSafetensors(join(place, name), state);
  for (const [file, content] of Object.entries(beside)) fs.writeFileSync(join(place, file), JSON.stringify(content));
  return join(place, name);
}

function add(source: string, more: Partial<AddRequest> = {}): ReturnType<typeof addMember> {
  return addMember({ hub: join(folder, `hub-${++count}`), name: "added", source, wishes: {}, ...more });
}

async function refused(source: string, pattern: RegExp, more: Partial<AddRequest> = {}): Promise<void> {
  const { handles } = memory();
  await assert.rejects(add(source, more), (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\n/, "one line");
    return true;
  });
  assert.equal(memory().handles, handles);
}

/** Weights by the rule under an architecture's own names. */
function stateOf(architecture: string, config: Record<string, unknown>): Map<string, Tensor> {
  using generator = new Generator(1);
  using backbone = init.skipInit(() => createBackbone(architecture, config, { generator, device: "meta" }));
  return new Map(Array.from(backbone.stateDict(), ([key, { shape }]) => [key, ruled(key, shape)]));
}

/** Runs with tensors that are released afterwards. */
async function withState(
  architecture: string,
  config: Record<string, unknown>,
  use: (state: Map<string, Tensor>) => Promise<void>,
): Promise<void> {
  const state = stateOf(architecture, config);
  try {
    await use(state);
  } finally {
    for (const one of state.values()) one.dispose();
  }
}

const vit = { image: 32, patch: 8, dim: 192, depth: 1, heads: 12 };
const resnet = { layers: [1, 1], width: 8, stem: "small" };
const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

test("config.json of transformers: heads, activation, eps and size are believed", () =>
  withState("vit", vit, async (state) => {
    const file = {
      model_type: "vit",
      hidden_size: 192,
      num_hidden_layers: 1,
      num_attention_heads: 12,
      hidden_act: "quick_gelu",
      layer_norm_eps: 1e-5,
      image_size: 32,
      patch_size: 8,
    };
    const { entry } = await add(saved(state, { "config.json": file }));
    assert.deepEqual(entry.config, { ...vit, eps: 1e-5, activation: "quick_gelu" });
    assert.equal(entry.input.size, 32);
    const named = await add(saved(state, { "config.json": file }), { wishes: { architecture: "vit" } });
    assert.deepEqual(named.entry.config, entry.config);
    const other = await add(saved(state, { "config.json": { ...file, hidden_size: 768 } }));
    assert.equal(other.entry.config["heads"], 3, "another network's heads are not this one's");
    assert.match(other.notes.join("\n"), /config\.json beside it describes another network/);
    const foreign = { name: "a package", version: 3, architecture: 5 };
    assert.equal((await add(saved(state, { "config.json": foreign }))).entry.config["heads"], 3);
    await refused(
      saved(state, { "config.json": { ...file, hidden_act: "mish" } }),
      /config\.json says hidden_act "mish"/,
    );
    const said = await add(saved(state, { "config.json": file }), { wishes: { config: { heads: 6 } } });
    assert.equal(said.entry.config["heads"], 6, "the user comes first");
  }));

test("config.json of transformers' ResNet: where its strides are", () =>
  withState("resnet", { layers: [1, 1], block: "bottleneck", width: 8 }, async (state) => {
    const file = {
      model_type: "resnet",
      hidden_act: "relu",
      downsample_in_bottleneck: true,
      downsample_in_first_stage: true,
    };
    const { entry } = await add(saved(state, { "config.json": file }), { wishes: { input: { size: 64 } } });
    assert.deepEqual([entry.config["strideAt"], entry.config["firstStride"]], ["1x1", 2]);
  }));

test("config.json of transformers' Swin V2: windows no larger than each stage's map, in pre-training too", async () => {
  const layouts = fixtureLines<{ state: Record<string, number[]> }>("layouts.jsonl");
  const { state: shapes } = layouts.get("transformers_swin_v2") ?? assert.fail();
  const state = new Map(Object.entries(shapes).map(([key, shape]) => [key, ruled(key, shape)]));
  const file = { model_type: "swinv2", image_size: 64, embed_dim: 24, depths: [2, 2, 1], window_size: 8 };
  const added = async (more = {}) => (await add(saved(state, { "config.json": { ...file, ...more } }))).entry;
  const { config, input } = await added({ pretrained_window_sizes: [4, 4, 2] });
  assert.deepEqual([config["version"], config["window"], config["pretrainedWindow"]], [2, [8, 8, 4], [4, 4, 2]]);
  assert.equal(input.size, 64);
  assert.equal((await added({ pretrained_window_sizes: [0, 0, 0] })).config["pretrainedWindow"], undefined);
  assert.equal((await added({ window_size: 4 })).config["window"], 4);
  await refused(saved(state), /do not say how large the windows/);
  for (const one of state.values()) one.dispose();
});

test("config.json of timm: name, size, mean, deviation and interpolation; a preprocessor's file comes before it", () =>
  withState("resnet", resnet, async (state) => {
    const timm = { input_size: [3, 40, 40], mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6], interpolation: "bicubic" };
    const beside = { "config.json": { architecture: "resnet10t", pretrained_cfg: timm } };
    const { entry, notes } = await add(saved(state, beside));
    const { input_size, ...input } = timm;
    assert.deepEqual(entry.input, { kind: "image", ...input, size: 40, channelOrder: "rgb" });
    assert.ok(notes.every((note) => !note.includes("assumed")));
    const processor = { do_rescale: false, image_mean: 127.5, image_std: 127.5, size: 24, do_flip_channel_order: true };
    const both = await add(saved(state, { ...beside, "preprocessor_config.json": processor }));
    assert.deepEqual(both.entry.input, {
      kind: "image",
      ...half,
      size: 24,
      interpolation: "bicubic",
      channelOrder: "bgr",
    });
    const oblong = { "config.json": { architecture: "x", pretrained_cfg: { ...timm, input_size: [3, 240, 320] } } };
    await refused(saved(state, oblong), /320 x 240 pixels, and hubs take square ones/);
    const blur = { "config.json": { architecture: "resnetblur50" } };
    await refused(saved(state, blur), /weights of timm's resnetblur50, which averages.*ONNX/);
  }));

/** Features of a hub's only member. */
async function featuresOf(request: Partial<AddRequest>, source: string, images: Tensor): Promise<number[]> {
  const hub = join(folder, `hub-${++count}`);
  await add(source, { ...request, hub });
  const [member] = loadMembers(openHub(hub));
  assert.ok(member);
  member.backbone.eval();
  const features = scope(() => inferenceMode(() => member.features(images).flatten().toNumbers()));
  member.dispose();
  return features;
}

test("mean and deviation of values up to 255 are told from the numbers, or said", () =>
  withState("resnet", resnet, async (state) => {
    const source = saved(state);
    using images = seeded("image", [2, 3, 24, 24], "float32").abs();
    const caffe = { size: 24, mean: [103.53, 116.28, 123.675], std: [1, 1, 1], channelOrder: "bgr" } as const;
    const expected = scope(() =>
      inferenceMode(() => {
        using generator = new Generator(1);
        using backbone = createBackbone("resnet", resnet, { generator }).eval();
        backbone.loadStateDict(state);
        const mean = tensor([...caffe.mean]).view([1, 3, 1, 1]);
        return backbone
          .forward(images.flip([1]).mul(255).sub(mean))
          .flatten()
          .toNumbers();
      }),
    );
    const inHub = (wishes: AddRequest["wishes"]) => featuresOf({ wishes }, source, images);
    const largest = Math.max(...expected.map(Math.abs));
    const requests: AddRequest["wishes"][] = [
      { input: { ...caffe, mean: [...caffe.mean], std: [...caffe.std] } },
      { range: 255, input: { ...caffe, mean: [...caffe.mean], std: [...caffe.std] } },
      { input: { ...caffe, mean: caffe.mean.map((value) => value / 255), std: [1 / 255, 1 / 255, 1 / 255] } },
    ];
    for (const wishes of requests) {
      const found = await inHub(wishes);
      assertClose(tensor(found), expected, 1e-5 * largest);
    }
  }));

test("a first layer for grey images sees luminance, one of four channels the first three", () =>
  withState("resnet", resnet, async (state) => {
    using images = seeded("image", [2, 3, 24, 24], "float32").abs();
    const first = state.get("conv1.weight");
    assert.ok(first);
    const given = (weight: Tensor): string => saved(new Map(state).set("conv1.weight", weight));
    const request = { wishes: { channels: "adapt", input: { ...half, size: 24 } } } as const;
    using grey = scope(() => first.narrow(1, 0, 1).contiguous());
    const source = given(grey);
    await refused(source, /"conv1\.weight", the first layer of .* takes 1 channel instead of 3: .*--channels adapt/);
    const luminance = scope(() =>
      inferenceMode(() => {
        using generator = new Generator(1);
        using backbone = createBackbone("resnet", resnet, { generator }).eval();
        const spread = grey.mul(tensor([1, 0, 0]).view([1, 3, 1, 1]));
        backbone.loadStateDict(new Map(state).set("conv1.weight", spread));
        const weights = tensor([0.299, 0.587, 0.114]).view([1, 3, 1, 1]);
        const seen = images.mul(weights).sum([1], true).sub(0.5).div(0.5);
        return backbone
          .forward(seen.expand([2, 3, 24, 24]))
          .flatten()
          .toNumbers();
      }),
    );
    assertClose(tensor(await featuresOf(request, source, images)), luminance, 1e-5);
    using four = scope(() => {
      const blank = zeros([first.size(0), 4, 3, 3]);
      blank.narrow(1, 0, 3).copy_(first);
      return blank;
    });
    const [whole, cut] = [
      await featuresOf(request, given(first), images),
      await featuresOf(request, given(four), images),
    ];
    assert.deepEqual(cut, whole);
    using two = scope(() => first.narrow(1, 0, 2).contiguous());
    await refused(given(two), /takes 2 channels instead of 3$/, request);
  }));

test("DINO, MoCo v3 and published DeiT have ImageNet's input, and MoCo v3 its own heads", () =>
  withState("vit", { ...vit, heads: 3 }, async (state) => {
    const renamed = (prefix: string, more: Record<string, Tensor> = {}): Map<string, Tensor> =>
      new Map([
        ...Array.from(state, ([key, value]): [string, Tensor] => [prefix + key, value]),
        ...Object.entries(more),
      ]);
    using head = zeros([4, 192]);
    const mean = [0.485, 0.456, 0.406];
    const dino = await add(saved(renamed("backbone.", { "head.last_layer.weight_v": head })));
    assert.match(dino.entry.pretraining.paradigm, /DINO/);
    const moco = await add(saved(renamed("module.base_encoder.")));
    assert.deepEqual([moco.entry.config["heads"], dino.entry.config["heads"]], [12, 3]);
    const deit = await add(saved(state, {}, "deit_tiny_patch16_224-a1311bcf.pth"));
    for (const { entry } of [dino, moco, deit]) assert.deepEqual(entry.input.mean, mean);
    assert.deepEqual((await add(saved(state))).entry.input.mean, [0.5, 0.5, 0.5]);
  }));

/** A small tower of CLIP with a ResNet. */
const clipResnet = {
  layers: [1, 1],
  width: 16,
  stem: "deep",
  stemWidths: [8, 8],
  averageDown: "all",
  embedding: 8,
  image: 32,
  block: "bottleneck",
};

/** A small tower of CLIP under timm's names. */
const clip = { image: 32, patch: 8, dim: 128, depth: 1, heads: 2, preNorm: true };

test("CLIP's activation comes from the files beside it, timm's tag or the user; a layer to texts is no classifier", () =>
  withState("vit", clip, async (state) => {
    using projection = zeros([512, 128]);
    const tower = new Map([...state, ["head.weight", projection]]);
    await refused(saved(tower), /QuickGELU, as those that OpenAI.*--config '\{"activation":"quick_gelu"\}' or/);
    const activationOf = async (beside: Record<string, unknown>): Promise<unknown> => {
      const { entry } = await add(saved(tower, beside));
      assert.equal(entry.classifier, undefined);
      assert.equal(entry.config["eps"], 1e-5);
      return entry.config["activation"];
    };
    const timm = (tag: string) => ({
      "config.json": { architecture: "vit_base_patch32_clip_224", pretrained_cfg: { tag } },
    });
    assert.equal(await activationOf(timm("openai")), "quick_gelu", "its authors' activation, not that of timm's name");
    assert.equal(await activationOf(timm("laion2b_ft_in12k")), undefined);
    const openClip = { embed_dim: 512, vision_cfg: { image_size: 32, width: 128, patch_size: 8 } };
    const mean = [0.1, 0.2, 0.3];
    const files = { "open_clip_config.json": { model_cfg: openClip, preprocess_cfg: { mean, std: mean } } };
    assert.equal(await activationOf(files), "gelu");
    const { entry } = await add(saved(tower, files));
    assert.deepEqual([entry.input.mean, entry.input.size], [mean, 32]);
    assert.equal(
      await activationOf({ "open_clip_config.json": { model_cfg: { ...openClip, quick_gelu: true } } }),
      "quick_gelu",
    );
    const transformers = {
      model_type: "clip",
      vision_config: { hidden_size: 128, patch_size: 8, num_attention_heads: 2 },
    };
    assert.equal(await activationOf({ "config.json": transformers }), "quick_gelu", "its default is left out of files");
    using head = zeros([1000, 128]);
    const tuned = await add(saved(new Map([...state, ["head.weight", head]]), timm("openai_ft_in1k")));
    assert.equal(tuned.entry.classifier, "head");
  }));

test("a ResNet of CLIP is told by open_clip's file too, and its positions are resized", () =>
  withState("resnet", clipResnet, async (state) => {
    const tower = { image_size: 32, width: 16, layers: [1, 1] };
    const seen = { mean: [0.1, 0.2, 0.3], std: [0.1, 0.2, 0.3] };
    const files = { "open_clip_config.json": { model_cfg: { embed_dim: 8, vision_cfg: tower }, preprocess_cfg: seen } };
    const { entry, notes } = await add(saved(state, files), { wishes: { input: { size: 48 } } });
    assert.deepEqual(entry.config, { ...clipResnet, image: 48 });
    assert.deepEqual([entry.featureWidth, entry.input.mean, entry.input.size], [8, seen.mean, 48]);
    assert.match(notes.join("\n"), /positions, learned for 4 x 4 patches, were resized to 6 x 6/);
  }));

test("a ViT is taken for another size of images, with its positions resized; a preprocessor's file can ask for it", () =>
  withState("vit", { ...vit, dim: 192, heads: 3 }, async (state) => {
    const { entry, notes } = await add(saved(state), { wishes: { input: { size: 48 } } });
    assert.deepEqual([entry.config["image"], entry.input.size], [48, 48]);
    assert.match(notes.join("\n"), /positions, learned for 4 x 4 patches, were resized to 6 x 6/);
    const asked = await add(saved(state, { "preprocessor_config.json": { size: 224, crop_size: 40 } }));
    assert.deepEqual([asked.entry.config["image"], asked.entry.input.size], [40, 40]);
    await refused(saved(state), /model\.safetensors: its patches have 8 pixels.* not 50, but 48 \(--size 48\)/, {
      wishes: { input: { size: 50 } },
    });
  }));

test("a MaxViT is taken for a size that its windows divide", () =>
  withState("maxvit", { stemWidth: 8, widths: [16, 32], depths: [1, 1], partition: 2, headWidth: 8 }, async (state) => {
    const { entry } = await add(saved(state), { wishes: { input: { size: 48 } } });
    assert.equal(entry.input.size, 48);
    const said = /model\.safetensors: its windows of the last stage have 16 pixels.* not 40, but 48 \(--size 48\)/;
    await refused(saved(state), said, { wishes: { input: { size: 40 } } });
  }));

test("the weights of a TorchScript program of CLIP are taken, and no code of it is run", async () => {
  const folderOfPrograms = new URL("../../fixtures/torch-script/", import.meta.url);
  const expected = JSON.parse(fs.readFileSync(new URL("expected.json", folderOfPrograms), "utf8")) as {
    clip: number[];
  };
  using images = seeded("image", [2, 3, 16, 16], "float32");
  const wishes = { input: { mean: [0, 0, 0], std: [1, 1, 1] } };
  const source = fileURLToPath(new URL("clip.pt", folderOfPrograms));
  assertClose(tensor(await featuresOf({ wishes }, source, images)), expected.clip, 1e-4);
  const { entry, notes } = await add(source);
  assert.deepEqual([entry.architecture, entry.weights.format, entry.input.size], ["vit", "safetensors", 16]);
  assert.match(notes.join("\n"), /took the weights of a TorchScript program, and did not run it/);
});

test("what is left open is asked for; unknown weights name the nearest network or what they are", async () => {
  await withState("vit", { ...vit, dim: 128, heads: 2 }, async (state) => {
    await refused(saved(state), /heads their attention has \(tokens are 128 wide: 2 at 64.*--config '\{"heads":2\}'/);
    const { entry } = await add(saved(state), { wishes: { config: { heads: 4 } } });
    assert.equal(entry.config["heads"], 4);
  });
  await withState("resnet", resnet, async (state) => {
    const without = new Map(state);
    without.delete("layer2.0.conv2.weight");
    await refused(
      saved(without),
      /nearest is resnet .*"layer2\.0\.conv2\.weight" is missing\); name it with --arch \(resnet, /,
    );
    const wishes = { architecture: "resnet", input: { size: 24 } };
    assert.deepEqual((await add(saved(state), { wishes })).entry.config["layers"], [1, 1]);
    await refused(saved(state), /not those of tf_efficientnet_b0/, { wishes: { architecture: "tf_efficientnet_b0" } });
  });
  using one = zeros([1]);
  const hiera = saved(new Map([["blocks.1.proj.weight", one]]));
  await refused(hiera, /weights of timm's Hiera, which this program has no network for: export the model to ONNX/);
  // The name of a file alone, of which no config.json says anything.
  const visformer = saved(new Map([["stage1.0.mlp.conv1.weight", one]]), {}, "visformer_small-839e1f5b.pth");
  await refused(visformer, /timm's Visformer \("visformer_small"\), which this program has no network for/);
  const grouped = saved(new Map(["conv1.weight", "bn1.weight", "bn1.bias"].map((key) => [key, one])));
  await refused(grouped, /a network without running statistics .*resnet50_gn.*: export the model to ONNX/);
});

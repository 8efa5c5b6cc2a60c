/** Models that join a hub and leave it, from files of each format and from a server on this machine. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type AddRequest,
  addMember,
  describeHub,
  loadMembers,
  openHub,
  readManifest,
  removeMember,
  verifyHub,
} from "../../../src/hub/index.ts";
import { temporaryPath, writeSafetensors } from "../../../src/io/index.ts";
import { type Backbone, createBackbone } from "../../../src/models/index.ts";
import {
  Generator,
  getNumThreads,
  inferenceMode,
  memory,
  scope,
  setNumThreads,
  type Tensor,
  tensor,
  UserError,
  zeros,
} from "../../../src/torch/index.ts";
import { fixture, seeded } from "../../fixtures/seeded-weights.ts";
import { legacyStorage, op, torchLegacy, torchZip } from "../../support/archive-writer.ts";
import { FileServer, serveRepository, sha256 } from "../../support/file-server.ts";
import { beforeEach } from "../../support/hooks.ts";
import { assertClose } from "../../support/numeric.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const folder = temporaryFolder();
const config = { layers: [1, 1], width: 8, stem: "small" };
let backbone: Backbone;
let hub: string;
let server: FileServer;
let count = 0;

before(async () => {
  using generator = new Generator(3);
  backbone = createBackbone("resnet", config, { generator }).eval();
  server = await FileServer.start();
});

after(async () => {
  backbone.dispose();
  await server.stop();
});

beforeEach(() => {
  hub = join(folder, `hub-${++count}`);
});

const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

/** Writes the backbone's state dict with other names and further tensors. */
function weights(name: string, prefix = "", more: Record<string, number[]> = {}): string {
  const path = join(folder, `${name}.safetensors`);
  scope(() => {
    const state = new Map(Array.from(backbone.stateDict(), ([key, tensor]) => [prefix + key, tensor]));
    for (const [key, shape] of Object.entries(more)) state.set(key, zeros(shape));
    writeSafetensors(path, state);
  });
  return path;
}

function add(source: string, more: Partial<AddRequest> = {}): ReturnType<typeof addMember> {
  return addMember({ hub, name: "added", source, wishes: {}, ...more });
}

async function refused(pattern: RegExp, source: string, more: Partial<AddRequest> = {}): Promise<void> {
  const contents = () => (fs.existsSync(hub) ? fs.readdirSync(hub, { recursive: true }).sort() : undefined);
  const before = contents();
  const { handles } = memory();
  await assert.rejects(add(source, more), (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, pattern);
    return true;
  });
  assert.deepEqual(contents(), before, "the hub stays as it was");
  assert.equal(memory().handles, handles);
}

/** Features of the only member, against the backbone itself on images that are normalised by hand. */
function assertSameFeatures(size: number, mean = 0.5, std = 0.5): void {
  const [member] = loadMembers(openHub(hub));
  assert.ok(member);
  member.backbone.eval();
  scope(() =>
    inferenceMode(() => {
      const images: Tensor = seeded("image", [2, 3, size, size], "float32").abs();
      assertClose(member.features(images), backbone.forward(images.sub(mean).div(std)), 1e-5);
    }),
  );
  member.dispose();
}

test("weights with a prefix and a head: recognised, cut down to what is used, and equal in features", async () => {
  const { handles } = memory();
  const others = {
    "module.encoder_q.fc.weight": [128, 16],
    "module.encoder_k.conv1.weight": [8, 3, 3, 3],
    "module.queue": [4, 8],
  };
  const source = weights("moco", "module.encoder_q.", others);
  const { entry, notes } = await add(source, { wishes: { input: { ...half, size: 24 } } });
  assert.equal(entry.architecture, "resnet");
  assert.equal(entry.keyMap.prefix, "module.encoder_q.");
  assert.equal(entry.classifier, undefined, "a projection is no classifier");
  assert.match(entry.pretraining.paradigm, /contrastive/);
  assert.match(entry.source, new RegExp(sha256(fs.readFileSync(source))));
  assert.match(notes.join("\n"), /left out:.*encoder_k/);
  assert.deepEqual(fs.readdirSync(hub).sort(), ["added", "hub.json"]);
  assertSameFeatures(24);
  const stored = fs.readFileSync(join(hub, entry.weights.file)).toString("latin1");
  assert.ok(stored.includes("module.encoder_q.conv1.weight") && !stored.includes("module.queue"));
  assert.deepEqual(verifyHub(openHub(hub)), [{ name: "added", problems: [] }]);
  assert.equal(memory().handles, handles);
});

test("a classifier is kept, and gives scores", async () => {
  const classified = { "fc.weight": [5, 16], "fc.bias": [5] };
  const source = weights("classified", "", classified);
  const { entry, report } = await add(source, { wishes: { input: { ...half, size: 24 } } });
  assert.equal(entry.classifier, "fc");
  assert.deepEqual(describeHub(openHub(hub)), [report]);
  const [member] = loadMembers(openHub(hub));
  scope(() => assert.deepEqual(member?.classify(zeros([2, 3, 24, 24]))?.shape, [2, 5]));
  member?.dispose();
});

/** The state dict as torch.save writes it. */
function archive(legacy: boolean): string {
  const storages: Record<string, Buffer> = {};
  const items: Record<string, Buffer> = {};
  for (const [name, tensor] of backbone.stateDict()) {
    const key = String(Object.keys(storages).length);
    const isCount = tensor.dtype === "int64";
    const numbers = tensor.toNumbers();
    storages[key] = isCount
      ? Buffer.from(BigInt64Array.from(numbers, BigInt).buffer)
      : Buffer.from(Float32Array.from(numbers).buffer);
    const type = isCount ? "LongStorage" : "FloatStorage";
    const place = legacy
      ? op.join(
          op.tuple(
            op.text("storage"),
            op.global("torch", type),
            op.text(key),
            op.text("cpu"),
            op.int(numbers.length),
            Buffer.from("N"),
          ),
          "Q",
        )
      : op.storage(key, numbers.length, type);
    const stride = tensor.shape.map((_, i) => tensor.shape.slice(i + 1).reduce((a, b) => a * b, 1));
    items[`backbone.${name}`] = op.tensor(tensor.shape, stride, { storage: place });
  }
  const saved = op.dict({ state_dict: op.dict(items), epoch: op.int(3) });
  const path = join(folder, legacy ? "legacy.pth" : "zipped.pth");
  if (!legacy) {
    fs.writeFileSync(path, torchZip(op.pickle(saved), storages));
    return path;
  }
  const tensors = [...backbone.stateDict().values()];
  const bodies = Object.values(storages).map((content, i) => legacyStorage(content, tensors[i]?.numel() ?? 0));
  fs.writeFileSync(path, torchLegacy(saved, Object.keys(storages), Buffer.concat(bodies)));
  return path;
}

for (const legacy of [false, true]) {
  test(`a PyTorch checkpoint, ${legacy ? "legacy" : "zip"}: found inside, converted, equal in features`, async () => {
    const { entry } = await add(archive(legacy), { wishes: { input: { ...half, size: 24 } } });
    assert.equal(entry.weights.format, "safetensors");
    assert.equal(entry.keyMap.prefix, "backbone.");
    assertSameFeatures(24);
  });
}

test("shards of safetensors are joined", async () => {
  const states = [...backbone.stateDict()];
  const map: Record<string, string> = {};
  for (const [i, part] of [states.slice(0, 5), states.slice(5)].entries()) {
    const name = `model-0000${i + 1}-of-00002.safetensors`;
    writeSafetensors(join(folder, name), new Map(part));
    for (const [key] of part) map[key] = name;
  }
  const index = join(folder, "model.safetensors.index.json");
  fs.writeFileSync(index, JSON.stringify({ weight_map: map }));
  await add(index, { wishes: { input: { ...half, size: 24 } } });
  assertSameFeatures(24);
});

test("shards of PyTorch files, as transformers wrote them, are joined; one that Git LFS did not fetch is named", async () => {
  const index = join(folder, "pytorch_model.bin.index.json");
  const [whole, shard] = [archive(false), join(folder, "pytorch_model-00001-of-00001.bin")];
  fs.renameSync(whole, shard);
  fs.writeFileSync(
    index,
    JSON.stringify({ weight_map: { "backbone.conv1.weight": "pytorch_model-00001-of-00001.bin" } }),
  );
  await add(index, { wishes: { input: { ...half, size: 24 } } });
  assertSameFeatures(24);
  fs.writeFileSync(shard, "version https://git-lfs.github.com/spec/v1\n");
  await refused(/00001-of-00001\.bin is only a Git LFS pointer/, index, { name: "second" });
});

test("preprocessor_config.json beside the file says how images must look; options come first", async () => {
  const place = join(folder, "published");
  fs.mkdirSync(place);
  fs.copyFileSync(weights("plain"), join(place, "model.safetensors"));
  const published = { image_mean: [0.1, 0.2, 0.3], image_std: 0.25, size: { height: 32, width: 32 }, resample: 3 };
  fs.writeFileSync(join(place, "preprocessor_config.json"), JSON.stringify(published));
  const { entry, notes } = await add(join(place, "model.safetensors"), { wishes: { input: { size: 40 } } });
  const std = [0.25, 0.25, 0.25];
  assert.deepEqual(entry.input, {
    kind: "image",
    size: 40,
    mean: [0.1, 0.2, 0.3],
    std,
    interpolation: "bicubic",
    channelOrder: "rgb",
  });
  assert.ok(notes.every((note) => !note.includes("assumed")));
  fs.writeFileSync(join(place, "preprocessor_config.json"), '{"image_mean": "grey"}');
  await refused(
    /preprocessor_config\.json is not an image preprocessor's.*image_mean/,
    join(place, "model.safetensors"),
    {
      name: "other",
    },
  );
});

test("a local file must hash to what the user says, too", async () => {
  const source = weights("hashed");
  const expected = sha256(fs.readFileSync(source));
  const wishes = { input: { ...half, size: 24 } };
  await refused(/is refused: its sha256 is [0-9a-f]{64} instead of 0{64}/, source, {
    fetch: { sha256: "0".repeat(64) },
  });
  await add(source, { wishes, fetch: { sha256: expected } });
});

test("what cannot be recognised needs --arch, which says what does not fit", async () => {
  const path = join(folder, "renamed.safetensors");
  writeSafetensors(path, new Map(Array.from(backbone.stateDict(), ([key, tensor]) => [`net_${key}`, tensor])));
  await refused(/fit no known architecture \(keys such as "net_.*name it with --arch/, path);
  await refused(
    /not those of resnet50: .*"conv1.weight" is missing.* and \d+ more; they have keys such as "net_/,
    path,
    { wishes: { architecture: "resnet50" } },
  );
  await refused(/unknown architecture "resnot"/, path, { wishes: { architecture: "resnot" } });
  await refused(/wrong configuration of architecture "resnet": layers/, path, {
    wishes: { architecture: "resnet", config: { layers: "many" } },
  });
  await refused(/unknown key layout "keras"/, path, { wishes: { architecture: "resnet", config, layout: "keras" } });
  const wishes = { architecture: "resnet", config, prefix: "net_", input: { ...half, size: 24 } };
  const { entry } = await add(path, { wishes });
  assert.deepEqual(entry.keyMap, { prefix: "net_", drop: [], rename: {} });
  assertSameFeatures(24);
});

test("TorchScript needs trust, and its preprocessing must be said", async () => {
  const program = fileURLToPath(new URL("../../fixtures/torch-script/pooled.pt", import.meta.url));
  await refused(/TorchScript program .*can read and write your files.*--trust/, program);
  await refused(/does not say the side of its images .*--size.* and how its images are normalised/, program, {
    trust: true,
  });
  const wishes = { input: { ...half, size: 8 } };
  const { entry } = await add(program, { trust: true, wishes });
  assert.deepEqual([entry.architecture, entry.weights.format, entry.featureWidth], ["graph", "torchscript", 4]);
  assert.match(verifyHub(openHub(hub))[0]?.problems[0] ?? "", /--trust/);
  const trusted = openHub(hub, { trust: true });
  assert.deepEqual(verifyHub(trusted)[0]?.problems, []);
  const [member] = loadMembers(trusted);
  assert.equal(member?.flops, 2 * 8 * 8 * 4 * 3 * 9, "the convolution inside the program is counted");
  member?.dispose();
});

test("by address and from a repository: fetched into the cache, recorded with its commit", async () => {
  const bytes = fs.readFileSync(weights("served"));
  const cacheDir = join(folder, `cache-${count}`);
  const fetch = { cacheDir, endpoint: server.origin };
  const wishes = { input: { ...half, size: 24 } };
  server.serve("/files/model.safetensors", { body: bytes, etag: '"a"' });
  const byAddress = await add(`${server.origin}/files/model.safetensors`, { fetch, wishes });
  assert.match(byAddress.entry.source, /\/files\/model\.safetensors, sha256 [0-9a-f]{64}$/);
  assertSameFeatures(24);
  const preprocessor = JSON.stringify({ image_mean: half.mean, image_std: half.std, size: 24 });
  serveRepository(server, "owner/net", { "model.safetensors": bytes, "preprocessor_config.json": preprocessor });
  const { entry } = await add("hf:owner/net", { name: "second", fetch });
  assert.match(entry.source, /^hf:owner\/net \(model\.safetensors at commit [0-9a-f]{40}\), sha256/);
  assert.deepEqual(entry.input.size, 24);
  await refused(/sha256/, "hf:owner/net", { name: "third", fetch: { ...fetch, sha256: "0".repeat(64) } });
  await refused(/not in .*fetching is off/, "hf:owner/other", { name: "third", fetch: { ...fetch, offline: true } });
  const offline = await add("hf:owner/net", { name: "third", fetch: { ...fetch, offline: true } });
  assert.equal(offline.entry.weights.sha256, entry.weights.sha256);
});

test("names, files and weights that cannot be members", async () => {
  const good = weights("good");
  const wishes = { input: { ...half, size: 24 } };
  await refused(/cannot be a member's name/, good, { name: "../out" });
  await refused(/there is no file/, join(folder, "absent.safetensors"));
  await refused(/is a folder: name the model's file/, folder);
  fs.writeFileSync(join(folder, "text.bin"), "plain text, no model at all");
  await refused(
    /text\.bin is a text file, which begins "plain text, no model at all": hubs take/,
    join(folder, "text.bin"),
  );
  fs.writeFileSync(join(folder, "empty.bin"), "");
  await refused(/empty\.bin is empty: .*fetch it again/, join(folder, "empty.bin"));
  await refused(/mean 123.*divide them by 255/, good, {
    wishes: { range: 1, input: { size: 24, mean: [123, 117, 104], std: [58, 57, 57] } },
  });
  await add(good, { wishes });
  await refused(/has a member "added" already/, good, { wishes });
  fs.mkdirSync(join(hub, "taken"));
  await refused(/taken is in the way/, good, { name: "taken", wishes });
  const broken = join(folder, "broken.safetensors");
  scope(() =>
    writeSafetensors(broken, new Map(Array.from(backbone.stateDict(), ([key, tensor]) => [key, tensor.mul(0)]))),
  );
  await refused(/features are (the same for every image|not finite)/, broken, { name: "broken", wishes });
});

test("what a killed process left behind is removed, what a running one is at is not", async () => {
  const running = temporaryPath(hub, "adding");
  const abandoned = running.replace(/-\d+-(\d+)-/, "-4194999-$1-");
  for (const path of [abandoned, running]) fs.mkdirSync(path, { recursive: true });
  await add(weights("cleaned"), { wishes: { input: { ...half, size: 24 } } });
  assert.deepEqual(
    [abandoned, running].map((path) => fs.existsSync(path)),
    [false, true],
  );
});

test("rm: out of the manifest, with the files that nobody else uses", async () => {
  const source = weights("kept");
  const wishes = { input: { ...half, size: 24 } };
  await add(source, { wishes });
  assert.throws(() => removeMember(hub, "added"), /the only member/);
  await add(source, { name: "second", wishes });
  const manifest = readManifest(hub);
  const [first] = manifest.members;
  assert.ok(first);
  fs.writeFileSync(
    join(hub, "hub.json"),
    JSON.stringify({ ...manifest, members: [...manifest.members, { ...first, name: "shares" }] }),
  );
  assert.throws(() => removeMember(hub, "nobody"), /no member "nobody"; it has: added, second, shares/);
  assert.deepEqual(removeMember(hub, "added"), []);
  assert.deepEqual(removeMember(hub, "second"), ["second/weights.safetensors"]);
  assert.deepEqual(fs.readdirSync(hub).sort(), ["added", "hub.json"]);
  assert.deepEqual(verifyHub(openHub(hub)), [{ name: "shares", problems: [] }]);
});

test("a program with narrow strided 1 x 1 convolutions has PyTorch's gradients, with two threads the same", async () => {
  const expected = fixture<{ narrow: { features: number[]; gradient: number[] } }>("torch-script/expected.json").narrow;
  const program = fileURLToPath(new URL("../../fixtures/torch-script/narrow.pt", import.meta.url));
  const wishes = { input: { mean: [0, 0, 0], std: [1, 1, 1], size: 12 } };
  await add(program, { trust: true, wishes });
  const [member] = loadMembers(openHub(hub, { trust: true }));
  const index = [...(member?.backbone.namedParameters().keys() ?? [])].findIndex((name) =>
    name.endsWith("down.weight"),
  );
  const weight = member?.backbone.parameters()[index];
  assert.ok(member && weight);
  const before = getNumThreads();
  const gradient = (images: Tensor, threads: number): { features: number[]; weight: number[] } => {
    setNumThreads(threads);
    const features = member.features(images);
    features.square().sum([0, 1]).backward();
    const found = { features: features.flatten().toNumbers(), weight: weight.grad?.flatten().toNumbers() ?? [] };
    for (const parameter of member.backbone.parameters()) parameter.grad = undefined;
    return found;
  };
  try {
    for (const batch of [7, 1, 3, 5, 9, 13, 17, 31]) {
      scope(() => {
        const images = seeded("image", [batch, 3, 12, 12], "float32");
        const [alone, together] = [gradient(images, 1), gradient(images, 2)];
        assertClose(tensor(together.weight), alone.weight, 1e-4, `${batch} images`);
        if (batch !== 7) return;
        assertClose(tensor(alone.features), expected.features, 1e-5);
        assertClose(tensor(alone.weight), expected.gradient, 1e-4);
      });
    }
  } finally {
    setNumThreads(before);
    member.dispose();
  }
});

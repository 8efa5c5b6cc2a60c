/** Weights for the classes of other packages: torchvision's own network answers with them as the run does. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writeWeights } from "../../../src/export/index.ts";
import { readSafetensors, writeSafetensors } from "../../../src/io/index.ts";
import { findMethod, MemberLearner, restorePredictor } from "../../../src/methods/index.ts";
import { createBackbone, presets } from "../../../src/models/index.ts";
import { disposeTree, Generator, inferenceMode, rand, scope, tensor } from "../../../src/torch/index.ts";
import { type OpenedRun, openRun } from "../../../src/train/index.ts";
import { fixture } from "../../fixtures/seeded-weights.ts";
import { writeHub, writeMember } from "../../support/hub-files.ts";
import { trainedRun } from "../../support/small-bundle.ts";
import { temporaryFolder, writeShapeImages } from "../../support/small-hub.ts";

const published = "shufflenet_v2_x0_5";
const python = process.env["HUB_PATHWAY_PYTHON"] ?? "python3";
const probe =
  "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ['torch', 'torchvision', 'safetensors', 'numpy'])))";
const hasTorchvision = spawnSync(python, ["-c", probe]).status === 0;

let folder: string;

let opened: OpenedRun;

/** A run whose head has centring and scaling before it, as those on frozen features have. */
before(async () => {
  folder = temporaryFolder();
  await writeShapeImages(folder, 8);
  const { architecture, config } = presets()[published] as { architecture: string; config: Record<string, unknown> };
  writeHub(join(folder, "hub"), "published", (dir) => {
    using generator = new Generator(1);
    using backbone = createBackbone(architecture, config, { generator });
    const { featureWidth } = backbone;
    return [
      writeMember(dir, {
        name: "shuffle",
        architecture,
        config,
        featureWidth,
        size: 64,
        tensors: backbone.stateDict(),
      }),
    ];
  });
  await trainedRun(folder, "run", () => ({ method: findMethod("fine-tune"), choices: {} }));
  opened = openRun(join(folder, "run"), restorePredictor);
  const { predictor } = opened;
  assert.ok(predictor instanceof MemberLearner);
  using generator = new Generator(3);
  using mean = rand([1024], { generator });
  predictor.module.standardizer().set(mean, 0.5);
  assert.deepEqual(await writeWeights(opened, join(folder, "weights")), ["shuffle"]);
});

after(() => opened.dispose());

test("the keys are those of torchvision's network with a head of the run's classes", () => {
  const { tensors } = readSafetensors(join(folder, "weights/shuffle.safetensors"));
  const shapes = new Map(Array.from(tensors, ([name, { shape }]) => [name, shape.join()]));
  disposeTree(tensors);
  assert.deepEqual([shapes.get("fc.weight"), shapes.get("fc.bias")], ["3,1024", "3"]);
  const rest = [...shapes].filter(([name]) => !name.startsWith("fc.")).map(([name, shape]) => `${name}:${shape}`);
  const digest = createHash("sha256").update(rest.sort().join("\n")).digest("hex");
  assert.equal(digest, fixture<Record<string, { digest: string }>>("presets.json")[published]?.digest);
  const { label_names, pretrained_cfg } = JSON.parse(readFileSync(join(folder, "weights/shuffle.json"), "utf8")) as {
    label_names: string[];
    pretrained_cfg: { input_size: number[]; mean: number[] };
  };
  assert.deepEqual(label_names, ["circle", "square", "stripe"]);
  assert.deepEqual(
    [pretrained_cfg.input_size, pretrained_cfg.mean],
    [
      [3, 64, 64],
      [0.5, 0.5, 0.5],
    ],
  );
});

const program = `
import importlib.util, json, sys, torch
sys.path.insert(0, sys.argv[4].rpartition("/")[0])
spec = importlib.util.spec_from_file_location("architectures", sys.argv[4])
architectures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(architectures)  # lets torchvision load
import torchvision
from safetensors.torch import load_file
net = getattr(torchvision.models, sys.argv[1])(num_classes=3)
net.load_state_dict(load_file(sys.argv[2]), strict=True)
net.eval()
with torch.inference_mode():
    print(json.dumps(net((load_file(sys.argv[3])["images"] - 0.5) / 0.5).tolist()))
`;

const helper = fileURLToPath(new URL("../../fixtures/make-architectures.py", import.meta.url));
const skip = hasTorchvision ? false : `${python} has no torchvision (HUB_PATHWAY_PYTHON names another)`;

test("torchvision's own class gives the run's logits", { skip }, () => {
  const { predictor } = opened;
  assert.ok(predictor instanceof MemberLearner);
  scope(() => {
    using generator = new Generator(2);
    const images = rand([4, 3, 64, 64], { generator });
    writeSafetensors(join(folder, "input.safetensors"), new Map([["images", images]]));
    const files = ["weights/shuffle.safetensors", "input.safetensors"].map((file) => join(folder, file));
    const { stdout, stderr } = spawnSync(python, ["-c", program, published, ...files, helper], { encoding: "utf8" });
    assert.ok(stdout !== "", stderr);
    const theirs = tensor(JSON.parse(stdout) as number[][]);
    const own = inferenceMode(() => predictor.module.forward(images));
    const difference = own.sub(theirs).abs().max().item();
    assert.ok(difference < 1e-4 * Math.max(1, theirs.abs().max().item()), `${difference}`);
  });
});

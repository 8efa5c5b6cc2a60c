/** Five tiny ResNets under the names of the published hub's, on disk; one differs from the others, as the dilated one does there. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "../../src/io/index.ts";
import { createBackbone } from "../../src/models/index.ts";
import { Generator } from "../../src/torch/index.ts";

const names = ["imagenet", "moco", "mask-rcnn", "deeplab-v3", "keypoint-rcnn"];

/** Writes DIR/hub.json with the members of these names; returns DIR. */
export function writePaperHub(dir: string, wanted: readonly string[] = names): string {
  mkdirSync(dir, { recursive: true });
  const members = wanted.map((name, i) => {
    const config = { layers: [1, 1], width: name === "deeplab-v3" ? 12 : 8, stem: "small", stemStride: 2 };
    using generator = new Generator(i + 1);
    using backbone = createBackbone("resnet", config, { generator });
    const file = `${name}.safetensors`;
    writeSafetensors(join(dir, file), backbone.stateDict());
    const sha256 = createHash("sha256")
      .update(readFileSync(join(dir, file)))
      .digest("hex");
    return {
      name,
      architecture: "resnet",
      config,
      weights: { file, format: "safetensors", sha256 },
      featureWidth: backbone.featureWidth,
      input: { size: 28, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
      pretraining: { data: "none", paradigm: "random" },
      licence: "test",
      source: "test",
    };
  });
  writeFileSync(join(dir, "hub.json"), JSON.stringify({ version: 1, name: "paper", members }));
  return dir;
}

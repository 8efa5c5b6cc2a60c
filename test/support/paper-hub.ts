/** Five tiny ResNets under the names of the published hub's, on disk; one differs from the others, as the dilated one does there. */
import { createBackbone } from "../../src/models/index.ts";
import { Generator } from "../../src/torch/index.ts";
import { writeHub, writeMember } from "./hub-files.ts";

const names = ["imagenet", "moco", "mask-rcnn", "deeplab-v3", "keypoint-rcnn"];

/** Writes DIR/hub.json with the members of these names; returns DIR. */
export function writePaperHub(dir: string, wanted: readonly string[] = names): string {
  return writeHub(dir, "paper", () =>
    wanted.map((name, i) => {
      const config = { layers: [1, 1], width: name === "deeplab-v3" ? 12 : 8, stem: "small", stemStride: 2 };
      using generator = new Generator(i + 1);
      using backbone = createBackbone("resnet", config, { generator });
      const { featureWidth } = backbone;
      const tensors = backbone.stateDict();
      return writeMember(dir, { name, architecture: "resnet", config, featureWidth, size: 28, tensors });
    }),
  );
}

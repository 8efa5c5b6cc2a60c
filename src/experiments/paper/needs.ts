/**
 * Needs of the published setting that this project cannot bring: data sets and pre-trained weights, and how they are
 * added.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { publishedDatasets } from "../../data/index.ts";
import { readManifest } from "../../hub/index.ts";

/** Below the current folder; a folder for each data set by its name. */
export const paperData = "data/published";
export const paperHub = "hubs/paper";

interface Weights {
  name: string;
  what: string;
  /** The published file. */
  file: string;
  origin: string;
  data: string;
  licence: string;
}

const enumOf = (name: string) => `torchvision: the address of the file is \`url\` of ${name}`;

/** Five ResNet-50, as the paper's hub has them. */
const weights: readonly Weights[] = [
  {
    name: "imagenet",
    what: "ResNet-50, classification of ImageNet (torchvision, the first weights)",
    file: "resnet50-0676ba61.pth",
    origin: enumOf("ResNet50_Weights.IMAGENET1K_V1"),
    data: "ImageNet-1k",
    licence: "BSD-3-Clause",
  },
  {
    name: "moco",
    what: "ResNet-50, MoCo on ImageNet without labels (200 epochs)",
    file: "moco_v1_200ep_pretrain.pth.tar",
    origin: "https://github.com/facebookresearch/moco (MoCo v1, 200 epochs)",
    data: "ImageNet-1k",
    licence: "CC-BY-NC-4.0",
  },
  {
    name: "mask-rcnn",
    what: "the ResNet-50 in Mask R-CNN, detection and instance segmentation of COCO (torchvision)",
    file: "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    origin: enumOf("MaskRCNN_ResNet50_FPN_Weights.COCO_V1"),
    data: "COCO",
    licence: "BSD-3-Clause",
  },
  {
    name: "deeplab-v3",
    what: "the ResNet-50 in DeepLabV3, semantic segmentation of COCO (torchvision)",
    file: "deeplabv3_resnet50_coco-cd0a2569.pth",
    origin: enumOf("DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"),
    data: "COCO",
    licence: "BSD-3-Clause",
  },
  {
    name: "keypoint-rcnn",
    what: "the ResNet-50 in Keypoint R-CNN, keypoints of people in COCO (torchvision)",
    file: "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    origin: enumOf("KeypointRCNN_ResNet50_FPN_Weights.COCO_V1"),
    data: "COCO",
    licence: "BSD-3-Clause",
  },
];

export interface Need {
  name: string;
  what: string;
  /** Path at which it must be. */
  place: string;
  /** Source from which it comes. */
  origin: string;
  /** Command that brings it there, or checks it once it is there. */
  command: string;
}

/** Data sets whose folders are not there. */
export function missingData(folder: string): Need[] {
  return publishedDatasets.flatMap(({ name, summary, layout, origin }): Need[] => {
    const place = join(folder, name);
    if (existsSync(place)) return [];
    const what = `${summary}; the folder needs ${layout}`;
    return [{ name, what, place, origin, command: `hub-pathway data check ${name}:${place}` }];
  });
}

/** Members that the paper's hub lacks; a hub of the user's own is taken as it is. */
export function missingMembers(hub: string, own: boolean): Need[] {
  const present = existsSync(join(hub, "hub.json")) ? readManifest(hub).members.map((member) => member.name) : [];
  if (own && present.length > 0) return [];
  return weights
    .filter(({ name }) => !present.includes(name))
    .map(({ name, what, file, origin, data, licence }) => ({
      name,
      what,
      place: hub,
      origin,
      command: `hub-pathway hub add ${name} ${file} --hub ${hub} --data ${data} --licence ${licence}`,
    }));
}

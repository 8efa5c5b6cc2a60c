/**
 * Backbones: one architecture family a file, all behind `createBackbone`, over images or over observations.
 * blocks/ has what families share, checkpoints/ recognises a family from the names and shapes of weights. Read registry.ts
 * first, then one family, such as vgg.ts.
 * It may import graphs, fetch, io and what they may.
 */
export { Backbone, type BackboneOptions, evaluating, ObservationNetwork } from "./backbone.ts";
export { MobileBlocks, type MobileBlocksConfig } from "./blocks/mobile-blocks.ts";
export { firstLayers } from "./checkpoints/checkpoint-clues.ts";
export {
  describeNearMiss,
  fitArchitecture,
  type Hints,
  type Proposal,
  proposeArchitecture,
  type Wish,
} from "./checkpoints/checkpoint-layouts.ts";
export { keyLayout, keyLayouts } from "./checkpoints/key-layouts.ts";
export type { KeyLayout } from "./checkpoints/layout.ts";
export { resizedTo } from "./checkpoints/resizing.ts";
export { ConvNeXt, type ConvNeXtConfig } from "./convnext.ts";
export { DenseNet, type DenseNetConfig } from "./densenet.ts";
export { EfficientNet, type EfficientNetConfig } from "./efficientnet.ts";
export { GoogLeNet, type GoogLeNetConfig } from "./googlenet.ts";
export { GraphBackbone, openGraphBackbone } from "./graph-backbone.ts";
export { type GraphFormat, graphFormats } from "./graph-formats.ts";
export { type InceptionConfig, InceptionV3 } from "./inception.ts";
export { recogniseNetwork } from "./known-networks.ts";
export { MaxViT, type MaxViTConfig } from "./maxvit.ts";
export { MinatarNetwork, type MinatarNetworkConfig } from "./minatar-network.ts";
export { Mlp, type MlpConfig } from "./mlp.ts";
export { MNASNet, type MNASNetConfig } from "./mnasnet.ts";
export { MobileNetV2, type MobileNetV2Config } from "./mobilenet-v2.ts";
export { MobileNetV3, type MobileNetV3Config } from "./mobilenet-v3.ts";
export { NatureCnn, type NatureCnnConfig } from "./nature-cnn.ts";
export type { Preset, PresetInput } from "./preset.ts";
export { architectures, createBackbone, createObservationNetwork, type InputKind, presets } from "./registry.ts";
export { RegNet, type RegNetConfig } from "./regnet.ts";
export { ResNet, type ResNetConfig } from "./resnet.ts";
export { type ShuffleNetConfig, ShuffleNetV2 } from "./shufflenet.ts";
export { SqueezeNet, type SqueezeNetConfig } from "./squeezenet.ts";
export { Swin, type SwinConfig } from "./swin.ts";
export { VGG, type VGGConfig } from "./vgg.ts";
export { ViT, type ViTConfig } from "./vit.ts";

/** Backbones: one architecture family a file, all behind `createBackbone`. */
export { Backbone, type BackboneOptions, evaluating } from "./backbone.ts";
export { ConvNeXt, type ConvNeXtConfig } from "./convnext.ts";
export { MobileNetV2, type MobileNetV2Config } from "./mobilenet-v2.ts";
export type { Preset, PresetInput } from "./preset.ts";
export { architectures, createBackbone, presets } from "./registry.ts";
export { ResNet, type ResNetConfig } from "./resnet.ts";
export { ViT, type ViTConfig } from "./vit.ts";

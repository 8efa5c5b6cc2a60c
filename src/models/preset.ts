/** Published networks under the names that torchvision and timm give them: what `hub add` proposes. */

/** Input that the published weights expect. */
export interface PresetInput {
  /** Side of the square input, pixels. */
  size: number;
  /** Per channel, of values in [0, 1]. */
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
  interpolation: "bilinear" | "bicubic" | "nearest";
}

/** Input of networks trained on ImageNet; the default of torchvision. */
export const imagenetInput: PresetInput = {
  size: 224,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  interpolation: "bilinear",
};

/** Input of CLIP, of its authors and of those who train it anew. */
export const clipInput: PresetInput = {
  size: 224,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
  interpolation: "bicubic",
};

/** A configuration of an architecture under its published name. */
export interface Preset {
  /** Name in the registry of architectures. */
  architecture: string;
  config: Readonly<Record<string, unknown>>;
  input: PresetInput;
  /** Key of the pre-training classifier's weight without ".weight", such as "fc"; the backbone leaves it out. */
  classifier: string;
  /** Package whose parameter names these are. */
  library: "torchvision" | "timm";
}

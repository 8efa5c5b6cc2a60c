/** A hub's member: a network with its pre-trained weights, ready to be trained further. n images, d features. */
import { join } from "node:path";
import { hashFile, readSafetensors, reasonOf } from "../io/index.ts";
import { type Backbone, createBackbone, type GraphFormat, openGraphBackbone } from "../models/index.ts";
import { init, type Module } from "../nn/index.ts";
import type { PathwayMember } from "../pathway/index.ts";
import {
  disposeTree,
  Generator,
  isNarrowPointwise,
  keep,
  type MemoryFormat,
  ops,
  scope,
  type Tensor,
  TorchError,
  UserError,
} from "../torch/index.ts";
import { fileOf } from "./files.ts";
import { FrozenStem } from "./frozen-stem.ts";
import { mapKeys } from "./key-map.ts";
import type { MemberEntry } from "./manifest.ts";
import { preprocess, sidesOf } from "./preprocessing.ts";

export interface LoadMemberOptions {
  device?: string | undefined;
  /** Draw new weights from this stream instead of loading the pre-trained ones (a control). */
  randomWeights?: Generator | undefined;
  /** Skip the hashes, for files that were just verified. */
  verified?: boolean | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
}

export interface Classifier {
  weight: Tensor;
  bias: Tensor | undefined;
}

export class HubMember implements PathwayMember {
  readonly name: string;
  readonly entry: MemberEntry;
  readonly backbone: Backbone;
  readonly featureWidth: number;
  readonly flops: number;
  /** Called before the backbone runs: residency makes sure that its weights are in memory. */
  beforeUse: (() => void) | undefined;
  /** Called once the member is disposed. */
  afterDispose: (() => void) | undefined;
  readonly #dir: string;
  readonly #format: MemoryFormat;
  #classifier: Classifier | undefined;

  constructor(dir: string, entry: MemberEntry, backbone: Backbone) {
    this.#dir = dir;
    this.name = entry.name;
    this.entry = entry;
    this.backbone = backbone;
    this.featureWidth = backbone.featureWidth;
    this.flops = backbone.flops(...sidesOf(entry.input));
    this.#format = formatFor(entry, backbone);
  }

  /** Where its weights lie. */
  get device(): string {
    return this.backbone.parameters()[0]?.device ?? "cpu";
  }

  /** Images [n, 3, H, W] in [0, 1] to features [n, d]. */
  features(images: Tensor): Tensor {
    this.beforeUse?.();
    return this.backbone.forward(this.#prepared(images));
  }

  /**
   * Scores [n, S] of images [n, 3, H, W] in [0, 1] for the S classes that the member was pre-trained on; undefined for
   * one without a classifier, such as a self-supervised one.
   */
  classify(images: Tensor): Tensor | undefined {
    this.beforeUse?.();
    if (this.entry.weights.format !== "safetensors") return this.backbone.classify(this.#prepared(images));
    const layer = this.classifierLayer();
    return layer && scope(() => ops.linear(this.features(images), layer.weight, layer.bias));
  }

  /** What `features` and `classify` give, in one forward pass where the classifier is a layer over the features. */
  outputs(images: Tensor): { features: Tensor; scores: Tensor | undefined } {
    const features = this.features(images);
    if (this.entry.weights.format !== "safetensors") return { features, scores: this.classify(images) };
    const layer = this.classifierLayer();
    return { features, scores: layer && ops.linear(features, layer.weight, layer.bias) };
  }

  /**
   * Weight [S, d] and bias [S] of the pre-training classifier, which stay this member's; undefined where the manifest
   * names none, or the network is a graph.
   */
  classifierLayer(): Classifier | undefined {
    if (this.entry.classifier === undefined) return undefined;
    const path = fileOf(this.#dir, this.name, this.entry.weights.file);
    this.#classifier ??= loadClassifier(path, this.entry.classifier, this);
    return this.#classifier;
  }

  get stemWidth(): number | undefined {
    return this.backbone.stemWidth;
  }

  /** A frozen copy of the first stages as they are now; the caller disposes it. */
  copyStem(): Module {
    this.beforeUse?.();
    if (this.stemWidth === undefined) throw new Error(`member "${this.name}" has no first stages to share`);
    const { architecture, config, input } = this.entry;
    using unused = new Generator(0);
    const options = { generator: unused, device: this.device };
    const network = init.skipInit(() => createBackbone(architecture, config, options));
    network.loadStateDict(this.backbone.stateDict());
    network.to({ memory_format: this.#format });
    return new FrozenStem(network, (images) => this.#prepared(images), input.size);
  }

  #prepared(images: Tensor): Tensor {
    return preprocess(images, this.entry.input).contiguous(this.#format);
  }

  dispose(): void {
    this.backbone.dispose();
    disposeTree({ ...this.#classifier });
    this.afterDispose?.();
  }
}

/**
 * Loads one member from its hub's folder.
 * @throws UserError naming member and file when a file is missing, its hash differs, or keys or shapes do not fit
 */
export function loadMember(dir: string, entry: MemberEntry, options: LoadMemberOptions = {}): HubMember {
  if (!options.verified && !options.randomWeights) checkFiles(dir, entry);
  const backbone = loadBackbone(dir, entry, options);
  try {
    if (backbone.featureWidth !== entry.featureWidth) {
      throw new UserError(
        `member "${entry.name}" of ${dir}: the manifest says feature width ${entry.featureWidth}, ` +
          `its network gives ${backbone.featureWidth}`,
      );
    }
    return new HubMember(dir, entry, backbone);
  } catch (error) {
    backbone.dispose();
    throw error;
  }
}

/** The network of a member with its weights, in the order of memory that suits it. The caller disposes it. */
export function loadBackbone(dir: string, entry: MemberEntry, options: LoadMemberOptions = {}): Backbone {
  const backbone = openBackbone(dir, entry, options);
  return backbone.to({ memory_format: formatFor(entry, backbone) });
}

/**
 * Channels last, which is faster. Programs call the library's convolutions themselves, so that those with filters that may
 * meet its fault (src/torch/conv.ts) keep the order in which it does not happen.
 */
function formatFor({ weights }: MemberEntry, backbone: Backbone): MemoryFormat {
  const isAtRisk = weights.format === "torchscript" && backbone.parameters().some(isNarrowPointwise);
  return isAtRisk ? "contiguous_format" : "channels_last";
}

function openBackbone(dir: string, entry: MemberEntry, options: LoadMemberOptions): Backbone {
  const { format } = entry.weights;
  const file = () => fileOf(dir, entry.name, entry.weights.file);
  if (format !== "safetensors") return openGraph(format, file(), entry, options);
  using unused = new Generator(0);
  const create = (generator: Generator) => {
    try {
      return createBackbone(entry.architecture, entry.config, { generator, device: options.device });
    } catch (error) {
      const refused =
        error instanceof TorchError ? new UserError(`its network cannot be made: ${error.message}`) : error;
      throw ofMember(entry, join(dir, "hub.json"), refused);
    }
  };
  if (options.randomWeights) return create(options.randomWeights);
  const backbone = init.skipInit(() => create(unused));
  try {
    loadWeights(file(), entry, backbone);
    return backbone;
  } catch (error) {
    backbone.dispose();
    throw error;
  }
}

function openGraph(format: GraphFormat, path: string, entry: MemberEntry, options: LoadMemberOptions): Backbone {
  if (format === "torchscript" && !options.trust) refuseProgram(entry.name, path);
  const { features } = entry.config;
  const backbone = openGraphBackbone(format, path, {
    device: options.device,
    size: entry.input.size,
    ...(typeof features === "string" ? { features } : {}),
  });
  if (options.randomWeights) redraw(backbone, options.randomWeights);
  return backbone;
}

/** @throws UserError always */
export function refuseProgram(name: string, path: string): never {
  throw new UserError(
    `member "${name}" is a TorchScript program (${path}): a program can read and write your files; ` +
      "if you trust whoever made it, add --trust",
  );
}

/** New weights for a network whose own initialisation is not known: He's for products, one and zero for norms. */
function redraw(backbone: Backbone, generator: Generator): void {
  for (const parameter of backbone.parameters()) {
    if (parameter.dim() > 1) init.kaimingNormalFanOut_(parameter, generator);
  }
  for (const [name, buffer] of backbone.namedBuffers()) {
    if (name.endsWith("running_mean")) init.constant_(buffer, 0);
    else if (name.endsWith("running_var")) init.constant_(buffer, 1);
  }
}

function loadWeights(path: string, entry: MemberEntry, backbone: Backbone): void {
  const { tensors } = readSafetensors(path);
  try {
    scope(() => backbone.loadStateDict(mapKeys(tensors, entry.keyMap)));
  } catch (error) {
    throw ofMember(entry, path, error);
  } finally {
    disposeTree(tensors);
  }
}

/** Above it a list of keys says no more. */
const longestReason = 1500;

function ofMember(entry: MemberEntry, path: string, error: unknown): unknown {
  if (!(error instanceof UserError)) return error;
  return new UserError(`member "${entry.name}" (${path}): ${reasonOf(error, longestReason)}`, { cause: error });
}

function loadClassifier(path: string, key: string, { featureWidth, device }: HubMember): Classifier {
  const { tensors } = readSafetensors(path);
  try {
    const weight = tensors.get(`${key}.weight`);
    if (!weight) throw new UserError(`${path} has no classifier "${key}.weight", which the manifest names`);
    if (weight.dim() < 2 || weight.numel() !== weight.size(0) * featureWidth) {
      throw new UserError(
        `${path}: the classifier "${key}.weight" has the shape [${weight.shape.join(", ")}], which does not fit ` +
          `features of width ${featureWidth}: the manifest must name the layer that follows them`,
      );
    }
    // A classifier may be stored as a 1x1 convolution.
    return scope(() => {
      const own = (stored: Tensor) => stored.to({ device }).clone();
      const bias = tensors.get(`${key}.bias`);
      return keep({ weight: own(weight.flatten(1)), bias: bias && own(bias) });
    });
  } finally {
    disposeTree(tensors);
  }
}

/** @throws UserError when a file of the member is missing or is not the one that the manifest describes */
export function checkFiles(dir: string, entry: MemberEntry): void {
  for (const { file, sha256 } of [entry.weights, ...entry.weights.files]) {
    const path = fileOf(dir, entry.name, file);
    const actual = hashFile(path);
    if (actual === sha256) continue;
    throw new UserError(
      `member "${entry.name}": ${path} has sha256 ${actual.slice(0, 12)}…, hub.json says ` +
        `${sha256.slice(0, 12)}…: the file is damaged or was replaced; restore it, or correct hub.json`,
    );
  }
}

/**
 * A hub's member: a network with its pre-trained weights, ready to be trained further. n inputs, which are images or
 * observations, d features.
 */
import { readSafetensors } from "../io/index.ts";
import { type Backbone, createBackbone, type ObservationNetwork } from "../models/index.ts";
import { init, type Module, setBatchNormPolicy } from "../nn/index.ts";
import type { PathwayMember } from "../pathway/index.ts";
import {
  cat,
  disposeTree,
  Generator,
  isInferenceMode,
  isNarrowPointwise,
  keep,
  type MemoryFormat,
  ops,
  scope,
  type Tensor,
  UserError,
} from "../torch/index.ts";
import { fileOf } from "./files.ts";
import { FrozenStem } from "./frozen-stem.ts";
import type { ImageInput, MemberEntry, MemberInput } from "./manifest.ts";
import { preprocess, sidesOf } from "./preprocessing.ts";

export interface Classifier {
  weight: Tensor;
  bias: Tensor | undefined;
}

/** Networks by the kind of their input. */
interface Networks {
  image: Backbone;
  observation: ObservationNetwork;
}

/** A network for inputs I. */
export type NetworkOf<I extends MemberInput> = Networks[I["kind"]];

/**
 * Pixels of the inputs that a network sees at once where nothing is trained, on a processor: sixteen images of 224 px. Maps of more
 * fit neither its cache nor the memory that the process keeps: networks of many maps take twice as long (`bench/cache.ts`).
 */
const pixelsAtOnce = 16 * 224 ** 2;

/** A member over images, unless its type says otherwise. */
export class HubMember<I extends MemberInput = ImageInput> implements PathwayMember {
  readonly name: string;
  readonly entry: MemberEntry<I>;
  readonly backbone: NetworkOf<I>;
  readonly featureWidth: number;
  readonly flops: number;
  /** Called before the backbone runs: residency makes sure that its weights are in memory. */
  beforeUse: (() => void) | undefined;
  /** Called once the member is disposed. */
  afterDispose: (() => void) | undefined;
  readonly #dir: string;
  readonly #format: MemoryFormat;
  /** Of one input as the network sees it. */
  readonly #pixels: number;
  #classifier: Classifier | undefined;

  constructor(dir: string, entry: MemberEntry<I>, backbone: NetworkOf<I>) {
    this.#dir = dir;
    this.name = entry.name;
    this.entry = entry;
    this.backbone = backbone;
    this.featureWidth = backbone.featureWidth;
    this.flops = backbone.flops(...sidesOf(entry.input));
    this.#format = formatFor(entry, backbone);
    this.#pixels = sidesOf(entry.input).reduce((a, b) => a * b);
  }

  /** Device of its weights. */
  get device(): string {
    return this.backbone.parameters()[0]?.device ?? "cpu";
  }

  /** Images [n, 3, H, W] in [0, 1], or observations [n, C, H, W], to features [n, d]. */
  features(x: Tensor): Tensor {
    this.beforeUse?.();
    return this.#inParts(x, (rows) => this.backbone.forward(rows));
  }

  /**
   * Scores [n, S] of images for the S classes that the member was pre-trained on, or the outputs of its policy;
   * undefined for one without a classifier, such as a self-supervised one.
   */
  classify(x: Tensor): Tensor | undefined {
    this.beforeUse?.();
    if (this.entry.weights.format !== "safetensors") return this.#inParts(x, (rows) => this.backbone.classify(rows));
    const layer = this.classifierLayer();
    return layer && scope(() => ops.linear(this.features(x), layer.weight, layer.bias));
  }

  /** Results of `features` and `classify`, in one forward pass where the classifier is a layer over the features. */
  outputs(x: Tensor): { features: Tensor; scores: Tensor | undefined } {
    const features = this.features(x);
    if (this.entry.weights.format !== "safetensors") return { features, scores: this.classify(x) };
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
    return new FrozenStem(network, (images) => this.#prepared(images), Math.max(...sidesOf(input)));
  }

  /** Where answers are wanted, no row knows of another: see `pixelsAtOnce`. */
  #inParts<T extends Tensor | undefined>(x: Tensor, forward: (x: Tensor) => T): T {
    const rows = x.size(0);
    const atOnce = Math.max(1, Math.floor(pixelsAtOnce / this.#pixels));
    const isPossible = rows > atOnce && isInferenceMode() && x.device === "cpu";
    // A norm that is being recalibrated takes its statistics from all rows.
    if (!isPossible || this.backbone.modules().some(({ training }) => training)) return forward(this.#prepared(x));
    return scope(() => {
      const parts: Tensor[] = [];
      for (let first = 0; first < rows; first += atOnce) {
        const part = x.narrow(0, first, Math.min(atOnce, rows - first));
        const made = scope(() => forward(this.#prepared(part)));
        if (!made) return made;
        parts.push(made);
      }
      return cat(parts) as T;
    });
  }

  #prepared(x: Tensor): Tensor {
    const input: MemberInput = this.entry.input;
    return input.kind === "image" ? preprocess(x, input).contiguous(this.#format) : x;
  }

  dispose(): void {
    this.backbone.dispose();
    disposeTree({ ...this.#classifier });
    this.afterDispose?.();
  }
}

/**
 * Channels last, which is faster for images. Programs call the library's convolutions themselves, so that those with filters that may
 * meet its fault (src/torch/conv.ts) keep the order in which it does not happen.
 */
export function formatFor({ weights, input }: MemberEntry, backbone: Backbone): MemoryFormat {
  if (input.kind === "observation") return "contiguous_format";
  const isAtRisk = weights.format === "torchscript" && backbone.parameters().some(isNarrowPointwise);
  return isAtRisk ? "contiguous_format" : "channels_last";
}

function loadClassifier(path: string, key: string, member: HubMember<MemberInput>): Classifier {
  const { entry, featureWidth, device } = member;
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
    const outputs = entry.policy && outputsOf(entry.policy);
    if (outputs !== undefined && weight.size(0) !== outputs) {
      throw new UserError(
        `${path}: its head has ${weight.size(0)} outputs, not ${outputs} as hub.json says of its actions`,
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

/** Number of a policy head's outputs. */
function outputsOf({ actions, outputs }: NonNullable<MemberEntry["policy"]>): number {
  return actions.length + (outputs === "policy-and-value" ? 1 : 0);
}

/**
 * BatchNorm policy of fine-tuned members; it moves accuracy more than routing does, so every method shares it.
 *
 * `batch`: the rows that chose a member are its batch (running statistics below the layer's minimum of rows). `frozen`:
 * running statistics from pre-training, affine parameters trained. `recalibrated`: statistics re-estimated once on
 * target images, then frozen.
 */
export type MemberBatchNorm = "batch" | "frozen" | "recalibrated";

/** Sets which statistics the BatchNorm layers of members use while training. */
export function setMemberBatchNorm(backbones: readonly Module[], policy: MemberBatchNorm): void {
  for (const backbone of backbones) setBatchNormPolicy(backbone, policy === "batch" ? "batch" : "running");
}

/** Architectures by name, with their configuration schemas. */
import type { z } from "zod";
import { allOrNothing, UserError } from "../torch/index.ts";
import { type Backbone, type BackboneOptions, ObservationNetwork } from "./backbone.ts";
import { MobileBlocks, mobileBlocksConfig } from "./blocks/mobile-blocks.ts";
import { ConvNeXt, convnextConfig, convnextPresets } from "./convnext.ts";
import { DenseNet, densenetConfig, densenetPresets } from "./densenet.ts";
import { EfficientNet, efficientnetConfig, efficientnetPresets } from "./efficientnet.ts";
import { GoogLeNet, googlenetConfig, googlenetPresets } from "./googlenet.ts";
import { InceptionV3, inceptionConfig, inceptionPresets } from "./inception.ts";
import { MaxViT, maxvitConfig, maxvitPresets } from "./maxvit.ts";
import { MinatarNetwork, minatarNetworkConfig } from "./minatar-network.ts";
import { Mlp, mlpConfig } from "./mlp.ts";
import { MNASNet, mnasnetConfig, mnasnetPresets } from "./mnasnet.ts";
import { MobileNetV2, mobilenetV2Config, mobilenetV2Presets } from "./mobilenet-v2.ts";
import { MobileNetV3, mobilenetV3Config, mobilenetV3Presets } from "./mobilenet-v3.ts";
import { NatureCnn, natureCnnConfig } from "./nature-cnn.ts";
import type { Preset } from "./preset.ts";
import { RegNet, regnetConfig, regnetPresets } from "./regnet.ts";
import { ResNet, resnetConfig, resnetPresets } from "./resnet.ts";
import { ResNetV2, resnetv2Config } from "./resnetv2.ts";
import { ShuffleNetV2, shufflenetConfig, shufflenetPresets } from "./shufflenet.ts";
import { SqueezeNet, squeezenetConfig, squeezenetPresets } from "./squeezenet.ts";
import { Swin, swinConfig, swinPresets } from "./swin.ts";
import { VGG, vggConfig, vggPresets } from "./vgg.ts";
import { ViT, vitConfig, vitPresets } from "./vit.ts";

/** Inputs that networks are made for. */
export type InputKind = "image" | "observation";

interface Architecture {
  readonly paper: string;
  readonly input: InputKind;
  readonly create: (config: Readonly<Record<string, unknown>>, options: BackboneOptions) => Backbone;
}

/** No network has more: larger ones would take all memory, or minutes, before they are compared with their weights. */
const maximumSize = 2 ** 16;
const maximumDepth = 512;

/** A number that no network needs, with the key that it is under; undefined for none. */
function tooLarge(value: unknown, key: string): string | undefined {
  if (typeof value === "number") {
    const limit = /^(layers|depths?)\b/.test(key) ? maximumDepth : maximumSize;
    return value > limit ? `${key}: ${value} is above ${limit}` : undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  for (const [inner, item] of Object.entries(value)) {
    const found = tooLarge(item, key === "" ? inner : `${key}.${inner}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Checks the configuration with a readable message before the constructor sees it. */
function architecture<S extends z.ZodType>(
  name: string,
  paper: string,
  schema: S,
  create: (config: z.output<S>, options: BackboneOptions) => Backbone,
  input: InputKind = "image",
): [string, Architecture] {
  const checked = (config: Readonly<Record<string, unknown>>, options: BackboneOptions): Backbone => {
    const parsed = schema.safeParse(config);
    const issues =
      parsed.error?.issues.map((issue) => `${issue.path.join(".") || "config"}: ${issue.message}`) ??
      tooLarge(parsed.data, "");
    if (parsed.success && issues === undefined) return create(parsed.data, options);
    throw new UserError(`wrong configuration of architecture "${name}": ${[issues].flat().join("; ")}`);
  };
  return [name, { paper, input, create: checked }];
}

const registry: ReadonlyMap<string, Architecture> = new Map([
  architecture(
    "resnet",
    "He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
    resnetConfig,
    (config, options) => new ResNet(config, options),
  ),
  architecture(
    "resnetv2",
    "Kolesnikov et al., Big Transfer (BiT): General Visual Representation Learning, ECCV 2020",
    resnetv2Config,
    (config, options) => new ResNetV2(config, options),
  ),
  architecture(
    "mobilenet-v2",
    "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018",
    mobilenetV2Config,
    (config, options) => new MobileNetV2(config, options),
  ),
  architecture(
    "mobilenet-v3",
    "Howard et al., Searching for MobileNetV3, ICCV 2019",
    mobilenetV3Config,
    (config, options) => new MobileNetV3(config, options),
  ),
  architecture(
    "efficientnet",
    "Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019",
    efficientnetConfig,
    (config, options) => new EfficientNet(config, options),
  ),
  architecture(
    "mnasnet",
    "Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019",
    mnasnetConfig,
    (config, options) => new MNASNet(config, options),
  ),
  architecture(
    "mobile-blocks",
    "Tan and Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021 (and the networks whose blocks it has)",
    mobileBlocksConfig,
    (config, options) => new MobileBlocks(config, options),
  ),
  architecture(
    "densenet",
    "Huang et al., Densely Connected Convolutional Networks, CVPR 2017",
    densenetConfig,
    (config, options) => new DenseNet(config, options),
  ),
  architecture(
    "regnet",
    "Radosavovic et al., Designing Network Design Spaces, CVPR 2020",
    regnetConfig,
    (config, options) => new RegNet(config, options),
  ),
  architecture(
    "vgg",
    "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015",
    vggConfig,
    (config, options) => new VGG(config, options),
  ),
  architecture(
    "squeezenet",
    "Iandola et al., SqueezeNet: AlexNet-Level Accuracy with 50x Fewer Parameters, 2016",
    squeezenetConfig,
    (config, options) => new SqueezeNet(config, options),
  ),
  architecture(
    "shufflenet-v2",
    "Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, ECCV 2018",
    shufflenetConfig,
    (config, options) => new ShuffleNetV2(config, options),
  ),
  architecture(
    "googlenet",
    "Szegedy et al., Going Deeper with Convolutions, CVPR 2015",
    googlenetConfig,
    (config, options) => new GoogLeNet(config, options),
  ),
  architecture(
    "inception-v3",
    "Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016",
    inceptionConfig,
    (config, options) => new InceptionV3(config, options),
  ),
  architecture(
    "convnext",
    "Liu et al., A ConvNet for the 2020s, CVPR 2022",
    convnextConfig,
    (config, options) => new ConvNeXt(config, options),
  ),
  architecture(
    "swin",
    "Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, ICCV 2021",
    swinConfig,
    (config, options) => new Swin(config, options),
  ),
  architecture(
    "maxvit",
    "Tu et al., MaxViT: Multi-Axis Vision Transformer, ECCV 2022",
    maxvitConfig,
    (config, options) => new MaxViT(config, options),
  ),
  architecture(
    "vit",
    "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021",
    vitConfig,
    (config, options) => new ViT(config, options),
  ),
  architecture(
    "minatar-network",
    "Young and Tian, MinAtar: An Atari-Inspired Testbed, 2019",
    minatarNetworkConfig,
    (config, options) => new MinatarNetwork(config, options),
    "observation",
  ),
  architecture(
    "mlp",
    "Schulman et al., Proximal Policy Optimization Algorithms, 2017",
    mlpConfig,
    (config, options) => new Mlp(config, options),
    "observation",
  ),
  architecture(
    "nature-cnn",
    "Mnih et al., Human-level control through deep reinforcement learning, Nature 2015",
    natureCnnConfig,
    (config, options) => new NatureCnn(config, options),
    "observation",
  ),
]);

const published: Readonly<Record<string, Preset>> = {
  ...resnetPresets,
  ...mobilenetV2Presets,
  ...mobilenetV3Presets,
  ...efficientnetPresets,
  ...mnasnetPresets,
  ...densenetPresets,
  ...regnetPresets,
  ...convnextPresets,
  ...swinPresets,
  ...maxvitPresets,
  ...vitPresets,
  ...vggPresets,
  ...squeezenetPresets,
  ...shufflenetPresets,
  ...googlenetPresets,
  ...inceptionPresets,
};

/** Published networks by the names of torchvision and timm, such as "resnet50". */
export function presets(): Readonly<Record<string, Preset>> {
  return published;
}

/** Names and papers of the architectures for one kind of input. */
export function architectures(input: InputKind = "image"): { name: string; paper: string }[] {
  return [...registry].flatMap(([name, { paper, input: own }]) => (own === input ? [{ name, paper }] : []));
}

/**
 * A freshly initialised backbone.
 * @throws UserError for an architecture that is unknown or for another kind of input, or a configuration that does not fit
 */
export function createBackbone(
  name: string,
  config: Readonly<Record<string, unknown>>,
  options: BackboneOptions,
  input: InputKind = "image",
): Backbone {
  const found = registry.get(name);
  if (found?.input === input) return allOrNothing(() => found.create(config, options));
  const known = architectures(input).map((own) => own.name);
  throw new UserError(
    `unknown architecture "${name}"${input === "image" ? "" : " for observations"}: known are ${known.join(", ")}` +
      (input === "image" ? ", published networks such as resnet50 too" : ""),
  );
}

/** A freshly initialised network over observations. @throws UserError as `createBackbone` */
export function createObservationNetwork(
  name: string,
  config: Readonly<Record<string, unknown>>,
  options: BackboneOptions,
): ObservationNetwork {
  const network = createBackbone(name, config, options, "observation");
  if (network instanceof ObservationNetwork) return network;
  throw new TypeError(`the architecture "${name}" is registered for observations and is no ObservationNetwork`);
}

/** Readers of the files beside a model, config.json and preprocessor_config.json, in this project's terms. */
import { basename } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { ImageInput } from "../manifest.ts";

/** Description of a model in the files beside its weights. */
export interface Published {
  input: Partial<ImageInput>;
  /** The network's name in timm. */
  name?: string;
  /** Architecture and its configuration in config.json. */
  network?: {
    architecture: string;
    /** Options that override those that shapes suggest. */
    config: Readonly<Record<string, unknown>>;
    /** Options that shapes determine too: a file that says otherwise is of another model. */
    shaped: Readonly<Record<string, unknown>>;
  };
}

/** Paths of a model's main file and of the files beside it, where it has them; config.json or open_clip_config.json. */
interface Beside {
  main: string;
  config: string | undefined;
  preprocessor: string | undefined;
}

/** Description of a model in the files beside it; the preprocessor's input comes before the network's. */
export function publishedOf({ main, config, preprocessor }: Beside): Published {
  const told = config === undefined ? { input: {} } : readModelConfig(config);
  // Published files end in eight digits of their hash.
  const named =
    /^(\w+)-[0-9a-f]{8}\.\w+$/.exec(basename(main))?.[1] ?? /^(dino|dinov2|mae)_\w+/.exec(basename(main))?.[0];
  const input = preprocessor === undefined ? {} : readPreprocessor(preprocessor);
  return { ...(named === undefined ? {} : { name: named }), ...told, input: { ...told.input, ...input } };
}

// ---- preprocessor_config.json

const maximumBytes = 1e6;

const side = z.union([
  z.number(),
  z.object({ height: z.number(), width: z.number() }),
  z.object({ shortest_edge: z.number() }).transform(({ shortest_edge }) => shortest_edge),
]);

/** One value a channel; one for all; of four channels the first three. */
const channels = z.union([
  z.number().transform((value) => [value, value, value]),
  z
    .array(z.number())
    .min(1)
    .max(4)
    .refine((values) => values.length !== 2, "two channels")
    .transform(([red = 0, green, blue]) => [red, green ?? red, blue ?? red]),
]);

/** `pretrained_cfg`, as timm writes it. */
const timmInput = z.looseObject({
  tag: z.string().optional(),
  input_size: z.array(z.number()).length(3).optional(),
  mean: channels.optional(),
  std: channels.optional(),
  interpolation: z.string().optional(),
});

const preprocessorSchema = z.looseObject({
  do_normalize: z.boolean().optional(),
  do_center_crop: z.boolean().optional(),
  do_rescale: z.boolean().optional(),
  do_flip_channel_order: z.boolean().optional(),
  rescale_factor: z.number().positive().optional(),
  image_mean: channels.optional(),
  image_std: channels.optional(),
  size: side.optional(),
  crop_size: side.optional(),
  resample: z.number().optional(),
  pretrained_cfg: timmInput.optional(),
});

/** Pillow's numbers. */
const interpolations: Readonly<Record<number, ImageInput["interpolation"]>> = {
  0: "nearest",
  2: "bilinear",
  3: "bicubic",
};

/**
 * Input of a model in a preprocessor_config.json, as Hugging Face's image processors write it.
 * @throws UserError naming the file when it is no such configuration, or is of images that are not square
 */
function readPreprocessor(path: string): Partial<ImageInput> {
  const file = readJsonFile(path, preprocessorSchema, "an image preprocessor's configuration", { maximumBytes });
  if (file.pretrained_cfg) return inputOf(file.pretrained_cfg, path);
  const { do_normalize, do_center_crop, do_rescale, image_mean, image_std, size, crop_size, resample } = file;
  const given = ((do_center_crop ?? true) ? crop_size : undefined) ?? size;
  const interpolation = resample === undefined ? undefined : interpolations[resample];
  // Value of a pixel of 255 before mean and deviation are applied.
  const range = do_rescale === false ? 255 : 255 * (file.rescale_factor ?? 1 / 255);
  const [mean, std] =
    do_normalize === false
      ? [
          [0, 0, 0],
          [1, 1, 1],
        ]
      : [image_mean, image_std];
  return {
    ...(given === undefined ? {} : { size: squareSide(given, path) }),
    ...(mean && std ? scaled({ mean, std }, Math.abs(range - 1) < 1e-6 ? 1 : range) : {}),
    ...(interpolation ? { interpolation } : {}),
    ...(file.do_flip_channel_order ? { channelOrder: "bgr" } : {}),
  };
}

/** Input of a model in timm's configuration. @throws UserError when images are not square */
function inputOf(config: z.output<typeof timmInput>, path: string): Partial<ImageInput> {
  const { input_size: shape, mean, std, interpolation } = config;
  const kind = (["nearest", "bilinear", "bicubic"] as const).find((name) => name === interpolation);
  const [, height, width] = shape ?? [];
  return {
    ...(height === undefined || width === undefined ? {} : { size: squareSide({ height, width }, path) }),
    ...(mean && std ? { mean, std } : {}),
    ...(kind ? { interpolation: kind } : {}),
  };
}

function squareSide(size: number | { height: number; width: number }, path: string): number {
  if (typeof size === "number") return size;
  if (size.height === size.width) return size.height;
  throw new UserError(
    `${path} asks for images of ${size.width} x ${size.height} pixels, and hubs take square ones: say --size`,
  );
}

type Normalisation = Pick<ImageInput, "mean" | "std">;

/** Mean and deviation of values in [0, 1] from those of values in [0, range]. */
export function scaled({ mean, std }: Normalisation, range: number): Normalisation {
  return { mean: mean.map((value) => value / range), std: std.map((value) => value / range) };
}

/** The largest value that a pixel has where mean and deviation are these: 1 or 255. */
export function rangeOf({ mean, std }: Normalisation): 1 | 255 {
  return [...mean.map(Math.abs), ...std].some((value) => value > 2) ? 255 : 1;
}

// ---- config.json, as transformers and timm write it

const text = z.string().optional().catch(undefined);
const whole = z.number().optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);
const sides = z.array(z.number()).optional().catch(undefined);

const transformerFields = {
  hidden_act: text,
  hidden_size: whole,
  num_hidden_layers: whole,
  num_attention_heads: whole,
  layer_norm_eps: whole,
  patch_size: whole,
  image_size: whole,
};

/** Part of a file of open_clip that is about the image tower. */
const openClipSchema = z.object({
  quick_gelu: flag,
  vision_cfg: z.looseObject({
    width: whole,
    /** Four numbers of blocks in ResNets. */
    layers: z.unknown().optional(),
    head_width: z.number().default(64).catch(64),
    patch_size: whole,
    image_size: whole,
    timm_model_name: text,
  }),
});

/** A file of this name need not be a model's: fields of other types are as good as absent. */
const configSchema = z.looseObject({
  architecture: text,
  pretrained_cfg: timmInput.optional(),
  model_type: text,
  ...transformerFields,
  /** Image tower of a network of images and texts. */
  vision_config: z.looseObject(transformerFields).optional().catch(undefined),
  model_cfg: openClipSchema.optional().catch(undefined),
  preprocess_cfg: timmInput.optional().catch(undefined),
  embed_dim: whole,
  window_size: whole,
  depths: sides,
  pretrained_window_sizes: sides,
  downsample_in_first_stage: flag,
  downsample_in_bottleneck: flag,
});

type File = z.output<typeof configSchema>;

/** Names of activations in transformers, in those of this project's ViT. */
const activations: Readonly<Record<string, string>> = {
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  quick_gelu: "quick_gelu",
  relu: "relu",
  silu: "silu",
  swish: "silu",
};

/** Activations of the networks that have one only. */
const fixed: Readonly<Record<string, string>> = { swin: "gelu", swinv2: "gelu", convnext: "gelu", resnet: "relu" };

/**
 * Description of a model in a config.json; empty for a file that is about something else.
 * @throws UserError naming the file when it is not JSON, or names what no architecture here has
 */
function readModelConfig(path: string): Published {
  const file = readJsonFile(path, configSchema, "a model's configuration");
  const { architecture, pretrained_cfg: timm, model_cfg: openClip, preprocess_cfg: seen, vision_config: tower } = file;
  const { image_size: size } = openClip?.vision_cfg ?? { ...file, ...tower };
  const input = { ...(size === undefined ? {} : { size }), ...inputOf({ ...seen, ...timm }, path) };
  const network = openClip ? networkOfOpenClip(openClip) : networkOf({ ...file, ...tower }, path);
  return { input, ...(architecture === undefined ? {} : { name: architecture }), ...(network ? { network } : {}) };
}

/** timm's ViTs that were trained with QuickGELU and that it makes with GELU, as its notes about them say. */
const nativelyQuick =
  /^vit_\w*_clip_.*\.(openai|dfn5b|metaclip_(2pt5b|400m))$|large_\w+\.dfn2b$|base_patch32_\w+\.laion400m_e32$|huge_\w+_224\.metaclip2_worldwide$/;

/** Transformers over patches by their type in transformers, with the defaults that its files leave out. */
const transformers: readonly (readonly [RegExp, { hidden_act?: string; num_attention_heads?: number }])[] = [
  [/^(vit|deit|vit_mae|vit_msn)$/, {}],
  [/^dinov2(_with_registers)?$/, { num_attention_heads: 12 }],
  [/^clip(_vision_model)?$/, { hidden_act: "quick_gelu", num_attention_heads: 12 }],
  [/^siglip(_vision_model)?$/, { hidden_act: "gelu_pytorch_tanh", num_attention_heads: 12 }],
];

function networkOf(file: File, path: string): Published["network"] {
  const { model_type: type = "", architecture, pretrained_cfg: timm } = file;
  if (nativelyQuick.test(`${architecture}.${timm?.tag}`)) {
    return { architecture: "vit", config: { activation: "quick_gelu" }, shaped: {} };
  }
  const defaults = transformers.find(([pattern]) => pattern.test(type))?.[1];
  if (defaults) {
    const { hidden_act: act = defaults.hidden_act, num_attention_heads: heads = defaults.num_attention_heads } = file;
    const activation = act === undefined ? undefined : activations[act];
    if (act !== undefined && activation === undefined) throw unknownActivation(path, act, "vit");
    const { layer_norm_eps: eps, hidden_size: dim, num_hidden_layers: depth, patch_size: patch } = file;
    const isDefault = activation === "gelu" && defaults.hidden_act === undefined;
    return {
      architecture: "vit",
      config: present({ heads, eps, activation: isDefault ? undefined : activation }),
      shaped: present({ dim, depth, patch }),
    };
  }
  const act = file.hidden_act;
  const expected = fixed[type];
  if (expected === undefined) return undefined;
  if (act !== undefined && act !== expected) throw unknownActivation(path, act, type);
  const strideAt = file.downsample_in_bottleneck ? "1x1" : undefined;
  const firstStride = file.downsample_in_first_stage ? 2 : undefined;
  if (type === "swinv2")
    return { architecture: "swin", config: windowsOf(file), shaped: present({ dim: file.embed_dim }) };
  const config = type === "resnet" ? present({ strideAt, firstStride }) : {};
  const shaped = type === "swin" ? present({ dim: file.embed_dim, window: file.window_size }) : {};
  return { architecture: type, config, shaped };
}

/** Windows of each stage of transformers' Swin V2, no larger than its map; its files leave out what is as in its smallest network. */
function windowsOf(file: File): Record<string, unknown> {
  const { image_size: size = 224, patch_size: patch = 4, window_size: most = 7, depths = [2, 2, 6, 2] } = file;
  const window = depths.map((_, stage) => Math.min(most, Math.floor(size / patch / 2 ** stage)));
  const before = file.pretrained_window_sizes?.map((side, stage) => side || (window[stage] ?? most));
  const together = (all: readonly number[]) => (all.every((side) => side === all[0]) ? all[0] : all);
  const isOther = before?.some((side, stage) => side !== window[stage]);
  return { window: together(window), ...(before && isOther ? { pretrainedWindow: together(before) } : {}) };
}

function networkOfOpenClip({
  quick_gelu: quick,
  vision_cfg: tower,
}: z.output<typeof openClipSchema>): Published["network"] {
  const { width, head_width: perHead, patch_size: patch, timm_model_name: timm } = tower;
  if (width === undefined || timm !== undefined) return undefined;
  if (Array.isArray(tower.layers)) return { architecture: "resnet", config: {}, shaped: present({ width }) };
  const config = { heads: width / perHead, activation: quick ? "quick_gelu" : "gelu" };
  return { architecture: "vit", config, shaped: present({ dim: width, patch }) };
}

function unknownActivation(path: string, act: string, architecture: string): UserError {
  return new UserError(
    `${path} says hidden_act "${act}", which this program's ${architecture} has not: export the model to ONNX`,
  );
}

function present(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

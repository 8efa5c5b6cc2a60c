/** config.json beside weights, as transformers and timm write it, in this project's terms. */
import { z } from "zod";
import { readJsonFile } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { MemberInput } from "../manifest.ts";
import { inputOf, timmInput } from "./preprocessor.ts";

/** What a model's own files say beside its weights. */
export interface Published {
  input: Partial<MemberInput>;
  /** The network's name in timm. */
  name?: string;
  /** What config.json says of an architecture's configuration. */
  network?: {
    architecture: string;
    /** What comes before what shapes suggest. */
    config: Readonly<Record<string, unknown>>;
    /** What shapes tell too: a file that says otherwise is of another model. */
    shaped: Readonly<Record<string, unknown>>;
  };
}

const text = z.string().optional().catch(undefined);
const whole = z.number().optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);

/** A file of this name need not be a model's: fields of other types are as good as absent. */
const schema = z.looseObject({
  architecture: text,
  pretrained_cfg: timmInput.optional(),
  model_type: text,
  hidden_act: text,
  hidden_size: whole,
  num_hidden_layers: whole,
  num_attention_heads: whole,
  layer_norm_eps: whole,
  patch_size: whole,
  image_size: whole,
  embed_dim: whole,
  window_size: whole,
  downsample_in_first_stage: flag,
  downsample_in_bottleneck: flag,
});

type File = z.output<typeof schema>;

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
const fixed: Readonly<Record<string, string>> = { swin: "gelu", convnext: "gelu", resnet: "relu" };

/**
 * What a config.json says; nothing for a file that is about something else.
 * @throws UserError naming the file when it is not JSON, or names what no architecture here has
 */
export function readModelConfig(path: string): Published {
  const file = readJsonFile(path, schema, "a model's configuration");
  const { architecture, pretrained_cfg: timm, image_size: size } = file;
  const input = timm ? inputOf(timm, path) : size === undefined ? {} : { size };
  const network = networkOf(file, path);
  return { input, ...(architecture === undefined ? {} : { name: architecture }), ...(network ? { network } : {}) };
}

function networkOf(file: File, path: string): Published["network"] {
  const { model_type: type = "", hidden_act: act } = file;
  if (/^(vit|deit|vit_mae|vit_msn)$/.test(type)) {
    const activation = act === undefined ? undefined : activations[act];
    if (act !== undefined && activation === undefined) throw unknownActivation(path, act, "vit");
    const { num_attention_heads: heads, layer_norm_eps: eps } = file;
    const { hidden_size: dim, num_hidden_layers: depth, patch_size: patch } = file;
    const other = activation === "gelu" ? undefined : activation;
    return {
      architecture: "vit",
      config: present({ heads, eps, activation: other }),
      shaped: present({ dim, depth, patch }),
    };
  }
  const expected = fixed[type];
  if (expected === undefined) return undefined;
  if (act !== undefined && act !== expected) throw unknownActivation(path, act, type);
  const strideAt = file.downsample_in_bottleneck ? "1x1" : undefined;
  const firstStride = file.downsample_in_first_stage ? 2 : undefined;
  const config = type === "resnet" ? present({ strideAt, firstStride }) : {};
  const shaped = type === "swin" ? present({ dim: file.embed_dim, window: file.window_size }) : {};
  return { architecture: type, config, shaped };
}

function unknownActivation(path: string, act: string, architecture: string): UserError {
  return new UserError(
    `${path} says hidden_act "${act}", which this program's ${architecture} has not: export the model to ONNX`,
  );
}

function present(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

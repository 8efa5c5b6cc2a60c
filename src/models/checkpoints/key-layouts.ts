/**
 * State dicts of other packages in this project's names: each layout says, key by key, where a tensor goes. The names
 * are facts of transformers 5 (both those of its files and of its modules), timm 1.0 and torchvision 0.28.
 */
import { cat, ops, type Tensor, tensor, UserError } from "../../torch/index.ts";
import { imagenetInput, type PresetInput } from "../preset.ts";
import { maximumWindow, relativePositions } from "../swin.ts";

/** The naming of one architecture in another package. Keys are those below the network's prefix. */
export interface KeyLayout {
  readonly name: string;
  /** The architecture whose names `convert` gives. */
  readonly architecture: string;
  /** Keys by one of which the layout is recognised. */
  readonly anchors: readonly string[];
  /** Configuration in which the package differs from the architecture's defaults. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Input that the package's published weights expect, where it differs from the architecture's presets. */
  readonly input: Partial<PresetInput>;
  /** Keys inside the backbone's own modules that are known to be no part of it. */
  readonly nested: RegExp | undefined;
  /** True when a state dict has this layout. */
  matches(keys: ReadonlySet<string>): boolean;
  /** The architecture's name for a key, or undefined for a key that belongs to no backbone. */
  target(key: string): string | undefined;
  /**
   * Renames, joins and reshapes; keys that belong to no backbone keep their names. Tensors that the result shares with
   * the argument stay whose they are; new ones belong to the caller (or the caller's scope).
   * @throws UserError when parts of a joined tensor are missing or do not fit together
   */
  convert(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor>;
  /** The same for shapes alone. @throws UserError like `convert` */
  convertShapes(shapes: ReadonlyMap<string, Shape>): Map<string, Shape>;
}

type Shape = readonly number[];

/** Target of a key: another name, one of three parts of a joined tensor, or another shape. */
interface Target {
  name: string;
  /** Position among the three parts of a tensor that is joined along the first dimension. */
  part?: number;
  /** "column": [c] as [c, 1, 1]; "flat": [a, b] as [a · b]; "matrix": [a, b, ...] as [a, b · ...]. */
  view?: View;
}

type View = "column" | "flat" | "matrix";

/** A pattern, and the target as a replacement or a function of the match's groups. */
type Rule = readonly [pattern: RegExp, to: string | ((...groups: string[]) => Target | string)];

/** Operations of the conversion, on tensors or on their shapes. */
interface Algebra<T> {
  shape(x: T): Shape;
  join(parts: T[]): T;
  view(x: T, shape: Shape): T;
  /** Whole numbers, computed only where they are needed. */
  whole(count: number, values: () => number[]): T;
}

const tensors: Algebra<Tensor> = {
  shape: (x) => x.shape,
  join: (parts) => cat(parts),
  view: (x, shape) => ops.reshape(x, shape),
  whole: (_, values) => tensor(values(), { dtype: "int64" }),
};

const shapes: Algebra<Shape> = {
  shape: (x) => x,
  join: (parts) => [parts.reduce((sum, [rows = 0]) => sum + rows, 0), ...(parts[0] ?? []).slice(1)],
  view: (_, shape) => shape,
  whole: (count) => [count],
};

interface LayoutParts {
  name: string;
  architecture: string;
  anchors: string[];
  config?: Record<string, unknown>;
  input?: Partial<PresetInput>;
  nested?: RegExp;
  rules: Rule[];
  /** Adds what the package does not store. */
  complete?: <T>(converted: Map<string, T>, algebra: Algebra<T>) => void;
}

function layout({ rules, complete, config = {}, input = {}, nested, ...rest }: LayoutParts): KeyLayout {
  const convertWith = <T>(given: ReadonlyMap<string, T>, algebra: Algebra<T>): Map<string, T> => {
    const converted = convert(rest.name, given, rules, algebra);
    complete?.(converted, algebra);
    return converted;
  };
  return {
    ...rest,
    config,
    input,
    nested,
    matches: (keys) => rest.anchors.some((anchor) => keys.has(anchor)),
    target: (key) => targetOf(key, rules)?.name,
    convert: (given) => convertWith(given, tensors),
    convertShapes: (given) => convertWith(given, shapes),
  };
}

function targetOf(key: string, rules: readonly Rule[]): Target | undefined {
  for (const [pattern, to] of rules) {
    const match = pattern.exec(key);
    if (!match) continue;
    if (typeof to === "string") return { name: key.replace(pattern, to) };
    const target = to(...match.slice(1));
    return typeof target === "string" ? { name: target } : target;
  }
  return undefined;
}

function convert<T>(
  layoutName: string,
  given: ReadonlyMap<string, T>,
  rules: readonly Rule[],
  algebra: Algebra<T>,
): Map<string, T> {
  const converted = new Map<string, T>();
  const put = (name: string, value: T): void => {
    if (converted.has(name)) throw new UserError(`the ${layoutName} weights have two tensors for "${name}"`);
    converted.set(name, value);
  };
  const joined = new Map<string, { keys: string[]; parts: (T | undefined)[] }>();
  for (const [key, value] of given) {
    const { name, part, view } = targetOf(key, rules) ?? { name: key };
    if (part === undefined) {
      put(name, view ? algebra.view(value, viewed(algebra.shape(value), view)) : value);
      continue;
    }
    const group = joined.get(name) ?? { keys: [], parts: [undefined, undefined, undefined] };
    group.keys.push(key);
    group.parts[part] = value;
    joined.set(name, group);
  }
  for (const [name, { keys, parts }] of joined) {
    const present = parts.filter((part) => part !== undefined);
    const rows = new Set(present.map((part) => String(algebra.shape(part))));
    if (present.length !== 3 || keys.length !== 3 || rows.size !== 1) {
      const seen = keys.map((key) => `${key} [${algebra.shape(given.get(key) as T)}]`).join(", ");
      throw new UserError(`"${name}" needs query, key and value of one shape, the weights have ${seen}`);
    }
    put(name, algebra.join(present));
  }
  return converted;
}

function viewed(shape: Shape, view: View): Shape {
  if (view === "column") return [...shape, 1, 1];
  if (view === "matrix") return [shape[0] ?? 0, shape.slice(1).reduce((product, size) => product * size, 1)];
  return [shape.reduce((product, size) => product * size, 1)];
}

/** Feature index of a stage of ConvNeXt or Swin, and of the downsampling before it. */
const stage = (index: string): number => 2 * Number(index) + 1;
const before = (index: string): number => 2 * Number(index);

const part = (name: string): number => ["q", "k", "v"].indexOf(name.charAt(0));

const transformersVit = layout({
  name: "transformers-vit",
  architecture: "vit",
  anchors: ["embeddings.patch_embeddings.projection.weight"],
  config: { eps: 1e-12 },
  input: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], interpolation: "bilinear" },
  nested: /^embeddings\.mask_token$/,
  rules: [
    [/^embeddings\.cls_token$/, "cls_token"],
    [/^embeddings\.position_embeddings$/, "pos_embed"],
    [/^embeddings\.patch_embeddings\.projection\./, "patch_embed.proj."],
    [
      /^(?:encoder\.layer|layers)\.(\d+)\.attention\.(?:attention\.)?(query|key|value|[qkv]_proj)\.(\w+)$/,
      (i = "", which = "", kind) => ({ name: `blocks.${i}.attn.qkv.${kind}`, part: part(which) }),
    ],
    [/^(?:encoder\.layer|layers)\.(\d+)\.attention\.(?:output\.dense|o_proj)\./, "blocks.$1.attn.proj."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.layernorm_before\./, "blocks.$1.norm1."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.layernorm_after\./, "blocks.$1.norm2."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.(?:intermediate\.dense|mlp\.fc1)\./, "blocks.$1.mlp.fc1."],
    [/^(?:encoder\.layer|layers)\.(\d+)\.(?:output\.dense|mlp\.fc2)\./, "blocks.$1.mlp.fc2."],
    [/^layernorm\./, "norm."],
  ],
});

const torchvisionVit = layout({
  name: "torchvision-vit",
  architecture: "vit",
  anchors: ["encoder.layers.encoder_layer_0.ln_1.weight"],
  input: { mean: imagenetInput.mean, std: imagenetInput.std, interpolation: imagenetInput.interpolation },
  rules: [
    [/^class_token$/, "cls_token"],
    [/^encoder\.pos_embedding$/, "pos_embed"],
    [/^conv_proj\./, "patch_embed.proj."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.ln_(1|2)\./, "blocks.$1.norm$2."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_/, "blocks.$1.attn.qkv."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\./, "blocks.$1.attn.proj."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\./, "blocks.$1.mlp.fc1."],
    [/^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\./, "blocks.$1.mlp.fc2."],
    [/^encoder\.ln\./, "norm."],
  ],
});

const column = (name: string): Target => ({ name, view: "column" });

const transformersConvnext = layout({
  name: "transformers-convnext",
  architecture: "convnext",
  anchors: ["encoder.stages.0.layers.0.dwconv.weight"],
  input: { interpolation: "bicubic" },
  rules: [
    [/^embeddings\.patch_embeddings\./, "features.0.0."],
    [/^embeddings\.layernorm\./, "features.0.1."],
    [
      /^encoder\.stages\.(\d+)\.downsampling_layer\.(\d)\.(\w+)$/,
      (i = "", step, kind) => `features.${before(i)}.${step}.${kind}`,
    ],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer_scale_parameter$/,
      (i = "", k) => column(`features.${stage(i)}.${k}.layer_scale`),
    ],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.(dwconv|layernorm|pwconv1|pwconv2)\.(\w+)$/,
      (i = "", k, step, kind) => {
        const at = { dwconv: 0, layernorm: 2, pwconv1: 3, pwconv2: 5 }[step as "dwconv"];
        return `features.${stage(i)}.${k}.block.${at}.${kind}`;
      },
    ],
    [/^layernorm\./, "classifier.0."],
  ],
});

const matrix = (name: string): Target => ({ name, view: "matrix" });

const timmConvnext = layout({
  name: "timm-convnext",
  architecture: "convnext",
  anchors: ["stages.0.blocks.0.conv_dw.weight"],
  input: { interpolation: "bicubic" },
  nested: /^head\.(fc|pre_logits)\./,
  rules: [
    [/^stem\.([012])\./, "features.0.$1."],
    [/^stages\.(\d+)\.downsample\.(\d)\.(\w+)$/, (i = "", step, kind) => `features.${before(i)}.${step}.${kind}`],
    [/^stages\.(\d+)\.blocks\.(\d+)\.gamma$/, (i = "", k) => column(`features.${stage(i)}.${k}.layer_scale`)],
    [
      // The small networks have 1x1 convolutions where the others have linear layers.
      /^stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.weight$/,
      (i = "", k, which) => matrix(`features.${stage(i)}.${k}.block.${which === "1" ? 3 : 5}.weight`),
    ],
    [
      /^stages\.(\d+)\.blocks\.(\d+)\.(conv_dw|norm|mlp\.fc1|mlp\.grn|mlp\.fc2)\.(\w+)$/,
      (i = "", k, step, kind) => {
        const at = { conv_dw: 0, norm: 2, "mlp.fc1": 3, "mlp.grn": 4, "mlp.fc2": 5 }[step as "norm"];
        return `features.${stage(i)}.${k}.block.${at}.${kind}`;
      },
    ],
    [/^head\.norm\./, "classifier.0."],
  ],
});

/** RegNet's names in timm, apart from the head. */
const timmRegnet = layout({
  name: "timm-regnet",
  architecture: "regnet",
  anchors: ["s1.b1.conv1.conv.weight"],
  input: { interpolation: "bicubic" },
  rules: [
    [/^stem\.conv\./, "stem.0."],
    [/^stem\.bn\./, "stem.1."],
    [
      /^s(\d+)\.b(\d+)\.(conv[123]|downsample)\.(conv|bn)\.(\w+)$/,
      (s, b, step, layer, kind) => {
        const place = { conv1: "f.a", conv2: "f.b", conv3: "f.c", downsample: "proj" }[step as "conv1"];
        return `trunk_output.block${s}.block${s}-${Number(b) - 1}.${place}.${layer === "conv" ? 0 : 1}.${kind}`;
      },
    ],
    [/^s(\d+)\.b(\d+)\.se\.(.+)$/, (s, b, rest) => `trunk_output.block${s}.block${s}-${Number(b) - 1}.f.se.${rest}`],
  ],
});

const transformersResnet = layout({
  name: "transformers-resnet",
  architecture: "resnet",
  anchors: ["embedder.embedder.convolution.weight"],
  rules: [
    [/^embedder\.embedder\.convolution\./, "conv1."],
    [/^embedder\.embedder\.normalization\./, "bn1."],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.(convolution|normalization)\.(\w+)$/,
      (i, k, step, kind) => `layer${Number(i) + 1}.${k}.downsample.${step === "convolution" ? 0 : 1}.${kind}`,
    ],
    [
      /^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d)\.(convolution|normalization)\.(\w+)$/,
      (i, k, j, step, kind) =>
        `layer${Number(i) + 1}.${k}.${step === "convolution" ? "conv" : "bn"}${Number(j) + 1}.${kind}`,
    ],
  ],
});

/** DenseNet's names in the files that torchvision publishes, which its code renames. */
const publishedDensenet = layout({
  name: "torchvision-densenet-published",
  architecture: "densenet",
  anchors: ["features.denseblock1.denselayer1.norm.1.weight"],
  rules: [
    [/^(features\.denseblock\d+\.denselayer\d+\.(?:norm|conv))\.(\d\..+)$/, "$1$2"],
    [/^features\./, "features."],
  ],
});

/** VGG's names in timm, whose hidden layers are convolutions over the whole map. */
const timmVgg = layout({
  name: "timm-vgg",
  architecture: "vgg",
  anchors: ["pre_logits.fc1.weight"],
  rules: [
    [/^pre_logits\.fc([12])\.weight$/, (which) => matrix(`classifier.${which === "1" ? 0 : 3}.weight`)],
    [/^pre_logits\.fc([12])\.bias$/, (which) => `classifier.${which === "1" ? 0 : 3}.bias`],
    [/^features\./, "features."],
  ],
});

/** timm's names, and those of the authors' own files, whose merging of patches is at a stage's end. */
const swinLayout = (name: string, anchor: string, merging: (index: string) => number): KeyLayout =>
  layout({
    name,
    architecture: "swin",
    anchors: [anchor],
    nested: /\.attn_mask$/,
    rules: [
      [/^patch_embed\.proj\./, "features.0.0."],
      [/^patch_embed\.norm\./, "features.0.2."],
      [/^layers\.(\d+)\.downsample\.(\w+)\.(\w+)$/, (i = "", step, kind) => `features.${merging(i)}.${step}.${kind}`],
      [
        /^layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_index$/,
        (i = "", k) => ({ name: `features.${stage(i)}.${k}.attn.relative_position_index`, view: "flat" }),
      ],
      [
        /^layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc(1|2)\.(\w+)$/,
        (i = "", k, which, kind) => `features.${stage(i)}.${k}.mlp.${which === "1" ? 0 : 3}.${kind}`,
      ],
      [
        /^layers\.(\d+)\.blocks\.(\d+)\.((?:attn|norm1|norm2)\..+)$/,
        (i = "", k, rest) => `features.${stage(i)}.${k}.${rest}`,
      ],
      [/^norm\./, "norm."],
    ],
    complete: addRelativePositions,
  });

const timmSwin = swinLayout("timm-swin", "layers.0.blocks.0.attn.relative_position_bias_table", before);
const originalSwin = swinLayout("original-swin", "layers.0.downsample.reduction.weight", (i) => before(i) + 2);

/** timm computes the indices into the tables of biases anew instead of storing them. */
function addRelativePositions<T>(converted: Map<string, T>, algebra: Algebra<T>): void {
  for (const [name, table] of [...converted]) {
    if (!name.endsWith(".relative_position_bias_table")) continue;
    const index = name.replace(/table$/, "index").replace("_bias_", "_");
    const window = (Math.sqrt(algebra.shape(table)[0] ?? 0) + 1) / 2;
    if (converted.has(index) || !Number.isInteger(window) || window > maximumWindow) continue;
    converted.set(
      index,
      algebra.whole(window ** 4, () => relativePositions(window)),
    );
  }
}

/** All layouts that differ from the architectures' own names. */
export const keyLayouts: readonly KeyLayout[] = [
  transformersVit,
  torchvisionVit,
  transformersConvnext,
  timmConvnext,
  timmRegnet,
  timmVgg,
  transformersResnet,
  publishedDensenet,
  timmSwin,
  originalSwin,
];

/** The layout of a name. @throws UserError naming the known ones */
export function keyLayout(name: string): KeyLayout {
  const found = keyLayouts.find((layout) => layout.name === name);
  if (found) return found;
  throw new UserError(
    `unknown key layout "${name}": known are ${keyLayouts.map((layout) => layout.name).join(", ")}; ` +
      "leave it out for weights that have the architecture's own names",
  );
}

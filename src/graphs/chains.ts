/**
 * A convolution with what follows it channel by channel, as one computation over maps [n, C, H, W]: nothing is turned between two
 * steps, activations overwrite their input, and where nothing is trained it is one operator (nn's folding.ts). V names a value.
 * Weights that low-rank changes stand in for are made anew in each pass, and would be folded in each: they are not, until `merge`.
 */
import {
  fixedStatistics,
  foldedConvolution,
  type PostOp,
  relu6After,
  reluAfter,
  type Statistics,
} from "../nn/index.ts";
import { conv2d, ops, type Tensor } from "../torch/index.ts";
import { present, readersOf } from "./features.ts";
import type { Channel, Context, Convolution, Convolved, Layer, RectifierName, Step } from "./step.ts";
import type { Value } from "./values.ts";

interface Rectifier {
  readonly after: PostOp;
  readonly overwrite: (x: Tensor) => Tensor;
}

/** Activations that a chain ends with. */
export const rectifiers = {
  relu: { after: reluAfter, overwrite: (x) => ops.relu_(x) },
  relu6: { after: relu6After, overwrite: (x) => ops.hardtanh_(x, 0, 6) },
} as const satisfies Record<RectifierName, Rectifier>;

export const isRectifier = (name: string): name is RectifierName => Object.hasOwn(rectifiers, name);

/** The steps with chains in place of their convolutions, and without what these have taken in. @param kept values that must be there */
export function joined<V>(steps: readonly Step<V>[], kept: ReadonlySet<V>): Step<V>[] {
  const readers = readersOf<V, Step<V>>(steps);
  const taken = new Set<Step<V>>();
  return steps.flatMap((step): Step<V>[] => {
    if (taken.has(step)) return [];
    const { link } = step;
    if (link?.kind !== "convolution") return [step];
    const rest = link.activation ? [] : following(step, link.channel, readers, kept);
    for (const one of rest) taken.add(one);
    return [new Chain(step, link, rest)];
  });
}

/** What only a convolution leads to, channel by channel, up to an activation. */
function following<V>(
  first: Step<V>,
  channel: Channel,
  readers: ReadonlyMap<V, readonly Step<V>[]>,
  kept: ReadonlySet<V>,
): Step<V>[] {
  const rest: Step<V>[] = [];
  for (let step = first; ; ) {
    const [made, ...others] = step.outputs;
    if (made === undefined || kept.has(made) || others.length > 0) return rest;
    const [next, ...more] = readers.get(made) ?? [];
    if (!next?.link || more.length > 0 || next.inputs[0] !== made || next.link.kind === "convolution") return rest;
    if (next.link.kind === "activation") return [...rest, next];
    if (next.link.channel !== channel) return rest;
    rest.push(next);
    step = next;
  }
}

class Chain<V> implements Step<V> {
  readonly label: string;
  readonly inputs: Step<V>["inputs"];
  readonly outputs: Step<V>["outputs"];
  readonly isOverwritable: boolean;
  readonly #convolution: Convolution;
  readonly #layers: readonly Layer[];
  readonly #activation: RectifierName | undefined;

  constructor(first: Step<V>, convolution: Convolution, rest: readonly Step<V>[]) {
    const links = present(rest.map(({ link }) => link));
    const last = links.at(-1);
    this.label = first.label;
    this.inputs = first.inputs;
    this.outputs = (rest.at(-1) ?? first).outputs;
    this.#convolution = convolution;
    this.#layers = links.filter((link) => link.kind !== "convolution" && link.kind !== "activation");
    this.#activation = last?.kind === "activation" ? last.activation : convolution.activation;
    this.isOverwritable = this.#activation === undefined;
  }

  run(inputs: readonly (Value | undefined)[], context: Context): Tensor {
    const convolved = this.#convolution.of(inputs, context);
    const y = this.#folded(convolved) ?? this.#plain(convolved);
    return this.#convolution.channel === 3 ? y.permute([0, 2, 3, 1]) : y;
  }

  #folded({ x, ...filtering }: Convolved): Tensor | undefined {
    const channels = filtering.weight.size(0);
    const norms = present(this.#layers.map((layer) => statisticsOf(layer, channels)));
    if (norms.length < this.#layers.length) return undefined;
    const activation = this.#activation && rectifiers[this.#activation].after;
    return foldedConvolution(this, x, filtering, norms, { activation });
  }

  #plain({ x, weight, bias, stride, padding, dilation, groups }: Convolved): Tensor {
    let y = conv2d(x, weight, bias ?? null, stride, padding, dilation, groups);
    for (const layer of this.#layers) {
      y = layer.kind === "norm" ? layer.norm.forward(y) : changed(y, layer.kind, layer.by);
    }
    // No operator of a chain needs its result for its gradient.
    return this.#activation ? rectifiers[this.#activation].overwrite(y) : y;
  }
}

function changed(y: Tensor, kind: "scale" | "shift", by: Tensor): Tensor {
  const vector = by.view([-1, 1, 1]);
  if (kind === "scale") return y.mul(vector);
  // One channel may become many, and autocast's precision the weights' own.
  return by.size(0) === y.size(1) && by.dtype === y.dtype ? y.add_(vector) : y.add(vector);
}

function statisticsOf(layer: Layer, channels: number): Statistics | undefined {
  if (layer.kind === "norm") return fixedStatistics(layer.norm);
  if (layer.by.size(0) !== channels) return undefined;
  return layer.kind === "scale" ? { weight: layer.by } : { bias: layer.by };
}

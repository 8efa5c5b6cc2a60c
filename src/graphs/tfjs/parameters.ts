/** Trained parts of a model: weights of the file as parameters in libtorch's layouts, and BatchNorm layers. */
import { quoted } from "../../io/index.ts";
import { BatchNorm2d } from "../../nn/index.ts";
import { keep, noGrad, ops, scope, type Tensor, UserError } from "../../torch/index.ts";

/**
 * Layout of a weight. "kernel": [h, w, in, out] as [out, in, h, w]. "kernel": [h, w, in, out] as [out, in, h, w].
 * "depthwise": [h, w, in, m] as [in · m, 1, h, w]. "as stored": vectors and matrices.
 */
export type WeightLayout = "as stored" | "kernel" | "depthwise";

export interface NormSpec {
  /** Names of the weights; one and zero where there is none. */
  readonly gamma: string | undefined;
  readonly beta: string | undefined;
  readonly mean: string;
  readonly variance: string;
  readonly epsilon: number;
  /** Part of the running statistics that a batch replaces, as in PyTorch. */
  readonly momentum: number;
}

/** Hands out the weights of a file; each has one owner, which decides its layout. */
export class Parameters {
  readonly #file: string;
  readonly #stored: ReadonlyMap<string, Tensor>;
  readonly #layouts = new Map<string, WeightLayout>();
  /** Parameters and buffers of the model. */
  readonly trained = new Map<string, Tensor>();
  readonly fixed = new Map<string, Tensor>();
  readonly norms = new Map<string, BatchNorm2d>();
  /** Whole numbers and truth values that steer the graph; they stay on the CPU and are not saved. */
  readonly held = new Set<Tensor>();
  readonly #steering = new Map<string, Tensor>();

  constructor(file: string, stored: ReadonlyMap<string, Tensor>) {
    this.#file = file;
    this.#stored = stored;
  }

  names(): IterableIterator<string> {
    return this.#stored.keys();
  }

  has(name: string): boolean {
    return this.#stored.has(name);
  }

  /** A weight in TensorFlow's layout, whoever uses it. @throws UserError when the file has none of that name */
  stored(name: string): Tensor {
    const tensor = this.#stored.get(name);
    if (!tensor) throw new UserError(`${this.#file}: there is no weight ${quoted(name)}`);
    return tensor;
  }

  /** The layout in which a weight is held already. */
  layoutOf(name: string): WeightLayout | undefined {
    return this.#layouts.get(name);
  }

  /** A weight that is trained, or (`trains` false) one that is kept as it is. */
  use(name: string, layout: WeightLayout, trains = true): Tensor {
    const known = this.trained.get(name) ?? this.fixed.get(name);
    if (known && this.#layouts.get(name) === layout) return known;
    if (known) throw new UserError(`${this.#file}: the weight ${quoted(name)} serves as "${layout}" and otherwise`);
    const stored = this.stored(name);
    const floating = stored.dtype === "float32";
    const tensor = noGrad(() => scope(() => inLayout(stored, layout, `${this.#file}: weight ${quoted(name)}`)));
    this.#layouts.set(name, layout);
    (trains && floating ? this.trained : this.fixed).set(name, keep(tensor));
    return tensor;
  }

  /** A weight that is no floating one, as stored. */
  steer(name: string): Tensor {
    const known = this.#steering.get(name);
    if (known) return known;
    const tensor = keep(this.stored(name).clone());
    this.#steering.set(name, tensor);
    this.held.add(tensor);
    return tensor;
  }

  /** A BatchNorm layer filled with the file's statistics. @throws UserError when their shapes differ */
  norm(name: string, spec: NormSpec): BatchNorm2d {
    const known = this.norms.get(name);
    if (known) return known;
    const mean = this.stored(spec.mean);
    const sources = [spec.gamma, spec.beta, spec.mean, spec.variance].map((key) => key && this.stored(key));
    for (const [i, key] of [spec.gamma, spec.beta, spec.mean, spec.variance].entries()) {
      const source = sources[i];
      if (source && (source.dim() !== 1 || source.size(0) !== mean.size(0) || source.dtype !== "float32")) {
        throw new UserError(
          `${this.#file}: the weight ${quoted(key)} is ${source}, but ${quoted(spec.mean)} is ${mean}: both must be vectors alike`,
        );
      }
    }
    const norm = new BatchNorm2d(mean.size(0), { eps: spec.epsilon, momentum: spec.momentum });
    this.norms.set(name, norm);
    const targets = [norm.weight, norm.bias, norm.running_mean, norm.running_var];
    noGrad(() => {
      for (const [i, target] of targets.entries()) {
        const source = sources[i];
        if (source) target.copy_(source);
      }
    });
    return norm;
  }

  /** Releases what no step that is left uses. */
  keepOnly(weights: ReadonlySet<string>, norms: ReadonlySet<string>): void {
    for (const group of [this.trained, this.fixed, this.#steering]) {
      for (const [name, tensor] of group) {
        if (weights.has(name)) continue;
        tensor.dispose();
        group.delete(name);
        this.held.delete(tensor);
      }
    }
    for (const [name, norm] of this.norms) {
      if (norms.has(name)) continue;
      norm.dispose();
      this.norms.delete(name);
    }
  }

  /** Elements of a weight; 0 where the file has none of that name. */
  elements(name: string): number {
    return this.#stored.get(name)?.numel() ?? 0;
  }

  /** Releases everything that was handed out, when no model comes of it. */
  dispose(): void {
    for (const tensor of [...this.trained.values(), ...this.fixed.values(), ...this.held]) tensor.dispose();
    for (const norm of this.norms.values()) norm.dispose();
  }
}

/** A copy in the layout, contiguous as libtorch's kernels want it. */
function inLayout(stored: Tensor, layout: WeightLayout, where: string): Tensor {
  if (layout === "as stored") return stored.clone();
  if (stored.dim() !== 4) throw new UserError(`${where} is ${stored}: a kernel has four dimensions`);
  if (stored.numel() === 0) throw new UserError(`${where} is ${stored}: a kernel cannot be empty`);
  return (layout === "kernel" ? kernelView(stored) : depthwiseView(stored)).clone("channels_last");
}

/** [h, w, in, out] as [out, in, h, w]; of a transposed convolution, [h, w, out, in] as [in, out, h, w]. */
export function kernelView(stored: Tensor): Tensor {
  return stored.permute([3, 2, 0, 1]);
}

/** [h, w, in, m] as [in · m, 1, h, w]. */
export function depthwiseView(stored: Tensor): Tensor {
  const [height = 0, width = 0, into = 0, multiplier = 0] = stored.shape;
  return ops.reshape(stored.permute([2, 3, 0, 1]), [into * multiplier, 1, height, width]);
}

/** BatchNorm over any dimension but the first of [n, ...]. */
export function normalised(norm: BatchNorm2d, x: Tensor, axis: number): Tensor {
  const rank = x.dim();
  const channel = axis < 0 ? axis + rank : axis;
  if (channel < 1 || channel >= rank) throw new UserError(`it cannot normalise dimension ${axis} of [${x.shape}]`);
  if (channel === 1) return norm.forward(x);
  const rest = x.shape.map((_, dim) => dim).filter((dim) => dim !== 0 && dim !== channel);
  const order = [0, channel, ...rest];
  const back = order.map((_, dim) => order.indexOf(dim));
  return norm.forward(x.permute(order)).permute(back);
}

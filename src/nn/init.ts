/** Initialisations with PyTorch's names and rules (torch.nn.init), each drawing from an explicit generator. */
import { type Dtype, drawInto, type Generator, noGrad, ops, scope, type Tensor } from "../torch/index.ts";

/** Options that every constructor takes last. */
export interface ModuleOptions {
  /** Device of the parameters (default "cpu"). */
  device?: string | undefined;
  /** Type of the parameters (default "float32"). */
  dtype?: Dtype | undefined;
}

/** The last argument of constructors that draw random initial values. */
export interface InitOptions extends ModuleOptions {
  generator: Generator;
}

let skipped = false;

/** Runs `fn` with all random initial values left out: for modules whose weights are loaded next. */
export function skipInit<T>(fn: () => T): T {
  const before = skipped;
  skipped = true;
  try {
    return fn();
  } finally {
    skipped = before;
  }
}

/** Inputs and outputs of one weight: [out, in] of a linear layer or [out, in / groups, h, w] of a convolution. */
export function fans(weight: Tensor): { fanIn: number; fanOut: number } {
  const receptive = weight.shape.slice(2).reduce((product, size) => product * size, 1);
  return { fanIn: weight.size(1) * receptive, fanOut: weight.size(0) * receptive };
}

export function uniform_(tensor: Tensor, bound: number, generator: Generator): Tensor {
  return skipped
    ? tensor
    : noGrad(() => drawInto(tensor, generator, (own) => own.uniform_(-bound, bound, { generator })));
}

export function normal_(tensor: Tensor, std: number, generator: Generator): Tensor {
  return skipped ? tensor : noGrad(() => drawInto(tensor, generator, (own) => own.normal_(0, std, { generator })));
}

export function constant_(tensor: Tensor, value: number): Tensor {
  return noGrad(() => tensor.fill_(value));
}

/**
 * He et al. 2015: uniform with variance gain² / (3 fan_in) bounds. `a` is the negative slope; PyTorch's layers use √5,
 * which gives ±1 / √fan_in.
 */
export function kaimingUniform_(weight: Tensor, generator: Generator, a = Math.sqrt(5)): Tensor {
  const gain = Math.sqrt(2 / (1 + a * a));
  return uniform_(weight, gain * Math.sqrt(3 / fans(weight).fanIn), generator);
}

/** He et al. 2015 for ReLU, fan-out mode: normal with std √(2 / fan_out), as torchvision's ResNet and MobileNet. */
export function kaimingNormalFanOut_(weight: Tensor, generator: Generator): Tensor {
  return normal_(weight, Math.sqrt(2 / fans(weight).fanOut), generator);
}

/**
 * Saxe et al. 2014: rows (or columns, where there are fewer) of [out, rest] orthonormal, times the gain; uniform among such
 * matrices, as those of the polar decomposition of a normal one are.
 */
export function orthogonal_(weight: Tensor, gain: number, generator: Generator): Tensor {
  if (skipped) return weight;
  return scope(() =>
    noGrad(() => {
      const normal = ops.empty([weight.size(0), weight.numel() / weight.size(0)], { dtype: "float64" });
      const [u, , v] = ops.linalg_svd(normal.normal_(0, 1, { generator }), false);
      return weight.copy_(u.matmul(v).mul(gain).view(weight.shape));
    }),
  );
}

/** Normal cut to ±2 (an absolute bound, as PyTorch's default): draws outside are drawn again. */
export function truncNormal_(tensor: Tensor, std: number, generator: Generator): Tensor {
  if (skipped) return tensor;
  normal_(tensor, std, generator);
  scope(() =>
    noGrad(() => {
      for (;;) {
        const outside = tensor.abs().gt(2);
        if (!ops.any(outside).item()) return;
        tensor.copy_(ops.where(outside, normal_(ops.empty_like(tensor), std, generator), tensor));
      }
    }),
  );
  return tensor;
}

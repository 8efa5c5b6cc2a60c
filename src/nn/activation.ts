/** Activations and other modules without parameters. */
import { type Generator, ops, type Tensor } from "../torch/index.ts";
import { dropout, dropPath } from "./functional.ts";
import { Module } from "./module.ts";

export interface InPlace {
  /** Overwrites the input, which saves memory where nothing else reads it. */
  inPlace?: boolean | undefined;
}

export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}

/** max(x, 0). */
export class ReLU extends Module {
  readonly #inPlace: boolean;

  constructor(options: InPlace = {}) {
    super();
    this.#inPlace = options.inPlace ?? false;
  }

  override forward(x: Tensor): Tensor {
    return this.#inPlace ? ops.relu_(x) : ops.relu(x);
  }
}

/** x clamped to [0, 6]. */
export class ReLU6 extends Module {
  readonly #inPlace: boolean;

  constructor(options: InPlace = {}) {
    super();
    this.#inPlace = options.inPlace ?? false;
  }

  override forward(x: Tensor): Tensor {
    return this.#inPlace ? ops.hardtanh_(x, 0, 6) : ops.hardtanh(x, 0, 6);
  }
}

/** x Φ(x) (Hendrycks & Gimpel 2016), exact or by the tanh approximation. */
export class GELU extends Module {
  readonly #approximate: "none" | "tanh";

  constructor(options: { approximate?: "none" | "tanh" | undefined } = {}) {
    super();
    this.#approximate = options.approximate ?? "none";
  }

  override forward(x: Tensor): Tensor {
    return ops.gelu(x, { approximate: this.#approximate });
  }
}

/** x σ(x). */
export class SiLU extends Module {
  override forward(x: Tensor): Tensor {
    return ops.silu(x);
  }
}

/** x · relu6(x + 3) / 6. */
export class Hardswish extends Module {
  override forward(x: Tensor): Tensor {
    return ops.hardswish(x);
  }
}

/** relu6(x + 3) / 6. */
export class Hardsigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return ops.hardsigmoid(x);
  }
}

export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return ops.sigmoid(x);
  }
}

export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return ops.tanh(x);
  }
}

/** [B, ...] to [B, n]. */
export class Flatten extends Module {
  readonly #start: number;

  constructor(startDim = 1) {
    super();
    this.#start = startDim;
  }

  override forward(x: Tensor): Tensor {
    return ops.flatten(x, this.#start);
  }
}

/** Reorders dimensions. */
export class Permute extends Module {
  readonly #dims: readonly number[];

  constructor(dims: readonly number[]) {
    super();
    this.#dims = dims;
  }

  override forward(x: Tensor): Tensor {
    return ops.permute(x, this.#dims);
  }
}

/** Dropout of elements in training, from its own random stream. */
export class Dropout extends Module {
  readonly p: number;
  readonly generator: Generator;

  constructor(p: number, options: { generator: Generator }) {
    super();
    this.p = checkedProbability(p);
    this.generator = options.generator;
  }

  override forward(x: Tensor): Tensor {
    return this.training ? dropout(x, this.p, this.generator) : x;
  }
}

/** Dropout of whole samples in training (stochastic depth), from its own random stream. */
export class DropPath extends Module {
  readonly p: number;
  readonly generator: Generator;

  constructor(p: number, options: { generator: Generator }) {
    super();
    this.p = checkedProbability(p);
    this.generator = options.generator;
  }

  override forward(x: Tensor): Tensor {
    return this.training ? dropPath(x, this.p, this.generator) : x;
  }
}

function checkedProbability(p: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`a dropout probability lies in [0, 1], got ${p}`);
  return p;
}

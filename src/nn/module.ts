/** The base of every model part: named parameters, buffers and children, with PyTorch's names in the state dict. */
import {
  type Dtype,
  ensureResident,
  isAbsent,
  keep,
  type MemoryFormat,
  noGrad,
  ops,
  scope,
  type Tensor,
  UserError,
} from "../torch/index.ts";

/** Letters of a key that a message shows: a file's keys may be anything. */
const longestKey = 200;
const keys = (names: readonly string[]): string =>
  names.map((name) => (name.length > longestKey ? `${name.slice(0, longestKey)}…` : name)).join(", ");

export interface LoadOptions {
  /** True when missing and unexpected keys are errors (default true). */
  strict?: boolean | undefined;
  /** Names that a strict load may miss. */
  optional?: ReadonlySet<string> | undefined;
}

/** Keys that a lenient load did not use or did not find. */
export interface LoadReport {
  missing: string[];
  unexpected: string[];
}

export interface ModuleTarget {
  dtype?: Dtype | undefined;
  device?: string | undefined;
  /** Applies to parameters and buffers of four dimensions, as in PyTorch. */
  memory_format?: MemoryFormat | undefined;
}

/** A function of a module's output and input; what it returns, if anything, goes on instead of the output. */
export type ForwardHook = (output: Tensor, input: Tensor) => Tensor | undefined;

/** A forward pass around another. */
export type ForwardWrap = (x: Tensor, forward: (x: Tensor) => Tensor) => Tensor;

/**
 * A part of a model. Subclasses register what they own in the constructor: `this.weight = this.parameter("weight", t)`.
 * Parameters and buffers belong to the module, not to a scope; `dispose` releases them.
 */
export abstract class Module {
  readonly #parameters = new Map<string, Tensor>();
  readonly #buffers = new Map<string, Tensor>();
  readonly #children = new Map<string, Module>();
  #wraps: Set<ForwardWrap> | undefined;
  #training = true;

  /** The module's output; which shapes it takes and gives is said at each module. */
  abstract forward(x: Tensor): Tensor;

  /** True when the module behaves as in training (dropout, batch statistics). */
  get training(): boolean {
    return this.#training;
  }

  // ---- registration, for subclasses

  /** Registers a trainable tensor. */
  protected parameter(name: string, tensor: Tensor): Tensor {
    tensor.requires_grad = true;
    this.#parameters.set(name, keep(tensor));
    return tensor;
  }

  /** Registers a tensor that is saved but not trained. */
  protected buffer(name: string, tensor: Tensor): Tensor {
    this.#buffers.set(name, keep(tensor));
    return tensor;
  }

  /** Registers a child; its tensors appear as `name.…`. */
  protected module<M extends Module>(name: string, child: M): M {
    this.#children.set(name, child);
    return child;
  }

  // ---- changes from outside; modules call each other's `forward`, so that they stand in its place

  /** Runs the hook after each forward pass, later hooks after earlier ones. @returns what removes the hook again */
  registerForwardHook(hook: ForwardHook): () => void {
    return this.wrap((x, forward) => {
      const y = forward(x);
      return hook(y, x) ?? y;
    });
  }

  /** Runs each forward pass inside the given one, earlier ones inside later ones. @returns what undoes it */
  wrap(around: ForwardWrap): () => void {
    if (!this.#wraps) {
      const wraps = new Set<ForwardWrap>();
      const forward = this.forward;
      this.forward = (x) => {
        let run = (own: Tensor): Tensor => forward.call(this, own);
        for (const wrap of wraps) {
          const inner = run;
          run = (own) => wrap(own, inner);
        }
        return run(x);
      };
      this.#wraps = wraps;
    }
    const wraps = this.#wraps;
    wraps.add(around);
    return () => wraps.delete(around);
  }

  /** Takes a further child, whose tensors appear as `name.…`. @returns what takes it out again, without releasing it */
  attach(name: string, child: Module): () => void {
    this.#children.set(name, child);
    return () => this.#children.delete(name);
  }

  /** Leaves this module's forward passes to another, which need not be its child; tensors and their names stay. */
  replace(by: Module): void {
    this.forward = (x) => by.forward(x);
    this.#wraps = undefined;
  }

  // ---- what is inside

  /** Direct children by name. */
  children(): ReadonlyMap<string, Module> {
    return this.#children;
  }

  /** Parameters of this module alone, by name. */
  ownParameters(): ReadonlyMap<string, Tensor> {
    return this.#parameters;
  }

  /** This module and everything under it, parents first, each once. */
  modules(): Module[] {
    const found = new Set<Module>();
    const visit = (module: Module): void => {
      if (found.has(module)) return;
      found.add(module);
      for (const child of module.#children.values()) visit(child);
    };
    visit(this);
    return [...found];
  }

  /** Every parameter once, under the first of its dotted names. */
  namedParameters(): Map<string, Tensor> {
    const named = new Map<string, Tensor>();
    const seen = new Set<Tensor>();
    this.#walk("", (name, tensor, isParameter) => {
      if (!isParameter || seen.has(tensor)) return;
      seen.add(tensor);
      named.set(name, tensor);
    });
    return named;
  }

  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  namedBuffers(): Map<string, Tensor> {
    const named = new Map<string, Tensor>();
    this.#walk("", (name, tensor, isParameter) => {
      if (!isParameter) named.set(name, tensor);
    });
    return named;
  }

  /** All parameters and buffers by dotted name, in PyTorch's order; the very tensors, not copies. */
  stateDict(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    this.#walk("", (name, tensor) => state.set(name, tensor));
    return state;
  }

  #walk(prefix: string, visit: (name: string, tensor: Tensor, isParameter: boolean) => void): void {
    for (const [name, tensor] of this.#parameters) visit(prefix + name, tensor, true);
    for (const [name, tensor] of this.#buffers) visit(prefix + name, tensor, false);
    for (const [name, child] of this.#children) child.#walk(`${prefix}${name}.`, visit);
  }

  /**
   * Copies tensors of the same names and shapes into this module, converting dtype and device. Nothing is copied when
   * anything is wrong. Buffers that `isDerived` names may be missing.
   * @throws UserError listing every missing key, unexpected key and wrong shape
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): LoadReport {
    const own = this.stateDict();
    const unexpected = [...state.keys()].filter((name) => !own.has(name));
    const mayMiss = (name: string) => isDerived(name) || options.optional?.has(name) === true;
    const missing = [...own.keys()].filter((name) => !state.has(name) && !mayMiss(name));
    const problems: string[] = [];
    if (options.strict ?? true) {
      if (missing.length > 0) problems.push(`missing keys: ${keys(missing)}`);
      if (unexpected.length > 0) problems.push(`unexpected keys: ${keys(unexpected)}`);
    }
    const wrong: string[] = [];
    for (const [name, tensor] of own) {
      const given = state.get(name);
      if (given && !sameShape(tensor, given)) wrong.push(`${name} is [${given.shape}], needs [${tensor.shape}]`);
    }
    if (wrong.length > 0) problems.push(`wrong shapes: ${wrong.join("; ")}`);
    if (problems.length > 0) throw new UserError(`the weights do not fit the model: ${problems.join(". ")}`);
    noGrad(() => {
      for (const [name, tensor] of own) {
        const given = state.get(name);
        if (!given || isAbsent(tensor)) continue;
        ensureResident(tensor, true);
        tensor.copy_(given);
      }
    });
    return { missing, unexpected };
  }

  // ---- modes and places

  /** Sets the mode of this module and everything under it. */
  train(mode = true): this {
    for (const module of this.modules()) module.#training = mode;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Freezes (false) or unfreezes all parameters; frozen ones lose their gradients. */
  requiresGrad_(flag = true): this {
    for (const parameter of this.parameters()) {
      parameter.requires_grad = flag;
      if (!flag) parameter.grad = undefined;
    }
    return this;
  }

  /** Converts all tensors in place (dtype only where they are floating); gradients are dropped. */
  to(target: ModuleTarget): this {
    scope(() =>
      noGrad(() => {
        const done = new Set<Tensor>();
        this.#walk("", (_, tensor, isParameter) => {
          if (done.has(tensor) || isAbsent(tensor)) return;
          done.add(tensor);
          if (isParameter) tensor.grad = undefined;
          const floating = tensor.dtype.startsWith("float") || tensor.dtype === "bfloat16";
          ops.set_data(
            tensor,
            tensor.detach().to({
              device: target.device,
              dtype: floating ? target.dtype : undefined,
              memory_format: tensor.dim() === 4 ? target.memory_format : undefined,
            }),
          );
        });
      }),
    );
    return this;
  }

  /** Releases all parameters and buffers under this module. */
  dispose(): void {
    this.#walk("", (_, tensor) => tensor.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const derived = /(^|\.)(num_batches_tracked|relative_position_index|relative_coords_table)$/;

/** True for buffers that a new module has right by itself, so that files may lack them: counters, and tables of sizes alone. */
export function isDerived(name: string): boolean {
  return derived.test(name);
}

/** Number of elements of all parameters; a shared one that is listed twice counts twice. */
export function countParameters(parameters: Iterable<Tensor>): number {
  let count = 0;
  for (const parameter of parameters) count += parameter.numel();
  return count;
}

function sameShape(a: Tensor, b: Tensor): boolean {
  return a.dim() === b.dim() && a.shape.every((size, i) => size === b.shape[i]);
}

/** One run of a network as the hook on calls sees it: what each operator read and made. */
import { type Dtype, Generator, inferenceMode, keep, schemaOf, scope, setCallHook, Tensor } from "../torch/index.ts";

/** What a tensor held between two changes of it. */
export class Seen {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** Its name among the network's weights. */
  readonly name: string | undefined;
  /** The elements of what does not depend on the images. */
  readonly content: Tensor | undefined;

  constructor({ shape, dtype }: Tensor, name: string | undefined, content: Tensor | undefined) {
    this.shape = shape;
    this.dtype = dtype;
    this.name = name;
    this.content = content;
  }
}

export interface SeenCall {
  /** Such as `aten::add.Tensor`. */
  readonly operator: string;
  /** Arguments with what tensors held in their place. */
  readonly args: readonly unknown[];
  readonly results: readonly Seen[];
  /** Why the call means something else than its operator does. */
  readonly problem: string | undefined;
}

export interface Recording {
  readonly input: Seen;
  readonly outputs: ReadonlyMap<string, Seen>;
  readonly calls: readonly SeenCall[];
}

export type Outputs = Readonly<Record<string, Tensor>>;

/**
 * Runs `forward` once in inference mode and records its calls.
 * @param names of the network's own tensors; any other that no call makes is copied
 * @param copies what the caller disposes after the last use of the recording
 */
export function record(
  forward: (images: Tensor) => Outputs,
  images: Tensor,
  names: ReadonlyMap<Tensor, string>,
  copies: Tensor[],
): Recording {
  const recorder = new Recorder(names, copies);
  return scope(() => {
    const input = recorder.begin(images);
    const before = setCallHook((operator, args, result) => {
      // What the recorder computes itself is no part of the run.
      const own = setCallHook(before);
      try {
        before?.(operator, args, result);
        recorder.see(operator, args, result);
      } finally {
        setCallHook(own);
      }
    });
    try {
      const results = inferenceMode(() => forward(images));
      setCallHook(before);
      const outputs = new Map(Object.entries(results).map(([name, tensor]) => [name, recorder.output(tensor)]));
      return { input, outputs, calls: recorder.calls };
    } finally {
      setCallHook(before);
    }
  });
}

/** Tensors that share their elements. */
type Storage = Set<Tensor>;

class Recorder {
  readonly calls: SeenCall[] = [];
  readonly #names: ReadonlyMap<Tensor, string>;
  readonly #copies: Tensor[];
  readonly #held = new Map<Tensor, Seen>();
  readonly #storages = new Map<Tensor, Storage>();
  /** Tensors whose elements a write to another tensor has changed. */
  readonly #stale = new Set<Tensor>();

  constructor(names: ReadonlyMap<Tensor, string>, copies: Tensor[]) {
    this.#names = names;
    this.#copies = copies;
  }

  begin(images: Tensor): Seen {
    const input = new Seen(images, undefined, undefined);
    this.#held.set(images, input);
    return input;
  }

  /** What a tensor holds now; one that no call has made is a constant of the network. */
  held(tensor: Tensor): Seen {
    const known = this.#held.get(tensor);
    if (known) return known;
    const name = this.#names.get(tensor);
    const leaf = new Seen(tensor, name, name === undefined ? this.#copy(tensor) : tensor);
    this.#held.set(tensor, leaf);
    return leaf;
  }

  /** What a result holds, as if an operator read it. */
  output(tensor: Tensor): Seen {
    if (!this.#stale.has(tensor)) return this.held(tensor);
    this.see("aten::alias", [tensor], tensor);
    return this.held(tensor);
  }

  see(operator: string, args: readonly unknown[], result: unknown): void {
    const { viewed, written } = aliasesOf(operator);
    const isStale = tensorsIn(args).some((tensor) => this.#stale.has(tensor));
    const inputs = mapped(args, (tensor) => this.held(tensor));
    const isFixed = tensorsIn(args).every((tensor) => this.held(tensor).content !== undefined);
    const made = tensorsIn([result]);
    for (const tensor of written) if (args[tensor] instanceof Tensor) this.#changed(args[tensor]);
    const results = made.map((tensor) => {
      const value = new Seen(tensor, undefined, isFixed ? this.#copy(tensor) : undefined);
      this.#held.set(tensor, value);
      this.#stale.delete(tensor);
      return value;
    });
    const source = viewed === undefined ? undefined : args[viewed];
    if (source instanceof Tensor) for (const tensor of made) this.#join(tensor, source);
    const stale = isStale ? "reads a view whose elements were overwritten through another tensor" : undefined;
    const problem = args.some((arg) => arg instanceof Generator) ? "draws random numbers" : stale;
    this.calls.push({ operator, args: inputs, results, problem });
  }

  #copy(tensor: Tensor): Tensor {
    const copy = keep(tensor.clone());
    this.#copies.push(copy);
    return copy;
  }

  #changed(tensor: Tensor): void {
    for (const other of this.#storages.get(tensor) ?? []) if (other !== tensor) this.#stale.add(other);
  }

  #join(view: Tensor, source: Tensor): void {
    const storage = this.#storages.get(source) ?? new Set([source]);
    storage.add(view);
    this.#storages.set(source, storage);
    this.#storages.set(view, storage);
  }
}

interface Aliases {
  /** The argument whose elements the results may share. */
  readonly viewed: number | undefined;
  /** The arguments that the operator writes into. */
  readonly written: readonly number[];
}

const known = new Map<string, Aliases>();

/** Reads the marks of a schema, as in `relu_(Tensor(a!) self) -> Tensor(a!)` and `view(Tensor(a) self, ...) -> Tensor(a)`. */
function aliasesOf(operator: string): Aliases {
  const found = known.get(operator);
  if (found) return found;
  const aliases = operator.startsWith("aten::") ? parsed(operator) : { viewed: undefined, written: [] };
  known.set(operator, aliases);
  return aliases;
}

function parsed(operator: string): Aliases {
  const { schema, arguments: given } = schemaOf(operator);
  const marks = given.map(({ name }) => new RegExp(`\\((\\w+)(?: -> \\*)?(!?)\\)\\S* ${name}\\b`).exec(schema));
  const written = marks.flatMap((mark, i) => (mark?.[2] === "!" ? [i] : []));
  const viewed = marks.findIndex((mark) => mark !== null && mark[2] !== "!");
  return { viewed: viewed < 0 ? undefined : viewed, written };
}

function tensorsIn(values: readonly unknown[]): Tensor[] {
  return values.flatMap((value) => (value instanceof Tensor ? [value] : Array.isArray(value) ? tensorsIn(value) : []));
}

function mapped(values: readonly unknown[], fn: (tensor: Tensor) => unknown): unknown[] {
  return values.map((value) => {
    if (value instanceof Tensor) return fn(value);
    return Array.isArray(value) ? mapped(value, fn) : value;
  });
}

/**
 * A network as calls on values whose sizes may be multiples of the number of images. Two runs, on two and on three images,
 * tell which numbers those are: what differs between them depends on the batch, everything else does not.
 */
import { cat, type Dtype, keep, scope, type Tensor, UserError } from "../torch/index.ts";
import { type Outputs, type Recording, record, Seen, type SeenCall } from "./recording.ts";

/** `per` times the number of images. */
export class Rows {
  readonly per: number;

  constructor(per: number) {
    this.per = per;
  }
}

export type Size = number | Rows;

export class Value {
  readonly shape: readonly Size[];
  readonly dtype: Dtype;
  /** Its name among the network's weights. */
  readonly name: string | undefined;
  /** The elements of a constant. */
  readonly content: Tensor | undefined;

  constructor(parts: Pick<Value, "shape" | "dtype"> & { name?: string | undefined; content?: Tensor | undefined }) {
    this.shape = parts.shape;
    this.dtype = parts.dtype;
    this.name = parts.name;
    this.content = parts.content;
  }
}

export interface TracedCall {
  readonly operator: string;
  /** Values, sizes that depend on the batch, and whatever else was given, in the schema's order. */
  readonly args: readonly unknown[];
  readonly results: readonly Value[];
  readonly problem: string | undefined;
}

export interface Trace {
  readonly input: Value;
  readonly outputs: ReadonlyMap<string, Value>;
  readonly calls: readonly TracedCall[];
}

/** Batches of the two runs: a multiple of one is hardly by chance the same multiple of the other. */
const [fewer, more] = [2, 3];

/**
 * @param network what the message calls it
 * @throws UserError when the two runs are not the same calls
 */
export function trace(
  network: string,
  forward: (images: Tensor) => Outputs,
  example: Tensor,
  names: ReadonlyMap<Tensor, string>,
  copies: Tensor[],
): Trace {
  return scope(() => {
    const images = (n: number) => cat(Array.from({ length: n }, (_, i) => example.narrow(0, i % example.size(0), 1)));
    const [a, b] = [fewer, more].map((n) => record(forward, images(n), names, copies)) as [Recording, Recording];
    const isAlike = a.calls.length === b.calls.length && a.calls.every((call, i) => isSame(call, b.calls[i]));
    if (isAlike) return new Merging(a, b, copies).trace(network);
    throw new UserError(
      `${network} cannot be exported: it runs other operators on ${more} images than on ${fewer}, so that its graph would ` +
        "fix the number of images",
    );
  });
}

function isSame(a: SeenCall, b: SeenCall | undefined): boolean {
  return a.operator === b?.operator && a.args.length === b.args.length && a.results.length === b.results.length;
}

/** A reason why a call cannot be written, found where its arguments are compared. */
class Mismatch extends Error {}

function attempt<T>(fn: () => T): T | Mismatch {
  try {
    return fn();
  } catch (error) {
    if (error instanceof Mismatch) return error;
    throw error;
  }
}

class Merging {
  readonly #a: Recording;
  readonly #b: Recording;
  /** Values by what the first run saw, with what the second saw in the same place. */
  readonly #values = new Map<Seen, { value: Value; other: Seen }>();
  /** Calls that no run made: they make what JavaScript computed for the next call. */
  readonly #made: TracedCall[] = [];
  readonly #copies: Tensor[];

  constructor(a: Recording, b: Recording, copies: Tensor[]) {
    this.#a = a;
    this.#b = b;
    this.#copies = copies;
  }

  trace(network: string): Trace {
    const [input] = this.#add([this.#a.input], [this.#b.input], false) as [Value];
    const calls = this.#a.calls.flatMap((call, i) => {
      const own = this.#call(call, this.#b.calls[i] as SeenCall);
      return [...this.#made.splice(0), own];
    });
    const outputs = Array.from(this.#a.outputs, ([name, seen]) => {
      const value = attempt(() => this.#value(seen, this.#b.outputs.get(name) as Seen));
      if (value instanceof Value) return [name, value] as const;
      throw new UserError(`${network} cannot be exported: its output "${name}" ${value.message}`);
    });
    return { input, outputs: new Map(outputs), calls };
  }

  #call(a: SeenCall, b: SeenCall): TracedCall {
    const args = attempt(() => a.args.map((arg, i) => this.#argument(arg, b.args[i])));
    const found = args instanceof Mismatch ? [] : args;
    const isFixed = a.problem === undefined && !(args instanceof Mismatch) && isConstant(found);
    const results = attempt(() => this.#add(a.results, b.results, isFixed));
    const mismatch = [args, results].find((part) => part instanceof Mismatch);
    const problem = a.problem ?? mismatch?.message;
    // A call that cannot be written still makes values, so that the search goes on for others.
    const made = results instanceof Mismatch ? this.#add(a.results, a.results, false, b.results) : results;
    return { operator: a.operator, args: found, results: made, problem };
  }

  #argument(a: unknown, b: unknown): unknown {
    if (a instanceof Seen && b instanceof Seen) return this.#value(a, b);
    if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
      return a.map((one, i) => this.#argument(one, b[i]));
    }
    if (Object.is(a, b)) return a;
    if (typeof a !== "number" || typeof b !== "number")
      throw new Mismatch("has an argument that depends on the number of images");
    return sizeOf(a, b);
  }

  #value(a: Seen, b: Seen): Value {
    const known = this.#values.get(a);
    if (known?.other === b) return known.value;
    // No call has made it: a constant, if it is the same in both runs.
    if (known === undefined && a.content && b.content && a.name === b.name) {
      if (a.name !== undefined || isEqual(a.content, b.content)) return this.#add([a], [b], true)[0] as Value;
      const value = this.#perImage(a, b);
      if (value) return value;
    }
    throw new Mismatch("reads what depends on the images unseen");
  }

  /**
   * A tensor of JavaScript's that has the same block for each image, or one whose numbers grow by the same step from image
   * to image, such as indices; undefined for anything else.
   */
  #perImage(a: Seen, b: Seen): Value | undefined {
    const [value] = this.#add([a], [b], false) as [Value];
    const dims = value.shape.flatMap((size, dim) => (size instanceof Rows ? [dim] : []));
    const [dim] = dims;
    const rows = dim === undefined ? undefined : value.shape[dim];
    if (dim === undefined || !(rows instanceof Rows) || dims.length > 1) return undefined;
    const parts = [a, b].map(({ content }) => content?.split(rows.per, dim) ?? []);
    const [first, second] = parts[0] ?? [];
    const isFixed = first && second && parts.every((own) => own.every((part, i) => isAhead(part, first, second, i)));
    if (!isFixed) return undefined;
    const [block, step] = keep([first.clone(), second.sub(first)]) as [Tensor, Tensor];
    this.#copies.push(block, step);
    const args = [block, step].map((content) => new Value({ shape: content.shape, dtype: value.dtype, content }));
    this.#made.push({ operator: "export::per_image", args: [...args, dim], results: [value], problem: undefined });
    return value;
  }

  #add(a: readonly Seen[], b: readonly Seen[], isFixed: boolean, others = b): Value[] {
    return a.map((seen, i) => {
      const shape = seen.shape.map((size, k) => sizeOf(size, b[i]?.shape[k] ?? size));
      const hasContent = isFixed && shape.every((size) => typeof size === "number");
      const { dtype, name } = seen;
      const value = new Value({ shape, dtype, name, content: hasContent ? seen.content : undefined });
      this.#values.set(seen, { value, other: others[i] as Seen });
      return value;
    });
  }
}

/** A number that is the same in both runs, or a multiple of their batches. */
function sizeOf(a: number, b: number): Size {
  if (a === b) return a;
  if (Number.isInteger(a / fewer) && a / fewer === b / more) return new Rows(a / fewer);
  throw new Mismatch(`has a size of ${a} for ${fewer} images, ${b} for ${more}`);
}

function isEqual(a: Tensor, b: Tensor): boolean {
  return a.shape.join() === b.shape.join() && a.dtype === b.dtype && Buffer.compare(a.toBytes(), b.toBytes()) === 0;
}

/** True for a part that is `i` times as far from the first as the second is. */
function isAhead(part: Tensor, first: Tensor, second: Tensor, i: number): boolean {
  return isEqual(part, i === 0 || isEqual(first, second) ? first : first.add(second.sub(first).mul(i)));
}

/** True when nothing in the arguments depends on the images or their number. */
function isConstant(args: readonly unknown[]): boolean {
  return args.every((arg) => {
    if (Array.isArray(arg)) return isConstant(arg);
    return arg instanceof Value ? arg.content !== undefined : !(arg instanceof Rows);
  });
}

/** Conversion of state dicts of other packages to this project's names: each layout says, key by key, where a tensor goes. */
import { cat, type Dtype, ops, type Tensor, tensor, UserError, zeros } from "../../torch/index.ts";
import type { PresetInput } from "../preset.ts";

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
export interface Target {
  name: string;
  /** Position among the parts of a tensor that is joined along the first dimension. */
  part?: number;
  /** Number of those parts: three, or two, of which the first, a gate, may be missing. */
  of?: number;
  /** Name of the last two thirds of the rows; `name` is that of the first third. */
  rest?: string;
  /** "column": [c] as [c, 1, 1]; "flat": [a, b] as [a · b]; "matrix": [a, b, ...] as [a, b · ...]; "tokens": [d] or [n, d] as [1, n, d]. "offsets": a table [heads, 2 s - 1, 2 s - 1] of key minus query as [(2 s - 1)², heads] of query minus key. */
  view?: View;
}

type View = "column" | "flat" | "matrix" | "tokens" | "offsets";

/** A pattern, and the target as a replacement or a function of the match's groups. */
type Rule = readonly [pattern: RegExp, to: string | ((...groups: string[]) => Target | string)];

/** Input without the size, which the number of positions tells. */
export const seenAs = (
  { mean, std }: PresetInput,
  interpolation: PresetInput["interpolation"],
): Partial<PresetInput> => ({ mean, std, interpolation });

/** Operations of the conversion, on tensors or on their shapes. */
export interface Algebra<T> {
  shape(x: T): Shape;
  join(parts: T[]): T;
  /** Rows [start, start + length) of the dimension. */
  part(x: T, dim: number, start: number, length: number): T;
  add(a: T, b: T): T;
  view(x: T, shape: Shape): T;
  /** The view "offsets". */
  offsets(x: T): T;
  zeros(like: T): T;
  /** Numbers of a type, computed only where they are needed. */
  numbers(count: number, dtype: Dtype, values: () => number[]): T;
}

const tensors: Algebra<Tensor> = {
  shape: (x) => x.shape,
  join: (parts) => cat(parts),
  part: (x, dim, start, length) => x.narrow(dim, start, length).contiguous(),
  add: (a, b) => a.add(b),
  view: (x, shape) => ops.reshape(x, shape),
  offsets: (x) => ops.permute(ops.flip(x, [1, 2]).flatten(1), [1, 0]).contiguous(),
  zeros: ({ shape, dtype }) => zeros(shape, { dtype }),
  numbers: (_, dtype, values) => tensor(values(), { dtype }),
};

const shapes: Algebra<Shape> = {
  shape: (x) => x,
  join: (parts) => [parts.reduce((sum, [rows = 0]) => sum + rows, 0), ...(parts[0] ?? []).slice(1)],
  part: (x, dim, _, length) => x.map((size, i) => (i === dim ? length : size)),
  add: (a) => a,
  view: (_, shape) => shape,
  offsets: ([heads = 0, ...offsets]) => [offsets.reduce((product, size) => product * size, 1), heads],
  zeros: (x) => x,
  numbers: (count) => [count],
};

export interface LayoutParts {
  name: string;
  architecture: string;
  anchors: string[];
  config?: Record<string, unknown>;
  input?: Partial<PresetInput>;
  nested?: RegExp;
  rules: Rule[];
  /** True where attention has no bias for its keys. */
  withoutKeyBias?: boolean;
  /** Adds what the package does not store. */
  complete?: <T>(converted: Map<string, T>, algebra: Algebra<T>) => void;
}

export function layout({
  rules,
  complete,
  withoutKeyBias = false,
  config = {},
  input = {},
  nested,
  ...rest
}: LayoutParts): KeyLayout {
  const convertWith = <T>(given: ReadonlyMap<string, T>, algebra: Algebra<T>): Map<string, T> => {
    const converted = convert(rest.name, given, rules, algebra, withoutKeyBias);
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
  withoutKeyBias: boolean,
): Map<string, T> {
  const converted = new Map<string, T>();
  const put = (name: string, value: T): void => {
    if (converted.has(name)) throw new UserError(`the ${layoutName} weights have two tensors for "${name}"`);
    converted.set(name, value);
  };
  const joined = new Map<string, { keys: string[]; parts: (T | undefined)[] }>();
  for (const [key, value] of given) {
    const { name, part, of = 3, view, rest } = targetOf(key, rules) ?? { name: key };
    if (rest !== undefined) {
      const third = (algebra.shape(value)[0] ?? 0) / 3;
      if (!Number.isInteger(third)) throw new UserError(`"${key}" has no three equal parts`);
      put(name, algebra.part(value, 0, 0, third));
      put(rest, algebra.part(value, 0, third, 2 * third));
      continue;
    }
    if (part === undefined) {
      put(name, view ? viewed(value, view, algebra) : value);
      continue;
    }
    const group = joined.get(name) ?? { keys: [], parts: Array.from({ length: of }, () => undefined) };
    group.keys.push(key);
    group.parts[part] = value;
    joined.set(name, group);
  }
  for (const [name, { keys, parts }] of joined) {
    const [first, second, third] = parts;
    if (withoutKeyBias && name.endsWith(".bias") && first && !second && third) parts[1] = algebra.zeros(first);
    const isPlain = parts.length === 2 && !first;
    const present = parts.filter((part) => part !== undefined);
    const rows = new Set(present.map((part) => String(algebra.shape(part))));
    if ((present.length !== parts.length && !isPlain) || keys.length > parts.length || rows.size !== 1) {
      const seen = keys.map((key) => `${key} [${algebra.shape(given.get(key) as T)}]`).join(", ");
      const wanted = parts.length === 3 ? "query, key and value" : `${parts.length} parts`;
      throw new UserError(`"${name}" needs ${wanted} of one shape, the weights have ${seen}`);
    }
    put(name, algebra.join(present));
  }
  return converted;
}

function viewed<T>(x: T, view: View, algebra: Algebra<T>): T {
  if (view !== "offsets") return algebra.view(x, shapeOf(algebra.shape(x), view));
  if (algebra.shape(x).length !== 3) throw new UserError("biases of offsets need heads, rows and columns");
  return algebra.offsets(x);
}

function shapeOf(shape: Shape, view: Exclude<View, "offsets">): Shape {
  if (view === "tokens") return shape.length > 2 ? shape : [1, ...(shape.length === 2 ? shape : [1, ...shape])];
  if (view === "column") return [...shape, 1, 1];
  if (view === "matrix") return [shape[0] ?? 0, shape.slice(1).reduce((product, size) => product * size, 1)];
  return [shape.reduce((product, size) => product * size, 1)];
}

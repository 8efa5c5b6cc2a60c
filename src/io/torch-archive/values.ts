/** Values that a pickle can hold here: plain ones, containers of them, tensors that are read later, and names of globals. */
import { LazyTensor } from "../lazy-tensor.ts";
import { quoted } from "../quoted.ts";

/** Python's None, bool, int, float, str and bytes. */
export type Plain = null | boolean | number | bigint | string | Uint8Array;

/** A value of an archive: tuples and lists are arrays, every kind of dict is a Map, dtypes and devices are strings. */
export type TorchValue = Plain | LazyTensor | TorchValue[] | Map<TorchValue, TorchValue> | Set<TorchValue>;

/** An entry of the unpickler's stack. */
export type Value = Plain | LazyTensor | Global | Described | Value[] | Map<Value, Value> | Set<Value>;

/** The part of the unpickler that a builder may use. */
export interface Context {
  /** Ends the reading with a sentence about what is wrong. */
  fail(what: string): never;
  /** Counts elements or bytes that were copied, so that a small file cannot ask for endless copies. */
  spend(amount: number): void;
}

/** A class or function by its qualified name. It is never run: `call` builds what its result would hold. */
export class Global {
  readonly name: string;
  readonly call: ((args: readonly Value[], context: Context) => Value) | undefined;

  constructor(name: string, call?: (args: readonly Value[], context: Context) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** An object that a later BUILD completes. */
export interface Buildable {
  build(state: Value, context: Context): void;
}

export function isBuildable(value: Value): value is Value & Buildable {
  return typeof value === "object" && value !== null && "build" in value && typeof value.build === "function";
}

/** Something buildable that is no value of its own. */
export abstract class Described implements Buildable {
  abstract build(state: Value, context: Context): void;
}

/** An object of a class that only Python has. It is not rebuilt: what belongs to it is read past. */
export class Opaque extends Described {
  /** Qualified name of the class, or of what would make the object, quoted. */
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }

  override build(): void {}
}

/** A class or function that only Python has: calling it gives an opaque object. */
export class OpaqueGlobal extends Global {
  constructor(name: string) {
    super(name, () => new Opaque(name));
  }
}

/** An object whose attributes are its content, such as argparse.Namespace. */
export class Attributes extends Map<Value, Value> {}

/** A value's kind in Python's words. */
export function kindOf(value: Value | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "None";
  if (typeof value === "boolean") return "a bool";
  if (typeof value === "number" || typeof value === "bigint") return "a number";
  if (typeof value === "string") return "a str";
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value)) return "a list or tuple";
  if (value instanceof Map) return "a dict";
  if (value instanceof Set) return "a set";
  if (value instanceof LazyTensor) return "a tensor";
  if (value instanceof Opaque) return value.name;
  return value instanceof Global ? value.name : "a description";
}

/** A value in a message: containers are only named, since they can be endless. */
export function shown(value: Value | undefined): string {
  if (typeof value === "string") return quoted(value);
  return typeof value === "number" || typeof value === "boolean" ? String(value) : kindOf(value);
}

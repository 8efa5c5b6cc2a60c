/** The generic call: any operator of libtorch by name, with autograd and autocast. */
import { TorchError } from "./errors.ts";
import { type Dtype, type Handle, native, type OperatorInfo } from "./native.ts";
import { Owned } from "./scope.ts";

/** An operator that is looked up in the loaded library at its first call. */
export interface Operator {
  readonly name: string;
  /** Calls on `self` whose result is dropped, because it is `self`. */
  readonly inPlace: boolean;
  info: OperatorInfo | undefined;
}

export type CallHook = (operator: string, args: readonly unknown[], result: unknown) => void;

let hook: CallHook | undefined;
let wrapTensor: (handle: Handle) => Owned;

/** Installs the one observer of all calls (tracing, FLOP counts, profiling), or removes it with `undefined`. */
export function setCallHook(next: CallHook | undefined): CallHook | undefined {
  const previous = hook;
  hook = next;
  return previous;
}

/** Runs `fn`, which must not be asynchronous, and shows its calls to `see`, then to the observer that was there. */
export function watchCalls<T>(see: CallHook, fn: () => T): T {
  const before = setCallHook((operator, args, result) => {
    see(operator, args, result);
    before?.(operator, args, result);
  });
  try {
    return fn();
  } finally {
    setCallHook(before);
  }
}

/** Shows the hook a call that no operator of the library makes, such as the run of a program. */
export function showCall(name: string, args: readonly unknown[], result: unknown): void {
  hook?.(name, args, result);
}

/** tensor.ts hands its constructor over here, so that call.ts need not import it. */
export function setTensorConstructor(construct: (handle: Handle) => Owned): void {
  wrapTensor = construct;
}

/** Names an operator such as `aten::add.Tensor`. */
export function operator(name: string): Operator {
  const base = name.split(".")[0] ?? name;
  return { name, inPlace: base.endsWith("_") && !base.startsWith("aten::_f"), info: undefined };
}

/**
 * The operator's schema in the loaded library.
 * @throws TorchError when the library has no such operator.
 */
export function resolve(op: Operator): OperatorInfo {
  if (op.info) return op.info;
  const [name = "", overload = ""] = op.name.split(".");
  const info = native.findOperator(name, overload);
  if (!info) throw new TorchError(op.name, "", "the loaded libtorch has no such operator");
  op.info = info;
  return info;
}

/** Runs an operator with its arguments in schema order; `undefined` means the schema's default, `null` none. */
export function run(op: Operator, args: readonly unknown[]): unknown {
  const info = op.info ?? resolve(op);
  // Left-out arguments at the end need not cross over to be found undefined there.
  let count = args.length;
  while (count > 0 && args[count - 1] === undefined) count -= 1;
  const values: unknown[] = [];
  for (let i = 0; i < count; i++) values.push(unwrap(args[i]));
  let raw: unknown;
  try {
    raw = native.callOperator(info.index, values, op.inPlace);
  } catch (error) {
    throw new TorchError(op.name, describe(args), error instanceof Error ? error.message : String(error));
  }
  const result = op.inPlace ? args[0] : wrap(raw);
  if (hook) hook(op.name, args, result);
  return result;
}

const named = new Map<string, Operator>();

function byName(name: string): Operator {
  let op = named.get(name);
  if (!op) {
    op = operator(name);
    named.set(name, op);
  }
  return op;
}

/** True where the loaded library has an operator of this full name. */
export function hasOperator(name: string): boolean {
  const [base = "", overload = ""] = name.split(".");
  return native.findOperator(base, overload) !== undefined;
}

/** The schema of an operator by its full name. @throws TorchError when the library has no such operator */
export function schemaOf(name: string): OperatorInfo {
  return resolve(byName(name));
}

/**
 * Calls any operator by its full name, for instance `call("aten::add.Tensor", [a, b], { alpha: 2 })`.
 * @throws TorchError when there is no such operator or argument, or when libtorch refuses.
 */
export function call(name: string, args: readonly unknown[], options: Record<string, unknown> = {}): unknown {
  const op = byName(name);
  const info = resolve(op);
  const bound = [...args];
  for (const [key, value] of Object.entries(options)) {
    const position = info.arguments.findIndex((argument) => argument.name === key);
    if (position < 0) throw new TorchError(name, "", `no argument "${key}" in ${info.schema}`);
    bound[position] = value;
  }
  return run(op, Array.from(bound));
}

function unwrap(value: unknown): unknown {
  if (value instanceof Owned) return value.handle;
  if (Array.isArray(value)) {
    const length = value.length;
    for (let i = 0; i < length; i++) if (typeof value[i] === "object") return value.map(unwrap);
  }
  return value;
}

function wrap(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(wrap);
  return wrapTensor(value as Handle);
}

/** Shapes and dtypes of the arguments, for error messages. */
function describe(args: readonly unknown[]): string {
  return args.map(describeOne).join(", ");
}

function describeOne(value: unknown): string {
  if (value instanceof Owned) {
    if (!value.isLive) return "released";
    const tensor = value as { shape?: readonly number[]; dtype?: Dtype };
    return tensor.shape ? `${tensor.dtype}[${tensor.shape.join(", ")}]` : "Generator";
  }
  if (Array.isArray(value)) {
    const shown = value.slice(0, 4).map(describeOne);
    return `[${shown.join(", ")}${value.length > 4 ? ", …" : ""}]`;
  }
  return String(value);
}

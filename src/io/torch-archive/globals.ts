/**
 * The globals that a weights file may name, and what becomes of them. Classes of other projects become opaque objects; what
 * can run code, and tensors of kinds that this reader has not, end the reading.
 */
import type { Dtype } from "../../torch/index.ts";
import { LazyTensor, widths } from "../lazy-tensor.ts";
import { quoted } from "../quoted.ts";
import { numpyGlobals } from "./numpy.ts";
import { isSize, sizes, storageTypes, viewStorage } from "./storage.ts";
import { Attributes, type Context, Global, kindOf, OpaqueGlobal, shown, type Value } from "./values.ts";

/** Python 2's names of what Python 3 calls otherwise, and NumPy 2's of what NumPy 1 did. */
const renamed: readonly [RegExp, string][] = [
  [/^__builtin__$/, "builtins"],
  [/^numpy\._core\b/, "numpy.core"],
  [/^copy_reg$/, "copyreg"],
  [/^pathlib\._local$/, "pathlib"],
];

/** Modules whose functions act on the machine: who finds them in a weights file should not open it with Python. */
const dangerous = new Set(
  (
    "builtins os posix nt subprocess sys shutil socket runpy importlib code codeop pty ctypes _ctypes operator _operator " +
    "pickle _pickle copyreg types functools webbrowser platform asyncio multiprocessing threading timeit pdb bdb cProfile " +
    "profile ensurepip pip io _io tempfile glob http urllib requests ssl signal commands popen2 dill cloudpickle"
  ).split(" "),
);

/** Classes of the dangerous modules that configurations are made of, which act on nothing. */
const harmless = new Set(["functools.partial", "types.SimpleNamespace", "builtins.range", "builtins.slice"]);

function makeDict(args: readonly Value[], context: Context): Map<Value, Value> {
  const [items] = args;
  if (items === undefined) return new Map();
  if (items instanceof Map) {
    context.spend(items.size);
    return new Map(items);
  }
  if (!Array.isArray(items)) return context.fail(`it makes a dict from ${kindOf(items)}`);
  context.spend(items.length);
  const map = new Map<Value, Value>();
  for (const pair of items) {
    if (!Array.isArray(pair) || pair.length !== 2) return context.fail("it makes a dict from what are no pairs");
    map.set(pair[0] as Value, pair[1] as Value);
  }
  return map;
}

function makeSet(args: readonly Value[], context: Context): Set<Value> {
  const [items = []] = args;
  if (!Array.isArray(items)) return context.fail(`it makes a set from ${kindOf(items)}`);
  context.spend(items.length);
  return new Set(items);
}

/** `_codecs.encode(text, "latin1")`, how protocol 2 writes bytes. */
function encode(args: readonly Value[], context: Context): Value {
  const [text, encoding] = args;
  if (typeof text !== "string" || (encoding !== "latin1" && encoding !== "latin-1")) {
    return context.fail("it encodes something other than text in latin1");
  }
  context.spend(text.length);
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function makeBytes(args: readonly Value[], context: Context): Value {
  const [content, ...encoding] = args;
  if (content === undefined) return new Uint8Array(0);
  if (typeof content === "string") return encode([content, ...encoding], context);
  if (!(content instanceof Uint8Array)) return context.fail(`it makes bytes from ${kindOf(content)}`);
  context.spend(content.length);
  return content.slice();
}

function makePath(args: readonly Value[], context: Context): Value {
  if (args.length > 1000 || !args.every((part) => typeof part === "string")) return context.fail("a path has no text");
  context.spend(args.reduce((total: number, part) => total + String(part).length, 0));
  return args
    .map((part) => String(part))
    .join("/")
    .replace(/^\/\//, "/");
}

function makeDevice(args: readonly Value[], context: Context): Value {
  const [type, index] = args;
  if (typeof type !== "string" || type.length > 100) return context.fail("a device has no name");
  return isSize(index) ? `${type}:${index}` : type;
}

function makeSize(args: readonly Value[], context: Context): Value {
  return sizes(args[0]) ?? context.fail("a torch.Size holds something other than sizes");
}

function rebuildTyped(args: readonly Value[], context: Context): LazyTensor {
  const name = args[6];
  const dtype = typeof name === "string" ? name.replace(/^torch\./, "") : "";
  if (!Object.hasOwn(widths, dtype)) {
    return context.fail(`a tensor has the unsupported dtype ${shown(name)}; ${resave}, in another dtype`);
  }
  return viewStorage(args, dtype as Dtype, context);
}

function rebuildParameter(args: readonly Value[], context: Context): LazyTensor {
  const [data] = args;
  return data instanceof LazyTensor ? data : context.fail("a parameter has no data");
}

/** A tensor with attributes of its own, which are left out. */
function rebuildFromType(args: readonly Value[], context: Context): Value {
  const [rebuild, , inner] = args;
  if (!(rebuild instanceof Global) || !rebuild.name.startsWith("torch._utils._rebuild") || !rebuild.call) {
    return context.fail("a tensor with attributes has no rebuilding function");
  }
  if (!Array.isArray(inner)) return context.fail("a tensor with attributes has no arguments");
  return rebuild.call(inner, context);
}

function plainName(args: readonly Value[], context: Context): Value {
  const [name] = args;
  return typeof name === "string" ? name : context.fail("a layout has no name");
}

const classNames = "int float bool str list tuple dict".split(" ").map((name) => new Global(`builtins.${name}`));

const known: ReadonlyMap<string, Global | string> = new Map<string, Global | string>([
  ...[
    new Global("collections.OrderedDict", makeDict),
    // The factory of a defaultdict says nothing about what is in it.
    new Global("collections.defaultdict", (args, context) => makeDict(args.slice(1), context)),
    new Global("collections.Counter", makeDict),
    new Global("argparse.Namespace", () => new Attributes()),
    ...classNames,
    new Global("builtins.set", makeSet),
    new Global("builtins.frozenset", makeSet),
    new Global("builtins.bytes", makeBytes),
    new Global("builtins.bytearray", makeBytes),
    new Global("_codecs.encode", encode),
    ...["Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"].map(
      (name) => new Global(`pathlib.${name}`, makePath),
    ),
    new Global("torch.Size", makeSize),
    new Global("torch.device", makeDevice),
    new Global("torch.serialization._get_layout", plainName),
    new Global("torch.Tensor"),
    new Global("torch.nn.parameter.Parameter"),
    new Global("torch.nn.parameter.Buffer"),
    new Global("torch._utils._rebuild_tensor", (args, context) => viewStorage(args, undefined, context)),
    new Global("torch._utils._rebuild_tensor_v2", (args, context) => viewStorage(args, undefined, context)),
    new Global("torch._utils._rebuild_tensor_v3", rebuildTyped),
    new Global("torch._utils._rebuild_parameter", rebuildParameter),
    new Global("torch._utils._rebuild_parameter_with_state", rebuildParameter),
    new Global("torch._tensor._rebuild_from_type_v2", rebuildFromType),
    ...numpyGlobals,
    ...storageTypes.values(),
  ].map((global): [string, Global] => [global.name, global]),
  // Types and layouts are only named.
  ...(
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool complex32 complex64 " +
    "complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz strided contiguous_format channels_last " +
    "preserve_format"
  )
    .split(" ")
    .map((name): [string, string] => [`torch.${name}`, `torch.${name}`]),
]);

/** Types that libtorch has, and this reader has not. */
const unsupported: readonly [RegExp, string][] = [
  [/^torch(\.cuda)?\.Q\w+Storage$|_rebuild_qtensor$/, "quantised tensors"],
  [/^torch(\.cuda)?\.Complex\w+Storage$|^builtins\.complex$/, "complex numbers"],
  [/^torch\.Float8\w+Storage$/, "tensors of 8-bit floats"],
  [/_rebuild_sparse_(csr_)?tensor$/, "sparse tensors"],
  [/_rebuild_nested_tensor$/, "nested tensors"],
  [/_rebuild_meta_tensor_no_storage$/, "meta tensors, which have no data"],
];

const resave =
  'in Python, save only the weights (torch.save(model.state_dict(), "weights.pth")) or convert them to safetensors';

/** The meaning of a global's name. */
export function findGlobal(module: string, name: string, context: Context): Value {
  let home = module;
  for (const [pattern, replacement] of renamed) home = home.replace(pattern, replacement);
  const full = `${home}.${name}`;
  const found = known.get(full);
  if (found !== undefined) return found;
  // A module of a TorchScript program, whose attributes are its weights and its parts.
  if (home.startsWith("__torch__")) return new Global(full, () => new Attributes());
  const shown = quoted(`${module}.${name}`);
  for (const [pattern, what] of unsupported) {
    if (pattern.test(full)) return context.fail(`it holds ${what} (${shown}), which are not supported; ${resave}`);
  }
  if (dangerous.has(home.split(".")[0] ?? "") && !harmless.has(full)) {
    return context.fail(
      `it names ${shown}, which no weights file needs and which can run code: do not open it with Python; ` +
        "get the weights from a source that you trust, best as safetensors",
    );
  }
  // A maker of tensors that this reader does not know must not be left out in silence.
  if (/^torch\..*\._\w+$|^torch\._/.test(full)) return context.fail(onlyPython(shown));
  return new OpaqueGlobal(shown);
}

/** A message about a quoted name that cannot be rebuilt here. */
export function onlyPython(name: string): string {
  return `it holds ${name}, which only Python can rebuild: if you trust the file, ${resave}`;
}

/** Changes to a pickle by whole instructions. */
import { op } from "../support/archive-writer.ts";
import { interesting, mutateBytes } from "./bytes.ts";
import type { Random } from "./random.ts";

/** Bytes after an instruction; negative: the width of the length that is followed by so many bytes; lines by number. */
const widths: Record<string, number> = { J: 4, K: 1, M: 2, G: 8, h: 1, q: 1, j: 4, r: 4 };
const sizes: Record<string, number> = { X: 4, T: 4, U: 1, B: 4, C: 1 };
const lines: Record<string, number> = { I: 1, L: 1, F: 1, S: 1, V: 1, g: 1, p: 1, P: 1, c: 2, i: 2 };
const wideWidths: Record<number, number> = { 128: 1, 149: 8, 130: 1, 131: 2, 132: 4 };
const wideSizes: Record<number, number> = { 138: 1, 139: 4, 140: 1, 141: 8, 142: 8, 150: 8 };

/** The instructions of one or more pickles in a row; what follows them is one last piece. */
function instructionsOf(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = endOf(bytes, at);
    if (end === undefined || end > bytes.length) return [...found, bytes.subarray(at)];
    found.push(bytes.subarray(at, end));
    at = end;
  }
  return found;
}

function endOf(bytes: Buffer, at: number): number | undefined {
  const code = bytes[at] ?? 0;
  const name = String.fromCharCode(code);
  const fixed = widths[name] ?? wideWidths[code];
  if (fixed !== undefined) return at + 1 + fixed;
  const size = sizes[name] ?? wideSizes[code];
  if (size !== undefined) {
    if (at + 1 + size > bytes.length) return undefined;
    const length = size === 8 ? Number(bytes.readBigUInt64LE(at + 1)) : bytes.readUIntLE(at + 1, size);
    return at + 1 + size + length;
  }
  let end = at + 1;
  for (let line = lines[name] ?? 0; line > 0; line--) {
    const next = bytes.indexOf(0x0a, end);
    if (next < 0) return undefined;
    end = next + 1;
  }
  return end;
}

const plain = [..."()]}.0123NRQabdelostu", "\x81", "\x85", "\x86", "\x87", "\x88", "\x89", "\x8f", "\x90", "\x91"];
const more = [
  "\x92",
  "\x93",
  "\x94",
  "\x97",
  "\x98",
  "\x80\x02",
  "h\0",
  "q\0",
  "h\x01",
  "q\x01",
  "K\0",
  "K\x01",
  "I01\n",
];
const names: readonly (readonly [string, string])[] = [
  ["collections", "OrderedDict"],
  ["collections", "defaultdict"],
  ["torch._utils", "_rebuild_tensor_v2"],
  ["torch._utils", "_rebuild_tensor_v3"],
  ["torch._utils", "_rebuild_parameter"],
  ["torch._tensor", "_rebuild_from_type_v2"],
  ["torch", "FloatStorage"],
  ["torch", "BoolStorage"],
  ["torch.storage", "UntypedStorage"],
  ["torch", "Size"],
  ["torch", "device"],
  ["torch", "float16"],
  ["numpy", "dtype"],
  ["numpy", "ndarray"],
  ["numpy._core.multiarray", "scalar"],
  ["numpy.core.multiarray", "_reconstruct"],
  ["numpy._core.numeric", "_frombuffer"],
  ["_codecs", "encode"],
  ["builtins", "set"],
  ["builtins", "bytearray"],
  ["pathlib", "PosixPath"],
  ["argparse", "Namespace"],
  ["os", "system"],
  ["builtins", "eval"],
];

function anyInstruction(random: Random): Buffer {
  return random.pick<() => Buffer>([
    () => Buffer.from(random.pick([...plain, ...more]), "latin1"),
    () => Buffer.from([random.int(256)]),
    () => op.global(...random.pick(names)),
    () => op.text(random.pick(["", "0", "1", "cpu", "storage", "module", "latin1", "f4", "<f8", "O8", "__proto__"])),
    () => op.int(BigInt.asIntN(64, random.pick(interesting))),
    () => op.call(...random.pick(names), ...Array.from({ length: random.int(5) }, () => op.int(random.int(5)))),
    () => op.ints(Array.from({ length: random.int(5) }, () => random.int(5))),
    () => op.storage(random.pick(["0", "1", "2"]), random.int(20), random.pick(["FloatStorage", "LongStorage"])),
    () => op.tensor([random.int(4), random.int(4)], [random.int(4), random.int(4)], { offset: random.int(4) }),
  ])();
}

/** The pickle with instructions changed, moved, doubled, left out or added. */
export function mutatePickle(random: Random, bytes: Buffer): Buffer {
  const all = instructionsOf(bytes);
  for (let i = random.int(1 + random.int(4)); i >= 0 && all.length > 0; i--) {
    const at = random.int(all.length);
    const here = all[at] ?? Buffer.alloc(0);
    random.pick<() => void>([
      () => void all.splice(at, 1),
      () => void all.splice(at, 0, anyInstruction(random)),
      () => void all.splice(at, 1, anyInstruction(random)),
      () => void all.splice(at, 1, mutateBytes(random, here, here)),
      () => void all.splice(random.int(all.length), 0, here),
      () => void all.splice(random.int(all.length), 0, ...all.slice(at, at + random.int(20))),
      () => void all.splice(at, random.int(20)),
    ])();
  }
  return Buffer.concat(all);
}

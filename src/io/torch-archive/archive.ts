/** Content of a file of torch.save, as plain values and tensors that are read when asked for. */
import { UserError } from "../../torch/index.ts";
import { FileSource } from "../file-source.ts";
import { describeForeign, headBytes } from "../foreign-file.ts";
import type { LazyTensor } from "../lazy-tensor.ts";
import { onlyPython } from "./globals.ts";
import { readLegacy } from "./legacy.ts";
import type { Plain, TorchValue, Value } from "./values.ts";
import { leavesOf } from "./walk.ts";
import { ZipArchive } from "./zip.ts";
import { isProgram, readZip } from "./zipped.ts";

export interface TorchArchive {
  readonly path: string;
  readonly format: "zip" | "legacy";
  /** The saved value itself. */
  readonly root: TorchValue;
  /** Every tensor by its dotted path. */
  readonly tensors: ReadonlyMap<string, LazyTensor>;
  /** Every other leaf by its dotted path. */
  readonly scalars: ReadonlyMap<string, Plain>;
  /** Class of every object that only Python can rebuild, by its dotted path; such objects are left out. */
  readonly opaque: ReadonlyMap<string, string>;
}

const zipMagic = 0x04034b50;

/**
 * Opens a .pth or .pt file without running any of it: numbers, text, containers and tensors are kept. Objects of other
 * classes (a run's configuration) are left out; a file that is nothing else, such as a whole pickled module, is refused.
 * Only what describes
 * the tensors is read: each has its shape and dtype, and its `read()` reads its elements when asked. `stateDictOf` finds a
 * model's tensors in it. The file is not kept open.
 * @param program also open a TorchScript program: its modules are dicts of their weights and parts, none of its code is run
 * @throws UserError naming the file when it is no such file, is damaged, or holds something that is not supported
 */
export async function readTorchArchive(path: string, { program = false } = {}): Promise<TorchArchive> {
  const fail = (what: string): never => {
    throw new UserError(`${path} cannot be read as a PyTorch file: ${what}`);
  };
  const source = await FileSource.of(path);
  const head = await source.bytes(0, Math.min(source.size, headBytes));
  const foreign = describeForeign(head, path);
  if (foreign !== undefined) throw new UserError(`${path} ${foreign}`);
  if (head[8] === 0x7b && head.readUInt32LE(4) === 0) {
    return fail("it looks like safetensors; give it that format, and the ending .safetensors");
  }
  const isZip = head.length >= 4 && head.readUInt32LE(0) === zipMagic;
  const value: Value = isZip
    ? await readZip(await ZipArchive.open(source), fail, program)
    : await readLegacy(source, fail);
  const root = value as TorchValue;
  const { tensors, plain, opaque } = leavesOf(root, fail);
  const [first] = opaque.values();
  if (tensors.size === 0 && first !== undefined) return fail(onlyPython(first));
  return { path, format: isZip ? "zip" : "legacy", root, tensors, scalars: plain, opaque };
}

/**
 * True when a file is a TorchScript program: a zip archive with code in it, which `readTorchArchive` refuses.
 * @throws UserError when the file cannot be read, or is a damaged zip archive
 */
export async function isTorchScript(path: string): Promise<boolean> {
  const source = await FileSource.of(path);
  if (source.size < 4 || (await source.bytes(0, 4)).readUInt32LE(0) !== zipMagic) return false;
  return isProgram(await ZipArchive.open(source));
}

/** Plain pickles, such as batches of data sets. */
import { UserError } from "../../torch/index.ts";
import { FileSource } from "../file-source.ts";
import { findGlobal } from "./globals.ts";
import { PickleEnd, unpickle } from "./unpickle.ts";
import type { TorchValue } from "./values.ts";

const maximumBytes = 1 << 29;

export interface PickleFile {
  value: TorchValue;
  /** The file's content. */
  bytes: Buffer;
}

/**
 * Reads a pickle of numbers, text, containers and NumPy arrays without running any of it.
 * @throws UserError naming the file when it is none, is damaged, or holds something else
 */
export async function readPickle(path: string): Promise<PickleFile> {
  const fail = (what: string): never => {
    throw new UserError(`${path} cannot be read as a pickle: ${what}`);
  };
  const source = await FileSource.of(path);
  if (source.size > maximumBytes) fail(`it has ${source.size} bytes, more than is read at once`);
  const bytes = await source.bytes(0, source.size);
  const persistent = (): never => fail("it refers to what lies outside of it");
  try {
    const { value } = unpickle(bytes, 0, { find: findGlobal, persistent, fail });
    return { value: value as TorchValue, bytes };
  } catch (error) {
    if (error instanceof PickleEnd) return fail("it ends too early: get it again");
    throw error;
  }
}

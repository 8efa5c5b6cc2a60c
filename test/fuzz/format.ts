/** Description of a format for the fuzzer. */
import type { Random } from "./random.ts";

/** Files by name in one folder; the first is the one that is opened. */
export type Files = ReadonlyMap<string, Buffer>;

export interface Format {
  readonly name: string;
  /** Sound files. */
  seeds(): Files[] | Promise<Files[]>;
  /** A changed copy of one of them; `other` is another one. */
  mutate(random: Random, files: Files, other: Files): Files;
  /** Reads all that is in it with the real reader, and releases it. */
  open(path: string): void | Promise<void>;
}

/** The same files with one of them changed. */
export function withFile(files: Files, name: string, bytes: Buffer): Files {
  return new Map(files).set(name, bytes);
}

export function contentOf(files: Files, name: string): Buffer {
  return files.get(name) ?? Buffer.alloc(0);
}

export function mainName(files: Files): string {
  return [...files.keys()][0] ?? "";
}

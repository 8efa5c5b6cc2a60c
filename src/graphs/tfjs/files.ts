/** Files that a model's description names: only regular files, only inside the folder of the description. */
import fs from "node:fs";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { explainRead, openRegular, quoted, shown } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";

/** @throws UserError when there is no such file, or it is larger than `limit` */
export function readSmallFile(path: string, limit: number, why: string): string {
  using file = new OpenFile(path);
  if (file.size > limit) throw new UserError(`${path} has ${file.size} bytes: ${why}`);
  const bytes = new Uint8Array(file.size);
  file.readInto(bytes, 0);
  return new TextDecoder().decode(bytes);
}

/** A regular file, open for reading. */
export class OpenFile {
  readonly path: string;
  readonly size: number;
  readonly #descriptor: number;

  /** @throws UserError when it cannot be opened or is no regular file */
  constructor(path: string) {
    this.path = path;
    this.#descriptor = openRegular(path);
    this.size = fs.fstatSync(this.#descriptor).size;
  }

  /** Fills `bytes` from a position. @throws UserError when the file ends before */
  readInto(bytes: Uint8Array, position: number): void {
    attempt(this.path, () => {
      let done = 0;
      while (done < bytes.length) {
        const length = Math.min(bytes.length - done, 1 << 30);
        const count = fs.readSync(this.#descriptor, bytes, done, length, position + done);
        if (count === 0) throw new UserError(`${this.path} ended while it was read: is something writing to it?`);
        done += count;
      }
    });
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.#descriptor);
  }
}

function attempt<T>(path: string, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw explainRead(error, path);
  }
}

/**
 * The path of a file that `description` names, which must lie below its folder; links may not lead out of it.
 * @throws UserError for an absolute path, one that leaves the folder, or a missing file
 */
export function confined(description: string, name: string): string {
  const refuse = (why: string): never => {
    throw new UserError(`${description} names the file ${quoted(name)}: ${why}`);
  };
  if (name === "" || name.includes("\0")) return refuse("that is no file name");
  if (isAbsolute(name) || /^[a-z][a-z0-9+.-]*:|^\\/i.test(name)) return refuse("it must lie in the model's folder");
  if (name.split(/[/\\]/).includes("..")) return refuse("it must not leave the model's folder");
  const folder = dirname(description);
  const path = join(folder, name);
  const inside = relative(real(folder, refuse), real(path, refuse));
  if (inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    return refuse("it is a link that leaves the model's folder");
  }
  return path;
}

function real(path: string, refuse: (why: string) => never): string {
  try {
    return fs.realpathSync(path);
  } catch {
    return refuse(`there is no ${shown(path)}; download the model's other files too`);
  }
}

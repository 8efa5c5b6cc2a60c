/**
 * A file that is not complete yet. Its name says what it will be (`stem`), by which validator the server can tell that
 * the rest still fits, and who writes it:
 *
 *     STEM.VALIDATOR.OWNER.incomplete    OWNER is "free", or the tag of a process
 *
 * Only its owner writes it. A download starts by renaming what another one left, which only one process can do.
 */
import fs from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isAbandoned, newTag, tagPattern } from "../io/index.ts";
import { explainWrite } from "./settings.ts";

const maximumValidator = 90;

interface Name {
  readonly stem: string;
  readonly validator: string;
  readonly owner: string;
}

const nameEnd = new RegExp(`^([\\w-]+)\\.(free|${tagPattern.source})\\.incomplete$`);

const fileName = ({ stem, validator, owner }: Name): string => `${stem}.${validator}.${owner}.incomplete`;

export class Partial {
  readonly #folder: string;
  readonly #handle: FileHandle;
  #name: Name;
  #size: number;

  private constructor(folder: string, name: Name, handle: FileHandle, size: number) {
    this.#folder = folder;
    this.#name = name;
    this.#handle = handle;
    this.#size = size;
  }

  /** Goes on with the largest file that nobody writes any more, or starts one. @throws UserError when it cannot be written */
  static async claim(folder: string, stem: string): Promise<Partial> {
    try {
      await mkdir(folder, { recursive: true });
      const name = (await adopt(folder, stem)) ?? { stem, validator: "-", owner: newTag() };
      const path = join(folder, fileName(name));
      const handle = await open(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o666);
      return new Partial(folder, name, handle, (await handle.stat()).size);
    } catch (error) {
      throw explainWrite(error, folder);
    }
  }

  get path(): string {
    return join(this.#folder, fileName(this.#name));
  }

  get size(): number {
    return this.#size;
  }

  /** The server's name of this version of the file, if it said so. */
  get validator(): string | undefined {
    return this.#name.validator === "-" ? undefined : Buffer.from(this.#name.validator, "base64url").toString("utf8");
  }

  async append(chunk: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await this.#handle.write(chunk, done, chunk.length - done, this.#size);
        done += bytesWritten;
        this.#size += bytesWritten;
      }
    } catch (error) {
      throw explainWrite(error, this.path);
    }
  }

  /** Empties it; what comes next is of the version with this validator. */
  async restart(validator: string | undefined): Promise<void> {
    try {
      await this.#handle.truncate(0);
      this.#size = 0;
      const encoded = validator === undefined ? "-" : Buffer.from(validator).toString("base64url");
      await this.#rename({ ...this.#name, validator: encoded.length <= maximumValidator ? encoded : "-" });
    } catch (error) {
      throw explainWrite(error, this.path);
    }
  }

  /** Its bytes from the start. */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const buffer = Buffer.allocUnsafeSlow(1 << 20);
    for (let at = 0; at < this.#size; ) {
      const { bytesRead } = await this.#handle.read(buffer, 0, Math.min(buffer.length, this.#size - at), at);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  /** Puts the complete file at `target`, which appears whole or not at all. */
  async finish(target: string): Promise<void> {
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.path, target);
    } catch (error) {
      await this.discard();
      throw explainWrite(error, target);
    }
  }

  /** Leaves what there is to the next attempt. */
  async release(): Promise<void> {
    await this.#handle.close().catch(() => {});
    if (this.#size === 0) return this.discard();
    await this.#rename({ ...this.#name, owner: "free" }).catch(() => {});
  }

  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.path, { force: true }).catch(() => {});
  }

  async #rename(name: Name): Promise<void> {
    const before = this.path;
    if (fileName(name) === fileName(this.#name)) return;
    await rename(before, join(this.#folder, fileName(name)));
    this.#name = name;
  }
}

/** Takes over what others left of this file: the largest is kept, the others are removed. */
async function adopt(folder: string, stem: string): Promise<Name | undefined> {
  let best: { name: Name; size: number } | undefined;
  for (const entry of await readdir(folder)) {
    const left = parse(entry, stem);
    if (!left || !(left.owner === "free" || isAbandoned(left.owner, join(folder, entry)))) continue;
    const name = { ...left, owner: newTag() };
    const path = join(folder, fileName(name));
    try {
      await rename(join(folder, entry), path);
    } catch {
      continue; // another process was quicker
    }
    const { size } = await stat(path);
    const loser = best && best.size >= size ? name : best?.name;
    if (loser) await rm(join(folder, fileName(loser)), { force: true });
    if (loser !== name) best = { name, size };
  }
  return best?.name;
}

function parse(entry: string, stem: string): Name | undefined {
  if (!entry.startsWith(`${stem}.`)) return undefined;
  const parts = nameEnd.exec(entry.slice(stem.length + 1));
  return parts ? { stem, validator: parts[1] as string, owner: parts[2] as string } : undefined;
}

/** Finished cells: one JSON file each, named by what it is and by a hash of everything that decides it. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { proposeName, sweepTemporaries, writeFileAtomic } from "../io/index.ts";
import { fingerprint } from "../train/index.ts";

/** A text as a part of the names of cells and folders. */
export const slug = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");

export class CellStore {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** A cell by its name, whose parts stand between slashes, and its key; computed when it is missing. */
  async cell<T>(name: string, key: unknown, compute: () => Promise<T>): Promise<T> {
    const before = this.read<T>(name, key);
    if (before !== undefined) return before;
    const value = await compute();
    const path = this.#path(name, key);
    mkdirSync(dirname(path), { recursive: true });
    sweepTemporaries(dirname(path));
    writeFileAtomic(path, [`${JSON.stringify(value)}\n`]);
    return value;
  }

  /** A finished cell; undefined when there is none. */
  read<T>(name: string, key: unknown): T | undefined {
    const path = this.#path(name, key);
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : undefined;
  }

  /** Names hold those of hubs and data sets, which are their authors'; none leads out of the folder. */
  #path(name: string, key: unknown): string {
    const parts = name.split("/").map(proposeName);
    return `${join(this.folder, ...parts)}-${fingerprint(key)}.json`;
  }
}

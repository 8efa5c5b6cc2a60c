/**
 * Finished cells: a file of JSON lines for each folder of names, so one for each hub and target. A line is
 * `{ name, key, cell }`; two processes may append at once.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { appendJsonLine, counted, proposeName, readNewJsonLines, repairJsonLines } from "../io/index.ts";
import { canonicalText } from "./identity.ts";

/** A text as a part of the names of cells and folders. */
export const slug = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");

const lineSchema = z.object({ name: z.string(), key: z.unknown(), cell: z.unknown() });

export class CellStore {
  readonly folder: string;
  readonly #say: (text: string) => void;
  readonly #files = new Map<string, CellFile>();

  /** @param say takes a line for people, about cells that are not as they should be */
  constructor(folder: string, say: (text: string) => void = () => {}) {
    this.folder = folder;
    this.#say = say;
  }

  /** Readies the folder for the one process that starts others: cuts off lines that a kill left, names what is not read. */
  prepare(): void {
    if (!existsSync(this.folder)) return;
    const files = readdirSync(this.folder, { recursive: true, encoding: "utf8" });
    for (const file of files) if (file.endsWith(".jsonl")) repairJsonLines(join(this.folder, file));
    const old = files.filter((file) => file.endsWith(".json"));
    if (old.length === 0) return;
    this.#say(
      `${this.folder} holds ${counted(old.length, "cell")} of an older version, one .json file each, which are not read: ` +
        "their tables need that version; delete them, or name another folder with --results",
    );
  }

  /** A cell by its name, whose parts stand between slashes, and its key; computed when it is missing. */
  async cell<T>(name: string, key: unknown, compute: () => Promise<T>): Promise<T> {
    const before = this.read<T>(name, key);
    if (before !== undefined) return before;
    const cell = await compute();
    this.#file(name).append({ name, key, cell });
    return cell;
  }

  /** A finished cell; undefined when there is none. */
  read<T>(name: string, key: unknown): T | undefined {
    return this.#file(name).find(name, key) as T | undefined;
  }

  /** Names hold those of hubs and data sets, which are their authors'; none leads out of the folder. */
  #file(name: string): CellFile {
    const parts = name.split("/").slice(0, -1).map(proposeName);
    const path = `${join(this.folder, ...(parts.length > 0 ? parts : ["cells"]))}.jsonl`;
    const file = this.#files.get(path) ?? new CellFile(path, this.#say);
    this.#files.set(path, file);
    return file;
  }
}

const idOf = (name: string, key: unknown): string => `${name} ${canonicalText(key)}`;

/** One file of cells, read whole when it is first asked; what others append is read when a cell is missing. */
class CellFile {
  readonly #path: string;
  readonly #say: (text: string) => void;
  readonly #cells = new Map<string, unknown>();
  #end = 0;

  constructor(path: string, say: (text: string) => void) {
    this.#path = path;
    this.#say = say;
  }

  find(name: string, key: unknown): unknown {
    const id = idOf(name, key);
    if (!this.#cells.has(id)) this.#read();
    return this.#cells.get(id);
  }

  append(line: { name: string; key: unknown; cell: unknown }): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    appendJsonLine(this.#path, line);
  }

  #read(): void {
    const { lines, end } = readNewJsonLines(this.#path, lineSchema, this.#end);
    this.#end = end;
    for (const { name, key, cell } of lines) {
      const id = idOf(name, key);
      const before = this.#cells.get(id);
      if (before !== undefined && !isDeepStrictEqual(before, cell))
        this.#say(`${this.#path} holds two cells ${name} of one key: the later one counts`);
      this.#cells.set(id, cell);
    }
  }
}

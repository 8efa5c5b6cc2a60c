/**
 * Finished cells: a file of JSON lines for each folder of names, so one for each hub and target. A line is
 * `{ name, key, cell }`. Processes of several machines may append at once: one at a time, since network file systems do
 * not append in one step. Of two cells of one name and key the first one counts.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import {
  appendJsonLine,
  counted,
  proposeName,
  readNewJsonLines,
  refreshFile,
  repairJsonLines,
  type SeenBeats,
  tryLock,
} from "../io/index.ts";
import { canonicalText } from "./identity.ts";

/** A text as a part of the names of cells and folders. */
export const slug = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");

const lineSchema = z.object({ name: z.string(), key: z.unknown(), cell: z.unknown() });
type Line = z.infer<typeof lineSchema>;

/** Appending takes milliseconds: whoever holds a file for so long was killed. */
const silenceMs = 30_000;
const pollMs = 20;

/** What a cell is found by. */
export type CellId = readonly [name: string, key: unknown];

export class CellStore {
  readonly folder: string;
  /** Called after each cell that this process adds. */
  onAdded: () => void = () => {};
  readonly #say: (text: string) => void;
  readonly #files = new Map<string, CellFile>();

  /** @param say takes a line for people, about cells that are not as they should be */
  constructor(folder: string, say: (text: string) => void = () => {}) {
    this.folder = folder;
    this.#say = say;
  }

  /** Names what lies in the folder and is not read. */
  checkVersions(): void {
    if (!existsSync(this.folder)) return;
    const files = readdirSync(this.folder, { recursive: true, encoding: "utf8" });
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
    const kept = await this.#file(name).add({ name, key, cell: await compute() });
    this.onAdded();
    return kept as T;
  }

  has(...id: CellId): boolean {
    return this.read(...id) !== undefined;
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

/**
 * A cell as text, without what differs when it is computed again: times, and where and when it was made. Cells are
 * compared after they were read, so that what JSON cannot hold makes no difference.
 */
const comparable = (cell: unknown): string =>
  canonicalText(JSON.parse(JSON.stringify(cell), (key, part) => (/seconds|^made$/i.test(key) ? undefined : part)));

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

  /** Adds a line, and returns the cell that counts: another process may have been faster. */
  async add(line: Line): Promise<unknown> {
    mkdirSync(dirname(this.#path), { recursive: true });
    const seen: SeenBeats = new Map();
    for (;;) {
      using lock = tryLock(`${this.#path}.lock`, "adds a cell", { silenceMs, seen });
      if (lock) return this.#addAlone(line);
      // Not asleep: the claim on this work has to show signs of life.
      await setTimeout(pollMs);
    }
  }

  #addAlone(line: Line): unknown {
    refreshFile(this.#path);
    const before = this.find(line.name, line.key);
    if (before === undefined) {
      repairJsonLines(this.#path);
      appendJsonLine(this.#path, line);
      return line.cell;
    }
    if (comparable(before) !== comparable(line.cell)) this.#dropped(line.name);
    return before;
  }

  #read(): void {
    const { lines, end } = readNewJsonLines(this.#path, lineSchema, this.#end);
    this.#end = end;
    for (const { name, key, cell } of lines) {
      const id = idOf(name, key);
      const before = this.#cells.get(id);
      if (before === undefined) this.#cells.set(id, cell);
      else if (comparable(before) !== comparable(cell)) this.#dropped(name);
    }
  }

  #dropped(name: string): void {
    this.#say(`${name} was computed twice, with different results: the first one in ${this.#path} counts`);
  }
}

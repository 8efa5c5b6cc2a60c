/** Reading JSON that others wrote: bounded size and depth, and typed access to fields with errors that say where. */
import { quoted, reasonOf } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { readSmallFile } from "./files.ts";

/** The largest published topologies have a few megabytes. */
export const maximumJson = 64 * 1024 * 1024;
const maximumDepth = 100;

/** @throws UserError when the file is missing, too large, too deep, or not JSON */
export function readJson(path: string): unknown {
  const text = readSmallFile(path, maximumJson, "no model's description needs that much");
  checkDepth(text, path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = reasonOf(error);
    throw new UserError(`${path} is not JSON: ${reason}; download or export the model again`);
  }
}

/** Everything that walks the parsed value may then recurse. */
function checkDepth(text: string, path: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (quoted) {
      if (code === 92) i += 1;
      else if (code === 34) quoted = false;
    } else if (code === 34) quoted = true;
    else if (code === 123 || code === 91) {
      depth += 1;
      if (depth > maximumDepth) throw new UserError(`${path} nests deeper than ${maximumDepth} levels: it is no model`);
    } else if (code === 125 || code === 93) depth -= 1;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export interface Range {
  min?: number;
  max?: number;
}

/** Whole numbers beyond this are no size of anything. */
const largest = 2 ** 31 - 1;

/** An object of a file, whose fields are checked as they are read. A fallback of `undefined` means required. */
export class Fields {
  readonly #record: Record<string, unknown>;
  readonly where: string;

  /** @throws UserError when the value is no object */
  constructor(value: unknown, where: string) {
    if (!isRecord(value)) throw new UserError(`${where}: must be an object, is ${quoted(value)}`);
    this.#record = value;
    this.where = where;
  }

  fail(message: string): never {
    throw new UserError(`${this.where}: ${reasonOf(message)}`);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#record, key) && this.#record[key] !== null && this.#record[key] !== undefined;
  }

  raw(key: string): unknown {
    return this.has(key) ? this.#record[key] : undefined;
  }

  #read<T>(key: string, fallback: T | undefined, what: string, fits: (value: unknown) => value is T): T {
    if (!this.has(key)) return fallback ?? this.fail(`"${key}" is missing`);
    const value = this.#record[key];
    return fits(value) ? value : this.fail(`"${key}" must be ${what}, is ${quoted(value)}`);
  }

  string(key: string, fallback?: string): string {
    return this.#read(key, fallback, "a text", (value) => typeof value === "string");
  }

  boolean(key: string, fallback?: boolean): boolean {
    return this.#read(key, fallback, "true or false", (value) => typeof value === "boolean");
  }

  number(key: string, fallback?: number): number {
    return this.#read(key, fallback, "a finite number", isFiniteNumber);
  }

  int(key: string, range: Range = {}, fallback?: number): number {
    return this.#read(key, fallback, whole(range), (value) => isInt(value, range));
  }

  choice<const T extends string>(key: string, choices: readonly T[], fallback?: NoInfer<T>): T {
    const fits = (value: unknown): value is T => choices.some((choice) => choice === value);
    return this.#read(key, fallback, `one of ${choices.join(", ")}`, fits);
  }

  list(key: string, fallback?: readonly unknown[]): readonly unknown[] {
    return this.#read(key, fallback, "a list", (value) => Array.isArray(value));
  }

  ints(key: string, range: Range = {}, fallback?: readonly number[]): readonly number[] {
    const fits = (value: unknown): value is readonly number[] =>
      Array.isArray(value) && value.every((entry) => isInt(entry, range));
    return this.#read(key, fallback, `a list of numbers, each ${whole(range)}`, fits);
  }

  /** One number for both dimensions, or two. */
  pair(key: string, range: Range = {}, fallback?: readonly [number, number]): readonly [number, number] {
    if (isInt(this.raw(key), range)) return [this.int(key, range), this.int(key, range)];
    const fits = (value: unknown): value is readonly [number, number] =>
      Array.isArray(value) && value.length === 2 && value.every((entry) => isInt(entry, range));
    return this.#read(key, fallback, `${whole(range)}, or two of them`, fits);
  }

  fields(key: string): Fields {
    if (!this.has(key)) this.fail(`"${key}" is missing`);
    return new Fields(this.#record[key], `${this.where}, "${key}"`);
  }
}

export function isInt(value: unknown, range: Range): value is number {
  const { min = -largest, max = largest } = range;
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

function whole(range: Range): string {
  const { min = -largest, max = largest } = range;
  return `a whole number from ${min} to ${max}`;
}

/** Files of JSON lines: written line by line, so that a full disk or a kill may have cut the last one. */
import fs from "node:fs";
import type { z } from "zod";
import { explainRead, explainWrite } from "./system-errors.ts";

/** The lines of a file that the schema takes; none where there is no file. Others, such as a cut one, are left out. */
export function readJsonLines<S extends z.ZodType>(path: string, schema: S): z.output<S>[] {
  return readNewJsonLines(path, schema, 0).lines;
}

/**
 * The same for a file that grows: what stands after its first bytes.
 * @param from bytes that were read before
 * @returns the end of the last whole line too, in bytes: where to read on
 */
export function readNewJsonLines<S extends z.ZodType>(
  path: string,
  schema: S,
  from: number,
): { lines: z.output<S>[]; end: number } {
  if (!fs.existsSync(path)) return { lines: [], end: 0 };
  try {
    const bytes = bytesFrom(path, from);
    const lines = bytes
      .toString("utf8")
      .split("\n")
      .flatMap((line) => checkedLine(line, schema));
    return { lines, end: from + bytes.lastIndexOf("\n") + 1 };
  } catch (error) {
    throw explainRead(error, path);
  }
}

function bytesFrom(path: string, from: number): Buffer {
  if (from === 0) return fs.readFileSync(path);
  const file = fs.openSync(path, "r");
  try {
    const bytes = Buffer.alloc(Math.max(0, fs.fstatSync(file).size - from));
    return bytes.subarray(0, fs.readSync(file, bytes, 0, bytes.length, from));
  } finally {
    fs.closeSync(file);
  }
}

function checkedLine<S extends z.ZodType>(line: string, schema: S): z.output<S>[] {
  try {
    const parsed = schema.safeParse(JSON.parse(line));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}

/** One write, so that several processes may append. It begins a new line where a kill left one unfinished. */
export function appendJsonLine(path: string, value: unknown): void {
  try {
    fs.appendFileSync(path, `${endsInside(path) ? "\n" : ""}${JSON.stringify(value)}\n`);
  } catch (error) {
    throw explainWrite(error, path);
  }
}

/** Says if the last line has no end. */
function endsInside(path: string): boolean {
  const size = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return false;
  const file = fs.openSync(path, "r");
  try {
    const last = Buffer.alloc(1);
    fs.readSync(file, last, 0, 1, size - 1);
    return last.toString() !== "\n";
  } finally {
    fs.closeSync(file);
  }
}

/**
 * Sees a file as it is now, made where it is missing. A network's client remembers for seconds that a file was missing or shorter; to
 * open for writing and to set times makes it ask.
 */
export function refreshFile(path: string): void {
  try {
    const file = fs.openSync(path, "a");
    try {
      const now = new Date();
      fs.futimesSync(file, now, now);
    } finally {
      fs.closeSync(file);
    }
  } catch (error) {
    throw explainWrite(error, path);
  }
}

/** Cuts off a last line that is not whole, so that the next one begins a line of its own. */
export function repairJsonLines(path: string): void {
  const size = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return;
  const file = fs.openSync(path, "r+");
  try {
    const end = endOfLastLine(file, size);
    if (end < size) fs.ftruncateSync(file, end);
  } finally {
    fs.closeSync(file);
  }
}

const pieceSize = 1 << 16;

function endOfLastLine(file: number, size: number): number {
  const piece = Buffer.alloc(pieceSize);
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - pieceSize);
    const count = fs.readSync(file, piece, 0, end - begin, begin);
    const at = piece.subarray(0, count).lastIndexOf("\n");
    if (at >= 0) return begin + at + 1;
    end = begin;
  }
  return 0;
}

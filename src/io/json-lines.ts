/** Files of JSON lines: written line by line, so that a full disk or a kill may have cut the last one. */
import fs from "node:fs";
import type { z } from "zod";
import { explainRead } from "./system-errors.ts";

/** The lines of a file that the schema takes; none where there is no file. Others, such as a cut one, are left out. */
export function readJsonLines<S extends z.ZodType>(path: string, schema: S): z.output<S>[] {
  if (!fs.existsSync(path)) return [];
  try {
    return fs
      .readFileSync(path, "utf8")
      .split("\n")
      .flatMap((line) => checkedLine(line, schema));
  } catch (error) {
    throw explainRead(error, path);
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

export function appendJsonLine(path: string, value: unknown): void {
  fs.appendFileSync(path, `${JSON.stringify(value)}\n`);
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

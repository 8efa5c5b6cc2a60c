/** One execution: the real reader on one file, and what it may not do. */
import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { memory, UserError } from "../../src/torch/index.ts";
import type { Format } from "./format.ts";

export type Kind = "exception" | "message" | "handles" | "files" | "memory" | "hang" | "crash";

export interface Verdict {
  kind: Kind;
  what: string;
}

const maximumGrowth = 600 * 2 ** 20;
const maximumMessage = 2000;

function openFiles(): number {
  return existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0;
}

/** Verdict on a reader that misbehaved with this file; otherwise true when it accepted the file. */
export async function judge(format: Format, path: string): Promise<Verdict | boolean> {
  const before = { handles: memory().handles, files: openFiles(), rss: process.memoryUsage.rss() };
  const outcome = await outcomeOf(format, path);
  if (typeof outcome !== "boolean") return outcome;
  const { handles } = memory();
  if (handles > before.handles) return { kind: "handles", what: `${handles - before.handles} tensor handles are left` };
  const files = openFiles();
  if (files > before.files) return { kind: "files", what: `${files - before.files} files are left open` };
  const growth = process.memoryUsage.rss() - before.rss;
  return growth > maximumGrowth
    ? { kind: "memory", what: `memory grew by ${Math.round(growth / 2 ** 20)} MiB` }
    : outcome;
}

async function outcomeOf(format: Format, path: string): Promise<Verdict | boolean> {
  try {
    await format.open(path);
    return true;
  } catch (error) {
    if (!(error instanceof UserError)) {
      return { kind: "exception", what: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    const { message } = error;
    const folder = dirname(path);
    if (!message.includes(folder)) return { kind: "message", what: `it names no file: ${message}` };
    const own = message.replaceAll(folder, "");
    if (own.length > maximumMessage) return { kind: "message", what: `it is too long: ${message}` };
    if (/\p{Cc}|\n\s+at /u.test(own))
      return { kind: "message", what: `it is not printable: ${JSON.stringify(message)}` };
    return false;
  }
}

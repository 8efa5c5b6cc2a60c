/** hub-pathway cache: what lies in the cache folder, and its removal. */
import { join } from "node:path";
import { readDecodedIndex } from "../data/index.ts";
import { type CacheEntry, cacheDirectory, cacheEntries, cleanCache, counted, megabytes, shown } from "../io/index.ts";
import { textTable } from "../report/index.ts";
import type { Output } from "./context.ts";

export function list(output: Output): void {
  const entries = cacheEntries().reverse();
  const rows = entries.map((entry) => ({ ...entry, about: aboutOf(entry) }));
  output.say(
    textTable(rows, [
      { title: "kind", value: (row) => row.kind },
      { title: "what", value: (row) => shown(row.about) },
      { title: "size", value: (row) => megabytes(row.bytes), right: true },
      { title: "last used", value: (row) => timeOf(row).slice(0, 16).replace("T", " ") },
      { title: "in use", value: (row) => (row.inUse ? "yes" : "") },
    ]),
  );
  output.say(`\n${megabytes(sum(entries))} in ${cacheDirectory()}`);
  output.result({
    folder: cacheDirectory(),
    bytes: sum(entries),
    entries: rows.map((row) => {
      const { kind, about, bytes, inUse, paths } = row;
      return { kind, about, bytes, lastUsed: timeOf(row), inUse, paths };
    }),
  });
}

export function clean(flags: { keep?: number; all?: boolean }, output: Output): void {
  const removed = cleanCache({ keep: flags.keep ?? 0, fetched: flags.all ?? false });
  const inUse = cacheEntries().filter((entry) => entry.inUse);
  output.say(`${counted(removed.length, "entry", "entries")} removed, ${megabytes(sum(removed))}`);
  if (inUse.length > 0) output.note(`${counted(inUse.length, "entry is", "entries are")} in use and stayed`);
  output.result({ removed: removed.length, bytes: sum(removed), inUse: inUse.length });
}

function aboutOf({ kind, name }: CacheEntry): string {
  const about = kind === "decoded" ? readDecodedIndex(join(cacheDirectory(kind), `${name}.json`))?.about : undefined;
  return about || (kind === "hashes" ? "hashes of files" : name);
}

const sum = (entries: readonly CacheEntry[]) => entries.reduce((total, { bytes }) => total + bytes, 0);
const timeOf = ({ lastUsed }: CacheEntry) => new Date(lastUsed).toISOString();

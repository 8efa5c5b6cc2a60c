/** Cases by number: the same files for the same format, seed and number. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Files, type Format, mainName } from "./format.ts";
import { Random } from "./random.ts";

/** The first cases are the sound files themselves. */
export function caseOf(format: Format, seeds: readonly Files[], seed: number, number: number): Files {
  const sound = seeds[number];
  if (sound) return sound;
  const random = new Random(format.name, seed, number);
  return format.mutate(random, random.pick(seeds), random.pick(seeds));
}

/** Writes a case's files; returns the path of the one to open. */
export function writeCase(folder: string, files: Files, previous?: Files): string {
  for (const [name, bytes] of files) {
    if (previous?.get(name) === bytes) continue;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  return join(folder, mainName(files));
}

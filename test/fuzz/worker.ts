/** A process that runs cases one after the other: worker.ts FORMATS-MODULE FORMAT SEED FIRST LAST FOLDER, or FORMATS-MODULE FORMAT FILE. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { caseOf, writeCase } from "./cases.ts";
import type { Files, Format } from "./format.ts";
import { judge } from "./judge.ts";
import { progressName, type Report } from "./progress.ts";

async function formatOf(module: string, name: string): Promise<Format> {
  const { formats } = (await import(module)) as { formats: readonly Format[] };
  const found = formats.find((format) => format.name === name);
  if (!found) throw new Error(`no format ${name}`);
  return found;
}

function send(report: Report): void {
  process.send?.(report);
}

async function runCases(format: Format, seed: number, first: number, last: number, folder: string): Promise<void> {
  const seeds = await format.seeds();
  const progress = openSync(join(folder, progressName), "w");
  const place = Buffer.alloc(16);
  let previous: Files | undefined;
  for (let number = first; number < last; number++) {
    const files = caseOf(format, seeds, seed, number);
    const path = writeCase(join(folder, "case"), files, previous);
    previous = files;
    place.writeDoubleLE(number);
    writeSync(progress, place, 0, place.length, 0);
    const verdict = await judge(format, path);
    if (typeof verdict !== "boolean") send({ case: number, verdict });
    else if (verdict) place.writeDoubleLE(place.readDoubleLE(8) + 1, 8);
  }
  writeSync(progress, place, 0, place.length, 0);
  closeSync(progress);
  send({ done: true });
}

const [module = "", name = "", ...rest] = process.argv.slice(2);
const format = await formatOf(module, name);
const [target = "", first, last, folder] = rest;
if (folder === undefined) {
  const verdict = await judge(format, target);
  if (typeof verdict !== "boolean") send({ case: 0, verdict });
  send({ done: true });
} else await runCases(format, Number(target), Number(first), Number(last), folder);
process.disconnect();

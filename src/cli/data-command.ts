/** hub-pathway data: known data sets, fetching them, and checking one before training. */
import {
  checkDataset,
  type DatasetReport,
  fetchDataset,
  isFetched,
  knownDatasets,
  openDataset,
  publishedDatasets,
  type TaskKind,
} from "../data/index.ts";
import { quoted, shown } from "../io/index.ts";
import { figure, textTable } from "../report/table.ts";
import { outputsText } from "../train/metrics.ts";
import type { Output } from "./context.ts";
import { countProgress } from "./progress.ts";

export function list(output: Output): void {
  const rows = knownDatasets.map((known) => ({ ...known, fetched: isFetched(known) }));
  output.say(
    textTable(rows, [
      { title: "name", value: (row) => row.name },
      { title: "role", value: (row) => row.role },
      { title: "here", value: (row) => (row.fetched ? "yes" : "no") },
      { title: "what", value: (row) => row.summary },
      { title: "licence", value: (row) => row.licence },
    ]),
  );
  output.say("\nPublished data sets in their own files, which you have in a folder (--data NAME:FOLDER):\n");
  for (const { name, summary, layout, origin } of publishedDatasets) {
    output.say(`${name}: ${summary}`);
    output.say(`    folder with ${layout}`);
    output.say(`    from ${origin}`);
  }
  output.result({
    datasets: rows.map(({ name, role, fetched, summary, licence, origin }) => ({
      name,
      role,
      fetched,
      summary,
      licence,
      origin,
    })),
    published: publishedDatasets.map(({ name, summary, licence, origin, layout }) => ({
      name,
      summary,
      licence,
      origin,
      layout,
    })),
  });
}

export async function fetch(name: string, output: Output): Promise<void> {
  const known = await fetchDataset(name, (text) => output.note(text));
  const dataset = await openDataset(name);
  output.say(`${name}: ${dataset.items.length} images in ${dataset.classes.length} classes (${known.licence})`);
  output.result({
    name,
    images: dataset.items.length,
    classes: dataset.classes,
    licence: known.licence,
    origin: known.origin,
  });
}

/** Lines of each part of a report that a terminal shows; --json has all. */
const shownLines = 20;

export async function check(
  source: string,
  flags: { strict?: boolean; task?: TaskKind },
  output: Output,
): Promise<void> {
  const report = await checkDataset(source, countProgress("reading"), undefined, flags.task);
  const splits = Object.entries(report.splits).map(([name, count]) => `${count} ${name}`);
  const copies = report.duplicates.length === 0 ? "" : `, ${report.duplicates.length} near-duplicates`;
  output.say(
    `${report.name}: ${report.images} images ${labelsText(report)}` +
      `${splits.length > 0 ? ` (${splits.join(", ")})` : ""}${copies}`,
  );
  for (const { name, images } of report.classes) output.say(`  ${String(images).padStart(6)} ${shown(name)}`);
  for (const { name, smallest, mean, largest } of report.numbers ?? []) {
    output.say(`  ${shown(name)} from ${figure(smallest)} to ${figure(largest)}, ${figure(mean)} on average`);
  }
  warnAll(
    report.unreadable.map(({ file, reason }) => `${shown(file)}: ${reason}`),
    output,
  );
  warnAll(
    report.duplicates.map(
      ({ first, second, exact, kind }) => `${quoted(first)} and ${quoted(second)}: ${relation(kind, exact)}`,
    ),
    output,
  );
  for (const warning of report.warnings) output.warn(warning);
  for (const refusal of report.refusals) output.warn(`training would stop: ${refusal}`);
  output.result(report);
  if (report.refusals.length > 0 || (flags.strict && report.warnings.length > 0)) process.exitCode = 1;
}

function labelsText({ task, classes, numbers = [] }: DatasetReport): string {
  return labelledText(task, task === "regression" ? numbers.length : classes.length);
}

/** "in 3 classes", "with any of 3 labels", "with 2 numbers each". */
export function labelledText(task: TaskKind | undefined, count: number): string {
  const outputs = outputsText(task, count);
  if (task === "regression") return `with ${outputs} each`;
  return task === "multi-label" ? `with any of ${outputs}` : `in ${outputs}`;
}

function warnAll(lines: readonly string[], output: Output): void {
  for (const line of lines.slice(0, shownLines)) output.warn(`  ${line}`);
  if (lines.length > shownLines) output.warn(`  … and ${lines.length - shownLines} more (--json lists all)`);
}

function relation(kind: DatasetReport["duplicates"][number]["kind"], exact: boolean): string {
  const copies = exact ? "the same image" : "almost the same image";
  return { conflict: `${copies} with two labels`, splits: `${copies} in two splits`, class: copies }[kind];
}

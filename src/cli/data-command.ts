/** hub-pathway data: known data sets, fetching them, and checking one before training. */
import { checkDataset, fetchDataset, isFetched, knownDatasets, openDataset, publishedDatasets } from "../data/index.ts";
import { textTable } from "../report/index.ts";
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

export async function check(source: string, output: Output): Promise<void> {
  const report = await checkDataset(source, countProgress("reading"));
  output.say(
    `${report.name}: ${report.images} images in ${report.classes.length} classes, ${report.duplicates} near-duplicates`,
  );
  for (const entry of report.classes) output.say(`  ${String(entry.images).padStart(6)} ${entry.name}`);
  for (const bad of report.unreadable) output.warn(`  ${bad.reason}`);
  for (const warning of report.warnings) output.warn(warning);
  output.result(report);
  if (report.unreadable.length > 0) process.exitCode = 1;
}

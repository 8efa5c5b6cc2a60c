/** An experiment's report as text, Markdown, HTML and JSON, and the state of its workers as text. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { appendJsonLine, counted, proposeName, sweepTemporaries, writeFileAtomic } from "../io/index.ts";
import {
  duration,
  escapeHtml,
  escapeMarkdown,
  htmlPage,
  htmlTable,
  markdownTable,
  svgFile,
  textTable,
} from "../report/index.ts";
import {
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  type ReportSection,
  type ReportTable,
  subjectOf,
} from "./experiment.ts";
import { provenance } from "./provenance.ts";
import type { GroupStatus, WorkStatus } from "./work.ts";

const textColumns = ({ columns }: ReportTable) =>
  columns.map(({ title, right = false, detail = false }, i) => {
    return { title, right, detail, value: (row: readonly string[]) => row[i] ?? "" };
  });

const terminalColumns = (table: ReportTable) => textColumns(table).filter(({ detail }) => !detail);

/** For the terminal; plots and details are left out. */
export function reportText({ title, sections }: ExperimentReport): string {
  const parts = sections.map(({ title, text = [], command, table, remarks = [] }) => {
    const lines = [
      ...text,
      ...(command ? [`  ${command}`] : []),
      ...(table ? [textTable(table.rows, terminalColumns(table))] : []),
      ...remarks.map((r) => `- ${r}`),
    ];
    return lines.length > 0 ? `${title}\n\n${lines.join("\n\n")}` : "";
  });
  return [title, ...parts.filter((part) => part !== "")].join("\n\n");
}

/** Files of an experiment's report. */
export interface ReportFiles {
  markdown: string;
  html: string;
  json: string;
}

/**
 * Writes the report as Markdown with its pictures, HTML and JSON; those of the validation split and of quick runs say so in their names.
 * @param command what makes the report again
 */
export function saveReport(
  { name, selfContained }: Pick<Experiment, "name" | "selfContained">,
  report: ExperimentReport,
  request: ExperimentRequest,
  folder: string,
  command: string,
): ReportFiles {
  const split = request.final || selfContained ? "" : "-validation";
  const kind = `${request.frozen ? "-frozen" : ""}${split}${request.quick ? "-quick" : ""}`;
  // A long subject is cut, and what kind of page this is must stay.
  const stem = `${proposeName(`${name}${subjectOf(request)}`)}${kind}`;
  mkdirSync(folder, { recursive: true });
  sweepTemporaries(folder);
  const path = (ending: string) => join(folder, `${stem}.${ending}`);
  const files = { markdown: path("md"), html: path("html"), json: path("json") };
  const head = `# ${escapeMarkdown(report.title)}\n\nMade by \`${command}\`.`;
  const parts = report.sections.map((section) => {
    const { plot, picture } = section;
    if (!plot || !picture) return markdownSection(section);
    const file = `${stem}-${picture}.svg`;
    writeFileAtomic(join(folder, file), svgFile(plot));
    return markdownSection(section, file);
  });
  writeFileAtomic(files.markdown, `${[head, ...parts].join("\n\n")}\n`);
  writeFileAtomic(files.html, htmlPage(report.title, report.sections.map(htmlSection)));
  const all = { command, seeds: request.seeds, made: provenance(), ...(report.data as object) };
  writeFileAtomic(files.json, `${JSON.stringify(all, null, 1)}\n`);
  return files;
}

function markdownSection({ title, text = [], command, table, remarks = [] }: ReportSection, picture?: string): string {
  const heading = escapeMarkdown(title);
  const parts = [`## ${heading}`, ...text.map(escapeMarkdown), ...(picture ? [`![${heading}](${picture})`] : [])];
  if (command) parts.push(`\`\`\`sh\n${command}\n\`\`\``);
  if (table) parts.push(markdownTable(table.rows, textColumns(table)));
  if (remarks.length > 0) parts.push(remarks.map((remark) => `- ${escapeMarkdown(remark)}`).join("\n"));
  return parts.join("\n\n");
}

function htmlSection({ title, text = [], command, table, plot = "", remarks = [] }: ReportSection): string {
  const paragraphs = text.map((paragraph) => `<p>${escapeHtml(paragraph)}</p>`).join("");
  const next = command ? `<pre>${escapeHtml(command)}</pre>` : "";
  const titles = table?.columns.map((column) => column.title) ?? [];
  const rows = table ? htmlTable(titles, table.rows) : "";
  const list = remarks.map((remark) => `<li>${escapeHtml(remark)}</li>`).join("");
  return `<h2>${escapeHtml(title)}</h2>${paragraphs}${next}${rows}${plot}${list ? `<ul>${list}</ul>` : ""}`;
}

/** Notes that the test split was read. */
export function recordTestReading(name: string, request: ExperimentRequest, folder: string, command: string): void {
  const { time, commit } = provenance();
  const entry = { time, experiment: name, seeds: request.seeds, quick: request.quick, commit, command };
  mkdirSync(folder, { recursive: true });
  appendJsonLine(join(folder, "ledger.jsonl"), entry);
}

/** A status as a table, and in one line. */
export function statusReport({ groups, workers, secondsLeft }: WorkStatus): string {
  const table = textTable(groups, [
    { title: "group", value: ({ name }) => name },
    { title: "state", value: ({ state }) => state },
    { title: "cells", value: ({ done, cells }) => `${done} of ${cells}`, right: true },
    { title: "by", value: ({ by }) => (by ? `process ${by.pid} on ${by.host}` : "") },
    { title: "since", value: ({ by }) => by?.since ?? "" },
    { title: "error", value: ({ error = "" }) => error },
  ]);
  const count = (state: GroupStatus["state"]) => groups.filter((group) => group.state === state).length;
  const sum = (of: "done" | "cells") => groups.reduce((total, group) => total + group[of], 0);
  const others = (["running", "died", "failed", "open"] as const).filter((state) => count(state) > 0);
  const states = ["done" as const, ...others].map((state) => `${count(state)} ${state}`).join(", ");
  const left =
    secondsLeft === null
      ? "how long the rest takes is not known"
      : secondsLeft === 0
        ? "nothing is left to do"
        : `about ${duration(secondsLeft)} left with ${counted(workers, "worker")}`;
  return `${table}\n\n${sum("done")} of ${counted(sum("cells"), "cell")} done; groups: ${states}; ${left}`;
}

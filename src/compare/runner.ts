/** Runs an experiment: its groups here or in several processes, then its report as text, Markdown, HTML and JSON. */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { appendJsonLine, proposeName, sweepTemporaries, writeFileAtomic } from "../io/index.ts";
import { escapeHtml, escapeMarkdown, htmlPage, htmlTable, markdownTable, svgFile, textTable } from "../report/index.ts";
import { setNumThreads, UserError } from "../torch/index.ts";
import type { Experiment, ExperimentReport, ExperimentRequest, ReportSection, ReportTable } from "./experiment.ts";
import { targetName } from "./protocol.ts";
import { provenance } from "./provenance.ts";

/** Part of the groups that a process computes: every n-th, from the i-th on. */
export interface Part {
  index: number;
  of: number;
}

/**
 * Computes what is missing of a part of an experiment's groups, with one thread inside operators: small members gain little
 * by more, and several processes share the machine better.
 */
export async function runGroups(experiment: Experiment, request: ExperimentRequest, part: Part): Promise<void> {
  setNumThreads(1);
  const groups = experiment.groups(request);
  for (const [i, group] of groups.entries()) {
    if (i % part.of !== part.index) continue;
    request.say(`${experiment.name}: ${group.name} (${i + 1} of ${groups.length})`);
    await group.run();
  }
}

/**
 * Computes all parts in processes of their own, each by the given command line with its part at the end.
 * @throws UserError when one of them fails
 */
export async function runProcesses(command: readonly string[], jobs: number): Promise<void> {
  const [program = "", ...rest] = command;
  const codes = await Promise.all(
    Array.from({ length: jobs }, (_, i) => {
      const child = spawn(program, [...rest, "--part", `${i + 1}/${jobs}`], { stdio: ["ignore", "ignore", "inherit"] });
      return new Promise<number>((resolve, reject) => {
        child.once("error", reject);
        child.once("exit", (code, signal) => resolve(code ?? (signal ? 130 : 70)));
      });
    }),
  );
  const failed = codes.find((code) => code !== 0);
  if (failed !== undefined) {
    throw new UserError(
      `a part of the experiment ended with exit code ${failed}, for the reason above; finished cells are kept`,
    );
  }
}

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

/** Suffix of files for another hub, other data or frozen members, so that they are not the experiment's usual ones. */
function subjectOf({ hub, data }: ExperimentRequest): string {
  const parts = [hub && basename(resolve(hub)), data && targetName(data)];
  return parts.flatMap((part) => (part ? [`-${part}`] : [])).join("");
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

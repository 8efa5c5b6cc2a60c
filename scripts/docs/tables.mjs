/** The tables of result pages, by page, section, row and column. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const cells = (line) =>
  line
    .slice(1, -1)
    .split("|")
    .map((cell) => cell.trim());

/** @returns {Map<string, {columns: string[], rows: string[][]}>} the first table of each section */
function tablesOf(text) {
  const tables = new Map();
  for (const part of text.split(/^## /m).slice(1)) {
    const lines = part.split("\n");
    const start = lines.findIndex((line) => line.startsWith("|"));
    if (start < 0) continue;
    const end = lines.findIndex((line, i) => i > start && !line.startsWith("|"));
    const [columns, , ...rows] = lines.slice(start, end < 0 ? undefined : end).map(cells);
    tables.set(lines[0].trim(), { columns, rows });
  }
  return tables;
}

/** Figures of the pages in docs/results, as they are printed there. */
export class ResultPages {
  #root;
  #pages = new Map();

  constructor(root) {
    this.#root = root;
  }

  /** @throws Error naming what the page has not */
  #table(page, section) {
    if (!this.#pages.has(page)) {
      this.#pages.set(page, tablesOf(readFileSync(join(this.#root, "docs/results", page), "utf8")));
    }
    const table = this.#pages.get(page).get(section);
    if (!table) throw new Error(`docs/results/${page} has no table under "${section}"`);
    return table;
  }

  /** @returns {string[][]} all rows of a table */
  rows(page, section) {
    return this.#table(page, section).rows;
  }

  /** @returns {string} one cell; its row begins with the name, or the names, its column is the first of that title, or of that number */
  cell(page, section, row, column) {
    const { columns, rows } = this.#table(page, section);
    const found = rows.find((cells) => [row].flat().every((name, i) => cells[i] === name));
    if (!found) throw new Error(`docs/results/${page} has no row "${row}" under "${section}"`);
    const index = typeof column === "number" ? column : columns.indexOf(column);
    const value = found[index];
    if (value === undefined) throw new Error(`docs/results/${page} has no column "${column}" under "${section}"`);
    return value;
  }
}

/**
 * A figure such as "+2.1 (+0.9 to +3.5)" or "1.78 [1.57, 1.97]" in numbers; of two intervals, as in
 * "+2.1 (+0.9 to +3.5; t +0.6 to +3.6)", the widest ends.
 */
export function interval(text) {
  const [mean, low, high, ...student] = [...text.matchAll(/[-+]?\d+(?:\.\d+)?/g)].map(Number);
  if (high === undefined) throw new Error(`"${text}" is no figure with an interval`);
  return { mean, low: Math.min(low, ...student.slice(0, 1)), high: Math.max(high, ...student.slice(1)) };
}

/** @param {string[]} align "left" or "right" for each column */
export function markdownTable(titles, rows, align = titles.map((_, i) => (i === 0 ? "left" : "right"))) {
  const line = (values) => `| ${values.join(" | ")} |`;
  return [line(titles), line(align.map((side) => (side === "right" ? "---:" : "---"))), ...rows.map(line)].join("\n");
}

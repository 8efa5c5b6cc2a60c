/** A table of numbers as shades, whose row names stay in sight while it scrolls sideways. */
import { escapeHtml } from "./svg.ts";

/** With more columns than this their names stand upright. */
const mostFlatNames = 8;

/** @param values [rows][columns], not negative */
export function heatMap(
  title: string,
  rows: readonly string[],
  columns: readonly string[],
  values: readonly (readonly number[])[],
  show: (value: number) => string,
): string {
  const largest = values.reduce((most, row) => row.reduce((a, b) => Math.max(b, a), most), 1e-12);
  const cell = (value: number) => {
    const part = value / largest;
    return `<td style="background:rgba(37,99,235,${part.toFixed(3)});color:${part > 0.55 ? "#fff" : "inherit"}">${escapeHtml(show(value))}</td>`;
  };
  const upright = columns.length > mostFlatNames;
  const head = `<tr><th></th>${columns.map((name) => `<th><span>${escapeHtml(name)}</span></th>`).join("")}</tr>`;
  const body = rows.map(
    (name, r) => `<tr><th>${escapeHtml(name)}</th>${columns.map((_, c) => cell(values[r]?.[c] ?? 0)).join("")}</tr>`,
  );
  const table = `<table class="heat${upright ? " upright" : ""}">${head}${body.join("")}</table>`;
  return `<h3>${escapeHtml(title)}</h3><div class="wide">${table}</div>`;
}

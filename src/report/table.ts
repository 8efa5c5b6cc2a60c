/** Tables for the terminal and for Markdown; what is foreign in them is made printable here. */
import { printable, shown } from "../io/index.ts";

export interface Column<Row> {
  title: string;
  value(row: Row): string;
  /** Numbers are set to the right. */
  right?: boolean;
}

/** A table with aligned columns, for the terminal. */
export function textTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map((column) => shown(column.value(row))));
  const widths = columns.map((column, i) => Math.max(column.title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (values: readonly string[]) =>
    values
      .map((value, i) => (columns[i]?.right ? value.padStart(widths[i] ?? 0) : value.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [line(columns.map((column) => column.title)), rule, ...cells.map(line)].join("\n");
}

/** The same as a Markdown table. */
export function markdownTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const line = (values: readonly string[]) => `| ${values.join(" | ")} |`;
  const rule = line(columns.map((column) => (column.right ? "---:" : "---")));
  const body = rows.map((row) => line(columns.map((column) => escapeMarkdown(column.value(row)))));
  return [line(columns.map((column) => column.title)), rule, ...body].join("\n");
}

/** Text as Markdown shows it: no table's bar, no markup, one line. */
export function escapeMarkdown(text: string): string {
  return printable(text.replaceAll(/\s+/g, " ")).replaceAll(/[\\|]/g, "\\$&").replaceAll("<", "&lt;");
}

/** 0.8312 to "83.1 %". */
export function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** Difference of shares: 0.0123 to "+1.2". */
export function points(change: number): string {
  return `${change >= 0 ? "+" : ""}${(100 * change).toFixed(1)}`;
}

/** Four digits of a number in a unit of its own. */
export const figure = (value: number): string => String(Number(value.toPrecision(4)));

/** 12,300,000 to "12.3 M". */
export function amount(value: number): string {
  const units: [number, string][] = [
    [1e15, "P"],
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  for (const [unit, name] of units) if (value >= unit) return `${(value / unit).toPrecision(3)} ${name}`;
  return value.toPrecision(3);
}

/** 0.00123 to "1.23 ms". */
export function duration(seconds: number): string {
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toPrecision(3)} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return `${(seconds / 60).toFixed(1)} min`;
}

/** "95 % interval 0.512 to 0.634", or that there is none. */
export function intervalText(
  range: readonly [number, number] | null,
  text = (value: number) => value.toFixed(3),
): string {
  if (!range) return "no 95 % interval: these images do not vary enough to tell";
  return `95 % interval ${range.map(text).join(" to ")}`;
}

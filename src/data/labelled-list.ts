/**
 * Labels in a file: a table (CSV, TSV) or JSON lines with the path of an image, its label, and perhaps its split and group.
 * A folder may have such files as Hugging Face's imagefolder has them: metadata.csv or metadata.jsonl.
 */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import { counted, listed, quoted, readRegular } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { type Cell, type LabelCells, labelColumns, labelsOf, numberNotes } from "./label-columns.ts";
import { type Label, type LabelledImage, labelledDataset } from "./labels.ts";
import { requireSplit, splitNamed } from "./split-names.ts";
import type { Dataset, Item, TaskKind } from "./types.ts";

/** Names that a column may have, the first found wins; label-columns.ts has those of labels. */
export const columns = {
  path: ["file_name", "filename", "file", "path", "file_path", "filepath", "image", "image_path", "img"],
  split: ["split", "subset", "partition"],
  group: ["group", "group_id", "patient", "patient_id"],
} as const;

type Column = keyof typeof columns;
const isColumn = (name: string): name is Column => name in columns;

/** Ending of a file that lists images. */
export const listEnding = /\.(csv|tsv|jsonl|ndjson)$/i;
const metadataNames = ["metadata.csv", "metadata.jsonl"];
/** True for the name of a file that a folder has its labels in. */
export const isMetadata = (path: string): boolean => metadataNames.includes(basename(path));
const maximumBytes = 2 ** 29;

/** A row as it stands in the file. */
interface Row {
  /** Number of its line, from 1 on. */
  line: number;
  values: Partial<Record<Column, string>>;
  label: LabelCells | undefined;
}

/** True for a file that lists images. */
export function isLabelledList(path: string): boolean {
  return listEnding.test(path) && statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/**
 * Images that a file lists; paths are relative to its folder.
 * @throws UserError naming file and line: no column with paths or labels, a row without them, images that are not there
 */
export function labelledList(file: string, asked?: TaskKind): Dataset {
  const path = resolve(file);
  const name = basename(path, extname(path));
  return datasetOf(name, path, [{ path, rows: rowsOf(path, asked), folder: dirname(path) }], asked);
}

/**
 * Images of a folder whose metadata files have labels, at its top or in folders that are splits; undefined where there is no
 * such file.
 */
export function metadataFolder(root: string, folders: readonly string[], asked?: TaskKind): Dataset | undefined {
  const lists = ["", ...folders.filter((name) => splitNamed(name) !== undefined)].flatMap((folder) => {
    const paths = metadataNames.map((name) => join(root, folder, name)).filter((path) => existsSync(path));
    const found = paths.map((path) => ({ path, rows: labelledRows(path, asked) })).find(({ rows }) => rows.length > 0);
    return found ? [{ ...found, folder: join(root, folder), split: splitNamed(folder) }] : [];
  });
  return lists.length === 0 ? undefined : datasetOf(basename(root), root, lists, asked);
}

/** Rows of a file by such a name that has labels; none of one that is something else. */
function labelledRows(path: string, asked: TaskKind | undefined): Row[] {
  try {
    const rows = rowsOf(path, asked);
    return rows.every(({ label }) => label !== undefined) ? rows : [];
  } catch (error) {
    if (error instanceof UserError) return [];
    throw error;
  }
}

interface List {
  path: string;
  rows: readonly Row[];
  folder: string;
  /** Of all rows that name none. */
  split?: Item["split"];
}

function datasetOf(name: string, origin: string, lists: readonly List[], asked?: TaskKind): Dataset {
  const base = statSync(origin).isDirectory() ? origin : dirname(origin);
  const listed = lists.flatMap((list) => imagesOf(list, asked));
  listed.sort((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  refuseAbsent(listed);
  const images = listed.map(({ path, ...rest }) => {
    return { ...rest, id: relative(base, path), source: { kind: "file", path } as const };
  });
  const files = lists.map(({ path }) => basename(path));
  const notes = [`labels come from ${[...new Set(files)].join(" and ")}`];
  const dataset = labelledDataset({ name, origin, images, notes });
  if (asked === undefined && dataset.task === undefined) {
    const labels = lists.flatMap(({ rows }) => rows.map(({ label }) => label));
    notes.push(...numberNotes(labels, dataset.classes));
  }
  return dataset;
}

const lineOf = ({ path }: List, { line }: Row) => `${path}, line ${line}`;

type Listed = Omit<LabelledImage, "id" | "source"> & { path: string };

function imagesOf(list: List, asked: TaskKind | undefined): Listed[] {
  const placed = list.rows.map((row) => ({ ...placeOf(list, row), cells: row.label }));
  const labels = labelsOf(
    placed.map(({ cells, path, where }) => ({ label: cells, path: relative(list.folder, path), where })),
    asked,
  );
  return placed.map(({ cells: _, ...place }, i) => ({ ...place, label: labels[i] as Label }));
}

/** Path, split and group of a row. */
function placeOf(list: List, row: Row): Omit<Listed, "label"> {
  const { path, split: name, group } = row.values;
  const where = lineOf(list, row);
  const refuse = (what: string): never => {
    throw new UserError(`${where}: ${what}`);
  };
  if (!path) return refuse("there is no path of an image");
  if (/^https?:/i.test(path))
    return refuse(`${quoted(path)} is an address: fetch the images first, and give their paths`);
  const split = name ? requireSplit(where, name) : list.split;
  return {
    path: resolve(list.folder, path),
    where,
    ...(split && { split }),
    ...(group && { group }),
  };
}

/** Some absent images are left to whoever reads them; where none is there, the paths are relative to something else. */
function refuseAbsent(listed: readonly Listed[]): void {
  const [first] = listed;
  if (!first || listed.some(({ path }) => existsSync(path))) return;
  throw new UserError(
    `none of ${counted(listed.length, "image")} is there (${first.where}: ${first.path}): paths are relative to the file that lists them`,
  );
}

function rowsOf(path: string, asked?: TaskKind): Row[] {
  const text = readRegular(path, { maximumBytes }).toString("utf8");
  return /\.(jsonl|ndjson)$/i.test(path) ? jsonRows(path, text, asked) : tableRows(path, text, asked);
}

function tableRows(path: string, text: string, asked?: TaskKind): Row[] {
  const header = text.slice(0, text.search(/[\r\n]|$/));
  const counts = ["\t", ";", ","].map((delimiter) => ({ delimiter, count: header.split(delimiter).length }));
  const { delimiter } = counts.reduce((best, one) => (one.count > best.count ? one : best));
  const records = parsed(path, text, delimiter);
  const [first, ...rest] = records;
  if (!first) throw new UserError(`${path} is empty: it needs a row for each image, with its path and its label`);
  // Two columns without names: a path that exists is no name of a column.
  if (first.cells.length === 2 && existsSync(resolve(dirname(path), first.cells[0]?.trim() ?? ""))) {
    return records.map(({ line, cells: [image = "", label = ""] }) => {
      const kind = asked ?? "classification";
      return { line, values: { path: image.trim() }, label: { kind, cells: [["label", label.trim()]] } };
    });
  }
  const names = columnsOf(path, first.cells);
  const found = labelColumns(first.cells, asked);
  const title = (at: number) => first.cells[at]?.trim() ?? "";
  return rest.map(({ line, cells }) => {
    const cell = (at: number) => cells[at]?.trim() ?? "";
    return {
      line,
      values: Object.fromEntries(names.map(({ column, at }) => [column, cell(at)])),
      label: found && { kind: found.kind, cells: found.at.map((at) => [title(at), cell(at)] as const) },
    };
  });
}

function parsed(path: string, text: string, delimiter: string): { line: number; cells: string[] }[] {
  try {
    const records = parse(text, {
      bom: true,
      delimiter,
      info: true,
      relax_column_count_more: true,
      skip_empty_lines: true,
    });
    return (records as unknown as { record: string[]; info: { lines: number } }[]).map(({ record, info }) => ({
      line: info.lines,
      cells: record,
    }));
  } catch (error) {
    if (error instanceof CsvError) throw new UserError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Where the columns stand. @throws UserError when none has paths */
function columnsOf(path: string, names: readonly string[]): { column: Column; at: number }[] {
  const known = names.map((name) => name.trim().toLowerCase());
  const found = Object.entries(columns).flatMap(([column, all]) => {
    const name = all.find((candidate) => known.includes(candidate));
    return name !== undefined && isColumn(column) ? [{ column, at: known.indexOf(name) }] : [];
  });
  if (found.some(({ column }) => column === "path")) return found;
  throw new UserError(
    `${path} has no column with paths of images (${listed(columns.path)}): its columns are ${names.map(quoted).join(", ")}`,
  );
}

function jsonRows(path: string, text: string, asked?: TaskKind): Row[] {
  const lines = text.split("\n").map((content, i) => ({ content: content.trim(), line: i + 1 }));
  return lines
    .filter(({ content }) => content !== "")
    .map(({ content, line }) => {
      const where = `${path}, line ${line}`;
      const entries = Object.entries(jsonObject(where, content));
      const keys = entries.map(([key]) => key);
      const value = (at: number) => entries[at]?.[1];
      const columns = columnsOf(where, keys);
      return {
        line,
        values: Object.fromEntries(columns.map(({ column, at }) => [column, textOf(where, column, value(at))])),
        label: labelOfObject(entries, where, asked),
      };
    });
}

/** The label among the entries of an object; undefined where there is none. @throws UserError for what is none */
export function labelOfObject(
  entries: readonly (readonly [string, unknown])[],
  where: string,
  asked?: TaskKind,
): LabelCells | undefined {
  const found = labelColumns(
    entries.map(([key]) => key),
    asked,
  );
  const own = found?.at.map((at) => entries[at] ?? (["", ""] as const));
  return found && own && { kind: found.kind, cells: own.map(([key, value]) => [key, cellOf(where, key, value)]) };
}

function jsonObject(where: string, content: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // said below, with the line
  }
  throw new UserError(`${where} is no JSON object`);
}

/** A text, or a list of texts. */
export function cellOf(where: string, name: string, value: unknown): Cell {
  return Array.isArray(value) ? value.map((one) => textOf(where, name, one)) : textOf(where, name, value);
}

/** The text of a cell; "" of an empty one. @throws UserError for what is no text or number */
export function textOf(where: string, column: string, value: unknown): string {
  if (typeof value === "string") return value.trim();
  if (["number", "bigint", "boolean"].includes(typeof value)) return String(value);
  if (value === null || value === undefined) return "";
  throw new UserError(
    `${where}: the ${column} is ${JSON.stringify(value).slice(0, 60)}, and must be a text or a number`,
  );
}

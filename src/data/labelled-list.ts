/**
 * Labels in a file: a table (CSV, TSV) or JSON lines with the path of an image, its label, and perhaps its split and group.
 * A folder may have such files as Hugging Face's imagefolder has them: metadata.csv or metadata.jsonl.
 */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import { counted, listed, quoted, readRegular } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { refuseUntrained, splitNamed } from "./split-names.ts";
import type { Dataset, Item } from "./types.ts";

/** Names that a column may have, the first found wins. */
const columns = {
  path: ["file_name", "filename", "file", "path", "file_path", "filepath", "image", "image_path", "img"],
  label: ["label", "class", "category", "target", "class_name"],
  split: ["split", "subset", "partition"],
  group: ["group", "group_id", "patient", "patient_id"],
} as const;

type Column = keyof typeof columns;
const isColumn = (name: string): name is Column => name in columns;

/** Ending of a file that lists images. */
export const listEnding = /\.(csv|tsv|jsonl|ndjson)$/i;
const metadataNames = ["metadata.csv", "metadata.jsonl"];
const maximumBytes = 2 ** 29;

/** A row as it stands in the file. */
interface Row {
  /** Number of its line, from 1 on. */
  line: number;
  values: Partial<Record<Column, string>>;
}

/** True for a file that lists images. */
export function isLabelledList(path: string): boolean {
  return listEnding.test(path) && statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/**
 * Images that a file lists; paths are relative to its folder.
 * @throws UserError naming file and line: no column with paths or labels, a row without them, images that are not there
 */
export function labelledList(file: string): Dataset {
  const path = resolve(file);
  const name = basename(path, extname(path));
  return datasetOf(name, path, [{ path, rows: rowsOf(path), folder: dirname(path) }]);
}

/**
 * Images of a folder whose metadata files have labels, at its top or in folders that are splits; undefined where there is no
 * such file.
 */
export function metadataFolder(root: string, folders: readonly string[]): Dataset | undefined {
  const lists = ["", ...folders.filter((name) => splitNamed(name) !== undefined)].flatMap((folder) => {
    const paths = metadataNames.map((name) => join(root, folder, name)).filter((path) => existsSync(path));
    const found = paths.map((path) => ({ path, rows: labelledRows(path) })).find(({ rows }) => rows.length > 0);
    return found ? [{ ...found, folder: join(root, folder), split: splitNamed(folder) }] : [];
  });
  return lists.length === 0 ? undefined : datasetOf(basename(root), root, lists);
}

/** Rows of a file by such a name that has labels; none of one that is something else. */
function labelledRows(path: string): Row[] {
  try {
    const rows = rowsOf(path);
    return rows.every(({ values }) => values.label !== undefined) ? rows : [];
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

function datasetOf(name: string, origin: string, lists: readonly List[]): Dataset {
  const base = statSync(origin).isDirectory() ? origin : dirname(origin);
  const listed = lists.flatMap((list) => list.rows.map((row) => imageOf(list, row)));
  listed.sort((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  refuseAbsent(listed);
  const images = listed.map(({ path, ...rest }) => {
    return { ...rest, id: relative(base, path), source: { kind: "file", path } as const };
  });
  const files = lists.map(({ path }) => basename(path));
  const notes = [`labels come from ${[...new Set(files)].join(" and ")}`];
  return labelledDataset({ name, origin, images, notes });
}

/** An image with its label as a text, and where that stands, for messages. */
export interface LabelledImage extends Omit<Item, "label"> {
  label: string;
  where: string;
}

/**
 * The data set of images whose labels are texts: its classes are all labels, in their order.
 * @param images in the order of the items
 * @throws UserError when there are none, one class, one image twice, or splits of some images alone
 */
export function labelledDataset({
  images,
  ...about
}: Pick<Dataset, "name" | "origin" | "notes" | "ignored"> & { images: readonly LabelledImage[] }): Dataset {
  const { origin } = about;
  if (images.length === 0) throw new UserError(`${origin} lists no images`);
  const classes = [...new Set(images.map(({ label }) => label))].sort();
  const [only] = classes;
  if (classes.length === 1 && only !== undefined) {
    throw new UserError(`${origin} has only one class (${quoted(only)}): there is nothing to tell apart`);
  }
  const labels = new Map(classes.map((label, i) => [label, i]));
  const seen = new Map<string, string>();
  const items = images.map(({ label, where, ...item }): Item => {
    const before = seen.get(item.id);
    if (before !== undefined) throw new UserError(`${where}: ${quoted(item.id)} is listed already, at ${before}`);
    seen.set(item.id, where);
    return { ...item, label: labels.get(label) ?? -1 };
  });
  const unsplit = items.find(({ split }) => split === undefined);
  if (unsplit && items.some(({ split }) => split !== undefined)) {
    throw new UserError(`${seen.get(unsplit.id)}: ${quoted(unsplit.id)} has no split, and other images have one`);
  }
  refuseUntrained(origin, classes, items);
  return { ...about, classes, items, licence: "the user's own" };
}

const lineOf = ({ path }: List, { line }: Row) => `${path}, line ${line}`;

type Listed = Omit<LabelledImage, "id" | "source"> & { path: string };

function imageOf(list: List, row: Row): Listed {
  const { path, label, split: name, group } = row.values;
  const where = lineOf(list, row);
  const refuse = (what: string): never => {
    throw new UserError(`${where}: ${what}`);
  };
  if (!path) return refuse("there is no path of an image");
  if (!label) return refuse(`${quoted(path)} has no label`);
  if (/^https?:/i.test(path))
    return refuse(`${quoted(path)} is an address: fetch the images first, and give their paths`);
  const split = name ? splitNamed(name) : list.split;
  if (name && split === undefined) return refuse(`${quoted(name)} is no split: write train, validation or test`);
  return {
    path: resolve(list.folder, path),
    label: label.normalize("NFC"),
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

function rowsOf(path: string): Row[] {
  const text = readRegular(path, { maximumBytes }).toString("utf8");
  return /\.(jsonl|ndjson)$/i.test(path) ? jsonRows(path, text) : tableRows(path, text);
}

function tableRows(path: string, text: string): Row[] {
  const header = text.slice(0, text.search(/[\r\n]|$/));
  const counts = ["\t", ";", ","].map((delimiter) => ({ delimiter, count: header.split(delimiter).length }));
  const { delimiter } = counts.reduce((best, one) => (one.count > best.count ? one : best));
  const records = parsed(path, text, delimiter);
  const [first, ...rest] = records;
  if (!first) throw new UserError(`${path} is empty: it needs a row for each image, with its path and its label`);
  // Two columns without names: a path that exists is no name of a column.
  if (first.cells.length === 2 && existsSync(resolve(dirname(path), first.cells[0]?.trim() ?? ""))) {
    return records.map(({ line, cells: [image = "", label = ""] }) => {
      return { line, values: { path: image.trim(), label: label.trim() } };
    });
  }
  const names = columnsOf(path, first.cells);
  return rest.map(({ line, cells }) => ({
    line,
    values: Object.fromEntries(names.flatMap(({ column, at }) => [[column, cells[at]?.trim() ?? ""]])),
  }));
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

function jsonRows(path: string, text: string): Row[] {
  const lines = text.split("\n").map((content, i) => ({ content: content.trim(), line: i + 1 }));
  return lines
    .filter(({ content }) => content !== "")
    .map(({ content, line }) => {
      const where = `${path}, line ${line}`;
      const object = jsonObject(where, content);
      const names = columnsOf(where, Object.keys(object));
      const entries = Object.values(object);
      return {
        line,
        values: Object.fromEntries(names.map(({ column, at }) => [column, textOf(where, column, entries[at])])),
      };
    });
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

function textOf(where: string, column: Column, value: unknown): string {
  if (typeof value === "string") return value.trim();
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null || value === undefined) return "";
  throw new UserError(
    `${where}: the ${column} is ${JSON.stringify(value).slice(0, 60)}, and must be a text or a number`,
  );
}

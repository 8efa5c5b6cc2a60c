/** Which columns of a list have labels, and what the labels of its rows are once all rows are read. */
import { listed, quoted } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { Label } from "./labels.ts";
import type { TaskKind } from "./types.ts";

/** Names of columns with one class and with several, the first found wins. */
const classColumns = ["label", "class", "category", "target", "class_name"];
const severalColumns = ["labels", "tags", "classes", "categories"];
/** Columns with numbers: value, values, value_x, target_x. */
const numberColumn = /^(values?|(value|target)[_ .-].+)$/;
/** Between several labels in one cell, the first that a column has. */
const separators = ["|", ";", ","];

/** What stands in a column. */
export type Cell = string | readonly string[];

/** Where a list has its labels. */
export interface LabelColumns {
  kind: TaskKind;
  /** Positions of the columns. */
  at: readonly number[];
}

/** The label of a row as it stands there. */
export interface LabelCells {
  kind: TaskKind;
  /** By the names of their columns. */
  cells: readonly (readonly [name: string, cell: Cell])[];
}

/** The columns of labels among all; undefined where there are none. @param asked kind that the labels must have */
export function labelColumns(names: readonly string[], asked?: TaskKind): LabelColumns | undefined {
  const known = names.map((name) => name.trim().toLowerCase());
  const first = (wanted: readonly string[]) =>
    wanted
      .filter((name) => known.includes(name))
      .slice(0, 1)
      .map((name) => known.indexOf(name));
  const found: [TaskKind, number[]][] = [
    ["classification", first(classColumns)],
    ["multi-label", first(severalColumns)],
    ["regression", [...known.keys()].filter((i) => numberColumn.test(known[i] ?? ""))],
  ];
  const there = found.filter(([, at]) => at.length > 0);
  const [kind, at] = there.find(([own]) => own === asked) ?? there[0] ?? [];
  return kind && at ? { kind: asked ?? kind, at } : undefined;
}

/** A row's label and where it stands. */
export interface LabelledRow {
  label: LabelCells | undefined;
  /** The image, and the line, for messages. */
  path: string;
  where: string;
}

/**
 * Labels of all rows of one list: whether texts hold several labels, whether lists have a zero or one for each label, and whether a
 * column of targets has numbers, all rows say together.
 * @throws UserError naming the row without a label, or with something else than the others
 */
export function labelsOf(rows: readonly LabelledRow[], asked?: TaskKind): Label[] {
  const hasNumbers = asked === undefined && isNumeric(rows);
  const separator = separatorOf(rows);
  const isHot = areHot(rows);
  return rows.map(({ label, path, where }): Label => {
    const refuse = (what: string): never => {
      throw new UserError(`${where}: ${what}`);
    };
    if (!label) return refuse(`${quoted(path)} has no label: its column is called "label", "labels" or "value"`);
    if (label.kind === "regression" || hasNumbers) return new Map(numbersOf(label, refuse));
    const [[name, cell] = ["label", ""]] = label.cells;
    if (typeof cell !== "string" && asked === "classification")
      return refuse(`the ${name} is ${quoted(cell)}, and must be a text or a number`);
    if (typeof cell !== "string") return isHot ? (hotPlaces(cell, cell.length) ?? []).map(String) : namesOf(cell);
    if (label.kind === "multi-label") return severalOf(cell, separator);
    return cell === "" ? refuse(`${quoted(path)} has no label`) : cell.normalize("NFC");
  });
}

/** Places of the ones in a list of a zero or one for each of so many labels; undefined for another list. Two could be numbers of labels. */
export function hotPlaces(texts: readonly string[], count: number): number[] | undefined {
  const isHot = count > 2 && texts.length === count && texts.every((text) => text === "0" || text === "1");
  return isHot ? texts.flatMap((text, place) => (text === "1" ? [place] : [])) : undefined;
}

function areHot(rows: readonly LabelledRow[]): boolean {
  const lists = rows.map(({ label }) => label?.cells[0]?.[1]);
  const [first] = lists;
  return lists.every((list) => Array.isArray(list) && hotPlaces(list, first?.length ?? 0) !== undefined);
}

/** Numbers that are no whole ones are no names of classes. Whole ones may be: a task that is asked for says otherwise. */
function isNumeric(rows: readonly LabelledRow[]): boolean {
  const texts = rows.flatMap(({ label }) => {
    const [[name, cell] = ["", ""]] = label?.kind === "classification" ? label.cells : [];
    return name.toLowerCase() === "target" && typeof cell === "string" ? [cell] : [];
  });
  const numbers = texts.filter((text) => text !== "" && Number.isFinite(Number(text))).map(Number);
  return numbers.length > 0.5 * rows.length && numbers.some((number) => !Number.isInteger(number));
}

function numbersOf({ cells }: LabelCells, refuse: (what: string) => never): [name: string, value: number][] {
  const all = cells.flatMap(([name, cell]): (readonly [string, string])[] =>
    typeof cell === "string" ? [[name, cell]] : cell.map((one, i) => [`${name} ${i + 1}`, one]),
  );
  return all.map(([name, text]) => {
    const value = Number(text);
    if (text !== "" && Number.isFinite(value)) return [name, value];
    return refuse(text === "" ? `there is no ${name}` : `the ${name} is ${quoted(text)}, which is no number`);
  });
}

function separatorOf(rows: readonly LabelledRow[]): string | undefined {
  const texts = rows.flatMap(({ label }) => {
    const cell = label?.kind === "multi-label" ? label.cells[0]?.[1] : undefined;
    return typeof cell === "string" && !cell.startsWith("[") ? [cell] : [];
  });
  return separators.find((separator) => texts.some((text) => text.includes(separator)));
}

/** Labels in a text, between separators or as a JSON list. */
function severalOf(text: string, separator: string | undefined): string[] {
  if (text.startsWith("[")) {
    try {
      return namesOf((JSON.parse(text) as unknown[]).map(String));
    } catch {
      // A name may begin so.
    }
  }
  return namesOf(separator === undefined ? [text] : text.split(separator));
}

function namesOf(texts: readonly string[]): string[] {
  const names = texts.map((text) => text.trim().normalize("NFC")).filter((name) => name !== "");
  return [...new Set(names)];
}

/** Remark on targets that are whole numbers, since they may be meant as such. */
export function numberNotes(labels: readonly (LabelCells | undefined)[], classes: readonly string[]): string[] {
  const areTargets = labels.every((label) => label?.cells[0]?.[0].toLowerCase() === "target");
  if (!areTargets || !classes.every((name) => Number.isInteger(Number(name)))) return [];
  return [`the targets ${listed(classes, 3)} are taken as names of classes: --task regression takes them as numbers`];
}

/** Experiment: independent groups of cells that can be computed anywhere, and the tables made of them. */
import { basename, resolve } from "node:path";
import { proposeName } from "../io/index.ts";
import type { Evaluation, RunEvent } from "../train/index.ts";
import type { CellId, CellStore } from "./cell-store.ts";

export interface ExperimentRequest {
  /** The seeds 0 … n - 1. */
  seeds: readonly number[];
  /** A small form that shows within minutes that everything runs; its figures mean nothing. */
  quick: boolean;
  /** Read the test split instead of the validation split. */
  final: boolean;
  /** Another hub than the experiment's own, and other data: a folder of images or a known data set. */
  hub?: string | undefined;
  data?: string | undefined;
  /** Leave members as they are and train on their features, which are computed once: for hubs of large networks. */
  frozen?: boolean | undefined;
  /** Texts, each of which is in the target or the name of every line that is computed; all when left out. */
  only?: readonly string[] | undefined;
  cells: CellStore;
  /** Git-ignored folder for what is large and can be made again. */
  cache: string;
  /** A line of progress for people. */
  say(text: string): void;
  /** For a program that shows cells while they are computed. */
  watch?: CellWatch;
}

export interface CellWatch {
  /** Measurements of a fit on validation data at most, spread evenly over its epochs; the last epoch has one. */
  points: number;
  /** Measure finished models with every k too, which costs a pass of all members. */
  everyK: boolean;
  /** @param plan name of the plan that a fit belongs to */
  event(plan: string, event: RunEvent): void;
  /** Evaluation of a finished model on the test split. */
  tested(plan: string, evaluation: Evaluation): void;
}

/** Cells that need each other (those of one target and seed); groups need nothing of other groups. */
export interface CellGroup {
  name: string;
  /** Cells that the group has to compute; those that only others' results decide, once these are there. */
  cells(): readonly CellId[] | Promise<readonly CellId[]>;
  /** Computes what is missing; finished cells are only read. */
  run(): Promise<void>;
}

/** A part of a report: text, a command, a table, a plot, remarks, in this order. */
export interface ReportSection {
  title: string;
  /** Paragraphs before the table. */
  text?: readonly string[];
  /** Command that the reader may run next. */
  command?: string;
  table?: ReportTable;
  /** An SVG element. */
  plot?: string;
  /** Name of a file of its own for the plot, which the Markdown then shows. */
  picture?: string;
  /** Lines after the table, each a point of a list. */
  remarks?: readonly string[];
}

export interface ReportTable {
  /** Details stand in files alone: a terminal is narrow. */
  columns: readonly { title: string; right?: boolean; detail?: boolean }[];
  rows: readonly (readonly string[])[];
}

/** True when the names of a line and its target together have each of the texts that were asked for. */
export const isAsked = ({ only = [] }: ExperimentRequest, ...names: readonly string[]): boolean =>
  only.every((text) => names.some((name) => name.includes(text)));

/** Suffix of names of files for another hub or other data, so that they are not the experiment's usual ones. */
export function subjectOf({ hub, data }: ExperimentRequest): string {
  const parts = [hub && basename(resolve(hub)), data && proposeName(data)];
  return parts.flatMap((part) => (part ? [`-${part}`] : [])).join("");
}

/** A column of numbers. */
export const right = (title: string) => ({ title, right: true });

/** Columns of these titles: the first ones hold text, the others numbers. */
export const columnsOf = (titles: readonly string[], texts: number): ReportTable["columns"] =>
  titles.map((title, i) => ({ title, right: i >= texts }));

/** A remark at the end of what a report says of itself; empty for a whole run. */
export const quickRemark = (quick: boolean): string =>
  quick ? " A quick run: it shows that everything works, its figures mean nothing." : "";

export interface ExperimentReport {
  title: string;
  sections: readonly ReportSection[];
  /** Every figure of the tables, for programs. */
  data: unknown;
}

export interface Experiment {
  readonly name: string;
  /** Seeds when none are asked for. */
  readonly seeds: number;
  /** It makes its own worlds or plays its own games: another hub or other data have no place in it, and no test split is held out. */
  readonly selfContained?: true;
  /** It can leave members as they are. */
  readonly freezes?: true;
  /** It is lines on targets, of which some can be computed alone. */
  readonly hasLines?: true;
  groups(request: ExperimentRequest): CellGroup[];
  /** @throws UserError when cells are missing */
  report(request: ExperimentRequest): Promise<ExperimentReport>;
}

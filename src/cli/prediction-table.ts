/** Predictions as a CSV file, written while they come and complete or not at all. */
import fs from "node:fs";
import { basename, dirname } from "node:path";
import type { TaskKind } from "../data/index.ts";
import { explainWrite, temporaryPath } from "../io/index.ts";
import type { AnyPrediction, ImagePrediction } from "../library/index.ts";

/** Columns of answers, between image and models, and what stands in them. */
export interface AnswerColumns {
  names: readonly string[];
  cells(prediction: AnyPrediction): readonly string[];
}

/** @param rejects true for a column that says which answers are rejected */
export function answerColumns({
  kind,
  classes,
  top,
  rejects,
}: {
  kind: TaskKind;
  classes: readonly string[];
  top: number;
  rejects: boolean;
}): AnswerColumns {
  if (kind === "regression") return { names: classes, cells: (one) => classes.map((name) => numberOf(one, name)) };
  if (kind === "multi-label") return { names: ["labels", ...classes], cells: (one) => labelCells(one, classes) };
  const further = Array.from({ length: top - 1 }, (_, i) => [`label_${i + 2}`, `probability_${i + 2}`]).flat();
  const names = ["label", "probability", ...further, ...(rejects ? ["rejected"] : [])];
  return { names, cells: (one) => ("label" in one ? classCells(one, top, rejects) : []) };
}

const numberOf = (prediction: AnyPrediction, name: string) =>
  "values" in prediction ? String(prediction.values[name] ?? "") : "";

/** Labels as a list can be read again, and the probability of each. */
function labelCells(prediction: AnyPrediction, classes: readonly string[]): string[] {
  if (!("labels" in prediction)) return [];
  const probabilities = new Map(prediction.top.map(({ label, probability }) => [label, probability]));
  const own = prediction.labels.map(({ label }) => label).join("|");
  return [own, ...classes.map((name) => (probabilities.get(name) ?? 0).toFixed(6))];
}

function classCells(prediction: ImagePrediction, top: number, rejects: boolean): string[] {
  const classes = Array.from({ length: top }, (_, i) => {
    const one = prediction.top[i];
    return one ? [one.label, one.probability.toFixed(6)] : ["", ""];
  }).flat();
  return [...classes, ...(rejects ? [String(prediction.rejected)] : [])];
}

export class PredictionTable implements Disposable {
  readonly #path: string;
  readonly #draft: string;
  readonly #columns: AnswerColumns;
  #file: number | undefined;

  /** @throws UserError when the file cannot be written, before any work */
  constructor(path: string, columns: AnswerColumns) {
    this.#path = path;
    this.#draft = temporaryPath(dirname(path), basename(path));
    this.#columns = columns;
    this.#attempt(() => {
      this.#file = fs.openSync(this.#draft, "wx");
    });
    this.#row(["image", ...columns.names, "members", "error"]);
  }

  add(image: string, prediction: AnyPrediction): void {
    const members = prediction.pathway.map(({ member }) => member).join(" ");
    this.#row([image, ...this.#columns.cells(prediction), members, ""]);
  }

  addError(image: string, reason: string): void {
    this.#row([image, ...this.#columns.names.map(() => ""), "", reason]);
  }

  /** The file is complete. */
  finish(): void {
    this.#attempt(() => {
      if (this.#file === undefined) return;
      fs.closeSync(this.#file);
      this.#file = undefined;
      fs.renameSync(this.#draft, this.#path);
    });
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) fs.closeSync(this.#file);
    this.#file = undefined;
    fs.rmSync(this.#draft, { force: true });
  }

  #row(values: readonly string[]): void {
    this.#attempt(() => fs.writeSync(this.#file as number, `${values.map(cell).join(",")}\r\n`));
  }

  #attempt(write: () => void): void {
    try {
      write();
    } catch (error) {
      throw explainWrite(error, this.#path);
    }
  }
}

/** RFC 4180. */
function cell(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** Predictions as a CSV file, written while they come and complete or not at all. */
import fs from "node:fs";
import { basename, dirname } from "node:path";
import { explainWrite, temporaryPath } from "../io/index.ts";
import type { ImagePrediction } from "../library/index.ts";

export class PredictionTable implements Disposable {
  readonly #path: string;
  readonly #draft: string;
  readonly #top: number;
  readonly #rejects: boolean;
  #file: number | undefined;

  /**
   * @param rejects true for a column that says which answers are rejected
   * @throws UserError when the file cannot be written, before any work
   */
  constructor(path: string, top: number, rejects: boolean) {
    this.#path = path;
    this.#draft = temporaryPath(dirname(path), basename(path));
    this.#top = top;
    this.#rejects = rejects;
    this.#attempt(() => {
      this.#file = fs.openSync(this.#draft, "wx");
    });
    const further = Array.from({ length: top - 1 }, (_, i) => [`label_${i + 2}`, `probability_${i + 2}`]).flat();
    this.#row(["image", "label", "probability", ...further, ...this.#mark("rejected"), "members", "error"]);
  }

  add(image: string, prediction: ImagePrediction): void {
    const classes = Array.from({ length: this.#top }, (_, i) => {
      const one = prediction.top[i];
      return one ? [one.label, one.probability.toFixed(6)] : ["", ""];
    }).flat();
    const members = prediction.pathway.map(({ member }) => member).join(" ");
    this.#row([image, ...classes, ...this.#mark(String(prediction.rejected)), members, ""]);
  }

  addError(image: string, reason: string): void {
    this.#row([image, ...new Array<string>(2 * this.#top).fill(""), ...this.#mark(""), "", reason]);
  }

  #mark(value: string): string[] {
    return this.#rejects ? [value] : [];
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

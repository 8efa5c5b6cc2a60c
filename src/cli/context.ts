/** What every command has at hand: where to write, and the options that all share. */
import pc from "picocolors";
import { printableLines } from "../io/quoted.ts";

/** People read standard error; with --json a program reads the last line of standard output. */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** A line for people. */
  say(text: string): void {
    if (this.json) console.error(printableLines(text));
    else console.log(printableLines(text));
  }

  /** Progress and remarks: never on standard output. */
  note(text: string): void {
    console.error(pc.dim(printableLines(text)));
  }

  warn(text: string): void {
    console.error(pc.yellow(printableLines(text)));
  }

  /** The command's result for programs. */
  result(value: unknown): void {
    if (this.json) console.log(JSON.stringify(value));
  }
}

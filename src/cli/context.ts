/** The surroundings of every command: its output, and the options that all share. */
import pc from "picocolors";
import { printableLines } from "../io/quoted.ts";
import { terminal } from "./terminal.ts";

/** The line of JSON on standard output: what is given first, and nothing after it. */
export const answer = {
  /** Nothing is to be written: without --json, after the line, and where another process has the word. */
  isDone: true,
  give(value: unknown): void {
    if (!this.isDone) console.log(JSON.stringify(value));
    this.isDone = true;
  },
};

/** How an output says what its user must read. */
export const aloud = (output: Output) => (text: string) => output.warn(text);

/** People read standard error; with --json a program reads the last line of standard output. */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** A line for people. */
  say(text: string): void {
    if (this.json) terminal.line(text);
    else console.log(printableLines(text));
  }

  /** Progress and remarks: never on standard output, and left out with --quiet. */
  note(text: string): void {
    if (!terminal.quiet) terminal.line(text, pc.dim);
  }

  warn(text: string): void {
    terminal.line(text, pc.yellow);
  }

  /** The command's result for programs: its only line on standard output. */
  result(value: unknown): void {
    answer.give(value);
  }
}

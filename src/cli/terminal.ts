/** Standard error: whole lines, and on a terminal one line below them that is written over. */
import { printable, printableLines } from "../io/quoted.ts";

/** The parts of a stream that are needed here. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const clearLine = "\r\x1b[2K";

export class Terminal {
  /** Leaves out progress: what is written with `progress` and `status`. */
  quiet = false;
  readonly #screen: Screen;
  #status = "";

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  get isTerminal(): boolean {
    return this.#screen.isTTY === true;
  }

  /** A whole line; what is foreign in it is made printable, and on a terminal `paint` may colour it afterwards. */
  line(text: string, paint: (line: string) => string = (line) => line): void {
    const line = printableLines(text);
    this.#write(`${this.isTerminal ? paint(line) : line}\n`);
  }

  /** A whole line of progress. */
  progress(text: string): void {
    if (!this.quiet) this.line(text);
  }

  /** Sets the line at the bottom; nothing where there is no terminal, and with the empty text. */
  status(text: string): void {
    if (!this.isTerminal || this.quiet) return;
    const width = Math.max(20, (this.#screen.columns ?? 80) - 1);
    this.#status = printable(text).slice(0, width);
    this.#screen.write(`${clearLine}${this.#status}`);
  }

  /** Writes above the line at the bottom. */
  #write(text: string): void {
    if (this.#status === "") this.#screen.write(text);
    else this.#screen.write(`${clearLine}${text}${this.#status}`);
  }
}

/** The process's own. */
export const terminal: Terminal = new Terminal(process.stderr);

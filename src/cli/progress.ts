/** Progress of whatever takes longer than some seconds: at a terminal a line that changes, in a log file a line now and then. */
import { megabytes, shown } from "../io/quoted.ts";
import { type Terminal, terminal } from "./terminal.ts";

/** Shorter work says nothing in a log file. */
const silentSeconds = 3;
/** Seconds between two lines in a log file, at least; longer work writes them more rarely. */
const lineSeconds = 10;
const statusSeconds = 0.1;

/** Seconds since some moment. */
export type Clock = () => number;

export const stopwatch = (): Clock => {
  const began = performance.now();
  return () => (performance.now() - began) / 1000;
};

/** When something is due: often for a terminal, now and then for a log file. */
export class Pace {
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  #status = 0;
  #line = silentSeconds;

  constructor(screen: Terminal = terminal, clock: Clock = stopwatch()) {
    this.#terminal = screen;
    this.#clock = clock;
  }

  get seconds(): number {
    return this.#clock();
  }

  /** Shows a text where it is due. */
  show(text: () => string): void {
    const now = this.#clock();
    if (this.#terminal.isTerminal) {
      if (now < this.#status) return;
      this.#status = now + statusSeconds;
      this.#terminal.status(text());
    } else if (now >= this.#line) {
      this.#line = now + Math.max(lineSeconds, now / 4);
      this.#terminal.progress(text());
    }
  }

  /** Puts the next line in a log file off: something else was written. */
  defer(): void {
    this.#line = this.#clock() + lineSeconds;
  }

  /** Takes the line at the bottom away; what took long says in a log file that it is done. */
  end(text: () => string): void {
    this.#terminal.status("");
    if (!this.#terminal.isTerminal && this.#line > silentSeconds) this.#terminal.progress(text());
  }
}

/** 75 to "1 min 15 s": a time that is told to somebody who waits. */
export function waiting(seconds: number): string {
  if (seconds < 100) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Time that is left at the pace so far, in words; nothing before there is one. */
export function left(seconds: number, done: number, total: number): string {
  return done <= 0 || seconds < 1 ? "" : `, ${waiting((seconds / done) * (total - done))} left`;
}

/** Steps with a known number of parts, each under its own name if it has one. */
export function countProgress(
  label: string,
  newPace: () => Pace = () => new Pace(),
): (done: number, total: number, step?: string) => void {
  let current = label;
  let pace = newPace();
  return (done, total, step = label) => {
    if (step !== current) pace = newPace();
    current = step;
    if (done < total) pace.show(() => `${shown(step)} ${done}/${total}${left(pace.seconds, done, total)}`);
    else pace.end(() => `${shown(step)} ${total}/${total} in ${waiting(pace.seconds)}`);
  };
}

/** Bytes of files that are fetched, one after the other. */
export function transferProgress(): {
  update: (done: number, total: number | undefined, file: string) => void;
  stop: () => void;
} {
  let pace = new Pace();
  let current: string | undefined;
  const update = (done: number, total: number | undefined, file: string): void => {
    if (file !== current) pace = new Pace();
    current = file;
    const amount = `${shown(file)} ${megabytes(done)}`;
    if (done === total) pace.end(() => `${amount} in ${waiting(pace.seconds)}`);
    else if (total === undefined) pace.show(() => amount);
    else pace.show(() => `${amount} of ${megabytes(total)}${left(pace.seconds, done, total)}`);
  };
  return { update, stop: () => terminal.status("") };
}

const barWidth = 20;

/** A bar of fixed width. */
export function bar(done: number, total: number): string {
  const full = Math.round((barWidth * done) / Math.max(1, total));
  return `[${"#".repeat(full)}${"-".repeat(Math.max(0, barWidth - full))}]`;
}

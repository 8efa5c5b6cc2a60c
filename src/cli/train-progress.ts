/** Progress of training: a line for each epoch, and the steps in between. */
import { shown } from "../io/quoted.ts";
import {
  type Emit,
  isBetter,
  kindOfMetrics,
  type Quality,
  qualityOf,
  type RunEvent,
  type TaskMetrics,
} from "../train/index.ts";
import { bar, left, Pace, stopwatch, waiting } from "./progress.ts";
import { type Terminal, terminal } from "./terminal.ts";

type StepEvent = Extract<RunEvent, { type: "step" }>;
type EpochEvent = Extract<RunEvent, { type: "epoch" }>;
type FitEvent = Extract<RunEvent, { type: "fit" }>;

/** Seconds after which the first steps say how long all of them take. */
const estimateAfter = 3;
/** Seconds from which a way to shorter training is named. */
const longTraining = 3600;

/** A fit's own course, for its lines and for the verdict. */
export interface FitCourse {
  fit: string;
  epochs: number;
  steps: number;
  best: (Quality & { epoch: number }) | undefined;
}

/** Writes what happens in a run. */
export class TrainProgress {
  /** The fits so far, in order. */
  readonly courses: FitCourse[] = [];
  readonly #screen: Terminal;
  #members: readonly string[] = [];
  #pace: Pace;
  #clock = stopwatch();
  #resumedAt = 0;
  #legend = false;
  #estimated = false;

  constructor(screen: Terminal = terminal) {
    this.#screen = screen;
    this.#pace = new Pace(screen);
  }

  readonly emit: Emit = (event) => {
    if (event.type === "start") this.#members = event.members;
    else if (event.type === "fit") this.#begin(event);
    else if (event.type === "step") this.#step(event);
    else if (event.type === "epoch") this.#epoch(event);
    else if (event.type === "fitted") this.stop();
    else if (event.type === "note") this.#screen.progress(event.text);
    else if (event.type === "prior") {
      const parts = event.members.map(({ name, probability }) => `${shown(name)} ${(100 * probability).toFixed(0)} %`);
      this.#screen.progress(`prior by ${event.score}: ${parts.join(", ")}`);
    }
  };

  /** Takes the line at the bottom away. */
  stop(): void {
    this.#screen.status("");
  }

  #begin({ fit, epochs, steps, resumedAt, best }: FitEvent): void {
    this.courses.push({ fit, epochs, steps, best });
    this.#clock = stopwatch();
    this.#pace = new Pace(this.#screen);
    this.#resumedAt = resumedAt;
    this.#estimated = false;
    if (resumedAt > 0) this.#screen.progress(`${shown(fit)}: going on from step ${resumedAt} of ${epochs * steps}`);
  }

  #step(event: StepEvent): void {
    const course = this.courses.at(-1);
    if (!course) return;
    const total = course.epochs * event.steps;
    const done = event.epoch * event.steps + event.step;
    const remains = left(this.#clock(), done - this.#resumedAt, total - this.#resumedAt);
    if (!this.#estimated && this.#clock() > estimateAfter && remains !== "") {
      this.#estimated = true;
      this.#pace.defer();
      const what = this.#named(course.fit);
      const seconds = (this.#clock() / (done - this.#resumedAt)) * (total - done);
      const shorter = seconds > longTraining ? "; --auto --minutes 30 finds what fits into less" : "";
      this.#screen.progress(`time      ${what}${remains.slice(2)}, at the pace of the first steps${shorter}`);
    }
    this.#pace.show(() => {
      const figures = `loss ${event.loss.toFixed(3)}, ${event.imagesPerSecond.toFixed(0)} images/s`;
      const where = `${this.#named(course.fit)}epoch ${event.epoch + 1}/${course.epochs}`;
      const picture = this.#screen.isTerminal ? ` ${bar(done, total)}` : ` step ${event.step}/${event.steps}`;
      return `${where}${picture} ${figures}${remains}`;
    });
  }

  #epoch(event: EpochEvent): void {
    const course = this.courses.at(-1);
    if (!course) return;
    this.#pace.defer();
    this.#showLegend(event);
    const { validation: found } = event;
    const quality = found && qualityOf(found);
    const isBest = quality !== undefined && isBetter(quality, course.best);
    if (isBest) course.best = { epoch: event.epoch, ...quality };
    const width = `epoch ${course.epochs}/${course.epochs}`.length;
    const validation = found === undefined ? "" : `  validation ${scoreOf(found)}${isBest ? " *" : "  "}`;
    const shares = event.shares ? `  shares ${event.shares.map((share) => (100 * share).toFixed(0)).join(" ")} %` : "";
    const done = event.epoch * course.steps - this.#resumedAt;
    const remains = left(this.#clock(), done, course.epochs * course.steps - this.#resumedAt);
    const time = `${waiting(this.#clock())}${event.epoch < course.epochs ? remains : ""}`;
    const epoch = `epoch ${event.epoch}/${course.epochs}`.padEnd(width);
    this.#screen.progress(
      `${this.#named(course.fit)}${epoch}  loss ${event.loss.toFixed(3)}${validation}${shares}  ${time}`,
    );
  }

  /** Explains the lines once: the best mark, and whose shares they are. */
  #showLegend(event: EpochEvent): void {
    if (this.#legend) return;
    this.#legend = true;
    const names = event.shares ? `; shares of ${this.#members.map(shown).join(", ")}` : "";
    this.#screen.progress(`legend    * best on validation images so far${names}`);
  }

  /** The fit's name where a run has several. */
  #named(fit: string): string {
    return fit === "hub-pathway" ? "" : `${shown(fit)}: `;
  }
}

/** The figure that decides, short. */
function scoreOf(metrics: TaskMetrics): string {
  const { score } = qualityOf(metrics);
  const kind = kindOfMetrics(metrics);
  if (kind === "classification") return `${(100 * score).toFixed(1)} %`;
  return `${kind === "regression" ? "R2" : "mAP"} ${score.toFixed(3)}`;
}

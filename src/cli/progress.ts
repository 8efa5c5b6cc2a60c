/** Progress of training and of long steps, on standard error; quiet lines instead of a bar when that is no terminal. */
import { MultiBar, Presets } from "cli-progress";
import type { Emit, RunEvent } from "../train/index.ts";

/** A bar for steps with a known number of parts, each under its own name if it has one. */
export function countProgress(label: string): (done: number, total: number, step?: string) => void {
  let last = 0;
  return (done, total, step = label) => {
    const now = performance.now();
    if (done < total && now - last < 200) return;
    last = now;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${step} ${done}/${total}${done === total ? "\n" : ""}`);
    else if (done === total) process.stderr.write(`${step} ${done}/${total}\n`);
  };
}

/** Bytes of files that are fetched, one after the other. */
export function transferProgress(): {
  update: (done: number, total: number | undefined, file: string) => void;
  stop: () => void;
} {
  let last = 0;
  let open = false;
  const update = (done: number, total: number | undefined, file: string): void => {
    const now = performance.now();
    const complete = done === total;
    if (!complete && now - last < 200) return;
    last = now;
    const text = `${file} ${megabytes(done)}${total === undefined ? "" : ` of ${megabytes(total)}`}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}${complete ? "\n" : ""}`);
    else if (complete) process.stderr.write(`${text}\n`);
    open = !complete;
  };
  const stop = (): void => {
    if (open && process.stderr.isTTY) process.stderr.write("\n");
  };
  return { update, stop };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Shows epochs, loss, throughput, time left and the live share of each model. */
export function trainingProgress(memberNames: readonly string[]): { emit: Emit; stop: () => void } {
  const tty = process.stderr.isTTY === true;
  const bars = tty
    ? new MultiBar(
        {
          stream: process.stderr,
          format: "{fit} {bar} {percentage}% | ETA {eta}s | {text}",
          hideCursor: true,
          clearOnComplete: true,
        },
        Presets.shades_classic,
      )
    : undefined;
  let bar: ReturnType<MultiBar["create"]> | undefined;
  let epochs = 1;
  const emit = (event: RunEvent): void => {
    if (event.type === "fit") {
      epochs = event.epochs;
      bar = bars?.create(event.epochs * event.steps, event.resumedAt, { fit: event.fit, text: "" });
      if (!tty && event.resumedAt > 0) console.error(`${event.fit}: going on from step ${event.resumedAt}`);
    } else if (event.type === "step") {
      bar?.update(event.epoch * event.steps + event.step, { text: stepText(event, memberNames) });
    } else if (event.type === "epoch" && !tty) {
      console.error(epochText(event, epochs));
    } else if (event.type === "fitted") {
      bar?.stop();
      if (bar) bars?.remove(bar);
    } else if (event.type === "prior") {
      const parts = event.members.map(({ name, probability }) => `${name} ${(100 * probability).toFixed(0)} %`);
      console.error(`prior by ${event.score}: ${parts.join(", ")}`);
    } else if (event.type === "note") {
      console.error(event.text);
    }
  };
  return { emit, stop: () => bars?.stop() };
}

function stepText(event: Extract<RunEvent, { type: "step" }>, memberNames: readonly string[]): string {
  const shares = event.shares
    ?.map((share, i) => `${initials(memberNames[i] ?? "")} ${(100 * share).toFixed(0)}`)
    .join(" ");
  return `loss ${event.loss.toFixed(3)} | ${event.imagesPerSecond.toFixed(0)} img/s${shares ? ` | % ${shares}` : ""}`;
}

function epochText(event: Extract<RunEvent, { type: "epoch" }>, epochs: number): string {
  const validation = event.validation ? `, validation ${(100 * event.validation.accuracy).toFixed(1)} %` : "";
  const shares = event.shares ? `, shares ${event.shares.map((share) => (100 * share).toFixed(0)).join("/")} %` : "";
  return `${event.fit} epoch ${event.epoch}/${epochs}: loss ${event.loss.toFixed(3)}${validation}${shares}`;
}

/** "resnet-clipart-supervised" to "r-c-s". */
function initials(name: string): string {
  return name
    .split("-")
    .map((part) => part[0] ?? "")
    .join("-");
}

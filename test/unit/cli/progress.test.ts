/** Progress of slow work: on a terminal one line that changes, in a log file few whole ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { countProgress, Pace, waiting } from "../../../src/cli/progress.ts";
import { Terminal } from "../../../src/cli/terminal.ts";
import { TrainProgress } from "../../../src/cli/train-progress.ts";
import { verdictLines } from "../../../src/cli/verdict.ts";
import type { EvaluationSummary, RunEvent } from "../../../src/train/index.ts";

function screen(isTTY: boolean) {
  const written: string[] = [];
  const terminal = new Terminal({ isTTY, columns: 60, write: (text: string) => written.push(text) });
  return { terminal, text: () => written.join("") };
}

test("work of seconds says nothing in a log file, longer work a line now and then with what is left", () => {
  for (const [secondsEach, expected] of [
    [0.01, []],
    [1, ["reading 3/20, 17 s left", "reading 13/20, 7 s left", "reading 20/20 in 20 s"]],
  ] as const) {
    const { terminal, text } = screen(false);
    let now = 0;
    const update = countProgress("reading", () => new Pace(terminal, () => now));
    for (let done = 1; done <= 20; done++) {
      now = done * secondsEach;
      update(done, 20);
    }
    assert.deepEqual(text().split("\n").filter(Boolean), expected);
  }
});

test("a terminal keeps whole lines above the line that changes, and foreign text cannot steer it", () => {
  const { terminal, text } = screen(true);
  terminal.status(`reading ${"x".repeat(200)}\u001b[2J`);
  terminal.line("a line\u001b]0;title\u0007");
  terminal.status("");
  const clear = "\r\u001b[2K";
  const status = `reading ${"x".repeat(51)}`;
  assert.equal(text(), `${clear}${status}${clear}a line\\u{1b}]0;title\\u{7}\n${status}${clear}`);
  terminal.quiet = true;
  terminal.status("more");
  terminal.progress("more");
  assert.ok(!text().includes("more"));
});

test("epochs are numbered, marked when best, with shares by a legend that is said once", () => {
  const { terminal, text } = screen(false);
  const progress = new TrainProgress(terminal);
  const run = { version: 1, method: "hub-pathway", hub: "hub", data: "images", seed: 0, ranks: 1, rank: 0, time: "" };
  progress.emit({ type: "start", ...run, members: ["first\u001b[1m", "second"] });
  const metrics = (accuracy: number, logLoss: number) => ({ accuracy, logLoss, macroF1: 0, calibrationError: 0 });
  const epoch = (number: number, accuracy: number, logLoss: number): RunEvent => ({
    type: "epoch",
    fit: "hub-pathway",
    epoch: number,
    loss: 1.5,
    validation: metrics(accuracy, logLoss),
    shares: [0.25, 0.75],
    seconds: 1,
  });
  progress.emit({ type: "fit", fit: "hub-pathway", epochs: 3, steps: 2, resumedAt: 0 });
  for (const event of [epoch(1, 0.5, 1), epoch(2, 0.5, 1.1), epoch(3, 0.5, 0.9)]) progress.emit(event);
  assert.deepEqual(text().trimEnd().split("\n"), [
    "legend    * best on validation images so far; shares of first\\u{1b}[1m, second",
    "epoch 1/3  loss 1.500  validation 50.0 % *  shares 25 75 %  1 s",
    "epoch 2/3  loss 1.500  validation 50.0 %    shares 25 75 %  1 s",
    "epoch 3/3  loss 1.500  validation 50.0 % *  shares 25 75 %  1 s",
  ]);
  assert.deepEqual(progress.courses[0]?.best, { epoch: 3, score: 0.5, loss: 0.9 });
});

test("the verdict on a resumed fit knows the best epoch from before", () => {
  const progress = new TrainProgress(screen(false).terminal);
  const best = { epoch: 2, score: 0.75, loss: 1 };
  progress.emit({ type: "fit", fit: "hub-pathway", epochs: 4, steps: 2, resumedAt: 6, best });
  const validation = { accuracy: 0.5, logLoss: 1, macroF1: 0, calibrationError: 0 };
  progress.emit({ type: "epoch", fit: "hub-pathway", epoch: 4, loss: 1, validation, seconds: 1 });
  const summary = {
    accuracy: 0.75,
    items: 8,
    accuracyInterval: [0.4, 0.9],
    classes: [],
  } as unknown as EvaluationSummary;
  const [first] = verdictLines({ summary, courses: progress.courses, keep: "best" });
  assert.match(first ?? "", /by the weights of epoch 2 of 4$/);
});

test("times are told in the unit that somebody who waits thinks in", () => {
  assert.deepEqual([0.2, 75, 150, 7300].map(waiting), ["1 s", "75 s", "3 min", "2 h 2 min"]);
});

test("colours are for terminals, whatever the environment says of itself", () => {
  const red = (text: string) => `\x1b[31m${text}\x1b[39m`;
  for (const isTTY of [true, false]) {
    const written: string[] = [];
    new Terminal({ isTTY, write: (text: string) => written.push(text) }).line("error: no", red);
    assert.deepEqual(written, [isTTY ? `${red("error: no")}\n` : "error: no\n"]);
  }
});

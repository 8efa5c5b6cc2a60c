/**
 * `npm run demo`: Greek letters and emoji, 40 labels a class, and a hub of specialists that stay as they are. Trains heads on
 * every member, and Hub-Pathway, which learns which member knows most about each image; it ends with a table on the held-out
 * test split and an HTML report: the first seed of `hub-pathway experiment routing --freeze-members`. Two processes of one
 * thread each share the training: small networks gain more by that than by two threads.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import {
  CellStore,
  type CellWatch,
  type ExperimentRequest,
  finishedCell,
  type Line,
  lineColumns,
  lineOf,
  methodCell,
  type Plan,
  paretoSection,
  protocolOf,
  Setting,
  sharesText,
} from "../src/compare/index.ts";
import { fetchDataset } from "../src/data/index.ts";
import { lettersAndEmoji } from "../src/experiments/routing/ceilings.ts";
import { frozenComparison } from "../src/experiments/routing/routing.ts";
import { describeHub, type Hub, openHub } from "../src/hub/index.ts";
import { writeFileAtomic } from "../src/io/index.ts";
import {
  amount,
  curves,
  duration,
  heatMap,
  htmlPage,
  htmlTable,
  pathwayHeatMap,
  percent,
  textTable,
} from "../src/report/index.ts";
import { ownProcess, setNumThreads, UserError } from "../src/torch/index.ts";
import { confusionMatrix, type Evaluation, qualityOf, type RunEvent, type TaskData } from "../src/train/index.ts";

const seed = 0;
const folder = fileURLToPath(new URL("../runs/demo", import.meta.url));
const [shown] = frozenComparison.ours;

/** Points of a curve: the validation split is larger than the training images, and takes its time. */
const points = 6;

/** What lines of the experiment have in their names that the demo leaves out. */
const left = "credit by weights";

/** Events and evaluations of the runs that the report needs. */
interface Seen {
  epochs: RunEvent[];
  tests: Map<string, Evaluation>;
}

/** Columns of the experiments' tables that say nothing with one seed, or too much for a terminal. */
const narrow = ["seeds", "log loss", "of all members'", "I(image; model)"];
const columnsOf = (lines: readonly Line[]) => lineColumns(lines).filter(({ title }) => !narrow.includes(title));

/** Members whose heads the second process trains before its routes: both processes then end at about the same time. */
const membersOfSecond = 1;

/** The plans of the second process, routes to one model, in its order; the first has all others. */
function shareOfSecond(plans: readonly Plan[]): Plan[] {
  const members = plans.filter(({ budget, method }) => budget === "equal epochs" && method.name === "fine-tune");
  return [...members.slice(-membersOfSecond), ...plans.filter(({ choices }) => choices["k"] === 1)];
}

/** Messages of the second process about a plan. */
type Message =
  | { plan: string; event: RunEvent }
  | { plan: string; tested: Evaluation }
  | { plan: string; finished: true };

async function demo(): Promise<void> {
  const began = performance.now();
  const hub = openHub(fileURLToPath(new URL(`../${frozenComparison.hub}`, import.meta.url)));
  for (const name of lettersAndEmoji.data.source.split("+")) await fetchDataset(name, (text) => console.error(text));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await using setting = settingOf(hub);
  const data = await setting.data();
  introduce(hub, data);
  const seen: Seen = { epochs: [], tests: new Map() };
  const lines = await train(hub, setting, seen);
  console.log(
    `\nHeld-out test split, ${data.counts.test} images, one seed (choices were made on the validation split):\n`,
  );
  console.log(textTable(lines, columnsOf(lines)));
  const path = join(folder, "report.html");
  writeFileAtomic(path, [page(lines, data, seen, hub)]);
  console.log(`\nReport with curves and the class x model heat map: ${relative(process.cwd(), path)}`);
  console.log(`Done in ${duration((performance.now() - began) / 1000)}. Results over seeds: docs/results/README.md`);
}

function introduce(hub: Hub, { classes, counts }: TaskData): void {
  console.log(
    `\nHub-Pathway on real images: ${classes.length} classes of letters and emoji, ${counts.train} training, ${counts.validation} validation, ${counts.test} test images.`,
  );
  console.log(`The hub ${hub.manifest.name} has ${hub.manifest.members.length} pre-trained models:`);
  for (const member of describeHub(hub)) {
    console.log(`  ${member.name.padEnd(30)} ${amount(member.parameters)} parameters, ${member.paradigm}`);
  }
  console.log("\nTraining: heads on each member alone, and Hub-Pathway, with members that stay as they are.");
}

function settingOf(hub: Hub): Setting {
  return new Setting(protocolOf(hub, lettersAndEmoji, { quick: false, frozen: true }), seed);
}

function plansOf(hub: Hub, setting: Setting): Plan[] {
  const members = hub.manifest.members.map((member) => member.name);
  const { epochs } = setting.protocol;
  return frozenComparison.plans({ members, epochs }).filter(({ name }) => !name.includes(left));
}

function requestOf(listener: Pick<CellWatch, "event" | "tested">): ExperimentRequest {
  const watch = { ...listener, points, everyK: false };
  const cells = new CellStore(join(folder, "cells"));
  return { seeds: [seed], quick: false, final: true, cells, cache: join(folder, "cache"), say() {}, watch };
}

async function train(hub: Hub, setting: Setting, seen: Seen): Promise<Line[]> {
  const plans = plansOf(hub, setting);
  const elsewhere = shareOfSecond(plans);
  const event = follow(seen.epochs);
  const tested = (plan: string, evaluation: Evaluation) => seen.tests.set(plan, evaluation);
  const request = requestOf({ event, tested });
  using second = new SecondProcess((message) => {
    if ("event" in message) event(message.plan, message.event);
    if ("tested" in message) tested(message.plan, message.tested);
  });
  const [own, shared] = [plans.filter((plan) => !elsewhere.includes(plan)), elsewhere.slice(0, membersOfSecond)];
  const alone = own.filter(({ budget }) => budget === "equal epochs");
  for (const plan of alone) await methodCell(request, setting, plan);
  // Plans that compare or join members read their fine-tuning, also that of the second process.
  for (const plan of shared) await second.finished(plan.name);
  for (const plan of own) if (!alone.includes(plan)) await methodCell(request, setting, plan);
  for (const plan of elsewhere) await second.finished(plan.name);
  rmSync(request.cache, { recursive: true, force: true });
  return plans.flatMap((plan) => {
    const cell = finishedCell(request, setting, plan);
    return cell ? [lineOf(plan, [cell], "test")] : [];
  });
}

/** This file once more, computing its share of the plans. */
class SecondProcess {
  readonly #child: ChildProcess;
  readonly #done = new Set<string>();
  readonly #ended: Promise<never>;
  #wake: () => void = () => {};

  constructor(listen: (message: Message) => void) {
    this.#child = fork(fileURLToPath(import.meta.url), [secondArgument], { serialization: "advanced" });
    this.#child.on("message", (message: Message) => {
      listen(message);
      if ("finished" in message) this.#done.add(message.plan);
      this.#wake();
    });
    this.#ended = new Promise((_, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", () =>
        reject(new UserError("the demo's second process ended early, for the reason above")),
      );
    });
    // Looked at only while a plan is waited for.
    this.#ended.catch(() => {});
  }

  async finished(plan: string): Promise<void> {
    while (!this.#done.has(plan)) {
      const next = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([next, this.#ended]);
    }
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

const secondArgument = "--second-process";

/** The share of the second process. */
async function trainShare(): Promise<void> {
  const send = (message: Message) => process.send?.(message);
  const hub = openHub(fileURLToPath(new URL(`../${frozenComparison.hub}`, import.meta.url)));
  await using setting = settingOf(hub);
  const request = requestOf({
    event: (plan, event) => event.type !== "step" && send({ plan, event }),
    tested: (plan, evaluation) => send({ plan, tested: evaluation }),
  });
  for (const plan of shareOfSecond(plansOf(hub, setting))) {
    await methodCell(request, setting, plan);
    send({ plan: plan.name, finished: true });
  }
}

/** Keeps epochs for the curves and says on one line where each fit stands. */
function follow(seen: RunEvent[]): (plan: string, event: RunEvent) => void {
  const epochsOf = new Map<string, number>();
  return (plan, event) => {
    if (event.type === "fit") epochsOf.set(plan, event.epochs);
    if (event.type !== "epoch") return;
    const epochs = epochsOf.get(plan) ?? 0;
    seen.push({ ...event, fit: plan });
    const shares = event.shares ? `, shares ${sharesText(event.shares)} %` : "";
    const validation = event.validation ? `, validation ${percent(qualityOf(event.validation).score)}` : "";
    const line = `${plan}: epoch ${event.epoch}/${epochs}, loss ${event.loss.toFixed(3)}${validation}${shares}`;
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${line}${event.epoch === epochs ? "\n" : ""}`);
    else if (event.epoch === epochs) console.log(line);
  };
}

function page(lines: readonly Line[], data: TaskData, seen: Seen, { manifest }: Hub): string {
  const members = manifest.members.map((member) => member.name);
  const measured = seen.tests.get(shown ?? "");
  const columns = columnsOf(lines);
  const titles = columns.map((column) => column.title);
  const rows = lines.map((line) => columns.map((column) => column.value(line)));
  return htmlPage("Hub-Pathway on letters and emoji", [
    `<p>Accuracy on the held-out test split (${data.counts.test} images), one seed. Choices were made on the validation split.</p>`,
    htmlTable(titles, rows),
    paretoSection("Accuracy against inference cost", lines, "test").plot ?? "",
    ...curves(seen.epochs, members),
    ...(measured ? routes(measured, data.classes, members) : []),
  ]);
}

function routes(measured: Evaluation, classes: readonly string[], members: readonly string[]): string[] {
  const confusion = confusionMatrix(measured.probabilities, measured.labels, classes.length);
  const title = "Confusion of Hub-Pathway: rows are true, columns predicted";
  return [pathwayHeatMap(measured, classes, members), heatMap(title, classes, classes, confusion, String)];
}

ownProcess();
try {
  setNumThreads(1);
  if (process.argv.includes(secondArgument)) await trainShare();
  else await demo();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = error.exitCode;
}

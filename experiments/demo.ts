/**
 * `npm run demo`: emoji categories with 40 labels a class, the starter hub, k = 2. Fine-tunes every member, trains
 * Hub-Pathway under both budgets, and ends with a table on the held-out test split and an HTML report: the first seed of
 * `hub-pathway experiment mixed-hub` on its first target.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchDataset } from "../src/data/index.ts";
import {
  CellStore,
  type ExperimentRequest,
  finishedCell,
  type Line,
  lineColumns,
  lineOf,
  mainPlans,
  methodCell,
  mixedHubComparison,
  ours,
  paretoSection,
  protocolOf,
  Setting,
  sharesText,
  targets,
} from "../src/experiments/index.ts";
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
import { UserError } from "../src/torch/index.ts";
import { confusionMatrix, type Evaluation, type RunEvent, type TaskData } from "../src/train/index.ts";

const seed = 0;
const folder = fileURLToPath(new URL("../runs/demo", import.meta.url));
const [emoji] = targets;

/** Lines of mixed-hub that the demo leaves out. */
const left = ["greedy ensemble", "distillation"];

/** What is kept of the runs for the report. */
interface Seen {
  epochs: RunEvent[];
  tests: Map<string, Evaluation>;
}

/** Columns of the experiments' tables that say nothing with one seed, or too much for a terminal. */
const narrow = ["seeds", "log loss", "of all members'", "I(image; model)"];
const columnsOf = (lines: readonly Line[]) => lineColumns(lines).filter(({ title }) => !narrow.includes(title));

async function demo(): Promise<void> {
  const began = performance.now();
  if (!emoji) throw new RangeError("there is no target");
  const hub = openHub(fileURLToPath(new URL(`../${mixedHubComparison.hub}`, import.meta.url)));
  await fetchDataset("emoji", (text) => console.error(text));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await using setting = new Setting(protocolOf(hub, emoji, { quick: false }), seed);
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
    `\nHub-Pathway on real images: ${classes.length} emoji categories, ${counts.train} training, ${counts.validation} validation, ${counts.test} test images.`,
  );
  console.log(`The hub ${hub.manifest.name} has ${hub.manifest.members.length} pre-trained models:`);
  for (const member of describeHub(hub)) {
    console.log(`  ${member.name.padEnd(30)} ${amount(member.parameters)} parameters, ${member.paradigm}`);
  }
  console.log(
    "\nTraining: each member alone, the best one again with the whole compute, and Hub-Pathway under two budgets.",
  );
}

async function train(hub: Hub, setting: Setting, seen: Seen): Promise<Line[]> {
  const members = hub.manifest.members.map((member) => member.name);
  const plans = mainPlans({ members, epochs: setting.protocol.epochs }).filter(({ name }) => !left.includes(name));
  const request: ExperimentRequest = {
    seeds: [seed],
    quick: false,
    final: true,
    cells: new CellStore(join(folder, "cells")),
    cache: join(folder, "cache"),
    say() {},
    watch: { event: follow(seen.epochs), tested: (plan, evaluation) => seen.tests.set(plan, evaluation) },
  };
  const lines: Line[] = [];
  for (const plan of plans) {
    await methodCell(request, setting, plan);
    const cell = finishedCell(request, setting, plan);
    if (cell) lines.push(lineOf(plan, [cell], "test"));
  }
  rmSync(request.cache, { recursive: true, force: true });
  return lines;
}

/** Keeps epochs for the curves and says on one line where each fit stands. */
function follow(seen: RunEvent[]): (plan: string, event: RunEvent) => void {
  let epochs = 0;
  return (plan, event) => {
    if (event.type === "fit") epochs = event.epochs;
    if (event.type !== "epoch") return;
    seen.push({ ...event, fit: plan });
    const shares = event.shares ? `, shares ${sharesText(event.shares)} %` : "";
    const line = `${plan}: epoch ${event.epoch}/${epochs}, loss ${event.loss.toFixed(3)}, validation ${percent(event.validation?.accuracy ?? 0)}${shares}`;
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${line}${event.epoch === epochs ? "\n" : ""}`);
    else if (event.epoch === epochs) console.log(line);
  };
}

function page(lines: readonly Line[], data: TaskData, seen: Seen, { manifest }: Hub): string {
  const members = manifest.members.map((member) => member.name);
  const measured = seen.tests.get(ours.equalCompute);
  const columns = columnsOf(lines);
  const titles = columns.map((column) => column.title);
  const rows = lines.map((line) => columns.map((column) => column.value(line)));
  return htmlPage("Hub-Pathway on emoji categories", [
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

try {
  await demo();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = error.exitCode;
}

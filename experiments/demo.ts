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
  lineOf,
  mainPlans,
  methodCell,
  mixedHubComparison,
  ours,
  protocolOf,
  Setting,
  targets,
} from "../src/experiments/index.ts";
import { describeHub, type Hub, openHub } from "../src/hub/index.ts";
import { writeFileAtomic } from "../src/io/index.ts";
import {
  amount,
  type Column,
  curves,
  duration,
  heatMap,
  htmlPage,
  htmlTable,
  pathwayHeatMap,
  percent,
  scatterPlot,
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

const columns: readonly Column<Line>[] = [
  { title: "method", value: (line) => line.name },
  { title: "budget", value: (line) => line.budget },
  { title: "accuracy", value: (line) => percent(line.accuracy.mean), right: true },
  { title: "macro F1", value: (line) => percent(line.macroF1), right: true },
  { title: "calib. error", value: (line) => percent(line.calibrationError), right: true },
  { title: "parameters", value: (line) => amount(line.parameters), right: true },
  { title: "training FLOPs", value: (line) => amount(line.trainingFlops), right: true },
  { title: "training time", value: (line) => duration(line.trainingSeconds), right: true },
  { title: "FLOPs/image", value: (line) => amount(line.inferenceFlops), right: true },
  { title: "time/image", value: (line) => duration(line.secondsPerImage), right: true },
  { title: "shares, %", value: ({ routing }) => routing?.shares.map((p) => Math.round(100 * p)).join("/") ?? "" },
];

async function demo(): Promise<void> {
  const began = performance.now();
  if (!emoji) throw new RangeError("there is no target");
  const hub = openHub(fileURLToPath(new URL(`../${mixedHubComparison.hub}`, import.meta.url)));
  await fetchDataset("emoji", (text) => console.error(text));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await using setting = new Setting(protocolOf(hub, emoji, false), seed);
  const data = await setting.data();
  introduce(hub, data);
  const seen: Seen = { epochs: [], tests: new Map() };
  const lines = await train(hub, setting, seen);
  console.log(
    `\nHeld-out test split, ${data.counts.test} images, one seed (choices were made on the validation split):\n`,
  );
  console.log(textTable(lines, columns));
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
    const shares = event.shares ? `, shares ${event.shares.map((share) => Math.round(100 * share)).join("/")} %` : "";
    const line = `${plan}: epoch ${event.epoch}/${epochs}, loss ${event.loss.toFixed(3)}, validation ${percent(event.validation?.accuracy ?? 0)}${shares}`;
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${line}${event.epoch === epochs ? "\n" : ""}`);
    else if (event.epoch === epochs) console.log(line);
  };
}

function page(lines: readonly Line[], data: TaskData, seen: Seen, { manifest }: Hub): string {
  const members = manifest.members.map((member) => member.name);
  const measured = seen.tests.get(ours.equalCompute);
  const titles = columns.map((column) => column.title);
  const rows = lines.map((line) => columns.map((column) => column.value(line)));
  const points = lines.map(({ name, inferenceFlops, accuracy }) => ({ name, x: inferenceFlops, y: accuracy.mean }));
  return htmlPage("Hub-Pathway on emoji categories", [
    `<p>Accuracy on the held-out test split (${data.counts.test} images), one seed. Choices were made on the validation split.</p>`,
    htmlTable(titles, rows),
    scatterPlot("Accuracy against inference cost", points, {
      x: "FLOPs per image (logarithmic)",
      y: "test accuracy",
    }),
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

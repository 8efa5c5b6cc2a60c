/**
 * `npm run demo`: emoji categories with 40 labels a class, the starter hub, k = 2. Fine-tunes every member, trains
 * Hub-Pathway under both budgets, and ends with a table on the held-out test split and an HTML report.
 */
import { mkdirSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchDataset } from "../src/data/index.ts";
import { describeHub, openHub } from "../src/hub/index.ts";
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
  scatterPlot,
  textTable,
} from "../src/report/index.ts";
import { UserError } from "../src/torch/index.ts";
import { confusionMatrix, type RunEvent, type TaskData } from "../src/train/index.ts";
import { type Cell, openData } from "./comparison/cells.ts";
import { starterProtocol } from "./comparison/protocol.ts";
import type { Entry } from "./comparison/rivals.ts";
import { runSeed, type SeedResult } from "./comparison/run-seed.ts";
import { columns } from "./comparison/table.ts";

const seed = 0;
const folder = fileURLToPath(new URL("../runs/demo", import.meta.url));

async function demo(): Promise<void> {
  const began = performance.now();
  const hub = openHub(starterProtocol.hub);
  await fetchDataset("emoji", (text) => console.error(text));
  const data = await openData(starterProtocol, seed);
  const { train, validation, test } = data.counts;
  console.log(
    `\nHub-Pathway on real images: ${data.classes.length} emoji categories, ${train} training, ${validation} validation, ${test} test images.`,
  );
  console.log(`The hub ${hub.manifest.name} has ${hub.manifest.members.length} pre-trained models:`);
  for (const member of describeHub(hub)) {
    console.log(`  ${member.name.padEnd(30)} ${amount(member.parameters)} parameters, ${member.paradigm}`);
  }
  console.log(
    "\nTraining: each member alone, the best one again with the whole compute, and Hub-Pathway under two budgets.",
  );
  const events: RunEvent[] = [];
  const result = await runSeed({ protocol: starterProtocol, data, seed, watch: true, emit: follow(events) }, "test");
  console.log(`\nHeld-out test split, ${test} images, one seed (choices were made on the validation split):\n`);
  console.log(textTable(result.entries, columns));
  mkdirSync(folder, { recursive: true });
  const path = `${folder}/report.html`;
  writeFileAtomic(path, [page(result, data, events)]);
  console.log(`\nReport with curves and the class x model heat map: ${relative(process.cwd(), path)}`);
  console.log(`Done in ${duration((performance.now() - began) / 1000)}. Results over seeds: docs/results/starter.md`);
}

/** Keeps epochs for the curves and says on one line where each fit stands. */
function follow(events: RunEvent[]): (event: RunEvent) => void {
  let epochs = 0;
  return (event) => {
    if (event.type === "fit") epochs = event.epochs;
    if (event.type === "epoch") {
      events.push(event);
      const shares = event.shares ? `, shares ${event.shares.map((share) => Math.round(100 * share)).join("/")} %` : "";
      const line = `${event.fit}: epoch ${event.epoch}/${epochs}, loss ${event.loss.toFixed(3)}, validation ${percent(event.validation?.accuracy ?? 0)}${shares}`;
      if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${line}${event.epoch === epochs ? "\n" : ""}`);
      else if (event.epoch === epochs) console.log(line);
    }
  };
}

function page(result: SeedResult, data: TaskData, events: readonly RunEvent[]): string {
  const rows = result.entries.map((entry) => columns.map((column) => column.value(entry)));
  const ours = result.pathways.at(-1);
  return htmlPage("Hub-Pathway on emoji categories", [
    `<p>Accuracy on the held-out test split (${data.counts.test} images), one seed. Choices were made on the validation split.</p>`,
    htmlTable(
      columns.map((column) => column.title),
      rows,
    ),
    scatterPlot("Accuracy against inference cost", result.entries.map(point), {
      x: "FLOPs per image (logarithmic)",
      y: "test accuracy",
    }),
    ...curves(events, result.memberNames),
    ...(ours ? routes(ours, data, result.memberNames) : []),
  ]);
}

function point(entry: Entry): { name: string; x: number; y: number } {
  return { name: `${entry.method} (${entry.budget})`, x: entry.inferenceFlops, y: entry.metrics.accuracy };
}

function routes(cell: Cell, data: TaskData, memberNames: readonly string[]): string[] {
  const measured = cell.splits.test;
  if (!measured) return [];
  const { probabilities, labels, weights = [] } = measured;
  const confusion = confusionMatrix(probabilities, labels, data.classes.length);
  const evaluation = { labels, weights: Float32Array.from(weights) };
  return [
    pathwayHeatMap(evaluation, data.classes, memberNames),
    heatMap(
      "Confusion of Hub-Pathway: rows are true, columns predicted",
      data.classes,
      data.classes,
      confusion,
      String,
    ),
  ];
}

try {
  await demo();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = error.exitCode;
}

/**
 * `npm run targets [-- --seeds N]`: Hub-Pathway on images with several labels and with numbers against the best single member, over
 * members that stay as they are. What each seed comes to is kept in docs/results/targets.json, and seeds that are there are not
 * computed again; docs/results/targets.md is written from it.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { meanInterval } from "../src/compare/index.ts";
import { studentTest } from "../src/compare/statistics.ts";
import { fetchDataset } from "../src/data/index.ts";
import { openHub } from "../src/hub/index.ts";
import { writeFileAtomic } from "../src/io/index.ts";
import { findMethod } from "../src/methods/index.ts";
import { amount, type Column, markdownTable } from "../src/report/index.ts";
import { ownProcess, setNumThreads } from "../src/torch/index.ts";
import {
  defaultTrainOptions,
  defaultViews,
  evaluateTask,
  qualityOf,
  scoreText,
  summariseTargets,
  trainRun,
} from "../src/train/index.ts";
import { counts, type TargetKind, writeCollages } from "./collages.ts";

/** What a method comes to on one seed's test images. */
interface Cell {
  task: TargetKind;
  line: string;
  seed: number;
  /** Mean average precision, or R2. */
  score: number;
  /** F1 of all decisions together, or the mean absolute error of each number. */
  more: number[];
  inferenceFlops: number;
}

const place = "hubs/specialists";
const root = fileURLToPath(new URL("..", import.meta.url));
const results = join(root, "docs/results");
const epochs = 24;

/** Heads begin in closed form, as they do where a generator learns from losses: a gate with k = 1 is one member by the same recipe. */
const single = "one member for all images, by the same recipe";
const byLosses = (k: number) => ({ choices: { credit: "losses", k } });
const lines = [
  { name: "Hub-Pathway, k = 2", method: "hub-pathway", ...byLosses(2) },
  { name: "one gate for all images, k = 2", method: "global-gate", ...byLosses(2) },
  { name: single, method: "global-gate", ...byLosses(1) },
  { name: "best single member, a new head", method: "fine-tune", choices: {} },
  { name: "ensemble of all", method: "ensemble", choices: {} },
];

async function measured(task: TargetKind, seed: number, line: (typeof lines)[number], list: string, out: string) {
  const { generatorFactor: _, ...usual } = defaultTrainOptions;
  const options = { ...usual, epochs, seed, frozenViews: defaultViews };
  const outcome = await trainRun({
    method: findMethod(line.method),
    choices: line.choices,
    hub: join(root, place),
    data: {
      ...{ source: list, imageSize: 48, split: {}, seed, batchSize: options.batchSize },
      // Mirrored pictures are tilted the other way.
      augment: task === "regression" ? "none" : "standard",
    },
    options,
    ...{ out, resume: false, emit: () => {} },
  });
  const { predictor, data, task: settled } = outcome;
  try {
    const evaluation = await evaluateTask(predictor, data.open("test"), settled);
    const summary = summariseTargets("test", evaluation, predictor, { task: settled, classes: data.classes });
    const more = "r2" in summary ? summary.meanAbsoluteErrors : [summary.microF1];
    const { score } = qualityOf(evaluation.metrics);
    return { task, line: line.name, seed, score, more, inferenceFlops: summary.inferenceFlops };
  } finally {
    predictor.dispose();
    data.dispose();
    outcome.hub.residency?.dispose();
  }
}

/** Computes what is missing of a seed. */
async function seedOf(task: TargetKind, seed: number, cells: Cell[], keep: () => void): Promise<void> {
  const missing = lines.filter(
    ({ name }) => !cells.some((cell) => cell.task === task && cell.seed === seed && cell.line === name),
  );
  if (missing.length === 0) return;
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-targets-"));
  try {
    const list = await writeCollages(folder, task, seed);
    for (const line of missing) {
      const cell = await measured(task, seed, line, list, join(folder, line.method));
      console.log(`${task}, seed ${seed}, ${line.name}: ${scoreText(task, cell.score)}`);
      cells.push(cell);
      keep();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Row {
  name: string;
  cells: readonly Cell[];
}

function table(task: TargetKind, all: readonly Cell[]): string {
  const rows = lines.map(({ name }): Row => {
    return { name, cells: all.filter((cell) => cell.task === task && cell.line === name) };
  });
  const rival = new Map(rows.find(({ name }) => name === single)?.cells.map((cell) => [cell.seed, cell.score]));
  const figure = (title: string, of: (cell: Cell) => number, digits: number): Column<Row> => ({
    title,
    value: ({ cells }) => {
      const { mean, half } = meanInterval(cells.map(of));
      return `${mean.toFixed(digits)}${half === null ? "" : ` ± ${half.toFixed(digits)}`}`;
    },
    right: true,
  });
  const difference: Column<Row> = {
    title: "over one member, same recipe",
    value: ({ name, cells }) => {
      const differences = cells.flatMap(({ seed, score }) => {
        const other = rival.get(seed);
        return other === undefined ? [] : [score - other];
      });
      const test = name === single ? undefined : studentTest(differences);
      if (!test) return "";
      const [low, value, high] = [test.low, meanInterval(differences).mean, test.high].map((one) => one.toFixed(3));
      return `${value} (${low} to ${high})`;
    },
    right: true,
  };
  const scores: Column<Row>[] =
    task === "regression"
      ? [
          figure("R2", ({ score }) => score, 3),
          difference,
          figure("tilt off by, degrees", ({ more }) => more[0] ?? 0, 1),
          figure("size off by, pixels", ({ more }) => more[1] ?? 0, 2),
        ]
      : [
          figure("mean average precision", ({ score }) => score, 3),
          difference,
          figure("F1 (micro)", ({ more }) => more[0] ?? 0, 3),
        ];
  return markdownTable(rows, [
    { title: "", value: ({ name }) => name },
    { title: "seeds", value: ({ cells }) => String(cells.length), right: true },
    ...scores,
    {
      title: "FLOPs an image",
      value: ({ cells }) => amount(meanInterval(cells.map((c) => c.inferenceFlops)).mean),
      right: true,
    },
  ]);
}

function page(cells: readonly Cell[]): string {
  const seeds = new Set(cells.map(({ seed }) => seed)).size;
  return `# Several labels, and numbers

Whether the method holds where an image has more than one class: \`npm run targets\` makes this page. Images are put together from packaged
pictures, each image from emoji or from Greek letters, so that the hub of specialists (\`${place}\`) has something to choose; members stay as they
are, and heads learn from their features for ${epochs} epochs. Each of ${seeds} seeds draws images of its own: ${counts.train} to train, ${counts.validation} to
validate, ${counts.test} to test, and a picture is in one of these alone. Figures are means over the seeds on test images, ± half the 95 % interval
by Student's t; differences are paired by seed.

Hub-Pathway and the gates learn from losses (\`--credit losses\`), and their heads begin in closed form, which is most of what parts them from a new
head: so "one member" is the gate that chooses a single member for all images, by the same recipe. The best single member with a new head is the one of
highest validation score.

## Several labels

One to three pictures in the quarters of an image of 48 px; its labels are the categories of its emoji (9), or its letters (6).

${table("multi-label", cells)}

## Numbers

One picture, turned by up to 60 degrees and scaled to 18 to 34 px, anywhere in the image; its tilt and its size are to be told.

${table("regression", cells)}

Small sets and small members: this shows that the tasks work and what routes bring here, and nothing about photographs.
`;
}

const { values } = parseArgs({ options: { seeds: { type: "string", default: "5" } } });
const file = join(results, "targets.json");
ownProcess();
setNumThreads(1);
openHub(join(root, place));
for (const name of ["emoji", "greek"]) await fetchDataset(name, (text) => console.error(text));
const stored = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { cells: Cell[] }).cells : [];
const write = () => {
  writeFileAtomic(file, `${JSON.stringify({ cells: stored }, null, 1)}\n`);
  writeFileAtomic(join(results, "targets.md"), page(stored));
};
for (let seed = 0; seed < Number(values.seeds); seed++)
  for (const task of ["multi-label", "regression"] as const) await seedOf(task, seed, stored, write);
write();
const { user, system } = process.cpuUsage();
console.log(`${((user + system) / 1e6).toFixed(0)} s of processor time`);

/**
 * The starter comparison over seeds, on validation data: settings are chosen here. Resumable: finished cells are kept in
 * runs/starter. `--final` reads the test predictions, writes the tables to docs/results and a line to its ledger.
 *
 *   node --import tsx experiments/starter.ts [--seeds 5] [--variants] [--final] [--data NAME]
 */
import { appendFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeFileAtomic } from "../src/io/index.ts";
import { amount, duration, markdownTable, percent, scatterPlot, svgFile, textTable } from "../src/report/index.ts";
import type { SplitName } from "../src/train/index.ts";
import { type CellRequest, openData, pathwayCell } from "./comparison/cells.ts";
import { starterProtocol } from "./comparison/protocol.ts";
import { entryOf } from "./comparison/rivals.ts";
import { runSeed } from "./comparison/run-seed.ts";
import { type Line, lines, pairedDifference } from "./comparison/summary.ts";
import { variants } from "./comparison/variants.ts";

const { values: flags } = parseArgs({
  options: {
    seeds: { type: "string", default: "5" },
    first: { type: "string", default: "0" },
    only: { type: "string" },
    variants: { type: "boolean", default: false },
    final: { type: "boolean", default: false },
    data: { type: "string", default: "emoji" },
  },
});

const protocol = { ...starterProtocol, data: { ...starterProtocol.data, source: flags.data } };
const folder = fileURLToPath(new URL(`../runs/starter/${flags.data}`, import.meta.url));
const results = fileURLToPath(new URL("../docs/results", import.meta.url));
const split: SplitName = flags.final ? "test" : "validation";

async function requestFor(seed: number): Promise<CellRequest> {
  const emit: CellRequest["emit"] = (event) => {
    if (event.type === "fitted") console.error(`seed ${seed}: ${event.fit} in ${duration(event.seconds)}`);
  };
  return { protocol, data: await openData(protocol, seed), seed, folder, emit };
}

async function mainComparison(seeds: readonly number[]): Promise<Line[]> {
  const all = [];
  for (const seed of seeds) {
    const request = await requestFor(seed);
    all.push({ seed, ...(await runSeed(request, split)) });
    request.data.dispose();
  }
  return lines(all.map(({ seed, entries }) => ({ seed, entries })));
}

async function variantComparison(seeds: readonly number[]): Promise<Line[]> {
  const all = [];
  for (const seed of seeds) {
    const request = await requestFor(seed);
    const entries = [];
    for (const variant of variants.filter((one) => !flags.only || one.name.includes(flags.only))) {
      for (const epochs of variant.epochs(protocol.epochs)) {
        const cell = await pathwayCell(request, variant, epochs);
        const shares = cell.splits[split]?.shares ?? [];
        const detail = shares.map((share) => Math.round(100 * share)).join("/");
        entries.push(
          entryOf(
            cell,
            `${variant.name}, ${epochs} epochs`,
            "equal epochs",
            split,
            `${detail} I=${cell.splits[split]?.routeInformation?.toFixed(2)}`,
          ),
        );
      }
    }
    all.push({ seed, entries });
    request.data.dispose();
  }
  return lines(all);
}

const columns = [
  { title: "method", value: (line: Line) => line.method },
  { title: "budget", value: (line: Line) => line.budget },
  {
    title: "accuracy",
    value: (line: Line) => `${percent(line.accuracy.mean)} ± ${(100 * line.accuracy.half).toFixed(1)}`,
    right: true,
  },
  { title: "macro F1", value: (line: Line) => percent(line.macroF1.mean), right: true },
  { title: "calib. error", value: (line: Line) => percent(line.calibrationError.mean), right: true },
  { title: "parameters", value: (line: Line) => amount(line.parameters), right: true },
  { title: "training FLOPs", value: (line: Line) => amount(line.trainingFlops), right: true },
  { title: "training time", value: (line: Line) => duration(line.trainingSeconds), right: true },
  { title: "FLOPs/image", value: (line: Line) => amount(line.inferenceFlops), right: true },
  { title: "time/image", value: (line: Line) => duration(line.secondsPerImage), right: true },
  { title: "what", value: (line: Line) => line.detail },
];

const seeds = Array.from({ length: Number(flags.seeds) }, (_, i) => Number(flags.first) + i);
const table = flags.variants ? await variantComparison(seeds) : await mainComparison(seeds);
console.log(`${flags.data}, ${split} split, ${seeds.length} seeds: mean ± half the 95 % interval\n`);
console.log(textTable(table, columns));
if (!flags.variants) console.log(`\n${pairedDifference(table)}`);
if (flags.final) {
  mkdirSync(results, { recursive: true });
  const entry = { time: new Date().toISOString(), data: flags.data, seeds, variants: flags.variants };
  appendFileSync(`${results}/ledger.jsonl`, `${JSON.stringify(entry)}\n`);
  const name = `${results}/starter-${flags.data}${flags.variants ? "-variants" : ""}`;
  const command = `node --import tsx experiments/starter.ts --final --seeds ${flags.seeds} --data ${flags.data}`;
  const paired = flags.variants ? "" : `${pairedDifference(table)}\n`;
  writeFileAtomic(`${name}.md`, [
    `Made by \`${command}\`. ${split} split, ${seeds.length} seeds, mean ± half the 95 % interval.\n\n${markdownTable(table, columns)}\n\n${paired}`,
  ]);
  const points = table.map((line) => ({
    name: `${line.method} (${line.budget})`,
    x: line.inferenceFlops,
    y: line.accuracy.mean,
  }));
  const title = `Test accuracy against inference cost: ${flags.data}, mean of ${seeds.length} seeds`;
  const axes = { x: "FLOPs per image (logarithmic)", y: "test accuracy" };
  writeFileAtomic(`${name}.svg`, [svgFile(scatterPlot(title, points, axes))]);
  writeFileAtomic(`${name}.json`, [`${JSON.stringify({ command, split, seeds, protocol, lines: table }, null, 1)}\n`]);
}

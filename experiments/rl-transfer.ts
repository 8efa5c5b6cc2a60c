/**
 * Transfer between games: agents of three MinAtar games form a hub, two other games are the targets. Resumable: finished
 * cells are kept in runs/rl-transfer, unfinished ones go on from their checkpoints. `--final` writes docs/results.
 *
 *   node --import tsx experiments/rl-transfer.ts [--seeds 5] [--first 0] [--only METHOD] [--target GAME] [--final]
 *
 * Several processes may work on different cells (--first, --only, --target); `--steps` and `--source-steps` are for trials,
 * in a folder of their own.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeFileAtomic } from "../src/io/index.ts";
import { type Column, duration, lineChart, markdownTable, svgFile, textTable } from "../src/report/index.ts";
import { setNumThreads } from "../src/torch/index.ts";
import { type Cell, curvePoints, sourceHub, transferCell } from "./rl-transfer/cells.ts";
import { agentName, methods, type Protocol, protocol as usual } from "./rl-transfer/protocol.ts";
import { bootstrapInterval, type Interval, interquartileMean, mean } from "./rl-transfer/statistics.ts";

const { values: flags } = parseArgs({
  options: {
    seeds: { type: "string", default: "5" },
    first: { type: "string", default: "0" },
    only: { type: "string", default: "" },
    target: { type: "string", default: "" },
    steps: { type: "string" },
    "source-steps": { type: "string" },
    final: { type: "boolean", default: false },
  },
});

// These networks are too small for more than one thread: run more cells side by side instead.
setNumThreads(1);
const protocol: Protocol = {
  ...usual,
  ...(flags.steps ? { targetSteps: Number(flags.steps), distilSteps: Number(flags.steps) } : {}),
  ...(flags["source-steps"] ? { sourceSteps: Number(flags["source-steps"]) } : {}),
};
const trial = flags.steps || flags["source-steps"] ? `-${protocol.sourceSteps}-${protocol.targetSteps}` : "";
const folder = fileURLToPath(new URL(`../runs/rl-transfer${trial}`, import.meta.url));
const seeds = Array.from({ length: Number(flags.seeds) }, (_, i) => Number(flags.first) + i);
const targets = protocol.targets.filter((target) => target.includes(flags.target));
const compared = methods(protocol).filter(({ name }) => name.includes(flags.only));

async function allCells(): Promise<Cell[]> {
  mkdirSync(folder, { recursive: true });
  const hub = await sourceHub(protocol, folder);
  const cells: Cell[] = [];
  for (const seed of seeds) {
    for (const target of targets) {
      for (const method of compared) {
        const cell = await transferCell(protocol, method, { hub, target, seed, folder });
        console.error(
          `${target}, ${method.name}, seed ${seed}: final ${cell.final.toFixed(2)} in ${duration(cell.seconds)}`,
        );
        cells.push(cell);
      }
    }
  }
  return cells;
}

interface Line {
  method: string;
  /** Of each game, over seeds, in the game's own points. */
  finals: Interval[];
  /** Over games and seeds, in units of the mean of learning from scratch. */
  final: Interval;
  area: Interval;
  shares: string;
  stepsPerSecond: number;
}

/** One line a method; "best agent fine-tuned" is the one with the best mean area in each game, chosen after the fact. */
function linesOf(cells: readonly Cell[]): Line[] {
  const of = (method: string, target: string) =>
    cells.filter((cell) => cell.method === method && cell.target === target);
  const scratch = new Map(targets.map((target) => [target, of("from scratch", target)]));
  const tuned = compared.map(({ name }) => name).filter((name) => name.startsWith("fine-tune"));
  const bestIn = (target: string) =>
    [...tuned].sort(
      (a, b) => mean(of(b, target).map(({ area }) => area)) - mean(of(a, target).map(({ area }) => area)),
    )[0];
  const line = (name: string, own: (target: string) => Cell[]): Line => {
    const normal = (value: (cell: Cell) => number) =>
      targets.map((target) => {
        const unit = mean((scratch.get(target) ?? []).map(value));
        return own(target).map((cell) => value(cell) / unit);
      });
    const shares = targets.flatMap((target) => {
      const known = own(target).flatMap((cell) => (cell.shares ? [cell.shares] : []));
      return known.length === 0
        ? []
        : [known[0]?.map((_, i) => Math.round(100 * mean(known.map((s) => s[i] ?? 0)))).join("/")];
    });
    return {
      method: name,
      finals: targets.map((target) => bootstrapInterval([own(target).map(({ final }) => final)], mean)),
      final: bootstrapInterval(
        normal(({ final }) => final),
        interquartileMean,
      ),
      area: bootstrapInterval(
        normal(({ area }) => area),
        interquartileMean,
      ),
      shares: shares.join(", "),
      stepsPerSecond: mean(targets.flatMap((target) => own(target).map((cell) => cell.stepsPerSecond))),
    };
  };
  const plain = compared.map(({ name }) => line(name, (target) => of(name, target)));
  if (tuned.length === 0) return plain;
  return [...plain, line("best agent fine-tuned", (target) => of(bestIn(target) ?? "", target))];
}

const shown = ({ value, low, high }: Interval) => `${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
const columns: Column<Line>[] = [
  { title: "method", value: ({ method }) => method },
  { title: "area, IQM", value: ({ area }) => shown(area), right: true },
  { title: "final, IQM", value: ({ final }) => shown(final), right: true },
  ...targets.map((target, i): Column<Line> => {
    return { title: `${agentName(target)}, final`, value: ({ finals }) => shown(finals[i] as Interval), right: true };
  }),
  { title: `% ${protocol.sources.map(agentName).join("/")}`, value: ({ shares }) => shares },
  { title: "steps/s", value: ({ stepsPerSecond }) => stepsPerSecond.toFixed(0), right: true },
];

function chart(cells: readonly Cell[], target: string): string {
  const series = compared.map(({ name }) => {
    const own = cells.filter((cell) => cell.method === name && cell.target === target);
    const points = Array.from({ length: curvePoints }, (_, i) => {
      const x = ((i + 1) / curvePoints) * protocol.targetSteps;
      return { x, ...bootstrapInterval([own.map((cell) => cell.curve[i] ?? 0)], mean, 500) };
    });
    return {
      name,
      points: points.map(({ x, value }) => [x, value] as const),
      band: points.map(({ x, low, high }) => [x, low, high] as const),
    };
  });
  const title = `Return in ${target}: mean of ${seeds.length} seeds, bands of 95 %`;
  return svgFile(lineChart(title, series, { x: "steps", y: "return" }));
}

const cells = await allCells();
if (compared.some(({ name }) => name === "from scratch")) {
  const lines = linesOf(cells);
  console.log(
    `${targets.join(", ")}: ${seeds.length} seeds; IQM in units of learning from scratch, intervals of 95 %\n`,
  );
  console.log(textTable(lines, columns));
  if (flags.final) {
    // Trials stay beside their cells.
    const results = trial ? folder : fileURLToPath(new URL("../docs/results", import.meta.url));
    mkdirSync(results, { recursive: true });
    const command = `node --import tsx experiments/rl-transfer.ts --final --seeds ${flags.seeds}`;
    const about = `Made by \`${command}\`. ${seeds.length} seeds; interquartile means in units of learning from scratch, 95 % intervals of a stratified bootstrap.`;
    const figures = targets.map((target) => `![${target}](rl-transfer-${agentName(target)}.svg)`).join("\n\n");
    writeFileAtomic(join(results, "rl-transfer.md"), `${about}\n\n${markdownTable(lines, columns)}\n\n${figures}\n`);
    for (const target of targets) {
      writeFileAtomic(join(results, `rl-transfer-${agentName(target)}.svg`), chart(cells, target));
    }
    const all = { command, seeds, protocol, lines, cells };
    writeFileAtomic(join(results, "rl-transfer.json"), `${JSON.stringify(all, null, 1)}\n`);
  }
}

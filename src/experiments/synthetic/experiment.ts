/** Synthetic hubs whose best routes are known: what the pathway generator finds, and what it does not. */

import {
  type CellGroup,
  changesFrom,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  type ReportSection,
} from "../../compare/index.ts";
import { defaultPathwayConfig, pathwayVersion } from "../../pathway/index.ts";
import { lineChart, type Series } from "../../report/index.ts";
import { UserError } from "../../torch/index.ts";
import { fingerprint } from "../../train/index.ts";
import { type RouterCell, routerCell, type Setting } from "./cell.ts";
import { figures, shown, summary } from "./figures.ts";
import { type FigureName, pages, type Row, type SectionPlan, sectionPlans } from "./settings.ts";

const cellVersion = 1;
/** The worlds' own seeds start here: the settings were chosen while looking at seeds 0 to 2. */
const firstSeed = 10;

const seedsOf = ({ seeds }: ExperimentRequest) => seeds.map((seed) => firstSeed + seed);

export const router = experiment("router");
export const credit = experiment("credit");

function experiment(page: keyof typeof pages): Experiment {
  const planned = ({ quick }: ExperimentRequest) => sectionPlans(page, quick);
  return {
    name: page,
    seeds: 5,
    selfContained: true,
    groups: (request) => groups(planned(request), request),
    report: (request) => report(pages[page].title, planned(request), request),
  };
}

/** One for each setting and seed; a setting of several sections is computed once. */
function groups(plans: readonly SectionPlan[], request: ExperimentRequest): CellGroup[] {
  const { cells, say } = request;
  const rows = plans.flatMap((section) => section.rows);
  const settings = new Map(rows.map(({ setting }) => [fingerprint(setting), setting]));
  return seedsOf(request).flatMap((seed) =>
    Array.from(settings, ([hash, setting]) => ({
      name: `${cellName(setting, seed)}-${hash}`,
      cells: () => [[cellName(setting, seed), cellKey(setting, seed)]],
      async run() {
        const cell = await cells.cell(cellName(setting, seed), cellKey(setting, seed), () => routerCell(setting, seed));
        say(`${cellName(setting, seed)}: accuracy ${cell.accuracy.toFixed(3)}, agreement ${cell.agreement.toFixed(3)}`);
      },
    })),
  );
}

async function report(
  title: string,
  plans: readonly SectionPlan[],
  request: ExperimentRequest,
): Promise<ExperimentReport> {
  const found = plans.flatMap((section) => {
    const rows = section.rows
      .map((row) => ({ row, cells: cellsOf(row, request) }))
      .filter(({ cells }) => cells.length > 0);
    return rows.length > 0 ? [{ section, rows }] : [];
  });
  if (found.length === 0) throw new UserError("no cell is finished yet: run the experiment first");
  return {
    title,
    sections: [introduction(request.seeds.length), ...found.map(({ section, rows }) => sectionOf(section, rows))],
    data: found.map(({ section, rows }) => ({
      title: section.title,
      rows: rows.map(({ row, cells }) => ({
        labels: row.labels,
        setting: row.setting,
        figures: Object.fromEntries(section.columns.map((name) => [name, summary(name, cells)])),
      })),
    })),
  };
}

/** The store adds a hash, which keeps settings of the same short name apart. */
function cellName({ members, world, config, samples }: Setting, seed: number): string {
  return `router/${members}-m${world.members}-k${config.k}-n${samples}-seed${seed}`;
}

function cellKey(setting: Setting, seed: number): unknown {
  const config = changesFrom(defaultPathwayConfig, setting.config);
  return { version: cellVersion, pathwayVersion, setting: { ...setting, config }, seed };
}

/** The finished cells of a setting. */
function cellsOf({ setting }: Row, request: ExperimentRequest): RouterCell[] {
  return seedsOf(request).flatMap(
    (seed) => request.cells.read<RouterCell>(cellName(setting, seed), cellKey(setting, seed)) ?? [],
  );
}

function introduction(seeds: number): ReportSection {
  return {
    title: "The world",
    text: [
      "Images of 32 pixels fall into as many domains as the hub has members. Expert i sees tile i of the image " +
        "alone; the tiles of a domain's good experts always show the class, other tiles only sometimes. All tiles " +
        "look alike: a faint texture, the cue, is all that tells whom to trust. So the best members of every image " +
        "are known. The generator, the losses and the training loop are the real ones, with their defaults unless a " +
        "table says otherwise.",
      "All lines go through the same trained heads on the same fresh images. “oracle” takes the known best " +
        "members, “told” a generator of the same form that was trained on the best members themselves, “best " +
        "constant” the same members for every image, “random” random ones. Regret is the oracle's accuracy minus " +
        "the router's; it is negative where heads were only trained along wrong routes, so “below ceiling” is " +
        "against the best routes with the best heads, in closed form. Agreement is the part of the best members " +
        "that is activated. ×2 and ×10 are the generator's learning rate over that of pre-trained parameters; ×2 is " +
        "the default.",
      `Mean ± half the 95 % interval (Student's t) over up to ${seeds} seeds, which move images, initialisation and order.`,
    ],
  };
}

interface Found {
  row: Row;
  cells: readonly RouterCell[];
}

function sectionOf(section: SectionPlan, rows: readonly Found[]): ReportSection {
  const heads = section.labels.map((title) => ({ title }));
  const columns = section.columns.map((name) => ({ title: figures[name].title, right: true }));
  return {
    title: section.title,
    text: section.text,
    table: {
      columns: [...heads, ...columns],
      rows: rows.map(({ row, cells }) => [...row.labels, ...section.columns.map((name) => shown(name, cells))]),
    },
    ...(section.plot ? { plot: plotOf(section, section.plot, rows) } : {}),
  };
}

/** A line for each figure and, where there is a second label, for each of its texts. */
function plotOf(section: SectionPlan, plot: NonNullable<SectionPlan["plot"]>, rows: readonly Found[]): string {
  const kindOf = ({ row }: Found) => row.labels[1] ?? "";
  const kinds = [...new Set(rows.map(kindOf))];
  const series = kinds.flatMap((kind) =>
    plot.figures.map((figure) => {
      const name = kind === "" ? figures[figure].title : `${figures[figure].title} (${kind})`;
      return seriesOf(
        name,
        figure,
        rows.filter((row) => kindOf(row) === kind),
      );
    }),
  );
  return lineChart(`${section.title}: ${plot.y}`, series, plot);
}

function seriesOf(name: string, figure: FigureName, rows: readonly Found[]): Series {
  const points = rows.flatMap(({ row, cells }) => {
    const result = summary(figure, cells);
    return row.x === undefined || !result ? [] : [{ x: row.x, ...result }];
  });
  return {
    name,
    points: points.map(({ x, mean }) => [x, mean] as const),
    band: points.map(({ x, mean, half }) => [x, mean - half, mean + half] as const),
  };
}

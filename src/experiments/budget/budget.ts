/** Accuracy within a budget: one trained run whose models have a price, against what needs no routes by input. */
import {
  type CellGroup,
  columnsOf,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  gainText,
  intervalText,
  meanInterval,
  optionsKey,
  protocolOf,
  quickRemark,
  type ReportSection,
  Setting,
  targetKey,
  targetsOf,
  testName,
  withTest,
} from "../../compare/index.ts";
import { type Hub, openHub, withMembers } from "../../hub/index.ts";
import { budgetSettings, findMethod, type Reached } from "../../methods/index.ts";
import { amount, lineChart, percent } from "../../report/index.ts";
import { UserError } from "../../torch/index.ts";
import { fingerprint, versionOf } from "../../train/index.ts";
import { lettersAndEmoji } from "../routing/ceilings.ts";
import { type BudgetCell, budgetCells, byLosses, furtherRivals, kinds, parts } from "./cell.ts";

const cellVersion = 2;
/** Sides of the images that each member is given, pixels: the same weights at another cost. */
const sides = [48, 32, 20];
/** Epochs of the heads and of the generator. */
const epochs = 32;

/** Each member as one of its own for every side up to its input's; another hub stays as it is. */
function hubOf({ hub }: ExperimentRequest): Hub {
  if (hub !== undefined) return openHub(hub);
  const opened = openHub("hubs/specialists");
  const members = opened.manifest.members.flatMap((member) =>
    sides.map((size) => ({ ...member, name: `${member.name}-${size}`, input: { ...member.input, size } })),
  );
  return withMembers(opened, members);
}

function settingsOf(request: ExperimentRequest): Setting[] {
  const hub = hubOf(request);
  const [target = lettersAndEmoji] = targetsOf(request, [lettersAndEmoji]);
  const { target: sized, ...protocol } = protocolOf(hub, target, { ...request, frozen: true });
  const limited = request.quick ? sized : { ...sized, limits: { validation: 2000, test: 2000 } };
  const own = { ...protocol, target: limited, epochs: request.quick ? 1 : epochs };
  return request.seeds.map((seed) => new Setting(own, seed, hub));
}

const nameOf = ({ hub, protocol, seed }: Setting) => `budget/${hub.manifest.name}-${protocol.target.name}-s${seed}`;

function keyOf({ hub, protocol, seed }: Setting): unknown {
  const { target, options, epochs } = protocol;
  const method = versionOf(findMethod("hub-pathway"), byLosses.choices);
  const version = [cellVersion, method, fingerprint(budgetSettings([1e9, 2e9]))];
  return { version, hub: hub.fingerprint, ...targetKey(target), options: optionsKey(options), epochs, seed };
}

function groups(request: ExperimentRequest): CellGroup[] {
  return settingsOf(request).map((setting) => ({
    name: nameOf(setting),
    cells: () => withTest(request, nameOf(setting), keyOf(setting)),
    async run() {
      await using own = setting;
      const [name, key] = [nameOf(own), keyOf(own)];
      if (withTest(request, name, key).every((id) => request.cells.has(...id))) return;
      const { validation, test } = await budgetCells(request, own);
      if (test) await request.cells.cell(testName(name), key, async () => test);
      await request.cells.cell(name, key, async () => validation);
      request.say(`${name}: ${validation.rows.length} budgets`);
    },
  }));
}

function finished(request: ExperimentRequest): BudgetCell[] {
  const folder = request.final ? "test/" : "";
  return settingsOf(request).flatMap((setting) => {
    const cell = request.cells.read<BudgetCell>(`${folder}${nameOf(setting)}`, keyOf(setting));
    return cell ?? [];
  });
}

/** Mean over the seeds that have it, and how many these are. */
function over(cells: readonly BudgetCell[], of: (cell: BudgetCell) => number | undefined) {
  const values = cells.flatMap((cell) => of(cell) ?? []);
  return values.length > 0 ? { ...meanInterval(values), count: values.length } : undefined;
}

/** Ways to answer that every cell has. */
const shownKinds = (cells: readonly BudgetCell[]): string[] => [
  ...kinds,
  ...furtherRivals.filter((kind) => cells.every(({ rows }) => rows.some(({ reached }) => find(reached, kind)))),
];

const find = (reached: readonly Reached[] | undefined, kind: string) => reached?.find((one) => one.kind === kind);

function frontierSection(cells: readonly BudgetCell[]): ReportSection {
  const shownHere = shownKinds(cells);
  const row = (at: number, label: string): string[] => {
    const budget = over(cells, ({ rows }) => rows[at]?.budget);
    const entries = shownHere.map((kind) => {
      const accuracy = over(cells, ({ rows }) => find(rows[at]?.reached, kind)?.accuracy);
      const flops = over(cells, ({ rows }) => find(rows[at]?.reached, kind)?.flops);
      return accuracy && flops && accuracy.count === cells.length
        ? `${intervalText(accuracy)}, ${amount(flops.mean)}`
        : "";
    });
    const gain = over(cells, ({ rows }) => {
      const [own, rival] = [find(rows[at]?.reached, kinds[0])?.accuracy, rows[at]?.rival?.accuracy];
      return own === undefined || rival === undefined ? undefined : own - rival;
    });
    return [label, amount(budget?.mean ?? 0), ...entries, gain ? gainText(gain) : ""];
  };
  const last = parts.length;
  return {
    title: "Accuracy within a budget",
    text: [
      "Mean FLOPs of an image at most, as a part of what all members cost together; the last line is 40 % of the best member. " +
        "Each entry is an accuracy with half its 95 % interval, and the mean FLOPs that it took. The best rival of the last " +
        "column is chosen as settings are, on images that it is not measured on.",
    ],
    table: {
      columns: columnsOf(["budget", "FLOPs", ...shownHere, `${kinds[0]}, over the best rival`], 1),
      rows: [...parts.map((part, at) => row(at, percent(part))), row(last, "40 % of the best member")],
    },
    picture: "budget-frontier",
    plot: frontierChart(cells),
  };
}

/** Accuracy against the FLOPs that were spent, both as means over the seeds. */
function frontierChart(cells: readonly BudgetCell[]): string {
  const series = shownKinds(cells).map((kind) => ({
    name: kind,
    points: parts.flatMap((_, at): (readonly [number, number])[] => {
      const accuracy = over(cells, ({ rows }) => find(rows[at]?.reached, kind)?.accuracy);
      const flops = over(cells, ({ rows }) => find(rows[at]?.reached, kind)?.flops);
      return accuracy && flops && accuracy.count === cells.length ? [[flops.mean / 1e6, accuracy.mean]] : [];
    }),
  }));
  return lineChart("accuracy within a budget", series, { x: "MFLOPs of an image", y: "accuracy", percent: true });
}

function claimsSection(cells: readonly BudgetCell[]): ReportSection {
  const own = (at: number) => (cell: BudgetCell) => find(cell.rows[at]?.reached, kinds[0]);
  const quarter = parts.indexOf(0.25);
  const line = (name: string, at: number, rival: (cell: BudgetCell) => Reached): string[] => {
    // Seeds without a setting within the budget count on neither side.
    const had = cells.filter((cell) => own(at)(cell) !== undefined);
    const accuracy = over(had, (cell) => own(at)(cell)?.accuracy);
    const flops = over(had, (cell) => own(at)(cell)?.flops);
    const [other, whole] = [over(had, (cell) => rival(cell).accuracy), over(had, (cell) => rival(cell).flops)];
    const gain = over(had, (cell) => {
      const reached = own(at)(cell);
      return reached && reached.accuracy - rival(cell).accuracy;
    });
    if (!(accuracy && flops && other && whole && gain)) return [name, "", "", "", "", "", "0"];
    const [first, second] = [amount(flops.mean), amount(whole.mean)];
    return [name, intervalText(accuracy), first, intervalText(other), second, gainText(gain), String(had.length)];
  };
  return {
    title: "Against all members and against the best one",
    text: ["A member or an ensemble is chosen without a budget; a run has a part of what it costs."],
    table: {
      columns: columnsOf(["rival", kinds[0], "FLOPs", "rival", "FLOPs", "difference, points", "seeds"], 1),
      rows: [
        line("all members together, 25 % of the cost", quarter, ({ ensemble }) => ensemble),
        line("the best member, 40 % of the cost", parts.length, ({ bestMember }) => bestMember),
      ],
    },
  };
}

/** Milliseconds of an image by the members that are activated. */
function timeSection(cells: readonly BudgetCell[]): ReportSection {
  const whole = over(cells, ({ ensemble }) => ensemble.milliseconds);
  const rows = parts.map((part, at) => [
    percent(part),
    ...shownKinds(cells).map((kind) => {
      const time = over(cells, ({ rows }) => find(rows[at]?.reached, kind)?.milliseconds);
      return time && whole && time.count === cells.length ? percent(time.mean / whole.mean) : "";
    }),
  ]);
  return {
    title: "Measured time",
    text: ["Milliseconds of an image in batches, generator included, as a part of what all members take together."],
    table: { columns: columnsOf(["budget", ...shownKinds(cells)], 1), rows },
  };
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const cells = finished(request);
  if (cells.length === 0) throw new UserError("no cell is finished yet: run the experiment first");
  const on = request.final
    ? "Settings were chosen on the validation split and measured on the test split."
    : "Settings were chosen on one half of the validation split and measured on the other, both ways.";
  const { members = [], costs = [] } = cells[0] ?? {};
  const flops = costs.map((cost) => cost.flops);
  const [cheapest, dearest] = [Math.min(...flops), Math.max(...flops)].map(amount);
  const target = targetsOf(request, [lettersAndEmoji]).map(({ name }) => name);
  const sized =
    request.hub === undefined
      ? ` Each of ${members.length / sides.length} networks is there at ${sides.length} sizes of input.`
      : "";
  return {
    title: "Accuracy within a budget",
    sections: [
      {
        title: "The question",
        text: [
          `${target.join(", ")}, and ${members.length} members that stay as they are, of ${cheapest} to ${dearest} FLOPs an image.${sized} ` +
            "One run of Hub-Pathway (k = 1, credit by losses) serves every budget. Models pay nats for each GFLOP, and an input " +
            "activates k of them, or as many as it takes until the answer is sure: routes by input. What a run does within a budget " +
            "(`--flops`) is the best of these and of cascades of its own, the same two or three models for every input, the cheaper " +
            "ones first, until it is sure.",
          "One gate is the same recipe with the same models for every image, trained with k = 1 and with k = 2. The other rivals " +
            "need no generator. Each has its heads from the run of Hub-Pathway or heads that were trained alone on all images, " +
            "whichever was better. They are any one to three members or all, KNORA-E, cascades by agreement and by confidence, and in " +
            "later cells META-DES and stacking. " +
            "Cascades go through all members in three orders, or through any two or three of rising cost.",
          `${on} One number sees all validation images: the temperature of weights over more models than in training. ` +
            `Mean ± half the 95 % interval (Student's t) over ${cells.length} seeds.${quickRemark(request.quick)}`,
        ],
      },
      frontierSection(cells),
      claimsSection(cells),
      timeSection(cells),
    ],
    data: cells,
  };
}

export const budget: Experiment = { name: "budget", seeds: 5, groups, report };

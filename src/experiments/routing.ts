/** Routes that depend on the input: what any router could win by them, and what Hub-Pathway wins. */
import { type HubMember, loadMembers, openHub } from "../hub/index.ts";
import { fineTune, fitEach, linearProbeLearner } from "../methods/index.ts";
import { cat, disposeTree, inferenceMode, scope, type Tensor, UserError } from "../torch/index.ts";
import { type BatchSource, evaluate, passOf } from "../train/index.ts";
import { type Ceiling, ceiling, type HeldOut, type View, views } from "./ceiling.ts";
import { CellTraining } from "./cell-training.ts";
import { type Comparison, comparisonGroups, comparisonReport, finishedCells } from "./comparison.ts";
import { intervalText } from "./comparison-tables.ts";
import {
  type CellGroup,
  columnsOf,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  type ReportSection,
} from "./experiment.ts";
import { computeEpochs, ourChoices, type PlanSize, plan } from "./plans.ts";
import { type Plan, protocolOf, Setting, type Target, targets, targetsOf } from "./protocol.ts";
import { meanInterval } from "./statistics.ts";

/** Three targets as one task: the clearest reason that there could be to send different images to different models. */
const mix: Target = {
  name: "mix",
  data: {
    source: "emoji+fashion-mnist+desktop-icons",
    imageSize: 48,
    augment: "standard",
    batchSize: 48,
    split: { trainPerClass: 40, validationPerClass: 60, validationFraction: 0.2, testFraction: 0.2 },
  },
  limits: { test: 2000 },
};

/** The split's rows that a ceiling is measured on: as many as there are, up to 4,000. */
const rowLimit = 4000;
const places: readonly Target[] = [mix, ...targets];

/** Members that are trained whole, and members that keep their speciality under new heads. */
const kinds = ["fine-tuned", "frozen"] as const;
type Kind = (typeof kinds)[number];

const nameOf = ({ hub, protocol, seed }: Setting, kind: Kind) =>
  `ceiling/${hub.manifest.name}-${protocol.target.name}-${kind}-s${seed}`;
const keyOf = ({ hub, protocol, seed }: Setting, kind: Kind) => {
  const { target, options, epochs } = protocol;
  return { version: 2, hub: hub.fingerprint, target, options, epochs, seed, kind };
};

function settingsOf(request: ExperimentRequest): Setting[] {
  const hub = openHub(request.hub ?? "hubs/starter");
  return request.seeds.flatMap((seed) =>
    targetsOf(request, places).map((target) => new Setting(protocolOf(hub, target, request.quick), seed)),
  );
}

async function ceilingCell(request: ExperimentRequest, setting: Setting, kind: Kind): Promise<Ceiling> {
  return request.cells.cell(nameOf(setting, kind), keyOf(setting, kind), async () => {
    const held = await heldOut(request, setting, kind);
    try {
      return ceiling(held, setting.seed);
    } finally {
      disposeTree(held.views);
    }
  });
}

/** What trained members say of validation rows, and the features that their pre-trained selves have of them. */
async function heldOut(request: ExperimentRequest, setting: Setting, kind: Kind): Promise<HeldOut> {
  const data = await setting.data();
  const { epochs } = setting.protocol;
  const unit = plan("members", kind === "frozen" ? "linear-probe" : "fine-tune", "equal epochs", epochs);
  const training = new CellTraining(request, setting, unit, data);
  const context = await training.context();
  const learners = await (kind === "frozen" ? fitEach(context, linearProbeLearner) : fineTune(context));
  const limit = request.quick ? setting.protocol.target.limits?.validation : rowLimit;
  const rows = () => data.open("validation", Math.min(limit ?? rowLimit, data.counts.validation));
  try {
    const tables: Float32Array[] = [];
    let labels: number[] = [];
    for (const learner of learners) {
      const evaluation = await evaluate(learner, rows(), data.classes.length);
      tables.push(evaluation.probabilities);
      labels = evaluation.labels;
    }
    const names = data.name.split("+");
    const partOf = (label: number) => names.findIndex((name) => data.classes[label]?.startsWith(`${name}: `));
    return {
      tables,
      labels,
      classes: data.classes.length,
      parts: labels.map((label) => (names.length > 1 ? partOf(label) : 0)),
      views: await pretrainedViews(setting, rows),
    };
  } finally {
    for (const learner of learners) learner.dispose();
    training.clean();
  }
}

/** What routers may look at, float64: features of all members side by side, and the mean first stages of the first that has them. */
async function pretrainedViews(setting: Setting, rows: () => BatchSource): Promise<Record<View, Tensor>> {
  const members = loadMembers(setting.hub);
  const parts: Tensor[] = [];
  try {
    for (const member of members) {
      const pass = await passOf(member, rows(), () => {});
      parts.push(pass.features.to({ dtype: "float64" }));
      pass.features.dispose();
      pass.logits?.dispose();
    }
    return { "all members": cat(parts, 1), "first stages": await firstStages(members, rows()) };
  } finally {
    disposeTree(parts);
    for (const member of members) member.dispose();
  }
}

/** [n, d]. @throws UserError when no member has first stages to share */
async function firstStages(members: readonly HubMember[], rows: BatchSource): Promise<Tensor> {
  const member = members.find((own) => own.stemWidth !== undefined);
  if (!member) throw new UserError("no member of this hub has first stages that a router could look at");
  const parts: Tensor[] = [];
  try {
    for await (const batch of rows.epoch(0, 0)) {
      const mean = () => member.stem(batch.images).mean([2, 3]).to({ dtype: "float64" });
      parts.push(scope(() => inferenceMode(mean)));
      batch.dispose();
    }
    return cat(parts, 0);
  } finally {
    disposeTree(parts);
  }
}

/** Ways to make routes depend on the input, each beside the same with one gate for all images. */
function plans(size: PlanSize): Plan[] {
  const length = computeEpochs(size, ourChoices.k);
  const pathway = (name: string, choices: Plan["choices"], options: NonNullable<Plan["options"]> = {}) =>
    plan(name, "hub-pathway", "equal compute", length, { choices: { ...ourChoices, ...choices }, options });
  const constant = { explorationFade: "constant" };
  return [
    pathway("Hub-Pathway", {}),
    pathway("one gate for all images", { generatorKind: "global" }),
    pathway("constant exploration", constant),
    pathway("generator learns from held-out images", { heldOut: 0.2 }),
    pathway("held-out images, constant exploration", { ...constant, heldOut: 0.2 }),
    pathway("held-out images, pre-trained features", { heldOut: 0.2, generatorKind: "member-stem" }),
    pathway("generator on pre-trained features", { generatorKind: "member-stem" }),
    pathway("constant exploration, pre-trained features", { ...constant, generatorKind: "member-stem" }),
    pathway("probabilities, constant exploration", { ...constant, aggregation: "probabilities" }),
    pathway("members learn at a third of the rate", {}, { lr: 3.3e-4, newLayerFactor: 12, generatorFactor: 6 }),
    pathway("the same, constant exploration", constant, { lr: 3.3e-4, newLayerFactor: 12, generatorFactor: 6 }),
  ];
}

const comparison: Comparison = {
  title: "Routes that depend on the input",
  about: [
    "Does Hub-Pathway win by routes that depend on the input? Three targets mixed into one task, under equal compute; the mix drops " +
      "published splits, and near-duplicates are not looked for in it.",
  ],
  hub: "hubs/starter",
  targets: [mix],
  plans,
  ours: ["Hub-Pathway"],
};

function groups(request: ExperimentRequest): CellGroup[] {
  const ceilings = settingsOf(request).map((setting) => ({
    name: `what a router could win, ${setting.protocol.target.name}, seed ${setting.seed}`,
    async run() {
      await using own = setting;
      for (const kind of kinds) await ceilingCell(request, own, kind);
    },
  }));
  return [...ceilings, ...comparisonGroups(comparison, request)];
}

const measures: readonly [string, (cell: Ceiling) => number][] = [
  ["best single", (cell) => cell.bestSingle],
  ["best pair", (cell) => cell.bestPair],
  ["ensemble", (cell) => cell.ensemble],
  ["best pair of each part", (cell) => cell.bestPairByPart],
  ...views.flatMap((view): [string, (cell: Ceiling) => number][] => [
    [`router on ${view}, one`, (cell) => cell.routedSingle[view]],
    [`router on ${view}, pair`, (cell) => cell.routedPair[view]],
  ]),
  ["oracle, one", (cell) => cell.oracleSingle],
  ["oracle, pair", (cell) => cell.oraclePair],
];

function ceilingSection(request: ExperimentRequest): ReportSection {
  const settings = settingsOf(request);
  const names = [...new Set(settings.map(({ protocol }) => protocol.target.name))];
  const rows = kinds.flatMap((kind) =>
    names.flatMap((name) => {
      const own = settings.filter(({ protocol }) => protocol.target.name === name);
      const cells = own.flatMap(
        (setting) => request.cells.read<Ceiling>(nameOf(setting, kind), keyOf(setting, kind)) ?? [],
      );
      if (cells.length === 0) return [];
      const texts = measures.map(([, value]) => intervalText(meanInterval(cells.map(value))));
      return [[kind, name, String(cells.length), String(cells[0]?.rows ?? 0), ...texts]];
    }),
  );
  const columns = columnsOf(["members", "target", "seeds", "rows", ...measures.map(([title]) => title)], 2);
  return {
    title: "What a router could win",
    text: [
      "Members fine-tuned for E epochs, or frozen under heads trained for E epochs, on validation rows that none of them trained on. Best single, best pair and the linear routers " +
        "are chosen or fitted on four fifths of the rows and measured on the rest, in turn. The linear routers are fitted to the members' true " +
        "losses, which no generator ever sees; those on the features of all pre-trained members have run all of them, those on the first stages are as cheap as a generator. The oracle chooses by the label itself.",
    ],
    table: { columns, rows },
  };
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const ceilings = ceilingSection(request);
  const { title } = comparison;
  if (finishedCells(comparison, request).length === 0)
    return { title, sections: [ceilings], data: { ceilings: ceilings.table } };
  const { sections, data } = comparisonReport(comparison, request);
  return { title, sections: [ceilings, ...sections], data: { ...(data as object), ceilings: ceilings.table } };
}

export const routing: Experiment = {
  name: "routing",
  summary: "what routes that depend on the input can win, and what they do win",
  seeds: 3,
  groups,
  report,
};

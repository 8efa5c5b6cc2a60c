/** Routes that depend on the input: what any router could win by them, and what Hub-Pathway wins. */
import { loadMembers, openHub } from "../hub/index.ts";
import { fineTune } from "../methods/index.ts";
import { percent } from "../report/index.ts";
import { cat, disposeTree, type Tensor } from "../torch/index.ts";
import { evaluate, passOf } from "../train/index.ts";
import { type Ceiling, ceiling, type HeldOut } from "./ceiling.ts";
import { CellTraining } from "./cell-training.ts";
import { type Comparison, comparisonGroups, comparisonReport, finishedCells } from "./comparison.ts";
import type { CellGroup, Experiment, ExperimentReport, ExperimentRequest, ReportSection } from "./experiment.ts";
import { computeEpochs, ourChoices, type PlanSize, plan } from "./plans.ts";
import { type Plan, protocolOf, Setting, type Target, targets } from "./protocol.ts";
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

const nameOf = ({ hub, protocol, seed }: Setting) => `ceiling/${hub.manifest.name}-${protocol.target.name}-s${seed}`;
const keyOf = ({ hub, protocol, seed }: Setting) => {
  const { target, options, epochs } = protocol;
  return { hub: hub.fingerprint, target, options, epochs, seed };
};

function settingsOf(request: ExperimentRequest): Setting[] {
  const hub = openHub(request.hub ?? "hubs/starter");
  return request.seeds.flatMap((seed) =>
    places.map((target) => new Setting(protocolOf(hub, target, request.quick), seed)),
  );
}

async function ceilingCell(request: ExperimentRequest, setting: Setting): Promise<Ceiling> {
  return request.cells.cell(nameOf(setting), keyOf(setting), async () => {
    const held = await heldOut(request, setting);
    try {
      return ceiling(held, setting.seed);
    } finally {
      held.features.dispose();
    }
  });
}

/** What fine-tuned members say of validation rows, and the features that their pre-trained selves have of them. */
async function heldOut(request: ExperimentRequest, setting: Setting): Promise<HeldOut> {
  const data = await setting.data();
  const { epochs } = setting.protocol;
  const unit = plan("members", "fine-tune", "equal epochs", epochs);
  const training = new CellTraining(request, setting, unit, data);
  const learners = await fineTune(await training.context());
  const rows = () => data.open("validation", Math.min(rowLimit, data.counts.validation));
  try {
    const tables: Float32Array[] = [];
    let labels: number[] = [];
    for (const learner of learners) {
      const evaluation = await evaluate(learner, rows(), data.classes.length);
      tables.push(evaluation.probabilities);
      labels = evaluation.labels;
    }
    const parts = labels.map((label) => data.classes[label]?.split(": ")[0] ?? "");
    const names = [...new Set(parts)];
    const isMix = names.length < data.classes.length;
    return {
      tables,
      labels,
      classes: data.classes.length,
      parts: parts.map((name) => (isMix ? names.indexOf(name) : 0)),
      features: await pretrainedFeatures(setting, rows),
    };
  } finally {
    for (const learner of learners) learner.dispose();
  }
}

/** Features of all members side by side, float64 [n, sum of d]. */
async function pretrainedFeatures(setting: Setting, rows: () => Parameters<typeof passOf>[1]): Promise<Tensor> {
  const members = loadMembers(setting.hub);
  const parts: Tensor[] = [];
  try {
    for (const member of members) {
      const pass = await passOf(member, rows(), () => {});
      parts.push(pass.features.to({ dtype: "float64" }));
      pass.features.dispose();
      pass.logits?.dispose();
    }
    return cat(parts, 1);
  } finally {
    disposeTree(parts);
    for (const member of members) member.dispose();
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
    pathway("generator on pre-trained features", { generatorKind: "member-stem" }),
    pathway("constant exploration, pre-trained features", { ...constant, generatorKind: "member-stem" }),
    pathway("probabilities, constant exploration", { ...constant, aggregation: "probabilities" }),
    pathway("members learn at a third of the rate", {}, { lr: 3.3e-4, newLayerFactor: 12, generatorFactor: 6 }),
    pathway("the same, constant exploration", constant, { lr: 3.3e-4, newLayerFactor: 12, generatorFactor: 6 }),
  ];
}

const comparison: Comparison = {
  title: "Routes that depend on the input",
  about: [],
  hub: "hubs/starter",
  targets: [mix],
  plans,
  ours: ["Hub-Pathway"],
};

function groups(request: ExperimentRequest): CellGroup[] {
  const ceilings = settingsOf(request).map((setting) => ({
    name: nameOf(setting),
    async run() {
      await using own = setting;
      await ceilingCell(request, own);
    },
  }));
  return [...ceilings, ...comparisonGroups(comparison, request)];
}

const measures: readonly [keyof Ceiling, string][] = [
  ["bestSingle", "best single"],
  ["bestPair", "best pair"],
  ["ensemble", "ensemble"],
  ["bestPairByPart", "best pair of each part"],
  ["routedSingle", "linear router, one"],
  ["routedPair", "linear router, pair"],
  ["oracleSingle", "oracle, one"],
  ["oraclePair", "oracle, pair"],
];

function ceilingSection(request: ExperimentRequest): ReportSection {
  const found = settingsOf(request).map((setting) => {
    return { target: setting.protocol.target.name, cell: request.cells.read<Ceiling>(nameOf(setting), keyOf(setting)) };
  });
  const rows = places.flatMap(({ name }) => {
    const cells = found.flatMap(({ target, cell }) => (target === name && cell ? [cell] : []));
    if (cells.length === 0) return [];
    const texts = measures.map(([key]) => {
      const { mean, half } = meanInterval(cells.map((cell) => cell[key]));
      return `${percent(mean)} ± ${(100 * half).toFixed(1)}`;
    });
    return [[name, String(cells.length), String(cells[0]?.rows ?? 0), ...texts]];
  });
  const columns = ["target", "seeds", "rows", ...measures.map(([, title]) => title)].map((title, i) => {
    return { title, right: i > 0 };
  });
  return {
    title: "What a router could win",
    text: [
      "Members fine-tuned for E epochs, on validation rows that none of them trained on. Best single, best pair and the linear routers " +
        "are chosen or fitted on four fifths of the rows and measured on the rest, in turn. The linear routers see the features of all pre-trained members and the " +
        "members' true losses: more than a generator ever sees. The oracle chooses by the label itself.",
    ],
    table: { columns, rows },
  };
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const ceilings = ceilingSection(request);
  const { title } = comparison;
  if (finishedCells(comparison, request).length === 0) return { title, sections: [ceilings], data: {} };
  const { sections, data } = comparisonReport(comparison, request);
  return { title, sections: [ceilings, ...sections.slice(1)], data };
}

export const routing: Experiment = {
  name: "routing",
  summary: "what routes that depend on the input can win, and what they do win",
  seeds: 3,
  groups,
  report,
};

/** Upper bounds of routing: members of a hub, fine-tuned or frozen, on validation rows that none of them trained on. */

import {
  type CellGroup,
  CellTraining,
  columnsOf,
  type ExperimentRequest,
  images,
  intervalText,
  meanInterval,
  optionsKey,
  plan,
  protocolOf,
  type ReportSection,
  Setting,
  slug,
  type Target,
  targetKey,
  targets,
  targetsOf,
} from "../../compare/index.ts";
import { type Hub, type HubMember, loadMembers, openHub } from "../../hub/index.ts";
import { fineTune, fitEach, linearProbeLearner } from "../../methods/index.ts";
import { cat, disposeTree, inferenceMode, scope, type Tensor, UserError } from "../../torch/index.ts";
import { type BatchSource, evaluate, type Learner, passOf, type TaskData } from "../../train/index.ts";
import { type Ceiling, ceiling, type HeldOut, type View, views } from "./ceiling.ts";
import { convergedHead, headProbabilities } from "./converged-head.ts";

/** Three targets as one task: the clearest reason that there could be to send different images to different models. */
const mix: Target = {
  name: "mix",
  data: {
    source: "emoji+fashion-mnist+desktop-icons",
    ...images,
    split: { trainPerClass: 40, validationPerClass: 60, validationFraction: 0.2, testFraction: 0.2 },
  },
  limits: { test: 2000 },
};

/** A task of two kinds of pictures, each of which the hub of specialists has a member for. */
export const lettersAndEmoji: Target = {
  name: "letters-and-emoji",
  data: {
    source: "emoji+greek",
    ...images,
    split: { trainPerClass: 40, validationFraction: 0.2, testFraction: 0.2 },
  },
};

/** The split's rows that a ceiling is measured on: as many as there are, up to 4,000. */
const rowLimit = 4000;
const places: readonly { hub: string; targets: readonly Target[] }[] = [
  { hub: "hubs/starter", targets: [mix, ...targets] },
  { hub: "hubs/specialists", targets: [lettersAndEmoji] },
];

/**
 * Members that are trained whole; members that keep their speciality under heads trained as long; and under heads trained to
 * convergence, on features of unaugmented images.
 */
const kinds = ["fine-tuned", "frozen", "frozen, converged heads"] as const;
type Kind = (typeof kinds)[number];

const nameOf = ({ hub, protocol, seed }: Setting, kind: Kind) =>
  `ceiling/${hub.manifest.name}-${protocol.target.name}-${slug(kind)}-s${seed}`;
const keyOf = ({ hub, protocol, seed }: Setting, kind: Kind) => {
  const { target, options, epochs } = protocol;
  return { version: 2, hub: hub.fingerprint, ...targetKey(target), options: optionsKey(options), epochs, seed, kind };
};

function settingsOf(request: ExperimentRequest): Setting[] {
  const wanted = request.hub ? [{ hub: request.hub, targets: places[0]?.targets }] : places;
  const opened = wanted.map(({ hub, targets }): [Hub, readonly Target[]] => [
    openHub(hub),
    targetsOf(request, targets),
  ]);
  return request.seeds.flatMap((seed) =>
    opened.flatMap(([hub, own]) => own.map((target) => new Setting(protocolOf(hub, target, request), seed))),
  );
}

export function ceilingGroups(request: ExperimentRequest): CellGroup[] {
  return settingsOf(request).map(
    (setting): CellGroup => ({
      name: `what a router could win, ${setting.protocol.target.name}, seed ${setting.seed}`,
      cells: () => kinds.map((kind) => [nameOf(setting, kind), keyOf(setting, kind)]),
      async run() {
        await using own = setting;
        for (const kind of kinds) await ceilingCell(request, own, kind);
      },
    }),
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

/** Predictions of trained members for validation rows, and the features of the pre-trained members. */
async function heldOut(request: ExperimentRequest, setting: Setting, kind: Kind): Promise<HeldOut> {
  const data = await setting.data();
  const limit = request.quick ? setting.protocol.target.limits?.validation : rowLimit;
  const rows = () => data.open("validation", Math.min(limit ?? rowLimit, data.counts.validation));
  const answers = kind === "frozen, converged heads" ? frozenAnswers : trainedAnswers;
  const { tables, labels } = await answers({ request, setting, data, rows, frozen: kind !== "fine-tuned" });
  const names = data.name.split("+");
  const partOf = (label: number) => names.findIndex((name) => data.classes[label]?.startsWith(`${name}: `));
  return {
    tables,
    labels,
    classes: data.classes.length,
    parts: labels.map((label) => (names.length > 1 ? partOf(label) : 0)),
    views: await pretrainedViews(setting, rows),
  };
}

interface Asked {
  request: ExperimentRequest;
  setting: Setting;
  data: TaskData;
  rows: () => BatchSource;
  frozen: boolean;
}

type Answers = Pick<HeldOut, "tables" | "labels">;

/** Members, or heads on frozen ones, trained by the training loop. */
async function trainedAnswers({ request, setting, data, rows, frozen }: Asked): Promise<Answers> {
  const { epochs } = setting.protocol;
  const unit = plan("members", frozen ? "linear-probe" : "fine-tune", "equal epochs", epochs);
  using training = await CellTraining.open(request, setting, unit);
  const context = training.run.context();
  const learners: Learner[] = await (frozen ? fitEach(context, linearProbeLearner) : fineTune(context));
  try {
    const tables: Float32Array[] = [];
    let labels: number[] = [];
    for (const learner of learners) {
      const evaluation = await evaluate(learner, rows(), data.classes.length);
      tables.push(evaluation.probabilities);
      labels = evaluation.labels;
    }
    return { tables, labels };
  } finally {
    for (const learner of learners) learner.dispose();
    training.clean();
  }
}

/** Heads trained to convergence on each member's features. */
async function frozenAnswers({ setting, data, rows }: Asked): Promise<Answers> {
  const members = loadMembers(setting.hub);
  const tables: Float32Array[] = [];
  let labels: readonly number[] = [];
  try {
    for (const member of members) {
      const known = await passOf(member, data.open("train"), { scores: false });
      const asked = await passOf(member, rows(), { scores: false });
      const head = convergedHead(known.features, known.labels, data.classes.length, setting.seed);
      tables.push(headProbabilities(head, asked.features));
      labels = asked.labels;
      disposeTree([known.features, asked.features, head]);
    }
    return { tables, labels };
  } finally {
    for (const member of members) member.dispose();
  }
}

/**
 * Inputs of the routers, float64: features of all members side by side, and the mean first stages of the first that has
 * them.
 */
async function pretrainedViews(setting: Setting, rows: () => BatchSource): Promise<Record<View, Tensor>> {
  const members = loadMembers(setting.hub);
  const parts: Tensor[] = [];
  try {
    for (const member of members) {
      const pass = await passOf(member, rows(), { scores: false });
      parts.push(pass.features.to({ dtype: "float64" }));
      pass.features.dispose();
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
  using stem = member.copyStem();
  const parts: Tensor[] = [];
  try {
    for await (const batch of rows.epoch(0, 0)) {
      const mean = () => stem.forward(batch.images).mean([2, 3]).to({ dtype: "float64" });
      parts.push(scope(() => inferenceMode(mean)));
      batch.dispose();
    }
    return cat(parts, 0);
  } finally {
    disposeTree(parts);
  }
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

export function ceilingSection(request: ExperimentRequest): ReportSection {
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
      "Members fine-tuned for E epochs, frozen under heads trained for E epochs, or frozen under heads trained to convergence, on validation rows that none of them trained on. letters-and-emoji is asked of the hub of specialists, the others of the starter hub. Best single, best pair and the linear routers " +
        "are chosen or fitted on four fifths of the rows and measured on the rest, in turn. The linear routers are fitted to the members' true " +
        "losses, which no generator ever sees; those on the features of all pre-trained members have run all of them, those on the first stages are as cheap as a generator. The oracle chooses by the label itself.",
    ],
    table: { columns, rows },
  };
}

/** One seed of the experiment on budgets: runs that are trained, and what each way to answer reaches within each budget. */
import { CellTraining, type ExperimentRequest, median, plan, type Setting } from "../../compare/index.ts";
import {
  type Answers,
  answerBy,
  type BudgetSetting,
  type Candidate,
  type Cost,
  cascadeSettings,
  Frontier,
  fineTune,
  halves,
  knownCandidate,
  meanReached,
  type Outcome,
  PathwayLearner,
  policyCandidates,
  type Reached,
  routeSettings,
  type Said,
  type Split,
  sideOf,
} from "../../methods/index.ts";
import { activeModels } from "../../report/index.ts";
import { logsOf, type Rule } from "../../runtime/index.ts";
import { inferenceMode, scope, zeros } from "../../torch/index.ts";
import {
  ClassificationTask,
  evaluate,
  evaluateVariants,
  type Variant,
  type VariantEvaluation,
} from "../../train/index.ts";

/** Ways to answer: what a run does within a budget, its routes alone, and rivals. */
export const kinds = [
  "routes or a cascade",
  "routes by input",
  "one gate",
  "fixed members",
  "confidence cascade",
  "agreement cascade",
  "KNORA-E",
] as const;
export const rivals = kinds.slice(2);
/** Rivals that came later: cells of before lack them, and the best of all rivals is taken without them. */
export const furtherRivals = ["META-DES", "stacking"] as const;

/** Parts of the cost of all members together. */
export const parts = [0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.4, 0.6, 1] as const;

export interface BudgetRow {
  /** Mean FLOPs of an image at most. */
  budget: number;
  reached: Reached[];
  /** The best of all rivals, chosen on the known items too. */
  rival: Reached | undefined;
}

export interface BudgetCell {
  members: string[];
  /** Of each member. */
  costs: Cost[];
  /** For each part of the ensemble's cost, and at the end for 0.4 of the best member's. */
  rows: BudgetRow[];
  /** Without a budget. */
  ensemble: Reached;
  bestMember: Reached;
}

export const byLosses = { choices: { k: 1, credit: "losses" } };

/** Of the splits that are measured: the test split for a final request alone. */
type BySplit<T> = { validation: T } & Partial<Record<Split, T>>;
type Measured = BySplit<VariantEvaluation[]>;
type Tables = BySplit<Answers>;

async function measuredOn<T>({ final }: ExperimentRequest, measure: (split: Split) => Promise<T>): Promise<BySplit<T>> {
  const validation = await measure("validation");
  return final ? { validation, test: await measure("test") } : { validation };
}

/** The figures on validation data, of settings chosen on the other half of them, and for a final request on test data. */
export async function budgetCells(request: ExperimentRequest, setting: Setting): Promise<BySplit<BudgetCell>> {
  const { epochs } = setting.protocol;
  const routed = await trained(
    request,
    setting,
    plan("routes by input", "hub-pathway", "equal epochs", epochs, byLosses),
  );
  const gates = [];
  for (const k of [1, 2]) {
    const choices = { ...byLosses.choices, k };
    const line = plan(`one gate, k = ${k}`, "global-gate", "equal epochs", epochs, { ...byLosses, choices });
    gates.push(await trained(request, setting, line));
  }
  const alone = await probes(request, setting);
  const candidates = [
    ...candidatesOf("routes or a cascade", routed),
    ...cascadeCandidates("routes or a cascade", routed),
    ...candidatesOf("routes by input", routed),
    ...gates.flatMap((gate) => candidatesOf("one gate", gate)),
    ...policyCandidates(routed.tables, routed.costs, "heads of the run"),
    ...policyCandidates(alone, routed.costs, "heads alone"),
  ];
  const { members, costs } = routed;
  const figures = { members, costs };
  const all = (split: Split) => sideOf(split, alone[split]?.labels.length ?? 0);
  const { items } = all("validation");
  const chosen = halves("validation", items.length).map(
    ([known, asked]) => new Frontier(candidates, costs, known, asked),
  );
  const validation = { ...figures, ...rowsOf(chosen, costs) };
  if (!alone.test) return { validation };
  const test = new Frontier(candidates, costs, all("validation"), all("test"));
  return { validation, test: { ...figures, ...rowsOf([test], costs) } };
}

function rowsOf(
  frontiers: readonly Frontier[],
  costs: readonly Cost[],
): Pick<BudgetCell, "rows" | "ensemble" | "bestMember"> {
  const whole = costs.reduce((sum, { flops }) => sum + flops, 0);
  const best = (of: readonly string[], budget: number) => {
    const each = frontiers.flatMap((frontier) => frontier.best(of, budget) ?? []);
    return each.length === frontiers.length ? meanReached(each) : undefined;
  };
  const named = (kind: string) => {
    const found = best([kind], Number.POSITIVE_INFINITY);
    if (!found) throw new RangeError(`nothing was measured of ${kind}`);
    return found;
  };
  const bestMember = named("best member");
  const budgets = [...parts.map((part) => part * whole), 0.4 * bestMember.flops];
  const rows = budgets.map((budget) => ({
    budget,
    reached: [...kinds, ...furtherRivals].flatMap((kind) => best([kind], budget) ?? []),
    rival: best(rivals, budget),
  }));
  return { rows, ensemble: named("ensemble of all"), bestMember };
}

interface Trained {
  name: string;
  members: string[];
  costs: Cost[];
  generator: Cost;
  variants: readonly Variant[];
  measured: Measured;
  /** What each member answers alone through this run's heads. */
  tables: Tables;
  /** The generator's scores, [N, m]. */
  scores: BySplit<Float32Array>;
  /** Cascades that a run tries for its budgets. */
  cascades: readonly { rule: Rule; setting: BudgetSetting }[];
}

async function trained(request: ExperimentRequest, setting: Setting, line: ReturnType<typeof plan>): Promise<Trained> {
  const data = await setting.data();
  using training = await CellTraining.open(request, setting, line);
  const predictor = await training.train();
  try {
    if (!(predictor instanceof PathwayLearner)) throw new TypeError(`${line.name} does not route`);
    const members = [...predictor.memberNames];
    const spent = costsOf(predictor, setting.protocol.target.data.imageSize);
    const costs = spent.costs.map(({ flops }) => flops);
    const variants = routeSettings(costs);
    const singles = members.map((_, i) => ({ k: 1, models: [i] }));
    const classes = data.classes.length;
    const measure = async (split: Split) => {
      const batches = training.run.open(split, predictor);
      const { labels, scores } = await evaluate(predictor, batches, classes);
      const task = new ClassificationTask(classes);
      const found = await evaluateVariants(predictor, batches, task, [...variants, ...singles]);
      const measured = found.map((one) => one ?? missing(line.name));
      const tables = measured.slice(variants.length).map(({ probabilities }) => probabilities);
      return { measured: measured.slice(0, variants.length), answers: { tables, labels, classes }, scores };
    };
    const { validation, test } = await measuredOn(request, measure);
    return {
      name: line.name,
      members,
      ...spent,
      variants,
      measured: { validation: validation.measured, ...(test ? { test: test.measured } : {}) },
      tables: { validation: validation.answers, ...(test ? { test: test.answers } : {}) },
      scores: { validation: validation.scores, ...(test ? { test: test.scores } : {}) },
      cascades: cascadeSettings(costs, [...costs.keys()]).map((setting) => ({
        rule: predictor.ruleBy(setting),
        setting,
      })),
    };
  } finally {
    predictor.dispose();
    training.clean();
  }
}

/** What each member answers alone through a head that was trained on all images. */
async function probes(request: ExperimentRequest, setting: Setting): Promise<Tables> {
  const data = await setting.data();
  using training = await CellTraining.open(
    request,
    setting,
    plan("members", "ensemble", "all members", setting.protocol.epochs),
  );
  const learners = await fineTune(training.run.context());
  try {
    const answers = async (split: Split): Promise<Answers> => {
      const tables: Float32Array[] = [];
      let labels: number[] = [];
      for (const learner of learners) {
        const evaluation = await evaluate(learner, training.run.open(split, learner), data.classes.length);
        tables.push(evaluation.probabilities);
        labels = evaluation.labels;
      }
      return { tables, labels, classes: data.classes.length };
    };
    return await measuredOn(request, answers);
  } finally {
    for (const learner of learners) learner.dispose();
    training.clean();
  }
}

function missing(name: string): never {
  throw new RangeError(`${name} does not have a choice of models that the experiment measures`);
}

const [timedImages, rounds, firstRounds] = [48, 7, 2];

/** FLOPs by count, milliseconds of an image in a batch by the clock: all in turn in each round, and the median of the rounds. */
function costsOf(predictor: PathwayLearner, side: number): Pick<Trained, "costs" | "generator"> {
  const { members, generator } = predictor.module;
  const images = zeros([timedImages, 3, side, side]);
  const runs = [() => generator.forward(images), ...members.map((member) => () => member.features(images))];
  try {
    const all = Array.from({ length: firstRounds + rounds }, () => runs.map(millisecondsOf)).slice(firstRounds);
    const [generatorTime, ...times] = runs.map((_, i) => median(all.map((times) => times[i] ?? 0)));
    const only = (i: number) => members.map((_, j) => Number(i === j));
    const flopsOf = (i: number, k: number) => predictor.pathwayFlops(only(i), k);
    const still = flopsOf(0, 0);
    return {
      costs: times.map((milliseconds, i) => ({ flops: flopsOf(i, 1) - still, milliseconds })),
      generator: { flops: still, milliseconds: generatorTime ?? 0 },
    };
  } finally {
    images.dispose();
  }
}

function millisecondsOf(run: () => unknown): number {
  return scope(() =>
    inferenceMode(() => {
      const began = performance.now();
      run();
      return (performance.now() - began) / timedImages;
    }),
  );
}

/** The settings of a run. */
function candidatesOf(
  kind: string,
  { name, variants, measured, generator, members: { length: m } }: Trained,
): Candidate[] {
  return variants.map((variant, i) => {
    const outcome = (all: readonly VariantEvaluation[]): Outcome => {
      const one = all[i] as VariantEvaluation;
      return { right: one.merits.map(Boolean), used: one.merits.map((_, item) => activeModels(one.weights, m, item)) };
    };
    const { validation, test } = measured;
    const outcomes = { validation: outcome(validation), ...(test ? { test: outcome(test) } : {}) };
    return knownCandidate({ kind, name: `${name}, ${described(variant)}`, overhead: generator }, outcomes);
  });
}

/** The cascades that a run tries within a budget, answered as it would. */
function cascadeCandidates(kind: string, { name, generator, cascades, tables, scores }: Trained): Candidate[] {
  const said = (split: Split): Said | undefined => {
    const [own, table] = [scores[split], tables[split]];
    return own && table && { logProbabilities: table.tables.map(logsOf), scores: own, classes: table.classes };
  };
  const all = { validation: said("validation"), test: said("test") };
  return cascades.map(({ rule, setting: { models = [], confidence } }) => ({
    kind,
    name: `${name}, models ${models.join(" ")} until ${confidence} sure`,
    overhead: generator,
    on(_, { split, items }) {
      const known = all[split];
      if (!known) throw new RangeError(`the ${split} split was not measured`);
      const answers = items.map((item) => answerBy(rule, known, item));
      return {
        right: items.map((item, i) => answers[i]?.answer === tables[split]?.labels[item]),
        used: answers.map(({ used }) => used),
      };
    },
  }));
}

function described({ k, confidence, price }: Variant): string {
  const count = confidence === undefined ? `k = ${k}` : `until ${confidence} sure`;
  return price ? `${count}, ${price.toFixed(1)} nats/GFLOP` : count;
}

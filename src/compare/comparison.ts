/** Comparisons of methods over targets and seeds: which cells there are, and the tables made of them. */
import { type Hub, memberEntries, openHub, starterHub, withMembers } from "../hub/index.ts";
import { shellQuoted } from "../io/index.ts";
import { bestByRanking, methods } from "../methods/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { checkFrozen, completedChoices, type TrainOptions, versionOf } from "../train/index.ts";
import type { CellId } from "./cell-store.ts";
import {
  crossFittedRemark,
  differenceSection,
  intervalText,
  type Line,
  lineOf,
  lineSection,
  type PlanCells,
  paretoSection,
  type TargetCells,
  versionRemarks,
} from "./comparison-tables.ts";
import {
  type CellGroup,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  isAsked,
  quickRemark,
  type ReportSection,
} from "./experiment.ts";
import { finishedCell, type MethodCell, methodCell, methodCellIds } from "./method-cell.ts";
import type { PlanSize } from "./plans.ts";
import { type Plan, type Protocol, protocolOf, Setting, type Target, targetsOf } from "./protocol.ts";

export interface Comparison {
  title: string;
  /** Question that the comparison answers. */
  question: string;
  /** Under which protocol, for E epochs of one unit. */
  rules?(epochs: number): string;
  hub: string;
  /** Members of that hub that are compared, where they stay as they are or are trained; all when left out. */
  members?(frozen: boolean): readonly string[] | undefined;
  /** Options that differ from the defaults where members are trained. */
  options?: Partial<TrainOptions>;
  /** The three main targets when left out. */
  targets?: readonly Target[];
  plans(size: PlanSize): readonly Plan[];
  /** Names of plans, each of which is set against the others. */
  ours: readonly string[];
  /** Plans that are no rivals: upper bounds and variants. */
  notRivals?: readonly string[];
}

/** The hub of a request, and a protocol for each of its targets. */
function subject(comparison: Comparison, request: ExperimentRequest): { hub: Hub; protocols: readonly Protocol[] } {
  const { frozen = false } = request;
  const options = frozen ? {} : comparison.options;
  const whole = openHub(request.hub ?? comparison.hub);
  const names = request.hub === undefined ? comparison.members?.(frozen) : undefined;
  const hub = names ? withMembers(whole, memberEntries(whole, names)) : whole;
  const protocols = targetsOf(request, comparison.targets).map((target) => {
    const protocol = protocolOf(hub, target, request);
    return { ...protocol, options: { ...protocol.options, ...options } };
  });
  return { hub, protocols };
}

function plansOf({ plans }: Comparison, { manifest }: Hub, { options, epochs }: Protocol): readonly Plan[] {
  const frozen = options.frozenViews !== undefined;
  const all = plans({ members: manifest.members.map((member) => member.name), epochs, frozen });
  if (!frozen) return all;
  // A ranking passes over the images once more, which costs more than the head of a frozen member that it would save.
  const cheap = all.filter(({ method }) => method !== bestByRanking);
  return cheap.map((plan) => ({
    ...plan,
    choices: completedChoices(plan.method, plan.choices, manifest, { ...options, ...plan.options }),
  }));
}

/** True when a plan is computed for a seed. */
const takes = (plan: Plan, seed: number) => plan.seeds === undefined || seed < plan.seeds;

/** One group for each seed and target; the plans that all seeds take come before those for which few are enough. */
export function comparisonGroups(comparison: Comparison, request: ExperimentRequest): CellGroup[] {
  const { hub, protocols } = subject(comparison, request);
  return [false, true].flatMap((tail) =>
    request.seeds.flatMap((seed) =>
      protocols.flatMap((protocol): CellGroup[] => {
        const { target } = protocol;
        const all = plansOf(comparison, hub, protocol).filter(
          (plan) => takes(plan, seed) && isAsked(request, target.name, plan.name),
        );
        const plans = all.filter((plan) => (plan.seeds !== undefined) === tail);
        if (plans.length === 0) return [];
        const name = `${target.name}, seed ${seed}${tail ? ", further rivals" : ""}`;
        const cells = () => planCells(request, new Setting(protocol, seed, hub), plans);
        return [{ name, cells, run: () => runPlans(request, new Setting(protocol, seed, hub), plans) }];
      }),
    ),
  );
}

function planCells(request: ExperimentRequest, setting: Setting, plans: readonly Plan[]): CellId[] {
  const allowed = plans.flatMap((plan) => suiting(setting, plan, () => {}) ?? []);
  return allowed.flatMap(({ plan }) => methodCellIds(request, setting, plan));
}

async function runPlans(request: ExperimentRequest, setting: Setting, plans: readonly Plan[]): Promise<void> {
  await using own = setting;
  const allowed = plans.flatMap((plan) => suiting(own, plan, request.say) ?? []);
  for (const { plan, method } of allowed) await methodCell(request, own, plan, method);
}

/**
 * A plan that suits the hub, which may be the user's, with its method configured. One that does not is left out of the
 * table, and this is printed before anything trains.
 */
function suiting(setting: Setting, plan: Plan, say: ExperimentRequest["say"]) {
  try {
    const method = setting.configured(plan);
    checkFrozen(setting.optionsOf(plan), setting.protocol.target.data.augment, plan.method);
    return { plan, method };
  } catch (error) {
    if (!(error instanceof UserError || error instanceof ConfigError)) throw error;
    say(`left out: ${plan.name}: ${error.message}`);
    return undefined;
  }
}

/** @throws UserError when cells of one seed were made with different splits */
export function finishedCells(comparison: Comparison, request: ExperimentRequest): TargetCells[] {
  const { hub, protocols } = subject(comparison, request);
  return protocols.flatMap((protocol): TargetCells[] => {
    const settings = request.seeds.map((seed) => new Setting(protocol, seed, hub));
    const plans = plansOf(comparison, hub, protocol).map((plan) => newestCells(request, settings, plan));
    const finished = plans.filter(({ cells }) => cells.length > 0);
    requireOneSplit(finished.flatMap(({ cells }) => cells));
    return finished.length > 0 ? [{ target: protocol.target.name, plans: finished }] : [];
  });
}

/** The cells of the latest version of a method that has as many as any, so that no line mixes versions. */
function newestCells(request: ExperimentRequest, settings: readonly Setting[], plan: Plan): PlanCells {
  const current = versionOf(plan.method, plan.choices);
  const all = Array.from({ length: current }, (_, i) => {
    const version = current - i;
    return { version, cells: settings.flatMap((setting) => finishedCell(request, setting, plan, version) ?? []) };
  });
  const { version, cells } = all.reduce((best, one) => (one.cells.length > best.cells.length ? one : best));
  return { plan, cells, ...(version < current ? { older: version } : {}) };
}

function requireOneSplit(cells: readonly MethodCell[]): void {
  const first = new Map<number, MethodCell>();
  for (const cell of cells) {
    const before = first.get(cell.seed) ?? cell;
    first.set(cell.seed, before);
    const same = (key: "pixels" | "content") => !before[key] || !cell[key] || before[key] === cell[key];
    if (same("pixels") && same("content") && before.splitHash === cell.splitHash) continue;
    throw new UserError(
      `${cell.plan.name}, seed ${cell.seed}: its split differs from that of other cells, so that its data have changed; ` +
        "remove the older cells and run the experiment again",
    );
  }
}

/** @throws UserError when no cell is finished */
export function comparisonReport(comparison: Comparison, request: ExperimentRequest): ExperimentReport {
  const split = request.final ? "test" : "validation";
  const targets = finishedCells(comparison, request);
  if (targets.length === 0) throw new UserError("no cell is finished yet: run the experiment first");
  const lines = targets.map(({ target, plans }) => ({
    target,
    remarks: [...versionRemarks({ target, plans }), ...(request.final ? [] : crossFittedRemark({ target, plans }))],
    ...linesOf(plans, split, request, comparison),
  }));
  const rivals = (name: string) => !comparison.ours.includes(name) && !comparison.notRivals?.includes(name);
  const sections: ReportSection[] = [
    { title: "Question", text: [...aboutText(comparison, request), splitText(split, request)] },
    ...lines.map(({ target, lines, advice, remarks }) => ({ ...lineSection(target, lines), ...advice, remarks })),
    ...comparison.ours.map((name) => differenceSection(name, targets, rivals, split)),
    ...lines.map(({ target, lines }) => paretoSection(target, lines, split)),
  ];
  return { title: comparison.title, sections, data: { split, targets: lines.map(({ advice: _, ...rest }) => rest) } };
}

/** One line for each plan; on the user's own images the best first, with what to do about it. */
function linesOf(
  plans: TargetCells["plans"],
  split: "validation" | "test",
  request: ExperimentRequest,
  comparison: Comparison,
): { lines: Line[]; advice: Pick<ReportSection, "text" | "command"> } {
  const known = plans.map(({ plan, cells }) => ({ plan, line: lineOf(plan, cells, split) }));
  if (request.data === undefined) return { lines: known.map(({ line }) => line), advice: {} };
  const sorted = known.sort((a, b) => b.line.accuracy.mean - a.line.accuracy.mean);
  return { lines: sorted.map(({ line }) => line), advice: advice(sorted, request, comparison) };
}

/** The best line, and the command that trains the best method that one command can train. */
function advice(
  sorted: readonly { plan: Plan; line: Line }[],
  request: ExperimentRequest,
  comparison: Comparison,
): Pick<ReportSection, "text" | "command"> {
  const [best] = sorted;
  if (!best) return {};
  const said = `Best on these images: ${best.plan.name}, ${intervalText(best.line.accuracy)}.`;
  const trainable = sorted.find(({ plan }) => methods.includes(plan.method));
  if (!trainable) return { text: [said] };
  const which = trainable === best ? "This trains it:" : `This trains ${trainable.plan.name}:`;
  return { text: [`${said} ${which}`], command: trainCommand(trainable.plan, request, comparison) };
}

function trainCommand(
  { method, choices, epochs }: Plan,
  { data = "", hub, frozen }: ExperimentRequest,
  comparison: Comparison,
): string {
  const tune = frozen ? undefined : comparison.options?.tune;
  // An experiment's own hub need not be the one that train takes by itself.
  const place = hub ?? comparison.hub;
  const members = hub === undefined ? comparison.members?.(frozen === true) : undefined;
  const options = Object.entries(choices).map(([name, value]) => `--choice ${shellQuoted(`${name}=${value}`)}`);
  return [
    `hub-pathway train ${shellQuoted(data)} --method ${method.name}`,
    ...options,
    `--epochs ${epochs}`,
    ...(place === starterHub ? [] : [`--hub ${shellQuoted(place)}`]),
    ...(members === undefined ? [] : [`--members ${shellQuoted(members.join(","))}`]),
    ...(frozen ? ["--freeze-members"] : []),
    ...(tune === undefined ? [] : [`--tune ${tune}`]),
  ].join(" ");
}

function aboutText(comparison: Comparison, request: ExperimentRequest): string[] {
  const { hub, protocols } = subject(comparison, request);
  const [protocol] = protocols;
  const { title, question, rules } = comparison;
  const members = `${hub.manifest.name}, ${hub.manifest.members.length} members`;
  const given = `${title}: here another hub (${members}) or other data (${protocols.map(({ target }) => target.name).join(", ")}) than the experiment's own.`;
  const { frozenViews: views, tune } = protocol?.options ?? {};
  const frozen =
    `Members stay as they are: their features of ${views} views of each training image are computed once, at their own input sizes, ` +
    "and heads, generator and aggregation learn from them. Their FLOPs count as training. Methods that change members are left out.";
  return [
    request.hub || request.data ? given : question,
    ...(rules && protocol ? [rules(protocol.epochs)] : []),
    ...(views === undefined ? [] : [frozen]),
    ...(tune === undefined
      ? []
      : [`Of ${hub.manifest.members.length} members ${tune} is trained (\`train --tune ${tune}\`).`]),
  ];
}

function splitText(split: string, { seeds, quick }: ExperimentRequest): string {
  const chosen =
    split === "validation"
      ? " Members, pairs, ensembles and soups were chosen on these very images, which flatters them; what Hub-Pathway is set to was chosen on emoji's."
      : "";
  return `${split} split, up to ${seeds.length} seeds: mean ± half the 95 % interval (Student's t) over seeds.${chosen}${quickRemark(quick)}`;
}

/** An experiment that is a comparison and nothing else. */
export function comparisonExperiment(about: Omit<Experiment, "groups" | "report">, comparison: Comparison): Experiment {
  return {
    ...about,
    freezes: true,
    hasLines: true,
    groups: (request) => comparisonGroups(comparison, request),
    report: async (request) => comparisonReport(comparison, request),
  };
}

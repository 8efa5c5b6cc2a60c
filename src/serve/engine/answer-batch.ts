/**
 * One batch answered: the router once on all rows, each activated member once on the rows that activate it, and the join. A
 * member that fails or is too slow is left out; the others' weights are renormalised, and the answer says so.
 * n rows, m members, C classes.
 */
import { Asking, type ModelChoice, ruleBy } from "../../runtime/index.ts";
import { eventLoopTurn } from "../../train/index.ts";
import type { MemberHealth } from "./member-health.ts";
import type { ModelParts, OpenBatch, Pixels } from "./parts.ts";

/** What one image asks for. */
export interface RowRequest {
  /** Members that are activated; as the model itself chooses them when left out. */
  readonly choice?: ModelChoice | undefined;
  /** Each activated member's own opinion is wanted. */
  readonly explain?: boolean | undefined;
}

export interface RowAnswer {
  /** [C]; numbers in their own units where a model answers with them. */
  readonly probabilities: Float32Array;
  /** [m], zero for members that did not answer. */
  readonly weights: Float32Array;
  /** [m]; nothing where nothing scores. */
  readonly scores?: Float32Array | undefined;
  /** Members that were to be activated and were left out. */
  readonly without: readonly number[];
  /** Probabilities [C] of each activated member alone. */
  readonly opinions?: readonly { readonly member: number; readonly probabilities: Float32Array }[];
}

export interface BatchAnswer {
  /** A row that no member could answer has the reason instead. */
  readonly rows: readonly (RowAnswer | { readonly error: string })[];
  readonly milliseconds: { readonly route: number; readonly member: number; readonly join: number };
  readonly resident: number;
}

/** @param health remembers which members fail; it outlives batches */
export async function answerBatch(
  parts: ModelParts,
  pixels: Pixels,
  requests: readonly RowRequest[],
  health: MemberHealth,
): Promise<BatchAnswer> {
  const lap = laps();
  const batch = await parts.open(pixels);
  try {
    const route = lap();
    const chosen = requests.map(({ choice }, row) => new RoutedRow(parts, batch, row, choice));
    const resting = health.resting();
    // Where all rest, one has to be tried.
    let failed = new Set(resting.length < parts.info.rule.members.length ? resting : []);
    // Some rows are not done: their answers are not sure yet, or their members all failed and others have to be asked.
    for (let open = chosen; open.length > 0; ) {
      failed = await runMembers(parts, batch, open, failed, health);
      for (const row of open) row.settle(failed);
      await tellAnswers(parts, batch, chosen);
      open = open.filter((row) => row.isOpen);
    }
    const member = lap();
    const rows = await joined(parts, batch, chosen, requests);
    return { rows, milliseconds: { route, member, join: lap() }, resident: parts.resident() };
  } finally {
    batch.dispose();
  }
}

/**
 * Runs each member on the rows that activate it, and says which failed. Between members the process reads what has come of the
 * next batch, which is larger than what a pipe holds.
 */
async function runMembers(
  { info }: ModelParts,
  batch: OpenBatch,
  rows: readonly RoutedRow[],
  before: ReadonlySet<number>,
  health: MemberHealth,
): Promise<Set<number>> {
  const failed = new Set(before);
  for (const { index } of info.rule.members) {
    const own = rows.filter((row) => row.activates(index));
    if (own.length === 0 || failed.has(index)) continue;
    const places = own.map(({ row }) => row);
    if (!(await health.watch(index, () => batch.run(index, places)))) failed.add(index);
    await eventLoopTurn();
  }
  return failed;
}

/** Tells rows that stop when they are sure what their members answer together. */
async function tellAnswers({ info }: ModelParts, batch: OpenBatch, rows: readonly RoutedRow[]): Promise<void> {
  const waiting = rows.filter((row) => row.waits);
  if (waiting.length === 0) return;
  const [m, classes] = [info.members.length, info.labels.length];
  const weights = new Float32Array(rows.length * m);
  for (const { row, weights: own } of waiting) weights.set(own, row * m);
  const answers = await batch.join(weights);
  for (const one of waiting) one.hear(answers.subarray(one.row * classes, (one.row + 1) * classes));
}

/** A row with the members that it activates. */
class RoutedRow {
  readonly row: number;
  readonly scores: Float32Array | undefined;
  /** Members that were left out. */
  readonly without: number[] = [];
  /** True when it has to know what its members answer before it asks another, or is done. */
  waits = false;
  /** Weights of what is left, where members were left out. */
  #rest: Float32Array | undefined;
  readonly #stops: boolean;
  readonly #asking: Asking;

  constructor({ info }: ModelParts, batch: OpenBatch, row: number, choice: ModelChoice | undefined) {
    const { rule, members } = info;
    const m = members.length;
    this.row = row;
    this.scores = batch.scores?.slice(row * m, (row + 1) * m);
    const own = choice ? ruleBy(rule, choice) : rule;
    this.#stops = own.confidence !== undefined;
    this.#asking = new Asking(own, this.scores);
  }

  get weights(): Float32Array {
    return this.#rest ?? this.#asking.weights;
  }

  get isOpen(): boolean {
    return this.#asking.isOpen;
  }

  activates(member: number): boolean {
    return this.#asking.asks(member);
  }

  /** Leaves out what failed. Where nothing is left, or a sure answer is wanted, others take its place, and the row stays open. */
  settle(failed: ReadonlySet<number>): void {
    const lost = [...failed].filter((member) => this.activates(member));
    this.without.push(...lost);
    this.waits = this.#stops && lost.length === 0;
    if (this.waits) return;
    const rest = this.weights.map((weight, member) => (lost.includes(member) ? 0 : weight));
    const sum = rest.reduce((a, b) => a + b, 0);
    if ((this.#stops || sum === 0) && this.#asking.without(failed)) return;
    if (lost.length > 0) this.#rest = sum === 0 ? rest : rest.map((weight) => weight / sum);
    this.#asking.end();
  }

  /** Takes the joined answer [C] of its members. */
  hear(probabilities: Float32Array): void {
    this.waits = false;
    this.#asking.take(probabilities);
  }

  get isAnswered(): boolean {
    return this.weights.some((weight) => weight > 0);
  }
}

async function joined(
  { info }: ModelParts,
  batch: OpenBatch,
  chosen: readonly RoutedRow[],
  requests: readonly RowRequest[],
): Promise<BatchAnswer["rows"]> {
  const [m, classes] = [info.members.length, info.labels.length];
  if (!chosen.some((row) => row.isAnswered)) return chosen.map(() => noMember);
  const table = (weightOf: (row: RoutedRow, member: number) => number): Float32Array =>
    Float32Array.from({ length: chosen.length * m }, (_, at) =>
      weightOf(chosen[Math.floor(at / m)] as RoutedRow, at % m),
    );
  const part = (all: Float32Array, row: number) => all.slice(row * classes, (row + 1) * classes);
  const answers = await batch.join(table(({ weights }, member) => weights[member] ?? 0));
  const opinions = await opinionsOf(info.members.length, batch, chosen, requests, table);
  return chosen.map((row) => {
    const { weights, scores, without } = row;
    if (!row.isAnswered) return noMember;
    const own = requests[row.row]?.explain
      ? {
          opinions: opinions
            .filter(({ rows }) => rows.has(row))
            .map(({ member, all }) => ({ member, probabilities: part(all, row.row) })),
        }
      : {};
    return { probabilities: part(answers, row.row), weights, scores, without, ...own };
  });
}

const noMember = { error: "all models that could answer fail" } as const;

/** For each member that a row with `explain` activates: its own answers, which are a join with all weight on it. */
async function opinionsOf(
  m: number,
  batch: OpenBatch,
  chosen: readonly RoutedRow[],
  requests: readonly RowRequest[],
  table: (weightOf: (row: RoutedRow, member: number) => number) => Float32Array,
): Promise<{ member: number; rows: ReadonlySet<RoutedRow>; all: Float32Array }[]> {
  const found: { member: number; rows: ReadonlySet<RoutedRow>; all: Float32Array }[] = [];
  for (let member = 0; member < m; member++) {
    const rows = new Set(chosen.filter(({ row, weights }) => requests[row]?.explain && (weights[member] ?? 0) > 0));
    if (rows.size === 0) continue;
    const all = await batch.join(table((row, at) => (at === member && rows.has(row) ? 1 : 0)));
    found.push({ member, rows, all });
  }
  return found;
}

/** Milliseconds since the last call. */
function laps(): () => number {
  let last = performance.now();
  return () => {
    const before = last;
    last = performance.now();
    return last - before;
  };
}

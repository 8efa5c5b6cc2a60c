/**
 * One batch answered: the router once on all rows, each activated member once on the rows that activate it, and the join. A
 * member that fails or is too slow is left out; the others' weights are renormalised, and the answer says so.
 * n rows, m members, C classes.
 */
import { weightsOf } from "../../runtime/index.ts";
import type { MemberHealth } from "./member-health.ts";
import type { ModelParts, OpenBatch, Pixels } from "./parts.ts";

/** What one image asks for. */
export interface RowRequest {
  /** Activated members; the model's own number when left out. */
  readonly k?: number | undefined;
  /** Each activated member's own opinion is wanted. */
  readonly explain?: boolean | undefined;
}

export interface RowAnswer {
  /** [C]. */
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
    const chosen = requests.map(({ k }, row) => new RoutedRow(parts, batch, row, k));
    const resting = health.resting();
    // Where all rest, one has to be tried.
    let failed = new Set(resting.length < parts.info.rule.members.length ? resting : []);
    // A row whose members all fail is routed once more through the others, until there are none.
    for (let open = chosen; open.length > 0; ) {
      failed = await runMembers(parts, batch, open, failed, health);
      for (const row of open) row.settle(failed);
      open = open.filter((row) => row.isOpen);
    }
    const member = lap();
    const rows = await joined(parts, batch, chosen, requests);
    return { rows, milliseconds: { route, member, join: lap() }, resident: parts.resident() };
  } finally {
    batch.dispose();
  }
}

/** Runs each member on the rows that activate it, and says which failed. */
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
  }
  return failed;
}

/** A row with the members that it activates. */
class RoutedRow {
  readonly row: number;
  readonly scores: Float32Array | undefined;
  weights: Float32Array;
  /** Members that were left out. */
  readonly without: number[] = [];
  isOpen = true;
  readonly #k: number;
  readonly #parts: ModelParts;

  constructor(parts: ModelParts, batch: OpenBatch, row: number, k: number | undefined) {
    const { rule, members, largestK = 1 } = parts.info;
    const m = members.length;
    this.row = row;
    this.scores = batch.scores?.slice(row * m, (row + 1) * m);
    this.#k = Math.min(k ?? rule.k, largestK);
    this.#parts = parts;
    this.weights = weightsOf({ ...rule, k: this.#k }, this.scores);
  }

  activates(member: number): boolean {
    return this.isOpen && (this.weights[member] ?? 0) > 0;
  }

  /** Leaves out what failed; where nothing is left, the next members are activated, and the row stays open. */
  settle(failed: ReadonlySet<number>): void {
    const { rule } = this.#parts.info;
    const lost = [...failed].filter((member) => (this.weights[member] ?? 0) > 0);
    this.without.push(...lost);
    for (const member of lost) this.weights[member] = 0;
    const sum = this.weights.reduce((a, b) => a + b, 0);
    this.isOpen = false;
    if (sum > 0) {
      this.weights = this.weights.map((weight) => weight / sum);
      return;
    }
    const members = rule.members.filter(({ index }) => !failed.has(index));
    if (members.length === 0) return;
    this.weights = weightsOf({ ...rule, members, k: Math.min(this.#k, members.length) }, this.scores);
    this.isOpen = true;
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

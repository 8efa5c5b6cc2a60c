/**
 * Workers: any number of processes, on any number of machines, that compute the groups of one experiment. They know of
 * each other by files in a folder beside the cells, which all of them see:
 *
 *     workers/EXPERIMENT/GROUP.claim     a lock: who computes the group
 *     workers/EXPERIMENT/GROUP.spent     cells that were computed, and the seconds that they took
 *     workers/EXPERIMENT/GROUP.failed    the error that ended it last
 *
 * Done is a group whose cells are all there.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import {
  counted,
  type LockOwner,
  ownerOf,
  proposeName,
  type SeenBeats,
  sweepTemporaries,
  tryLock,
  writeFileAtomic,
} from "../io/index.ts";
import { setNumThreads } from "../torch/index.ts";
import { type CellGroup, type Experiment, type ExperimentRequest, subjectOf } from "./experiment.ts";

/** Seconds of silence after which a worker counts as dead. */
const usualExpiry = 180;
const longestPauseMs = 2000;

const spentSchema = z.object({ cells: z.int(), seconds: z.number() });
const failedSchema = z.object({ error: z.string(), host: z.string(), pid: z.int(), time: z.string() });
type Failed = z.infer<typeof failedSchema>;

/** A group with its files. */
class Task {
  readonly group: CellGroup;
  readonly #request: ExperimentRequest;
  readonly #base: string;

  constructor(group: CellGroup, request: ExperimentRequest, folder: string) {
    this.group = group;
    this.#request = request;
    // Names of groups may be alike in their first letters.
    const hash = createHash("sha256").update(group.name).digest("hex").slice(0, 8);
    this.#base = join(folder, `${proposeName(group.name).slice(0, 60)}-${hash}`);
  }

  get claim(): string {
    return `${this.#base}.claim`;
  }

  /** Cells of the group that are there, and all of them that are known of now. */
  async count(): Promise<{ done: number; all: number }> {
    const cells = await this.group.cells();
    return { done: cells.filter((cell) => this.#request.cells.has(...cell)).length, all: cells.length };
  }

  async isDone(): Promise<boolean> {
    const { done, all } = await this.count();
    return done === all;
  }

  spent(): z.infer<typeof spentSchema> {
    return noteOf(`${this.#base}.spent`, spentSchema) ?? { cells: 0, seconds: 0 };
  }

  spend(seconds: number): void {
    const before = this.spent();
    const spent = { cells: before.cells + 1, seconds: before.seconds + seconds };
    writeFileAtomic(`${this.#base}.spent`, JSON.stringify(spent), { scratch: true });
  }

  failed(): Failed | undefined {
    return noteOf(`${this.#base}.failed`, failedSchema);
  }

  fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    const failed: Failed = { error: text, host: hostname(), pid: process.pid, time: new Date().toISOString() };
    writeFileAtomic(`${this.#base}.failed`, JSON.stringify(failed));
  }

  succeed(): void {
    rmSync(`${this.#base}.failed`, { force: true });
  }

  forget(): void {
    this.succeed();
    rmSync(`${this.#base}.spent`, { force: true });
  }
}

/** A note; undefined when there is none, or none any more. */
function noteOf<S extends z.ZodType>(path: string, schema: S): z.output<S> | undefined {
  try {
    return schema.safeParse(JSON.parse(readFileSync(path, "utf8"))).data;
  } catch {
    return undefined;
  }
}

/** Folder of the notes of an experiment's workers, on one hub and data. */
function workFolder({ name }: Experiment, request: ExperimentRequest): string {
  const kind = `${name}${request.frozen ? "-frozen" : ""}${subjectOf(request)}`;
  return join(dirname(request.cells.folder), "workers", proposeName(kind));
}

function tasksOf(experiment: Experiment, request: ExperimentRequest): Task[] {
  const folder = workFolder(experiment, request);
  mkdirSync(folder, { recursive: true });
  return experiment.groups(request).map((group) => new Task(group, request, folder));
}

/**
 * Computes groups until all are done, or have failed here: first those that nobody has tried. A group that others compute
 * is waited for, since they may die. Operators have one thread: small members gain little by more, and several processes
 * share the machine better.
 * @param expiry seconds of silence after which others take this process for dead
 * @throws the first error of a group, after all others
 */
export async function work(experiment: Experiment, request: ExperimentRequest, expiry = usualExpiry): Promise<void> {
  setNumThreads(1);
  const tasks = tasksOf(experiment, request);
  sweepTemporaries(workFolder(experiment, request));
  const silenceMs = 1000 * expiry;
  const seen: SeenBeats = new Map();
  const errors = new Map<Task, unknown>();
  const said = new Set<string>();
  let hasWaited = false;
  for (;;) {
    const open = (await unfinished(tasks)).filter((task) => !errors.has(task));
    if (open.length === 0) break;
    let isIdle = true;
    for (const task of [...open].sort((a, b) => Number(a.failed() !== undefined) - Number(b.failed() !== undefined))) {
      using claim = tryLock(task.claim, `hub-pathway experiment ${experiment.name}`, { silenceMs, seen });
      if (!claim || (await task.isDone())) continue;
      isIdle = false;
      request.say(`${experiment.name}: ${task.group.name} (${tasks.indexOf(task) + 1} of ${tasks.length})`);
      try {
        await compute(task, request);
      } catch (error) {
        task.fail(error);
        errors.set(task, error);
        // Such as images that are missing, which ends many groups alike.
        const reason = task.failed()?.error ?? "";
        request.say(`${task.group.name} failed${said.has(reason) ? ", for the same reason" : `: ${reason}`}`);
        said.add(reason);
      }
    }
    if (!isIdle) continue;
    if (!hasWaited) request.say(`${counted(open.length, "group")} left, which others compute`);
    hasWaited = true;
    // Often enough to see that a worker gives signs of life.
    await setTimeout(Math.min(silenceMs / 10, longestPauseMs));
  }
  const [error] = errors.values();
  if (error !== undefined) throw error;
}

async function compute(task: Task, { cells }: ExperimentRequest): Promise<void> {
  let began = performance.now();
  cells.onAdded = () => {
    const now = performance.now();
    task.spend((now - began) / 1000);
    began = now;
  };
  try {
    await task.group.run();
    task.succeed();
  } finally {
    cells.onAdded = () => {};
  }
}

async function unfinished(tasks: readonly Task[]): Promise<Task[]> {
  const done = await Promise.all(tasks.map((task) => task.isDone()));
  return tasks.filter((_, i) => !done[i]);
}

/** Removes the notes on these groups once all are done; others, of further seeds, may have workers. */
export async function cleanWork(experiment: Experiment, request: ExperimentRequest): Promise<void> {
  const tasks = tasksOf(experiment, request);
  if ((await unfinished(tasks)).length > 0) return;
  const folder = workFolder(experiment, request);
  sweepTemporaries(folder);
  for (const task of tasks) {
    // A claim that is still held is a worker's, for more of the group's cells.
    using claim = tryLock(task.claim, `hub-pathway experiment ${experiment.name}`);
    if (claim) task.forget();
  }
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true, force: true });
}

/** State of a group. */
export interface GroupStatus {
  name: string;
  /** A worker that has "died" will have a successor; nobody has taken what is "open". */
  state: "done" | "running" | "died" | "failed" | "open";
  /** Finished cells, and all that are known of. */
  done: number;
  cells: number;
  by?: Pick<LockOwner, "host" | "pid" | "since">;
  error?: string;
}

export interface WorkStatus {
  groups: GroupStatus[];
  /** Workers that compute something. */
  workers: number;
  /** What is missing, in seconds, if all cells take as long as those that workers finished; null while none did. */
  secondsLeft: number | null;
}

/** What has been done of an experiment, by whom, and how long the rest will take. */
export async function workStatus(experiment: Experiment, request: ExperimentRequest): Promise<WorkStatus> {
  const tasks = tasksOf(experiment, request);
  const groups = await Promise.all(tasks.map((task) => statusOf(task)));
  const workers = groups.filter(({ state }) => state === "running").length;
  const spent = tasks.map((task) => task.spent());
  const cells = spent.reduce((sum, one) => sum + one.cells, 0);
  const seconds = spent.reduce((sum, one) => sum + one.seconds, 0);
  const missing = groups.reduce((sum, group) => sum + group.cells - group.done, 0);
  const left = cells === 0 || workers === 0 ? null : (missing * seconds) / cells / workers;
  return { groups, workers, secondsLeft: missing === 0 ? 0 : left };
}

async function statusOf(task: Task): Promise<GroupStatus> {
  const { done, all: cells } = await task.count();
  const about = { name: task.group.name, done, cells };
  if (done === cells) return { ...about, state: "done" };
  const owner = ownerOf(task.claim);
  const { host = "", pid = 0, since = "", isAlive = false } = owner ?? {};
  if (owner) return { ...about, state: isAlive ? "running" : "died", by: { host, pid, since } };
  const failed = task.failed();
  if (!failed) return { ...about, state: "open" };
  return { ...about, state: "failed", by: { ...failed, since: failed.time }, error: failed.error };
}

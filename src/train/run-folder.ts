/**
 * The folder of a run: its settings, what it has become, and a lock that keeps other processes out. Runs on images:
 *
 *     run.json       the settings (run-config.ts)
 *     split.json     which images trained it, by content (run-split.ts)
 *     model/         what predicts (kept-model.ts)
 *     training/      state of the fits and decisions, to go on from; may be deleted
 *     events.jsonl, result.json, report.html, ledger.jsonl
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import {
  acquireLock,
  appendJsonLine,
  explainWrite,
  type Lock,
  readJsonFile,
  repairJsonLines,
  sweepTemporaries,
  writeFileAtomic,
} from "../io/index.ts";
import { UserError } from "../torch/index.ts";

const lockName = ".lock";
const versionSchema = z.looseObject({ version: z.number() });
const decisionSchema = z.object({ sha256: z.string(), value: z.unknown() });

/** A kind of run, by what lies in its folder. */
export interface RunKind<C> {
  /** The folder's content and its settings, for messages. */
  noun: string;
  what: string;
  /** File of the settings. */
  settings: string;
  schema: z.ZodType<C>;
  version: number;
  /** Oldest version that is read (default: `version`). */
  oldest?: number;
  /** Names of what a run writes before it is finished, apart from unfinished files and the lock. */
  own: RegExp;
  /** Folders below it in which files are written. */
  folders: readonly string[];
  /** A file that only a finished run has. */
  finished: string;
  /** Commands that begin a run and that go on with one, for messages. */
  begin: string;
  resume(path: string): string;
}

export class RunFolder<C> implements Disposable {
  readonly path: string;
  readonly #kind: RunKind<C>;
  #lock: Lock | undefined;
  /** The first folder that had to be made for this run, which goes again when the run does not begin. */
  #made: string | undefined;
  #isNew = false;

  constructor(path: string, kind: RunKind<C>) {
    this.path = path;
    this.#kind = kind;
  }

  /**
   * Makes the folder where there is none and locks it; dispose it. A new run that does not begin leaves nothing.
   * @throws UserError when it cannot be written, another process works there, it holds a run already (or none, to
   * resume), or files that are not a run
   */
  static take<C>(path: string, kind: RunKind<C>, resume: boolean): RunFolder<C> {
    const run = new RunFolder(path, kind);
    if (resume && !run.exists) throw new UserError(`${path} holds no run to resume: leave out --resume to start one`);
    try {
      run.#made = fs.mkdirSync(path, { recursive: true });
    } catch (error) {
      throw explainWrite(error, path);
    }
    try {
      run.#lock = acquireLock(join(path, lockName), kind.begin);
      for (const part of ["", ...kind.folders]) sweepTemporaries(join(path, part));
      if (!resume) run.#requireRoom();
      return run;
    } catch (error) {
      run[Symbol.dispose]();
      throw error;
    }
  }

  #requireRoom(): void {
    const { path } = this;
    if (isWholeJson(this.#settings)) {
      throw new UserError(
        `${path} already holds a run: continue it with \`${this.#kind.resume(path)}\`, or give another --out folder`,
      );
    }
    if (fs.readdirSync(path).some((name) => !this.#isOwn(name) && !name.startsWith(lockName)))
      throw new UserError(`${path} is not empty and holds no run: give another --out folder`);
    this.#isNew = true;
    this.#clear();
  }

  /** True when the folder has the settings of such a run. */
  get exists(): boolean {
    return fs.existsSync(this.#settings);
  }

  /** @throws UserError when the folder holds no run, or one of another version. */
  config(): C {
    const { path } = this;
    const { noun, what, settings, schema, version: own, oldest = own, begin } = this.#kind;
    if (!this.exists)
      throw new UserError(`${path} holds no ${noun} (no ${settings}): train one with \`${begin} --out ${path}\``);
    const { version } = readJsonFile(this.#settings, versionSchema, what);
    if (version >= oldest && version <= own) return readJsonFile(this.#settings, schema, what);
    throw new UserError(
      version < own
        ? `${path} was trained by an older version of this program, with version ${version} of such folders: train it again`
        : `${this.#settings} has run version ${version}, newer than this program, which reads ${own}`,
    );
  }

  /** True when the run came to its end. */
  get isFinished(): boolean {
    return fs.existsSync(this.file(this.#kind.finished));
  }

  /** @throws UserError for a run that did not come to its end */
  requireFinished(): void {
    if (this.isFinished) return;
    throw new UserError(`${this.path} is not finished: continue it with \`${this.#kind.resume(this.path)}\``);
  }

  /** @throws UserError when a finished run has lost what it could go on from */
  requireTraining(): void {
    if (!this.isFinished || fs.existsSync(this.file("training"))) return;
    throw new UserError(
      `${this.file("training")} is gone, which the run would go on from: it still predicts; train a new one for more`,
    );
  }

  saveConfig(config: C): void {
    writeFileAtomic(this.#settings, `${JSON.stringify(config, null, 2)}\n`);
  }

  /** From now on the folder stays, whatever happens. */
  begin(): void {
    this.#isNew = false;
    this.#made = undefined;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Common beginning of a fit's files: see checkpoint.ts. */
  checkpoint(fit: string): string {
    return this.file(join("training", fit));
  }

  /** A value computed once and then read from the folder. */
  async decide<T>(name: string, compute: () => Promise<T>): Promise<T> {
    const path = this.file(join("training", `decision-${name}.json`));
    if (fs.existsSync(path)) {
      const { sha256, value } = readJsonFile(path, decisionSchema, "a decision of a run");
      if (sha256 === fingerprint(value)) return value as T;
      throw new UserError(`${path} is damaged: delete it, and the decision is made again`);
    }
    const value = await compute();
    this.begin();
    writeFileAtomic(path, `${JSON.stringify({ sha256: fingerprint(value), value })}\n`);
    return value;
  }

  /** Removal of decisions that were made on validation data of a shorter training. */
  forgetDecisions(): void {
    for (const name of fs.readdirSync(this.file("training"))) {
      if (name.startsWith("decision-")) fs.rmSync(this.file(join("training", name)));
    }
  }

  saveResult(value: unknown): void {
    writeFileAtomic(this.file("result.json"), `${JSON.stringify(value, null, 2)}\n`);
  }

  /** Notes that the test split was read. @throws where the folder cannot be written */
  recordTestReading(entry: Record<string, unknown>): void {
    const path = this.file("ledger.jsonl");
    repairJsonLines(path);
    appendJsonLine(path, entry);
  }

  /** Gives the folder free; one that has not begun goes. */
  [Symbol.dispose](): void {
    if (this.#isNew) this.#clear();
    this.#lock?.release();
    this.#lock = undefined;
    if (this.#made !== undefined) removeEmpty(resolve(this.path), resolve(this.#made));
  }

  get #settings(): string {
    return this.file(this.#kind.settings);
  }

  #isOwn(name: string): boolean {
    return name === this.#kind.settings || this.#kind.own.test(name) || /^\..+\.tmp$/.test(name);
  }

  #clear(): void {
    for (const name of fs.readdirSync(this.path)) {
      if (this.#isOwn(name)) fs.rmSync(this.file(name), { recursive: true, force: true });
    }
  }
}

function isWholeJson(path: string): boolean {
  try {
    JSON.parse(fs.readFileSync(path, "utf8"));
    return true;
  } catch (error) {
    return !(error instanceof SyntaxError) && (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

/** Removes a folder, and those around it up to the topmost that was made for it, as far as they are empty. */
function removeEmpty(path: string, topmost: string): void {
  for (let folder = path; folder.length >= topmost.length; folder = dirname(folder)) {
    try {
      fs.rmdirSync(folder);
    } catch {
      return;
    }
  }
}

/** A short hash of anything that JSON can hold. */
export function fingerprint(value: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(value) ?? "")
    .digest("hex")
    .slice(0, 16);
}

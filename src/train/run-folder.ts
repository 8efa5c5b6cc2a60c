/**
 * A run's folder: what the run is, what it has become, and what was read of it.
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
import { type RunConfig, runSchema, runVersion } from "./run-config.ts";

const lockName = ".lock";
/** Names of what a run writes before it is finished: its files, unfinished files, its lock. */
const ownNames = /^(run\.json|split\.json|events\.jsonl|training|\..+\.tmp|\.lock.*)$/;

const versionSchema = z.looseObject({ version: z.number() });
const decisionSchema = z.object({ sha256: z.string(), value: z.unknown() });

export class RunFolder implements Disposable {
  readonly path: string;
  #lock: Lock | undefined;
  /** The first folder that had to be made for this run, which goes again when the run does not begin. */
  #made: string | undefined;
  #isNew = false;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the folder where there is none and locks it; dispose it. A new run that does not begin leaves nothing.
   * @param what the work, for the message to another process
   * @throws UserError when it cannot be written, another process works there, it holds a run already (or none, to
   * resume), or files that are not a run
   */
  static take(path: string, what: string, resume: boolean): RunFolder {
    const run = new RunFolder(path);
    const isRun = fs.existsSync(run.file("run.json"));
    if (resume && !isRun) throw new UserError(`${path} holds no run to resume: leave out --resume to start one`);
    try {
      run.#made = fs.mkdirSync(path, { recursive: true });
    } catch (error) {
      throw explainWrite(error, path);
    }
    try {
      run.#lock = acquireLock(join(path, lockName), what);
      for (const part of ["", "training", "model"]) sweepTemporaries(join(path, part));
      if (!resume) run.#requireRoom();
      return run;
    } catch (error) {
      run[Symbol.dispose]();
      throw error;
    }
  }

  #requireRoom(): void {
    const { path } = this;
    if (isWholeJson(this.file("run.json"))) {
      throw new UserError(
        `${path} already holds a run: continue it with \`hub-pathway train --resume ${path}\`, or give another --out folder`,
      );
    }
    const foreign = fs.readdirSync(path).filter((name) => !ownNames.test(name));
    if (foreign.length > 0) throw new UserError(`${path} is not empty and holds no run: give another --out folder`);
    this.#isNew = true;
    this.#clear();
  }

  /** @throws UserError when the folder holds no run, or one of another version. */
  config(): RunConfig {
    const path = this.file("run.json");
    if (!fs.existsSync(path))
      throw new UserError(`${this.path} holds no run (no run.json): train one with --out ${this.path}`);
    const what = "the settings of a run";
    const { version } = readJsonFile(path, versionSchema, what);
    if (version < runVersion) {
      throw new UserError(
        `${this.path} was trained by an older version of this program, which kept no model that stands alone: train it again`,
      );
    }
    if (version > runVersion) {
      throw new UserError(`${path} has run version ${version}, newer than this program, which reads ${runVersion}`);
    }
    return readJsonFile(path, runSchema, what);
  }

  /** Whether what predicts is complete. */
  get isFinished(): boolean {
    return fs.existsSync(this.file(join("model", "model.json")));
  }

  /** @throws UserError when a finished run has lost what it could go on from */
  requireTraining(): void {
    if (!this.isFinished || fs.existsSync(this.file("training"))) return;
    throw new UserError(
      `${this.file("training")} is gone, which the run would go on from: it still predicts; train a new one for more`,
    );
  }

  saveConfig(config: RunConfig): void {
    writeFileAtomic(this.file("run.json"), `${JSON.stringify(config, null, 2)}\n`);
    fs.mkdirSync(this.file("training"), { recursive: true });
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

  /** What was decided on validation data of a shorter training. */
  forgetDecisions(): void {
    for (const name of fs.readdirSync(this.file("training"))) {
      if (name.startsWith("decision-")) fs.rmSync(this.file(join("training", name)));
    }
  }

  saveResult(name: string, value: unknown): void {
    writeFileAtomic(this.file(name), `${JSON.stringify(value, null, 2)}\n`);
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

  #clear(): void {
    for (const name of fs.readdirSync(this.path)) {
      if (!name.startsWith(lockName) && ownNames.test(name))
        fs.rmSync(this.file(name), { recursive: true, force: true });
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

/** A run's folder: what it is, its events, checkpoints, decisions, results, and the ledger of test readings. */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { TrainOptions } from "./options.ts";
import type { RankingPrior } from "./ranking.ts";

export const runVersion = 1;

/** All that is needed to continue, evaluate or apply a run. */
export interface RunConfig {
  version: number;
  method: string;
  choices: Record<string, unknown>;
  options: TrainOptions;
  hub: string;
  hubFingerprint: string;
  data: string;
  imageSize: number;
  split: Record<string, unknown>;
  splitHash: string;
  augment: string;
  classes: string[];
  /** Computed when the run began; uniform when left out. */
  prior?: RankingPrior | undefined;
}

export class RunFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * What the folder says of the run to resume; undefined where a new one is to start.
   * @throws UserError when there is none to resume, one already, or files that are not a run
   */
  static recorded(path: string, resume: boolean): RunConfig | undefined {
    const run = new RunFolder(path);
    if (existsSync(run.file("run.json"))) {
      if (resume) return run.config();
      throw new UserError(`${path} already holds a run: add --resume to continue it, or give another --out folder`);
    }
    if (resume) throw new UserError(`${path} holds no run to resume: leave out --resume to start one`);
    if (existsSync(path) && readdirSync(path).length > 0) {
      throw new UserError(`${path} is not empty and holds no run: give another --out folder`);
    }
    return undefined;
  }

  /**
   * Opens the folder of a new run, or of the same run again to resume it.
   * @throws UserError when it holds another run, or files that are not a run.
   */
  static create(path: string, config: RunConfig, resume: boolean): RunFolder {
    const run = new RunFolder(path);
    const before = RunFolder.recorded(path, resume);
    if (before) {
      const difference = firstDifference(before, config);
      if (!difference) return run;
      throw new UserError(`${path} holds another run (${difference} differs): give another --out folder`);
    }
    mkdirSync(path, { recursive: true });
    writeFileAtomic(run.file("run.json"), [`${JSON.stringify(config, null, 2)}\n`]);
    return run;
  }

  /** @throws UserError when the folder holds no run, or one of another version. */
  config(): RunConfig {
    const path = this.file("run.json");
    if (!existsSync(path))
      throw new UserError(`${this.path} holds no run (no run.json): train one with --out ${this.path}`);
    const config = JSON.parse(readFileSync(path, "utf8")) as RunConfig;
    if (config.version !== runVersion) {
      throw new UserError(`${path} has run version ${config.version}; this program reads ${runVersion}`);
    }
    return config;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Common beginning of a fit's files: see checkpoint.ts. */
  checkpoint(fit: string): string {
    return this.file(fit);
  }

  /** A value computed once and then read from the folder. */
  async decide<T>(name: string, compute: () => Promise<T>): Promise<T> {
    const path = this.file(`decision-${name}.json`);
    if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as T;
    const value = await compute();
    writeFileAtomic(path, [`${JSON.stringify(value)}\n`]);
    return value;
  }

  saveResult(name: string, value: unknown): void {
    writeFileAtomic(this.file(name), [`${JSON.stringify(value, null, 2)}\n`]);
  }

  /** Notes that the test split was read. */
  recordTestReading(entry: Record<string, unknown>): void {
    appendFileSync(this.file("ledger.jsonl"), `${JSON.stringify(entry)}\n`);
  }
}

/** A short hash of anything that JSON can hold. */
export function fingerprint(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

function firstDifference(before: RunConfig, after: RunConfig): string | undefined {
  const keys = Object.keys(after) as (keyof RunConfig)[];
  return keys.find((key) => key !== "hub" && JSON.stringify(before[key]) !== JSON.stringify(after[key]));
}

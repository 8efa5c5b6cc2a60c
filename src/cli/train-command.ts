/** hub-pathway train: one method on one data set. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { augmentations } from "../data/index.ts";
import { findHub, readManifest } from "../hub/index.ts";
import { writeFileAtomic } from "../io/index.ts";
import { findMethod } from "../methods/index.ts";
import { amount, duration, percent, runReport } from "../report/index.ts";
import { ConfigError, findDevice, setNumThreads } from "../torch/index.ts";
import { type DataRequest, defaultTrainOptions, Interrupted, trainRun } from "../train/index.ts";
import { defaultViews } from "./commands/train.ts";
import type { Output } from "./context.ts";
import { type DataFlags, dataRequest, requireCounts } from "./data-flags.ts";
import { number } from "./flags.ts";
import { trainingProgress } from "./progress.ts";

export interface TrainFlags extends DataFlags {
  hub: string;
  out: string;
  method: string;
  resume?: boolean;
  member?: string;
  choice?: Record<string, unknown>;
  k?: number;
  aggregation?: string;
  tau?: string;
  noise?: string;
  exploration?: string;
  explorationWeight?: number;
  explorationFade?: string;
  prior?: string;
  exploitationWeight?: number;
  beta?: number;
  pathwayWarmup?: number;
  epochs: number;
  iterations?: number;
  batchSize: number;
  lr: number;
  weightDecay: number;
  optimizer: "adamw" | "sgd";
  labelSmoothing: number;
  precision: "float32" | "bfloat16";
  batchNorm: "batch" | "frozen" | "recalibrated";
  freezeMembers?: boolean;
  views?: number;
  augment: DataRequest["augment"];
  threads?: number;
  device: string;
  hubMemory?: number;
  allowedMembers?: number;
  trust?: boolean;
}

export async function train(flags: TrainFlags, output: Output): Promise<void> {
  if (flags.threads !== undefined) setNumThreads(flags.threads);
  const { epochs, batchSize, imageSize, augment } = flags;
  const device = findDevice(flags.device);
  requireCounts({ epochs, iterations: flags.iterations, batchSize, imageSize, views: flags.views });
  const abort = new AbortController();
  const stop = () => abort.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const progress = trainingProgress(memberNames(flags.hub));
  try {
    const outcome = await trainRun({
      method: findMethod(flags.method),
      choices: choices(flags),
      hub: flags.hub,
      data: dataRequest(flags, flags.hub, { augment, batchSize }),
      options: trainOptions(flags),
      out: flags.out,
      resume: flags.resume ?? false,
      emit: progress.emit,
      signal: abort.signal,
      hubMemory: flags.hubMemory,
      trust: flags.trust,
      device,
    });
    progress.stop();
    const title = `${flags.method} on ${outcome.data.name}`;
    const { folder, data, predictor, summary, validation: evaluation } = outcome;
    const { html } = await runReport({
      title,
      summary,
      evaluation,
      data,
      memberNames: predictor.memberNames,
      eventsPath: folder.file("events.jsonl"),
    });
    writeFileAtomic(folder.file("report.html"), [html]);
    if (data.skipped > 0) output.warn(`${data.skipped} images could not be read and were left out`);
    output.say(
      `validation accuracy ${percent(summary.accuracy)}, ${amount(outcome.trainingFlops)}FLOPs of training in ${duration(outcome.seconds)}`,
    );
    output.say(`report: ${folder.file("report.html")}`);
    output.say(
      `next: hub-pathway ${data.counts.test > 0 ? `eval ${flags.out} --split test` : `predict ${flags.out} IMAGES`}`,
    );
    output.result({
      ...summary,
      trainingFlops: outcome.trainingFlops,
      trainingSeconds: outcome.seconds,
      out: flags.out,
      report: folder.file("report.html"),
    });
    predictor.dispose();
    data.dispose();
    outcome.hub.residency?.dispose();
  } catch (error) {
    progress.stop();
    if (!(error instanceof Interrupted)) throw error;
    const saved = existsSync(join(flags.out, "run.json"));
    output.warn(
      saved
        ? "interrupted; everything is saved. Go on with the same command and --resume"
        : "interrupted before the run began; nothing was written",
    );
    output.result({ interrupted: true, out: flags.out });
    process.exitCode = 130;
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

function memberNames(hub: string): string[] {
  try {
    return readManifest(findHub(hub)).members.map((member) => member.name);
  } catch {
    return []; // trainRun reports what is wrong with the hub
  }
}

function choices(flags: TrainFlags): Record<string, unknown> {
  const tau = flags.tau === undefined || flags.tau === "equal" ? flags.tau : number(flags.tau);
  const fade =
    flags.explorationFade === undefined || flags.explorationFade === "constant"
      ? flags.explorationFade
      : number(flags.explorationFade);
  const all = {
    member: flags.member,
    k: flags.k,
    aggregation: flags.aggregation,
    tau,
    noise: flags.noise,
    exploration: flags.exploration,
    explorationWeight: flags.explorationWeight,
    explorationFade: fade,
    prior: flags.prior,
    exploitationWeight: flags.exploitationWeight,
    beta: flags.beta,
    warmup: flags.pathwayWarmup,
    allowedMembers: flags.allowedMembers,
  };
  const own = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  const twice = Object.keys(flags.choice ?? {}).filter((name) => Object.hasOwn(own, name));
  if (twice.length > 0) throw new ConfigError(`${twice.join(", ")}: given by --choice and by an option of its own`);
  const made: Record<string, unknown> = { ...own, ...flags.choice };
  if (Number(made["heldOut"] ?? 0) > 0 && augmentations[flags.augment].mixup > 0) {
    throw new ConfigError(
      "heldOut keeps images from the members, and mixup puts them into others: use another --augment",
    );
  }
  return made;
}

function trainOptions(flags: TrainFlags): typeof defaultTrainOptions {
  const { epochs, batchSize, lr, weightDecay, labelSmoothing, precision, batchNorm, seed } = flags;
  const given = { epochs, batchSize, lr, weightDecay, labelSmoothing, precision, batchNorm, seed };
  if (!flags.freezeMembers && flags.views !== undefined) {
    throw new ConfigError("--views counts the fixed views of frozen members: add --freeze-members");
  }
  const frozen = flags.freezeMembers ? { frozenViews: flags.views ?? defaultViews } : {};
  // What is not asked for is left out, so that runs from before these options had them stay the same runs.
  const chosen = {
    ...(flags.optimizer === "adamw" ? {} : { optimizer: flags.optimizer }),
    ...(flags.iterations === undefined ? {} : { iterations: flags.iterations }),
  };
  return { ...defaultTrainOptions, ...given, ...chosen, ...frozen };
}

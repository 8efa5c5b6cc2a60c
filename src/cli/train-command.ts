/** hub-pathway train: one method on one data set. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { augmentations } from "../data/index.ts";
import { readManifest } from "../hub/index.ts";
import { rankingScores } from "../hub/ranking/index.ts";
import { writeFileAtomic } from "../io/index.ts";
import { findMethod, methods } from "../methods/index.ts";
import { amount, duration, percent, runReport } from "../report/index.ts";
import { ConfigError, findDevice, setNumThreads } from "../torch/index.ts";
import { type DataRequest, defaultTrainOptions, Interrupted, summarise, trainRun } from "../train/index.ts";
import type { Output } from "./context.ts";
import { addDataOptions, type DataFlags, dataRequest, requireCounts } from "./data-flags.ts";
import { bytes, choice, choiceHelp, deviceHelp, hubMemoryHelp, number, trustHelp } from "./flags.ts";
import { trainingProgress } from "./progress.ts";

interface TrainFlags extends DataFlags {
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

/** Fixed views of each image with frozen members. */
const defaultViews = 4;

export function addTrainCommand(program: Command, output: () => Output): void {
  const names = methods.map((method) => `  ${method.name.padEnd(16)} ${method.summary}`).join("\n");
  addDataOptions(program.command("train").description("train a method on labelled images"))
    .requiredOption("--out <dir>", "folder of the run, made anew")
    .option("--hub <dir>", "folder of the hub", "hubs/starter")
    .option("--method <name>", "what to train", "hub-pathway")
    .option("--resume", "continue the run in --out")
    .option("--member <name>", "the member for a method that trains one (default: the method's choice)")
    .option("--choice <name=value>", choiceHelp, choice)
    .option("--k <n>", "activated models for each input", number)
    .addOption(
      new Option("--aggregation <name>", "how outputs are joined").choices([
        "logits",
        "probabilities",
        "features",
        "concat",
      ]),
    )
    .option("--tau <t|equal>", "temperature of the activated models' weights")
    .addOption(new Option("--noise <kind>", "noise on the scores").choices(["scheduled", "learned", "none"]))
    .addOption(new Option("--exploration <loss>", "exploration loss").choices(["kl", "importance-load", "switch"]))
    .option("--exploration-weight <w>", "its weight at the start", number)
    .option("--exploration-fade <part|constant>", "part of training over which it falls to zero")
    .addOption(
      new Option(
        "--prior <name>",
        "use of the members that the loss kl leads to, by their ranking (default: uniform)",
      ).choices(["uniform", ...rankingScores.map((score) => score.name)]),
    )
    .option("--exploitation-weight <w>", "weight of each model's own task loss", number)
    .option(
      "--beta <b>",
      "part of the aggregate's loss that reaches the members, 0 to 1 (default 0: each learns from its own loss alone)",
      number,
    )
    .option("--pathway-warmup <part>", "part of training with random routes", number)
    .option("--epochs <n>", "passes through the training images", number, defaultTrainOptions.epochs)
    .option("--iterations <n>", "steps in all, instead of --epochs; the last epoch is cut short", number)
    .option("--batch-size <n>", "images in a step", number, defaultTrainOptions.batchSize)
    .option("--lr <rate>", "learning rate of pre-trained weights", number, defaultTrainOptions.lr)
    .option("--weight-decay <w>", "weight decay", number, defaultTrainOptions.weightDecay)
    .addOption(
      new Option("--optimizer <name>", "sgd has Nesterov's momentum of 0.9, and wants a higher --lr")
        .choices(["adamw", "sgd"])
        .default("adamw"),
    )
    .option("--label-smoothing <s>", "label smoothing, 0 to 1", number, defaultTrainOptions.labelSmoothing)
    .addOption(
      new Option("--precision <type>", "of the members' products")
        .choices(["float32", "bfloat16"])
        .default(defaultTrainOptions.precision),
    )
    .addOption(
      new Option("--batch-norm <policy>", "BatchNorm of members")
        .choices(["batch", "frozen", "recalibrated"])
        .default(defaultTrainOptions.batchNorm),
    )
    .option("--freeze-members", "leave members as they are: their features are computed once, the rest trains fast")
    .option("--views <n>", `fixed views of each image for --freeze-members (default: ${defaultViews})`, number)
    .addOption(new Option("--augment <recipe>", "augmentation").choices(Object.keys(augmentations)).default("standard"))
    .option("--seed <n>", "moves split, new weights and order", number, 0)
    .option("--allowed-members <n>", "members that one training step may touch (default 8)", number)
    .option("--hub-memory <amount>", hubMemoryHelp, bytes)
    .option("--trust", trustHelp)
    .option("--threads <n>", "threads inside one operator", number)
    .option("--device <name>", deviceHelp, "cpu")
    .addHelpText(
      "after",
      `\nMethods:\n${names}\n\nExample:\n  hub-pathway train --data ./photos --hub hubs/starter --k 2 --epochs 16 --out runs/photos`,
    )
    .action(async (flags: TrainFlags, command: Command) => {
      if (flags.iterations !== undefined && command.getOptionValueSource("epochs") !== "default") {
        throw new ConfigError("--iterations and --epochs both say how long to train: leave one of them out");
      }
      await train(flags, output());
    });
}

async function train(flags: TrainFlags, output: Output): Promise<void> {
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
    const summary = summarise("validation", outcome.validation, outcome.predictor);
    const title = `${flags.method} on ${outcome.data.name}`;
    const { folder, data, predictor, validation: evaluation } = outcome;
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
    output.say(`next: hub-pathway eval ${flags.out} --split test`);
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
    return readManifest(hub).members.map((member) => member.name);
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

/** hub-pathway train: one method on one data set. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { augmentations } from "../data/index.ts";
import { readManifest } from "../hub/index.ts";
import { writeFileAtomic } from "../io/index.ts";
import { findMethod, methods } from "../methods/index.ts";
import { amount, duration, percent, runReport } from "../report/index.ts";
import { ConfigError, setNumThreads } from "../torch/index.ts";
import { type DataRequest, defaultTrainOptions, Interrupted, summarise, trainRun } from "../train/index.ts";
import type { Output } from "./context.ts";
import { countProgress, trainingProgress } from "./progress.ts";

interface TrainFlags {
  hub: string;
  data: string;
  out: string;
  method: string;
  resume?: boolean;
  member?: string;
  k?: number;
  aggregation?: string;
  tau?: string;
  noise?: string;
  exploration?: string;
  explorationWeight?: number;
  explorationFade?: string;
  exploitationWeight?: number;
  beta?: number;
  pathwayWarmup?: number;
  epochs: number;
  batchSize: number;
  lr: number;
  weightDecay: number;
  labelSmoothing: number;
  precision: "float32" | "bfloat16";
  batchNorm: "batch" | "frozen" | "recalibrated";
  imageSize: number;
  augment: DataRequest["augment"];
  trainPerClass?: number;
  validationFraction: number;
  testFraction: number;
  skipBad?: boolean;
  seed: number;
  threads?: number;
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("not a number");
  return value;
}

export function addTrainCommand(program: Command, output: () => Output): void {
  const names = methods.map((method) => `  ${method.name.padEnd(15)} ${method.summary}`).join("\n");
  program
    .command("train")
    .description("train a method on labelled images")
    .requiredOption("--data <dir|name>", "folder with a sub-folder for each class, or a known data set (data ls)")
    .requiredOption("--out <dir>", "folder of the run, made anew")
    .option("--hub <dir>", "folder of the hub", "hubs/starter")
    .option("--method <name>", "what to train", "hub-pathway")
    .option("--resume", "continue the run in --out")
    .option("--member <name>", "the member for fine-tune (default: all, best by validation)")
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
    .option("--exploitation-weight <w>", "weight of each model's own task loss", number)
    .option("--beta <b>", "part of the aggregate's loss that reaches the members, 0 to 1", number)
    .option("--pathway-warmup <part>", "part of training with random routes", number)
    .option("--epochs <n>", "passes through the training images", number, defaultTrainOptions.epochs)
    .option("--batch-size <n>", "images in a step", number, defaultTrainOptions.batchSize)
    .option("--lr <rate>", "learning rate of pre-trained weights", number, defaultTrainOptions.lr)
    .option("--weight-decay <w>", "AdamW's weight decay", number, defaultTrainOptions.weightDecay)
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
    .option("--image-size <pixels>", "side of the images", number, 48)
    .addOption(new Option("--augment <recipe>", "augmentation").choices(Object.keys(augmentations)).default("standard"))
    .option("--train-per-class <n>", "use at most so many training images of a class", number)
    .option("--validation-fraction <part>", "of each class, for choosing", number, 0.2)
    .option("--test-fraction <part>", "of each class, for the final figure", number, 0.2)
    .option("--skip-bad", "leave unreadable images out and count them")
    .option("--seed <n>", "moves split, new weights and order", number, 0)
    .option("--threads <n>", "threads inside one operator", number)
    .addHelpText(
      "after",
      `\nMethods:\n${names}\n\nExample:\n  hub-pathway train --data ./photos --hub hubs/starter --k 2 --epochs 16 --out runs/photos`,
    )
    .action(async (flags: TrainFlags) => train(flags, output()));
}

async function train(flags: TrainFlags, output: Output): Promise<void> {
  if (flags.threads !== undefined) setNumThreads(flags.threads);
  for (const name of ["epochs", "batchSize", "imageSize"] as const) {
    if (!Number.isInteger(flags[name]) || flags[name] < 1)
      throw new ConfigError(`--${kebab(name)} is ${flags[name]}: it must be a whole number of at least 1`);
  }
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
      data: dataRequest(flags),
      options: trainOptions(flags),
      out: flags.out,
      resume: flags.resume ?? false,
      emit: progress.emit,
      signal: abort.signal,
    });
    progress.stop();
    const summary = summarise("validation", outcome.validation, outcome.predictor);
    const title = `${flags.method} on ${outcome.data.name}`;
    const { folder, data, predictor, validation: evaluation } = outcome;
    const page = await runReport({
      title,
      summary,
      evaluation,
      data,
      memberNames: predictor.memberNames,
      eventsPath: folder.file("events.jsonl"),
    });
    writeFileAtomic(folder.file("report.html"), [page]);
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
  } catch (error) {
    progress.stop();
    if (!(error instanceof Interrupted)) throw error;
    output.warn(`interrupted; everything is saved. Go on with the same command and --resume`);
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
    exploitationWeight: flags.exploitationWeight,
    beta: flags.beta,
    warmup: flags.pathwayWarmup,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function dataRequest(flags: TrainFlags): DataRequest {
  const { validationFraction, testFraction, trainPerClass, imageSize, batchSize, seed, augment } = flags;
  return {
    source: flags.data,
    imageSize,
    split: { validationFraction, testFraction, trainPerClass },
    augment,
    batchSize,
    seed,
    skipBad: flags.skipBad ?? false,
    onProgress: countProgress("decoding"),
  };
}

function trainOptions(flags: TrainFlags): typeof defaultTrainOptions {
  const { epochs, batchSize, lr, weightDecay, labelSmoothing, precision, batchNorm, seed } = flags;
  return { ...defaultTrainOptions, epochs, batchSize, lr, weightDecay, labelSmoothing, precision, batchNorm, seed };
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Options of `hub-pathway train`. */
import { type Command, Option } from "commander";
import type { AugmentName } from "../../data/index.ts";
import { starterHub } from "../../hub/find-hub.ts";
import { scoreNames } from "../../hub/ranking/score-names.ts";
import { methodSummaries } from "../../methods/catalog.ts";
import { ConfigError } from "../../torch/errors.ts";
import { defaultTrainOptions } from "../../train/options.ts";
import type { Output } from "../context.ts";
import { bytes, choice, choiceHelp, deviceHelp, hubMemoryHelp, number, trustHelp } from "../flags.ts";
import type { TrainFlags } from "../train-command.ts";
import { addDataOptions } from "./data-options.ts";

/** Fixed views of each image with frozen members. */
export const defaultViews = 4;

const augmentNames = Object.keys({
  none: 1,
  standard: 1,
  randaugment: 1,
  mixup: 1,
  crops: 1,
} satisfies Record<AugmentName, 1>);

export function addTrainCommand(program: Command, output: () => Output): void {
  const names = Object.entries(methodSummaries)
    .map(([name, summary]) => `  ${name.padEnd(16)} ${summary}`)
    .join("\n");
  addDataOptions(program.command("train").description("train a method on labelled images"))
    .requiredOption("--out <dir>", "folder of the run, made anew")
    .option("--hub <dir>", "folder of the hub", starterHub)
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
      ).choices(["uniform", ...scoreNames]),
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
    .addOption(new Option("--augment <recipe>", "augmentation").choices(augmentNames).default("standard"))
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
      await (await import("../train-command.ts")).train(flags, output());
    });
}

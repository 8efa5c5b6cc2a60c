/** Options of `hub-pathway train`. */
import type { Command } from "commander";
import { methodSummaries } from "../../methods/catalog.ts";
import type { Output } from "../context.ts";
import { count, rankTimeoutHelp } from "../flags.ts";
import { addSettings } from "../settings.ts";
import type { TrainFlags } from "../train-command.ts";
import { trainShape } from "../train-settings.ts";

const methods = Object.entries(methodSummaries)
  .map(([name, summary]) => `  ${name.padEnd(16)} ${summary}`)
  .join("\n");

const help = `
Methods (--method):
${methods}

Examples:
  hub-pathway train ./photos
  hub-pathway train ./photos --k 1 --epochs 20 --out runs/cheap
  hub-pathway train --config run.yaml
  hub-pathway train --resume runs/photos-1`;

export function addTrainCommand(program: Command, output: () => Output): void {
  const command = program
    .command("train [images]")
    .description("train a method on labelled images: a folder with a sub-folder for each class, or what --data takes");
  addSettings(command, trainShape)
    .optionsGroup("Run:")
    .option("--resume [run]", "go on with the run in a folder (or in --out); --epochs may be more than before")
    .option("--nproc <n>", "processes on this machine that share each batch", count)
    .option("--rank-timeout <seconds>", rankTimeoutHelp, count)
    .option(
      "--config <file>",
      "settings in YAML: the names of these options without dashes; the command line goes first",
    )
    .addHelpText("after", help)
    .action(async (images: string | undefined, flags: TrainFlags) =>
      (await import("../train-command.ts")).train(images, flags, output()),
    );
}

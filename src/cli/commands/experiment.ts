/** Options of `hub-pathway experiment`. */
import type { Command } from "commander";
import { experiments, missingHubs } from "../../experiments/index.ts";
import type { Output } from "../context.ts";
import type { ExperimentFlags } from "../experiment-command.ts";
import { count, positive } from "../flags.ts";

export function addExperimentCommand(program: Command, output: () => Output): void {
  const names = Object.entries(experiments)
    .filter(([, entry]) => missingHubs(entry).length === 0)
    .map(([name, { summary }]) => `  ${name.padEnd(18)} ${summary}`)
    .join("\n");
  program
    .command("experiment <name>")
    .description(
      "compute one of the project's tables; finished cells are kept, so that it can be stopped and continued",
    )
    .option("--quick", "a small form that shows within minutes that everything runs")
    .option("--seeds <n>", "seeds 0 to n - 1 (default: the experiment's own number)", count)
    .option("--final", "read the test split, and note it in the results' ledger")
    .option("--tables", "tables of what is finished, without computing more")
    .option("--only <text...>", "compute only lines whose target or name has each of these texts; tables show all")
    .option("--jobs <n>", "workers on this machine, each with one thread", count, 1)
    .option(
      "--worker",
      "compute what no other worker computes, without tables; any number, on all machines that see --results",
    )
    .option(
      "--expiry <s>",
      "a worker that was silent for so many seconds has died, and another one takes over (default: 180)",
      positive,
    )
    .option("--status", "what is done, who computes what, what failed and why, and how long the rest takes")
    .option("--hub <dir>", "another hub than the experiment's own")
    .option("--data <dir|name>", "your own images, or a known data set, in place of the experiment's targets")
    .option("--freeze-members", "leave members as they are and train on their features: for hubs of large networks")
    .option("--results <dir>", "folder of tables, cells and ledger", "docs/results")
    .option("--cache <dir>", "folder for what is large and can be made again", "runs/experiments")
    .addHelpText("after", `\nExperiments:\n${names}\n\nExample:\n  hub-pathway experiment mixed-hub --seeds 5 --jobs 2`)
    .action(async (name: string, flags: ExperimentFlags) =>
      (await import("../experiment-command.ts")).experiment(name, flags, output()),
    );
}

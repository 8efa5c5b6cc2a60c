/** Options of `hub-pathway eval`, `predict` and `report`. */
import type { Command } from "commander";
import type { Output } from "../context.ts";
import { bytes, deviceHelp, hubMemoryHelp, number, trustHelp } from "../flags.ts";
import type { RunFlags } from "../run-commands.ts";

const actions = () => import("../run-commands.ts");

export function addRunCommands(program: Command, output: () => Output): void {
  program
    .command("eval <run>")
    .description("measure a finished run; reading the test split is noted in the run's ledger")
    .option("--split <name>", "train, validation or test", "validation")
    .option("--hub <dir>", "where the hub is now")
    .option("--data <dir|name>", "where the data are now")
    .option("--hub-memory <amount>", hubMemoryHelp, bytes)
    .option("--trust", trustHelp)
    .option("--device <name>", deviceHelp, "cpu")
    .option("--k <n>", "activated models, when another cost than trained for is wanted", number)
    .option("--ten-crop", "mean over ten crops of each image, taken from images 256/224 times as large as the run's")
    .option("--flops <n>", "the largest k whose mean cost for one image is within so many FLOPs", number)
    .addHelpText("after", "\nExample:\n  hub-pathway eval runs/photos --split test --json")
    .action(async (path: string, flags: RunFlags) => (await actions()).evalRun(path, flags, output()));
  program
    .command("predict <run> <images...>")
    .description("label images with a finished run, and say which models were activated")
    .option("--hub <dir>", "where the hub is now")
    .option("--data <dir|name>", "where the data are now")
    .option("--hub-memory <amount>", hubMemoryHelp, bytes)
    .option("--trust", trustHelp)
    .option("--device <name>", deviceHelp, "cpu")
    .addHelpText("after", "\nExample:\n  hub-pathway predict runs/photos cat.jpg dog.png")
    .action(async (path: string, images: string[], flags: RunFlags) =>
      (await actions()).predict(path, images, flags, output()),
    );
  program
    .command("report <run>")
    .description("write a finished run's report (HTML): which models serve what, and what each is worth")
    .option("--split <name>", "train, validation or test", "validation")
    .option("--hub <dir>", "where the hub is now")
    .option("--data <dir|name>", "where the data are now")
    .option("--hub-memory <amount>", hubMemoryHelp, bytes)
    .option("--trust", trustHelp)
    .option("--device <name>", deviceHelp, "cpu")
    .addHelpText("after", "\nExample:\n  hub-pathway report runs/photos")
    .action(async (path: string, flags: RunFlags) => (await actions()).report(path, flags, output()));
}

/** Options of `hub-pathway data`. */
import { type Command, Option } from "commander";
import { type TaskKind, taskKinds } from "../../data/types.ts";
import type { Output } from "../context.ts";
import { taskHelp } from "../flags.ts";

const actions = () => import("../data-command.ts");

export function addDataCommand(program: Command, output: () => Output): void {
  const data = program.command("data").description("data sets");
  data
    .command("ls")
    .description("list known data sets")
    .addHelpText("after", "\nExample:\n  hub-pathway data ls")
    .action(async () => (await actions()).list(output()));
  data
    .command("fetch <name>")
    .description("download a known data set, verify and unpack it under the cache folder")
    .addHelpText("after", "\nExample:\n  hub-pathway data fetch emoji")
    .action(async (name: string) => (await actions()).fetch(name, output()));
  data
    .command("check <dir|name|name:dir>")
    .description("read every image and say what is wrong before training does")
    .addHelpText(
      "after",
      "\nExample:\n  hub-pathway data check ./photos\n  hub-pathway data check cifar-100:./downloads",
    )
    .option("--strict", "exit with 1 for warnings too, and not only where training would stop")
    .addOption(new Option("--task <kind>", taskHelp).choices(taskKinds))
    .action(async (source: string, flags: { strict?: boolean; task?: TaskKind }) =>
      (await actions()).check(source, flags, output()),
    );
}

/** Options of `hub-pathway cache`. */
import type { Command } from "commander";
import type { Output } from "../context.ts";
import { bytes } from "../flags.ts";

const actions = () => import("../cache-command.ts");

export function addCacheCommand(program: Command, output: () => Output): void {
  const cache = program.command("cache").description("decoded images, features and fetched data that are kept");
  cache
    .command("ls")
    .description("list what is kept, the last used first")
    .addHelpText("after", "\nExample:\n  hub-pathway cache ls")
    .action(async () => (await actions()).list(output()));
  cache
    .command("clean")
    .description("remove what can be made again and no process uses (HUB_PATHWAY_CACHE_GB is the budget otherwise)")
    .option("--keep <amount>", "keep the most recently used up to so many bytes, such as 5GB", bytes)
    .option("--all", "remove fetched data sets and downloads too")
    .addHelpText("after", "\nExample:\n  hub-pathway cache clean --keep 5GB")
    .action(async (flags: { keep?: number; all?: boolean }) => (await actions()).clean(flags, output()));
}

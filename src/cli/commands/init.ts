/** Options of `hub-pathway init`. */
import type { Command } from "commander";
import type { Output } from "../context.ts";

export function addInitCommand(program: Command, output: () => Output): void {
  program
    .command("init [file]")
    .description("ask three questions and write the answers for train --config (default: run.yaml)")
    .addHelpText("after", "\nExample:\n  hub-pathway init")
    .action(async (file = "run.yaml") => (await import("../init-command.ts")).init(file, output()));
}

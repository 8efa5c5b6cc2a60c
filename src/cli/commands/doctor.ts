/** Options of `hub-pathway doctor`. */
import type { Command } from "commander";
import type { Output } from "../context.ts";

export function addDoctorCommand(program: Command, output: () => Output): void {
  program
    .command("doctor")
    .description("say what was found: libtorch, addon, threads, cache")
    .addHelpText("after", "\nExample:\n  hub-pathway doctor --json")
    .action(async () => (await import("../doctor-command.ts")).doctor(output()));
}

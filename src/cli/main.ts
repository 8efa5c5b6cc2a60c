/**
 * The command line: commands, shared options, errors and exit codes. Nothing here loads libtorch: each command imports
 * what it needs when it runs, so that help is quick and works before set-up.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import pc from "picocolors";
import { UserError } from "../torch/errors.ts";
import { addCacheCommand } from "./commands/cache.ts";
import { addDataCommand } from "./commands/data.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addExperimentCommand } from "./commands/experiment.ts";
import { addHubCommand } from "./commands/hub.ts";
import { addRlCommand } from "./commands/rl.ts";
import { addRunCommands } from "./commands/run.ts";
import { addTrainCommand } from "./commands/train.ts";
import { Output } from "./context.ts";

/** Exit codes: 0 done, 1 the user's input, 2 configuration, 70 ours. */
const ours = 70;
const configuration = 2;

function build(argv: readonly string[]): Command {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const program = new Command("hub-pathway")
    .description("Transfer learning from a hub of pre-trained models")
    .version(manifest.version)
    .option("--json", "print one JSON object as the last line of standard output")
    .option("--debug", "show where an error came from");
  const output = () => new Output(argv.includes("--json"));
  program.command("setup").description("get libtorch and build the addon (done before everything else)");
  addDoctorCommand(program, output);
  addHubCommand(program, output);
  addDataCommand(program, output);
  addCacheCommand(program, output);
  addTrainCommand(program, output);
  addRunCommands(program, output);
  addRlCommand(program, output);
  addExperimentCommand(program, output);
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput({ writeErr: (text) => process.stderr.write(text) });
    if (command !== program)
      command
        .option("--json", "print one JSON object as the last line")
        .option("--debug", "show where an error came from");
  }
  return program;
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** Runs a command line (without node and script) and returns the exit code. */
export async function main(argv: string[]): Promise<number> {
  process.exitCode = 0;
  try {
    await build(argv).parseAsync(argv, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error, argv);
  }
}

function report(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : configuration;
  const debug = argv.includes("--debug");
  const message = error instanceof Error ? error.message : String(error);
  const known = error instanceof UserError || isFileProblem(error);
  const code = error instanceof UserError ? error.exitCode : known ? 1 : ours;
  console.error(`${pc.red("error:")} ${message}`);
  if (!known && !debug)
    console.error("this looks like a fault of the program: run again with --debug and report what it prints");
  if (debug && error instanceof Error) console.error(error.stack);
  if (argv.includes("--json"))
    console.log(JSON.stringify({ error: message, exitCode: code } satisfies Record<string, unknown>));
  return code;
}

/** Missing files, missing permissions and full disks are the user's to mend. */
function isFileProblem(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code !== undefined && ["ENOENT", "EACCES", "ENOSPC", "EISDIR", "ENOTDIR", "EROFS", "EPERM"].includes(code);
}

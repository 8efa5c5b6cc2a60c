/**
 * The command line: commands, shared options, errors and exit codes. Nothing here loads libtorch: each command imports
 * what it needs when it runs, so that help is quick and works before set-up.
 */
import { Command, CommanderError } from "commander";
import pc from "picocolors";
import { ownProcess } from "../torch/environment.ts";
import { exitCodeHelp, exitCodes, failureOf } from "./causes.ts";
import { addCacheCommand } from "./commands/cache.ts";
import { addCompletionCommand } from "./commands/completion.ts";
import { addDataCommand } from "./commands/data.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addExperimentCommand } from "./commands/experiment.ts";
import { addHubCommand } from "./commands/hub.ts";
import { addInitCommand } from "./commands/init.ts";
import { addRlCommand } from "./commands/rl.ts";
import { addRunCommands } from "./commands/run.ts";
import { addServeCommand } from "./commands/serve.ts";
import { addTrainCommand } from "./commands/train.ts";
import { answer, Output } from "./context.ts";
import { terminal } from "./terminal.ts";
import { ownVersion } from "./version.ts";

/** All commands with their options; an action is loaded when it runs. */
export function buildProgram(argv: readonly string[]): Command {
  const program = new Command("hub-pathway")
    .description("Transfer learning from a hub of pre-trained models")
    .version(ownVersion())
    .addHelpText("after", exitCodeHelp);
  const output = () => new Output(argv.includes("--json"));
  // bin/setup reads these before anything of this is there; here they are for help and completion.
  program
    .command("setup")
    .description("get libtorch and build the addon (done before everything else)")
    .option("--force", "look for libtorch again")
    .option("--distributed", "an addon with process groups, for training by several processes")
    .option("--prebuilt <folder>", "take the addon of this package, which `npm run prebuild` made");
  addDoctorCommand(program, output);
  addHubCommand(program, output);
  addDataCommand(program, output);
  addCacheCommand(program, output);
  addInitCommand(program, output);
  addTrainCommand(program, output);
  addRunCommands(program, output);
  addServeCommand(program, output);
  addRlCommand(program, output);
  addExperimentCommand(program, output);
  addCompletionCommand(program);
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput({ writeErr: (text) => process.stderr.write(text) });
    command
      .optionsGroup("Every command:")
      .option("--json", "print one JSON object as the only line on standard output, also for errors")
      .option("--quiet", "write no progress")
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
  ownProcess();
  terminal.quiet = argv.includes("--quiet");
  answer.isDone = !argv.includes("--json");
  try {
    await buildProgram(argv).parseAsync(argv, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error, argv);
  }
}

/** Tells people on standard error, programs in one line of JSON, and the shell by the exit code. */
export function report(error: unknown, argv: readonly string[]): number {
  const { message, exitCode } = failureOf(error);
  if (exitCode === 0) return exitCode;
  terminal.status("");
  // Commander has written its own.
  if (!(error instanceof CommanderError))
    terminal.line(`error: ${message}`, (line) => line.replace("error:", pc.red("error:")));
  const isDebug = argv.includes("--debug");
  if (exitCode === exitCodes.ours && !isDebug) {
    terminal.line("this looks like a fault of the program: run again with --debug and report what it prints");
  }
  if (isDebug && error instanceof Error) terminal.line(error.stack ?? message);
  answer.give({ error: message, exitCode });
  return exitCode;
}

/** The line of a process that ends without one, such as at a second signal. */
export function answerAtEnd(exitCode: number): void {
  if (exitCode === 0) return;
  answer.give({ error: exitCode === exitCodes.interrupted ? "interrupted" : `exit code ${exitCode}`, exitCode });
}

/** Why a command failed, whose it is to mend, and the exit code that says so. */
import { CommanderError } from "commander";
import { explainSystem } from "../io/system-errors.ts";
import { Interrupted, UserError } from "../torch/errors.ts";
import { interruptedCode } from "./interrupt.ts";

export const exitCodes = {
  done: 0,
  input: 1,
  usage: 2,
  interrupted: interruptedCode,
  ours: 70,
} as const;

export const exitCodeHelp = `
Exit codes:
    0  done
    1  the input: images, weights, files, a full disk or memory, training that diverged
    2  usage or set-up: options, configuration, libtorch
  130  interrupted (Ctrl-C, SIGTERM, a lost terminal)
   70  a fault of the program`;

export interface Failure {
  message: string;
  exitCode: number;
}

const memoryRanOut =
  /not enough memory|bad_alloc|cannot allocate memory|Array buffer allocation failed|heap out of memory|CUDA out of memory/i;

/** An error as the user is told of it. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) {
    return { message: error.message.replace(/^error: /, ""), exitCode: error.exitCode === 0 ? 0 : exitCodes.usage };
  }
  if (error instanceof Interrupted) return { message: "interrupted", exitCode: exitCodes.interrupted };
  if (error instanceof UserError) return { message: error.message, exitCode: error.exitCode };
  const refused = explainSystem(error);
  if (refused) return { message: refused.message, exitCode: refused.exitCode };
  const message = error instanceof Error ? error.message : String(error);
  if (memoryRanOut.test(message) || (error as NodeJS.ErrnoException)?.code === "ERR_MEMORY_ALLOCATION_FAILED") {
    const advice = "close other programs, or use a smaller --batch-size, --image-size or --hub-memory";
    return { message: `the memory ran out: ${advice}`, exitCode: exitCodes.input };
  }
  return { message, exitCode: exitCodes.ours };
}

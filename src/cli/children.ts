/** Processes of this very command on this machine. */
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { signals } from "./interrupt.ts";

export interface Start {
  /** Option that is left out, with its value. */
  without: string;
  /** Further arguments. */
  more?: readonly string[];
  env?: NodeJS.ProcessEnv;
  stdio: StdioOptions;
}

/** Starts this command once more. */
export function startAgain({ without, more = [], env, stdio }: Start): ChildProcess {
  const [, ...args] = process.argv;
  const kept = args.filter((arg, i) => arg !== without && !arg.startsWith(`${without}=`) && args[i - 1] !== without);
  return spawn(process.execPath, [...process.execArgv, ...kept, ...more], { env: env ?? process.env, stdio });
}

/** Passes on what ends this process, until it is disposed. Children may have heard it from a terminal too: see `sameSignal`. */
export function forwardSignals(children: readonly ChildProcess[]): Disposable {
  const forward = (signal: NodeJS.Signals) => {
    for (const child of children) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, forward);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, forward);
    },
  };
}

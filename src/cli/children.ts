/** Processes of this very command on this machine. */
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";

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

/** Passes on what ends this process, until it is disposed. A terminal's Ctrl-C reaches the children by itself. */
export function forwardSignals(children: readonly ChildProcess[]): Disposable {
  const forward = (signal: NodeJS.Signals) => () => {
    for (const child of children) child.kill(signal);
  };
  const handlers = { SIGINT: () => {}, SIGTERM: forward("SIGTERM"), SIGHUP: forward("SIGHUP") };
  for (const [signal, handler] of Object.entries(handlers)) process.on(signal, handler);
  return {
    [Symbol.dispose]() {
      for (const [signal, handler] of Object.entries(handlers)) process.off(signal, handler);
    },
  };
}

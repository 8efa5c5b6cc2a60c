/** The program's main function with what it writes gathered. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

type Write = typeof process.stdout.write;

/** Gathers the text that is written to a stream until it is given back; the test runner's own messages are bytes. */
function gathered(stream: NodeJS.WriteStream): { text: () => string; restore: () => void } {
  const { write } = stream;
  let text = "";
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    if (typeof chunk !== "string") return Reflect.apply(write, stream, [chunk, ...rest]);
    text += chunk;
    const done = rest.find((one) => typeof one === "function") as (() => void) | undefined;
    done?.();
    return true;
  }) as Write;
  const restore = () => {
    stream.write = write;
  };
  return { text: () => text, restore };
}

/** Runs a command line in this process and in the folder `cwd`, not beside another one. */
export async function gatheredMain(
  main: (args: string[]) => Promise<number>,
  args: readonly string[],
  cwd = process.cwd(),
): Promise<Outcome> {
  const [stdout, stderr] = [gathered(process.stdout), gathered(process.stderr)];
  const [{ exitCode }, folder] = [process, process.cwd()];
  process.chdir(cwd);
  try {
    const code = await main([...args]);
    return { code, stdout: stdout.text(), stderr: stderr.text() };
  } finally {
    process.chdir(folder);
    process.exitCode = exitCode;
    stdout.restore();
    stderr.restore();
  }
}

/** Runs command lines that its parent sends, one after the other, and sends back what the program wrote. */
import { main } from "../../src/cli/main.ts";

type Write = typeof process.stdout.write;

/** Gathers what is written to a stream until it is given back. */
function gathered(stream: NodeJS.WriteStream): { text: () => string; restore: () => void } {
  const { write } = stream;
  let text = "";
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    text += String(chunk);
    const done = rest.find((one) => typeof one === "function") as (() => void) | undefined;
    done?.();
    return true;
  }) as Write;
  const restore = () => {
    stream.write = write;
  };
  return { text: () => text, restore };
}

process.on("message", async (args: string[]) => {
  const [stdout, stderr] = [gathered(process.stdout), gathered(process.stderr)];
  const code = await main(args);
  stdout.restore();
  stderr.restore();
  process.exitCode = 0;
  process.send?.({ code, stdout: stdout.text(), stderr: stderr.text() });
});

/** Runs command lines that its parent sends, one after the other, and sends back what the program wrote; its argument is the URL of main.js. */
import { gatheredMain } from "./gathered-main.ts";

const { main } = (await import(process.argv[2] ?? "")) as { main: (args: string[]) => Promise<number> };

process.on("message", async ({ args, cwd }: { args: string[]; cwd?: string }) => {
  process.send?.(await gatheredMain(main, args, cwd));
});

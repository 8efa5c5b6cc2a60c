/** hub-pathway doctor: what was found on this machine. */
import { existsSync, readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "../io/index.ts";
import { getNumThreads, loadedLibrary, ones } from "../torch/index.ts";
import type { Output } from "./context.ts";

export function doctor(output: Output): void {
  const library = loadedLibrary();
  const manifest = fileURLToPath(new URL("../../package.json", import.meta.url));
  const version = existsSync(manifest)
    ? (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version
    : "unknown";
  const found = {
    hubPathway: version,
    node: process.version,
    libtorch: library.headers,
    cuda: library.cuda,
    threads: getNumThreads(),
    processor: cpus()[0]?.model ?? "unknown",
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    cache: cacheDirectory(),
    works: ones([2, 2]).sum().item() === 4,
  };
  for (const [name, value] of Object.entries(found)) output.say(`${name.padEnd(12)} ${value}`);
  output.result(found);
}

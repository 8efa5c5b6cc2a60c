/** Workers of an experiment, each as if on a machine of its own, that are killed at random moments. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { work } from "../../src/compare/work.ts";
import { typescript } from "../support/typescript.ts";
import { smallExperiment, smallRequest } from "./worker.ts";

const program = fileURLToPath(new URL("./worker.ts", import.meta.url));
/** Long enough that a busy machine's worker does not count as dead. */
const expiry = 4;

/** Processes of other machines cannot be asked if they live: those of other namespaces neither. */
const apart = ["unshare", "--pid", "--fork", "--kill-child"];
const canPart = spawnSync(apart[0] ?? "", [...apart.slice(1), "true"]).status === 0;

export interface Killing {
  workers: number;
  /** An even number. */
  cells: number;
  kills: number;
}

export interface Killed {
  /** Lines of all files of cells, sorted; without seconds. */
  lines: string[];
  /** The same of a run by one process. */
  expected: string[];
  said: string[];
  kills: number;
}

/**
 * Lets workers compute, kills some of them and starts others in their place until all is done.
 * @param views an empty folder, as machines see it that have it at different places; workers take turns with them
 */
export async function killWorkers(views: readonly string[], { workers, cells, kills }: Killing): Promise<Killed> {
  const [folder = ""] = views;
  const alone = join(folder, "alone");
  await work(
    smallExperiment(cells),
    smallRequest(alone, () => {}),
  );
  const together = join(folder, "together");
  const said: string[] = [];
  let started = 0;
  const start = (): ChildProcess => {
    const view = join(views[started++ % views.length] ?? folder, "together");
    const command = [process.execPath, ...typescript, program, view, String(cells), String(expiry)];
    const [first = "", ...rest] = canPart ? [...apart, ...command] : command;
    const child = spawn(first, rest, { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout?.on("data", (text) => said.push(String(text)));
    return child;
  };
  const running = new Set(Array.from({ length: workers }, start));
  let killed = 0;
  while (killed < kills && linesOf(together).length < cells) {
    await setTimeout(100 + Math.random() * 500);
    // One that has not begun yet has nothing to lose.
    const [victim] = [...running].sort(() => Math.random() - 0.5);
    if (!victim || said.length === 0) continue;
    victim.kill("SIGKILL");
    await once(victim, "exit");
    running.delete(victim);
    running.add(start());
    killed += 1;
  }
  const codes = await Promise.all([...running].map(async (child) => child.exitCode ?? (await once(child, "exit"))[0]));
  if (codes.some((code) => code !== 0)) throw new Error(`a worker ended with ${codes.join(", ")}`);
  return { lines: linesOf(together), expected: linesOf(alone), said: said.join("").split("\n"), kills: killed };
}

function linesOf(folder: string): string[] {
  const cells = join(folder, "cells");
  const files = names(cells).filter((name) => name.endsWith(".jsonl"));
  // Whoever may make the file asks the server for it; a network's client remembers for a while what was not there.
  const text = (file: string) => readFileSync(join(cells, file), { encoding: "utf8", flag: "a+" });
  const lines = files.flatMap((file) => text(file).split("\n").filter(Boolean));
  return lines.map((line) => line.replace(/,"seconds":[\d.]+/, "")).sort();
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
}

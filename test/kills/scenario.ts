/** Scenarios of kills: the command that is killed, and a check of the files that it leaves. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runHere } from "../support/program.ts";
import { type Command, type Ended, killAt, type Point, pointsOf, run } from "./points.ts";

/** A place for one run of a scenario's command. */
export interface Place {
  /** Folder of everything that the command reads and writes. */
  readonly folder: string;
  /** The same folder after a run that nothing killed. */
  readonly whole: string;
  /** Runs the program there, in this process. */
  run(...args: string[]): Promise<Ended>;
}

export interface Scenario {
  readonly name: string;
  /** Fills an empty folder with what the command needs. */
  prepare(folder: string): void | Promise<void>;
  /** Arguments of the command that is killed. */
  command(folder: string): readonly string[];
  /** Further variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** @throws when what the kill left is neither the old nor the new state, or the next command does not mend it */
  verify(place: Place): Promise<void>;
}

export interface Outcome {
  readonly scenario: string;
  readonly point: Point;
  /** "missed" when the command ended before the point. */
  readonly result: "held" | "missed" | Error;
}

/** Kills a scenario's command at its points, one after the other. @param choose picks the points, by default all */
export async function* killAll(
  scenario: Scenario,
  base: string,
  choose: (points: Point[]) => Point[] = (points) => points,
): AsyncGenerator<Outcome> {
  const [whole, folder] = [join(base, "whole"), join(base, "killed")];
  const log = join(base, "calls.log");
  await prepared(scenario, whole);
  const points = choose(await pointsOf(commandOf(scenario, whole), whole, log));
  for (const point of points) {
    await prepared(scenario, folder);
    const killed = await killAt(commandOf(scenario, folder), folder, point);
    const { env } = inPlace(scenario, folder, []);
    const run = (...args: string[]) => runHere(args, join(folder, "cache"), { env });
    const result = killed ? await judged(scenario, { folder, whole, run }) : "missed";
    yield { scenario: scenario.name, point, result };
  }
}

/** Runs the program on a folder as the scenarios do. */
export const runIn = (folder: string, args: readonly string[]): Promise<Ended> => run(inPlace({}, folder, args));

async function prepared(scenario: Scenario, folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await scenario.prepare(folder);
}

async function judged(scenario: Scenario, place: Place): Promise<"held" | Error> {
  try {
    await scenario.verify(place);
    return "held";
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

const commandOf = (scenario: Scenario, folder: string): Command => inPlace(scenario, folder, scenario.command(folder));

/** Everything that the program writes stays below the folder: caches, the cache of the Hub, temporary files. */
function inPlace({ env }: Pick<Scenario, "env">, folder: string, args: readonly string[]): Command {
  mkdirSync(join(folder, "tmp"), { recursive: true });
  const places = { HUB_PATHWAY_CACHE: join(folder, "cache"), HF_HOME: join(folder, "hf"), TMPDIR: join(folder, "tmp") };
  return { args, env: { ...process.env, OMP_NUM_THREADS: "1", ...places, ...env } };
}

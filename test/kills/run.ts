/**
 * Kills commands with SIGKILL before each of their mkdir, rename, link, fsync, unlink and rmdir, and judges what is left:
 *
 *     npm run kills -- [--every N] [SCENARIO ...]
 *     npm run kills -- workers [--at FOLDER ...]
 *
 * One line a kill, and a count in the end. The scenario "workers" kills 20 of the workers of an experiment at random moments;
 * each --at is a place where some of them see one folder, such as two mounts of a network file system.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { temporaryFolder } from "../support/small-hub.ts";
import { hubScenarios } from "./hub-scenarios.ts";
import { whyNoKills } from "./points.ts";
import { runScenarios } from "./run-scenarios.ts";
import { killAll } from "./scenario.ts";
import { killWorkers } from "./workers.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { every: { type: "string", default: "1" }, at: { type: "string", multiple: true, default: [] } },
});
const every = Number(values.every);

async function main(): Promise<void> {
  if (positionals.length === 0 || positionals.includes("workers")) await workers();
  if (positionals.join() === "workers") return;
  const reason = whyNoKills();
  if (reason !== undefined) throw new Error(reason);
  const hubs = await hubScenarios();
  const scenarios = [...hubs.scenarios, ...(await runScenarios())];
  const chosen = scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  if (chosen.length === 0)
    throw new Error(`no such scenario; there are: ${scenarios.map(({ name }) => name).join(", ")}`);
  const counts = { kills: 0, held: 0, broken: 0 };
  for (const scenario of chosen) {
    const base = join(temporaryFolder(), "x");
    const choose = <T>(points: T[]) => points.filter((_, i) => i % every === 0);
    for await (const { point, result } of killAll(scenario, base, choose)) {
      if (result === "missed") continue;
      counts.kills += 1;
      counts[result === "held" ? "held" : "broken"] += 1;
      console.log(`${scenario.name}: ${point.text.slice(0, 120)}: ${result === "held" ? "held" : result.message}`);
    }
    rmSync(base, { recursive: true, force: true });
  }
  await hubs.close();
  console.log(`${counts.kills} kills: ${counts.held} held, ${counts.broken} broken`);
  if (counts.broken > 0) process.exitCode = 1;
}

async function workers(): Promise<void> {
  const views = values.at.length === 0 ? [temporaryFolder()] : values.at;
  const { lines, expected, kills } = await killWorkers(views, { workers: 6, cells: 40, kills: 20 });
  const held = isDeepStrictEqual(lines, expected);
  console.log(`workers: ${kills} kills, ${lines.length} of ${expected.length} cells: ${held ? "held" : "broken"}`);
  if (!held) process.exitCode = 1;
}

await main();

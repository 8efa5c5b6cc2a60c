/**
 * Kills random ranks of a run under torchrun at random moments, and compares what the run ends in with one that nothing
 * killed, bit for bit:
 *
 *     npm run kills:ranks -- [--kills N] [--each N] [--seed N] [--torchrun PATH]
 *
 * `--each` kills fall on one run at most. One line a run, and a count in the end.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { keyedRandom } from "../../src/torch/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";
import { assertSwept, weightsIn } from "./run-scenarios.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    each: { type: "string", default: "10" },
    seed: { type: "string", default: "0" },
    torchrun: { type: "string", default: "torchrun" },
  },
});
const [kills, each] = [Number(values.kills), Number(values.each)];
const random = keyedRandom(Number(values.seed));
const program = fileURLToPath(new URL("../../bin/hub-pathway.js", import.meta.url));
const folder = temporaryFolder();
const places = { HUB_PATHWAY_CACHE: join(folder, "cache"), TMPDIR: folder, OMP_NUM_THREADS: "1" };

/** Steps that take about as long as the start of the processes. */
const train = (out: string): string[] => [
  ...["train", join(folder, "images"), "--hub", join(folder, "hub"), "--out", join(folder, out), "--k", "2"],
  ...["--image-size", "24", "--batch-size", "12", "--epochs", "40", "--checkpoint-seconds", "0.001"],
];

/** Process numbers of the ranks that torchrun has started so many times anew. */
function ranksOf(agent: number, restarts: number): number[] {
  const children = readdirSync(`/proc/${agent}/task`)
    .flatMap((task) => text(`/proc/${agent}/task/${task}/children`).trim().split(" "))
    .filter((pid) => pid !== "");
  return children.map(Number).filter((pid) => {
    const env = text(`/proc/${pid}/environ`).split("\0");
    return env.includes(`TORCHELASTIC_RESTART_COUNT=${restarts}`) && env.some((one) => one.startsWith("RANK="));
  });
}

/** Content of a file of a process, which may have ended. */
function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/**
 * A run of two ranks, and kills of one of them, each within `span` ms of their start.
 * @returns kills that came before the run's end
 */
async function killed(out: string, most: number, span: number): Promise<number> {
  const launch = ["--no-python", "--standalone", "--nproc-per-node", "2", "--max-restarts", String(most)];
  const quick = ["--monitor-interval", "0.1", "--shutdown-timeout", "5"];
  const args = [...launch, ...quick, process.execPath, program, ...train(out)];
  const agent = spawn(values.torchrun, args, { env: { ...process.env, ...places }, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [agent.stdout, agent.stderr]) stream.on("data", (chunk) => (said += chunk));
  const end = once(agent, "close") as Promise<[number | null]>;
  let count = 0;
  while (count < most && agent.exitCode === null && agent.pid !== undefined) {
    const ranks = ranksOf(agent.pid, count);
    if (ranks.length < 2) {
      await pause(20);
      continue;
    }
    await pause(span * random());
    try {
      process.kill(ranks[Math.floor(2 * random())] as number, "SIGKILL");
    } catch {
      break; // it had ended
    }
    count += 1;
  }
  const [code] = await end;
  assert.equal(code, 0, said);
  return count;
}

async function main(): Promise<void> {
  writeSmallHub(folder);
  await writeShapeImages(folder, 12);
  await killed("first", 0, 0);
  const began = performance.now();
  await killed("whole", 0, 0);
  const span = performance.now() - began;
  const whole = weightsIn(join(folder, "whole"));
  let done = 0;
  for (let run = 1; done < kills; run++) {
    const out = `run-${run}`;
    const count = await killed(out, Math.min(each, kills - done), span);
    const found = weightsIn(join(folder, out));
    assert.deepEqual([...found.keys()], [...whole.keys()]);
    for (const [name, content] of whole) assert.ok(found.get(name) === content, `${name} differs in run ${run}`);
    assertSwept(join(folder, out), join(folder, "cache"));
    const copies = readdirSync(folder).filter((name) => name.includes("hub-pathway-rank"));
    assert.deepEqual(copies, [], "copies of ranks");
    done += count;
    console.log(`run ${run}: ${count} kills, the same ${whole.size} files of weights`);
    rmSync(join(folder, out), { recursive: true });
  }
  console.log(`${done} kills: every run ended in the weights of the one that nothing killed, bit for bit`);
}

await main();

/**
 * Models that ranks have among them: `train --shard-members` on four hosts (network namespaces), beside data parallel training
 * there, and beside one process with a quarter of the models. Bytes are those that the hosts' interfaces count.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Hosts } from "../test/support/hosts.ts";
import { writeShapeImages } from "../test/support/small-hub.ts";
import { type Figure, ratioFigure } from "./figure.ts";
import { writeHub } from "./large-hub.ts";
import { program } from "./server-process.ts";

const [ranks, models, batch] = [4, 24, 32];

/** Most resident memory of a process, as it is when it ends, on its standard output. */
const said = `process.on("exit", () => {
  const status = require("node:fs").readFileSync("/proc/self/status", "utf8");
  require("node:fs").writeSync(1, "\\npeak " + /^VmHWM:\\s+(\\d+)/m.exec(status)[1] + "\\n");
});`;

interface Measured {
  /** Largest of the processes. */
  peakMiB: number;
  /** Sent by the host that sent most, over all of the run. */
  bytes: number;
}

interface Setting {
  hub: string;
  steps: number;
  batch: number;
  /** Models that a step may touch. */
  allowed: number;
  /** None is one process. */
  hosts?: Hosts;
  more?: readonly string[];
}

let runs = 0;

async function measure(dir: string, setting: Setting): Promise<Measured> {
  const { hub, steps, hosts, more = [] } = setting;
  const out = join(dir, `run${runs++}`);
  const sizes = {
    iterations: steps,
    "batch-size": setting.batch,
    "image-size": 48,
    "allowed-members": setting.allowed,
  };
  const flags = Object.entries({ hub, out, ...sizes }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const command = [
    process.execPath,
    "--require",
    join(dir, "peak.cjs"),
    program,
    "train",
    join(dir, "images"),
    ...flags,
    ...more,
  ];
  const env = { ...process.env, HUB_PATHWAY_CACHE: join(dir, "cache"), OMP_NUM_THREADS: "1" };
  const stdio = ["ignore", "pipe", "inherit"] as const;
  const before = hosts?.names.map((_, host) => hosts.traffic(host).sent);
  const started = Array.from({ length: hosts ? ranks : 1 }, (_, rank): ChildProcess => {
    const [file = "", ...args] = command;
    if (!hosts) return spawn(file, args, { env, stdio: [...stdio] });
    const place = {
      RANK: String(rank),
      WORLD_SIZE: String(ranks),
      MASTER_ADDR: hosts.address(0),
      MASTER_PORT: "29400",
    };
    return hosts.spawn(rank, command, { env: { ...env, ...place }, stdio: [...stdio] });
  });
  const peaks = started.map(async (child, rank) => {
    const [words, [code]] = await Promise.all([child.stdout ? text(child.stdout) : "", once(child, "exit")]);
    if (code !== 0) throw new Error(`rank ${rank} ended with exit code ${code}`);
    return Number(/^peak (\d+)$/m.exec(words)?.[1]) / 1024;
  });
  const peakMiB = Math.max(...(await Promise.all(peaks)));
  rmSync(out, { recursive: true });
  const sent = hosts?.names.map((_, host) => hosts.traffic(host).sent - (before?.[host] ?? 0));
  return { peakMiB, bytes: Math.max(0, ...(sent ?? [])) };
}

/** @param steps of the longer of two runs, whose difference is what steps alone cost */
export async function sharedModels(steps: number): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    writeFileSync(join(dir, "peak.cjs"), said);
    await writeShapeImages(dir, 150);
    const [all, quarter] = [join(dir, "all"), join(dir, "quarter")];
    writeHub(all, models);
    writeHub(quarter, models / ranks);
    await using hosts = await Hosts.open(ranks);
    const shards = ["--shard-members"];
    const bytesOf = async (more: readonly string[]) => {
      const run = (count: number) => measure(dir, { hub: all, steps: count, batch, allowed: 8, hosts, more });
      const [short, long] = [await run(2), await run(steps)];
      return (long.bytes - short.bytes) / (steps - 2);
    };
    const [apart, replicated] = [await bytesOf(shards), await bytesOf([])];
    const memory = (setting: Pick<Setting, "hub" | "batch" | "allowed"> & Partial<Setting>) =>
      measure(dir, { steps: 2 * steps, ...setting });
    const sharded = await memory({ hub: all, batch, allowed: models, hosts, more: shards });
    // As many pairs of image and model for a process.
    const part = await memory({ hub: quarter, batch: batch / ranks, allowed: models / ranks });
    const whole = await memory({ hub: all, batch, allowed: models });
    const [sent, peak] = ["sent by a rank in a step", "peak memory of the largest rank"].map(
      (what) => `--shard-members, ${models} models of 2.8 M parameters on ${ranks} hosts, batch ${batch}: ${what}`,
    );
    const mib = (what: string, value: number) => ({ what: `MiB ${what}`, value });
    return [
      ratioFigure(
        sent ?? "",
        { what: "kB", value: apart / 1e3 },
        { what: "kB, data parallel", value: replicated / 1e3 },
        0.01,
      ),
      ratioFigure(
        peak ?? "",
        mib("", sharded.peakMiB),
        mib(`, one process with ${models / ranks} models`, part.peakMiB),
        1.15,
      ),
      ratioFigure("the same", mib("", sharded.peakMiB), mib(`, one process with ${models} models`, whole.peakMiB)),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

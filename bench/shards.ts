/**
 * Models that ranks have among them on four hosts (network namespaces): bytes of a step beside data parallel training there, as
 * the hosts' interfaces count them, and memory of `train --shard-members` beside one process with a quarter of the models.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Hosts, startOn } from "../test/support/hosts.ts";
import { writeShapeImages } from "../test/support/small-hub.ts";
import { type Figure, ratioFigure } from "./figure.ts";
import { writeHub } from "./large-hub.ts";
import { Ranks } from "./scale-ranks.ts";
import type { MeasuredPlan } from "./scale-series.ts";
import { program } from "./server-process.ts";

const [ranks, models, batch] = [4, 24, 32];

/** Most resident memory of a process, as it is when it ends, on its standard output. */
const said = `process.on("exit", () => {
  const status = require("node:fs").readFileSync("/proc/self/status", "utf8");
  require("node:fs").writeSync(1, "\\npeak " + /^VmHWM:\\s+(\\d+)/m.exec(status)[1] + "\\n");
});`;

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

/** Most resident memory of the processes, MiB. */
async function measure(dir: string, setting: Setting): Promise<number> {
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
  const env = { ...process.env, HUB_PATHWAY_CACHE: join(dir, "cache") };
  const started = startOn(hosts, command, { env, stdio: ["ignore", "pipe", "inherit"] });
  const peaks = started.map(async (child, rank) => {
    const [words, [code]] = await Promise.all([child.stdout ? text(child.stdout) : "", once(child, "exit")]);
    if (code !== 0) throw new Error(`rank ${rank} ended with exit code ${code}`);
    return Number(/^peak (\d+)$/m.exec(words)?.[1]) / 1024;
  });
  const largest = Math.max(...(await Promise.all(peaks)));
  rmSync(out, { recursive: true });
  return largest;
}

/** A measurement in a folder with images and two hubs: of all models, and of as many as a rank has. */
async function inFolder(
  work: (dir: string, hubs: Record<"all" | "quarter", string>, hosts: Hosts) => Promise<Figure[]>,
): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    writeFileSync(join(dir, "peak.cjs"), said);
    await writeShapeImages(dir, 150);
    const [all, quarter] = [join(dir, "all"), join(dir, "quarter")];
    writeHub(all, models);
    writeHub(quarter, models / ranks);
    await using hosts = await Hosts.open(ranks);
    return await work(dir, { all, quarter }, hosts);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const setting = `--shard-members, ${models} models of 2.8 M parameters on ${ranks} hosts, batch ${batch}`;

/** @param steps of the training loop in the second half of training, which may touch all models, after as many in the first */
export function sharedBytes(steps: number): Promise<Figure[]> {
  return inFolder(async (_, { all: hub }, hosts) => {
    const bytesOf = async (plan: MeasuredPlan) => {
      const setting = { plan, batch, steps: steps - 1, phases: 2, side: 48, classes: 10, k: 2, isBare: true };
      using all = await Ranks.start(hosts, hub, setting);
      await all.phase();
      return (await all.phase()).sentBytes;
    };
    const [apart, replicated] = [await bytesOf("sharded"), await bytesOf("replicated")];
    const kB = (what: string, bytes: number) => ({ what, value: bytes / 1e3 });
    const other = kB("kB, data parallel", replicated);
    return [ratioFigure(`${setting}: sent by a rank in a step that may touch all`, kB("kB", apart), other, 0.01)];
  });
}

/** Peak memory, all models allowed: a rank has as many pairs of image and model as one process with its part of models and rows. */
export function sharedMemory(steps: number): Promise<Figure[]> {
  return inFolder(async (dir, { all, quarter }, hosts) => {
    const memory = (part: Pick<Setting, "hub" | "batch" | "allowed"> & Partial<Setting>) =>
      measure(dir, { steps, ...part });
    const sharded = await memory({ hub: all, batch, allowed: models, hosts, more: ["--shard-members"] });
    const part = await memory({ hub: quarter, batch: batch / ranks, allowed: models / ranks });
    const whole = await memory({ hub: all, batch, allowed: models });
    const mib = (what: string, value: number) => ({ what: `MiB${what}`, value });
    const own = mib("", sharded);
    const name = `${setting}: peak memory of the largest rank`;
    return [
      ratioFigure(name, own, mib(`, one process with ${models / ranks} models, batch ${batch / ranks}`, part), 1.15),
      ratioFigure("the same", own, mib(`, one process with ${models} models`, whole)),
    ];
  });
}

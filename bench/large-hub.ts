/**
 * Large hubs: a training step for m = 5 and 50 members (k = 2, batch 32), with and without allowed-member
 * sampling, and under a memory budget. Each setting runs in a process of its own, so that its peak memory is its own.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadMembers, manifestVersion, openHub, Residency, writeManifest } from "../src/hub/index.ts";
import { writeSafetensors } from "../src/io/index.ts";
import { PathwayLearner } from "../src/methods/pathway-learner.ts";
import { createBackbone } from "../src/models/index.ts";
import { resolvePathwayConfig } from "../src/pathway/index.ts";
import { disposeTree, Generator, ownProcess, rand, randint, setNumThreads } from "../src/torch/index.ts";
import { type BatchSource, ClassificationTask, defaultTrainOptions, fit } from "../src/train/index.ts";
import { type Figure, median, peakMiB, ratioFigure } from "./figure.ts";

const [k, batch, side, classes] = [2, 32, 48, 10];
/** The default of allowedMembers; a hub of 5 has fewer, so that its steps touch fewer members than those of larger ones. */
const usual = 8;
const config = { layers: [2, 2, 2, 2], width: 32, stem: "small", stemStride: 2 };
const sizes = [5, 50];

interface Setting {
  hub: string;
  m: number;
  /** Members that one step may touch. */
  allowed: number;
  /** Bytes, or undefined for everything in memory. */
  budget: number | undefined;
  steps: number;
}

interface Measured {
  secondsPerStep: number;
  peakMiB: number;
}

/** A hub of `m` random members on disk; returns the bytes of one member's weights. */
export function writeHub(dir: string, m: number): number {
  mkdirSync(dir, { recursive: true });
  let bytes = 0;
  const members = Array.from({ length: m }, (_, i) => {
    using generator = new Generator(i);
    using backbone = createBackbone("resnet", config, { generator });
    const file = `member${i}.safetensors`;
    writeSafetensors(join(dir, file), backbone.stateDict());
    const content = readFileSync(join(dir, file));
    bytes = content.length;
    const sha256 = createHash("sha256").update(content).digest("hex");
    return {
      name: `member${i}`,
      architecture: "resnet",
      config,
      weights: { file, format: "safetensors" as const, sha256, files: [] },
      keyMap: { prefix: "", drop: [], rename: {} },
      featureWidth: backbone.featureWidth,
      input: {
        kind: "image" as const,
        size: side,
        mean: [0.5, 0.5, 0.5],
        std: [0.5, 0.5, 0.5],
        interpolation: "bilinear" as const,
        channelOrder: "rgb" as const,
      },
      pretraining: { data: "none", paradigm: "random weights" },
      licence: "none",
      source: "bench/large-hub.ts",
    };
  });
  writeManifest(dir, { version: manifestVersion, name: "large", members });
  return bytes;
}

/** Runs in its own process, which keeps freed memory as that of the program does: steps of the training loop. */
async function measure(setting: Setting): Promise<Measured> {
  ownProcess();
  setNumThreads(1);
  const hub = openHub(setting.hub);
  const residency =
    setting.budget === undefined
      ? undefined
      : new Residency({ budget: setting.budget, folder: `${setting.hub}-spill` });
  if (residency) hub.residency = residency;
  const names = hub.manifest.members.slice(0, setting.m).map((member) => member.name);
  const { allowed: allowedMembers } = setting;
  const choices = { k, allowedMembers, warmup: 0, explorationFade: "constant" };
  const learner = new PathwayLearner({
    members: loadMembers(hub, { names }),
    task: new ClassificationTask(classes),
    config: resolvePathwayConfig(choices, setting.m),
    seed: 0,
    imageSize: side,
  });
  const { untimed, first } = warmup(setting);
  const few = Math.min(batch, allowedMembers);
  const times: number[] = [];
  await fit({
    fit: "large-hub",
    learner,
    batches: timedBatches([...Array(untimed).fill(few), ...Array(first - untimed + setting.steps).fill(batch)], times),
    options: { ...defaultTrainOptions, epochs: 1 },
    checkpoint: undefined,
    identity: "",
    emit: () => {},
    residency,
  });
  learner.dispose();
  residency?.dispose();
  return { secondsPerStep: median(times.slice(first)), peakMiB: peakMiB() };
}

/**
 * Steps before those that are timed. The untimed ones of few rows give all but a hundredth of the members optimizer state, together with
 * the others; under a budget, where memory does not depend on it, all but a twentieth. Those of a whole batch compile kernels for
 * usual numbers of rows, of which there are many where models share the batch among few.
 */
function warmup({ m, allowed, budget }: Setting): { untimed: number; first: number } {
  const untimed = Math.ceil(((budget === undefined ? 3 : 2) * m) / allowed);
  return { untimed, first: untimed + (allowed > usual || budget !== undefined ? 2 : 10) };
}

/** An epoch of random batches of so many rows, whose steps write their processor time. */
function timedBatches(sizes: readonly number[], times: number[]): BatchSource {
  return {
    stepsPerEpoch: sizes.length,
    async *epoch() {
      using generator = new Generator(0);
      for (const rows of sizes) {
        const images = rand([rows, 3, side, side], { generator });
        const targets = randint(0, classes, [rows], { generator });
        const before = process.cpuUsage();
        yield { images, targets, labels: [], indices: [], dispose: () => disposeTree([images, targets]) };
        const { user, system } = process.cpuUsage(before);
        times.push((user + system) / 1e6);
      }
    },
  };
}

function inProcess(setting: Setting): Measured {
  const self = fileURLToPath(import.meta.url);
  const text = execFileSync(process.execPath, [...process.execArgv, self, JSON.stringify(setting)], {
    encoding: "utf8",
  });
  return JSON.parse(text.trim().split("\n").at(-1) ?? "") as Measured;
}

export async function largeHub(steps: number): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), "hub-pathway-bench-"));
  try {
    const hub = join(dir, "hub");
    const bytes = writeHub(hub, Math.max(...sizes));
    // Weights and two moments of the members that one step may touch.
    const budget = usual * 3 * bytes;
    const bounded = `${usual} allowed, budget ${Math.round(budget / 2 ** 20)} MiB`;
    const kinds: Record<string, { allowed: number; budget: number | undefined; slower?: number; larger?: number }> = {
      "all members allowed": { allowed: Math.max(...sizes), budget: undefined },
      [`${usual} allowed a step`]: { allowed: usual, budget: undefined, slower: 1.1, larger: 3 },
      "5 allowed a step": { allowed: 5, budget: undefined, slower: 1.1 },
      [bounded]: { allowed: usual, budget, larger: 1.5 },
    };
    const settingOf = (name: string, m: number): Setting => {
      const { allowed = usual, budget, slower } = kinds[name] ?? {};
      // What has no goal for its time, and takes long, is timed over fewer steps.
      const timed = m > usual && slower === undefined ? Math.ceil(steps / 2) : steps;
      return { hub, m, steps: timed, allowed: Math.min(allowed, m), budget };
    };
    // In small hubs kinds are the same, and measured once.
    const results = new Map<string, Measured>();
    const of = (name: string, m: number, figure: keyof Measured): number => {
      const setting = settingOf(name, m);
      const key = JSON.stringify(setting);
      const measured = results.get(key) ?? inProcess(setting);
      results.set(key, measured);
      return measured[figure];
    };
    return Object.entries(kinds).flatMap(([name, { slower, larger }]) =>
      sizes.flatMap((m) => [
        ratioFigure(
          `step, m = ${m}, ${name}`,
          { what: "s", value: of(name, m, "secondsPerStep") },
          { what: "s, m = 5", value: of(name, 5, "secondsPerStep") },
          slower,
        ),
        ratioFigure(
          `peak memory, m = ${m}, ${name}`,
          { what: "MiB", value: of(name, m, "peakMiB") },
          { what: "MiB, m = 5", value: of(name, 5, "peakMiB") },
          larger,
        ),
      ]),
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? "{}") as Setting)));
}

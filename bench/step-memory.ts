/**
 * Peak memory and time of training steps of published architectures at 224 px: all weights, low-rank changes beside them, and
 * blocks that compute twice; and Hub-Pathway's step over several models against one model's over all rows. Each setting runs in a process of its own, so that its peak memory is its own.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { HubMember, type ImageInput } from "../src/hub/index.ts";
import { MemberLearner } from "../src/methods/member-learner.ts";
import { PathwayLearner } from "../src/methods/pathway-learner.ts";
import { createBackbone, presets } from "../src/models/index.ts";
import { countParameters } from "../src/nn/index.ts";
import { resolvePathwayConfig } from "../src/pathway/index.ts";
import { disposeTree, elementBytes, Generator, ownProcess, rand, randint, setNumThreads } from "../src/torch/index.ts";
import {
  type BatchSource,
  ClassificationTask,
  defaultTrainOptions,
  fit,
  type TrainOptions,
} from "../src/train/index.ts";
import { type Figure, peakMiB, ratioFigure } from "./figure.ts";

const [side, classes] = [224, 10];
const task = new ClassificationTask(classes);
const spread = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

type Changes = Pick<TrainOptions, "tune" | "accumulate" | "checkpointActivations">;

interface Setting {
  network: string;
  batch: number;
  steps: number;
  changes: Changes;
  /** Models that routes lead to, two for each image; one alone when left out. */
  members?: number;
}

interface Measured {
  /** Processor time. */
  secondsPerStep: number;
  peakMiB: number;
  /** The part of the peak that is neither the program, nor weights, nor the optimizer's moments. */
  activationsMiB: number;
}

function memberOf(network: string, name = network): HubMember {
  const preset = presets()[network];
  if (!preset) throw new RangeError(`no preset ${network}`);
  using generator = new Generator(1);
  const { architecture, config } = preset;
  const backbone = createBackbone(architecture, config, { generator });
  backbone.to({ memory_format: "channels_last" });
  const file = { file: "none", format: "safetensors", sha256: "", files: [] } as const;
  return new HubMember<ImageInput>(
    ".",
    {
      name,
      architecture,
      config,
      weights: { ...file, files: [] },
      keyMap: { prefix: "", drop: [], rename: {} },
      featureWidth: backbone.featureWidth,
      input: { kind: "image", size: side, channelOrder: "rgb", ...spread, interpolation: "bilinear" },
      pretraining: { data: "none", paradigm: "none" },
      licence: "none",
      source: "none",
    },
    backbone,
  );
}

/** In a process of its own, which keeps freed memory as that of the program does. */
async function measure({ network, batch, steps, changes, members = 1 }: Setting): Promise<Measured> {
  ownProcess();
  setNumThreads(1);
  using generator = new Generator(2);
  const batches: BatchSource = {
    stepsPerEpoch: steps,
    async *epoch() {
      for (let step = 0; step < steps; step++) {
        const images = rand([batch, 3, side, side], { generator });
        const targets = randint(0, classes, [batch], { generator });
        const dispose = () => disposeTree([images, targets]);
        yield { images, targets, labels: [], indices: [], dispose };
      }
    },
  };
  const learner = members === 1 ? new MemberLearner(memberOf(network), task, 0) : routed(network, members);
  const options = { ...defaultTrainOptions, ...changes, batchNorm: "frozen", epochs: 1 } as const;
  const weights = (elementBytes("float32") * countParameters(learner.module.parameters())) / 2 ** 20;
  const loaded = process.memoryUsage().rss / 2 ** 20;
  const before = process.cpuUsage();
  await fit({
    fit: network,
    learner,
    batches,
    options,
    checkpoint: undefined,
    identity: "",
    emit: () => {},
  });
  const { user, system } = process.cpuUsage(before);
  learner.dispose();
  const peak = peakMiB();
  return { secondsPerStep: (user + system) / 1e6 / steps, peakMiB: peak, activationsMiB: peak - loaded - 2 * weights };
}

function routed(network: string, m: number): PathwayLearner {
  const members = Array.from({ length: m }, (_, i) => memberOf(network, `${network}-${i}`));
  const config = resolvePathwayConfig({ k: 2, warmup: 0 }, m);
  return new PathwayLearner({ members, task, config, seed: 0, imageSize: side });
}

function inOwnProcess(setting: Setting): Measured {
  const own = fileURLToPath(import.meta.url);
  const loader = fileURLToPath(new URL("../scripts/typescript.mjs", import.meta.url));
  const output = execFileSync(process.execPath, ["--import", loader, own, JSON.stringify(setting)], {
    encoding: "utf8",
  });
  return JSON.parse(output) as Measured;
}

const sides: Record<string, Changes> = {
  "--tune lora": { tune: "lora" },
  "--checkpoint-activations": { checkpointActivations: true },
  "--tune lora --checkpoint-activations --accumulate 4": { tune: "lora", checkpointActivations: true, accumulate: 4 },
};

/** @param steps of each setting, at least two: only from the second on are there moments beside the activations */
export function stepMemory(steps: number): Figure[] {
  return [...routedMemory(steps), ...tunedMemory(steps)];
}

/** Five models and k = 2: a model's activations are there until its gradients are, and the next one's only then. */
function routedMemory(steps: number): Figure[] {
  const setting = { network: "resnet18", batch: 32, steps, changes: {} };
  const [one, five] = [inOwnProcess(setting), inOwnProcess({ ...setting, members: 5 })];
  const name = "Hub-Pathway step, 5 of resnet18, k = 2, batch 32";
  return [
    ratioFigure(
      `peak memory of a ${name}, without program, weights and moments`,
      { what: "MiB", value: five.activationsMiB },
      { what: "MiB, one model on all rows", value: one.activationsMiB },
      1,
    ),
    ratioFigure(
      `peak memory of a ${name}`,
      { what: "MiB", value: five.peakMiB },
      { what: "MiB, one model on all rows", value: one.peakMiB },
    ),
  ];
}

function tunedMemory(steps: number): Figure[] {
  return [
    ["vit_base_patch16_224", 8],
    ["resnet50", 16],
  ].flatMap(([network, batch]) => {
    const setting = { network: String(network), batch: Number(batch), steps };
    const all = inOwnProcess({ ...setting, changes: {} });
    return Object.entries(sides).map(([name, changes]) => {
      const own = inOwnProcess({ ...setting, changes });
      return ratioFigure(
        `peak memory of training ${network}, batch ${batch}, ${name}; ${(own.secondsPerStep / all.secondsPerStep).toFixed(2)} of the time`,
        { what: "MiB", value: own.peakMiB },
        { what: "MiB, all weights at once", value: all.peakMiB },
      );
    });
  });
}

const [given] = process.argv.slice(2);
if (process.argv[1] === fileURLToPath(import.meta.url) && given !== undefined) {
  console.log(JSON.stringify(await measure(JSON.parse(given) as Setting)));
}

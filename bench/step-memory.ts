/**
 * Peak memory and time of training steps of published architectures at 224 px: all weights, low-rank changes beside them, and
 * blocks that compute twice. Each setting runs in a process of its own, so that its peak memory is its own.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { HubMember, type ImageInput } from "../src/hub/index.ts";
import { MemberLearner } from "../src/methods/member-learner.ts";
import { createBackbone, presets } from "../src/models/index.ts";
import { disposeTree, Generator, ownProcess, rand, randint, setNumThreads } from "../src/torch/index.ts";
import {
  type BatchSource,
  ClassificationTask,
  defaultTrainOptions,
  fit,
  type TrainOptions,
} from "../src/train/index.ts";
import { type Figure, peakMiB, ratioFigure } from "./figure.ts";

const [side, classes] = [224, 10];
const spread = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

type Changes = Pick<TrainOptions, "tune" | "accumulate" | "checkpointActivations">;

interface Setting {
  network: string;
  batch: number;
  steps: number;
  changes: Changes;
}

interface Measured {
  /** Processor time. */
  secondsPerStep: number;
  peakMiB: number;
}

function memberOf(network: string): HubMember {
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
      name: network,
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
async function measure({ network, batch, steps, changes }: Setting): Promise<Measured> {
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
  const learner = new MemberLearner(memberOf(network), new ClassificationTask(classes), 0);
  const options = { ...defaultTrainOptions, ...changes, batchNorm: "frozen", epochs: 1 } as const;
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
  return { secondsPerStep: (user + system) / 1e6 / steps, peakMiB: peakMiB() };
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

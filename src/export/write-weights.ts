/** The models of a finished run as safetensors files that timm's and torchvision's own classes load, heads included. */
import { join } from "node:path";
import { writeFileAtomic, writeSafetensors } from "../io/index.ts";
import { presets } from "../models/index.ts";
import { eye, inferenceMode, scope, type Tensor, UserError, zeros } from "../torch/index.ts";
import { MultiLabelTask, type OpenedRun, RegressionTask, storedTask, type Task } from "../train/index.ts";
import { weightsCard } from "./bundle/card.ts";
import { type BundleMember, partsOf } from "./bundle/parts.ts";
import { newFolder } from "./bundle/write-bundle.ts";
import type { MemberHead } from "./parts.ts";

/**
 * Writes NAME.safetensors and NAME.json of each model into a new folder, which appears complete or not at all: weights under the
 * architecture's own key names, with the run's head in the classifier's place; input and class names as timm's config.json has
 * them. Numbers come in their own units: their means and deviations are in the head. README.md is a model card. A router is no part of it.
 * @returns the models' names
 * @throws UserError when the folder exists or cannot be written, or a model has no such names
 */
export function writeWeights(run: OpenedRun, out: string): Promise<string[]> {
  const { task, config } = run;
  const { classes } = config;
  const { members } = partsOf(run.predictor, run.folder.path);
  return newFolder(out, "--out", async (folder, named) => {
    for (const part of members) {
      const { name } = part.member;
      scope(() => inferenceMode(() => writeSafetensors(join(folder, `${name}.safetensors`), stateOf(part, task))));
      writeFileAtomic(join(folder, `${name}.json`), `${JSON.stringify(configOf(part, classes, task), null, 2)}\n`);
    }
    const origins = members.map(({ member: { name, entry } }) => {
      return { name, licence: entry.licence, source: entry.source, pretraining: entry.pretraining.data };
    });
    writeFileAtomic(join(folder, "README.md"), weightsCard(named, origins, classes, storedTask(task)));
    return members.map(({ member }) => member.name);
  });
}

/** Key of the classifier in the files of an architecture's package. @throws UserError where there is no linear one */
function classifierOf({ member: { name, entry } }: BundleMember): string {
  const published = Object.values(presets()).filter(({ architecture }) => architecture === entry.architecture);
  const same = published.find(({ config }) => JSON.stringify(config) === JSON.stringify(entry.config));
  const keys = new Set((same ? [same] : published).map(({ classifier }) => classifier));
  const [key] = keys;
  if (keys.size === 1 && key !== undefined && entry.architecture !== "squeezenet") return key;
  throw new UserError(
    `"${name}" cannot be written as safetensors: ${entry.architecture} networks have no place for a linear head in timm's or ` +
      "torchvision's files; leave out --format",
  );
}

function stateOf(part: BundleMember, task: Task): Map<string, Tensor> {
  const { weight, bias } = headOf(part.layers, part.member.featureWidth, task);
  const key = classifierOf(part);
  return new Map([...part.member.backbone.stateDict(), [`${key}.weight`, weight], [`${key}.bias`, bias]]);
}

/** Weight [C, d] and bias [C] of the linear function that centring, scaling and head are together. */
function headOf({ head, standardize }: MemberHead, width: number, task: Task): { weight: Tensor; bias: Tensor } {
  const forward = (x: Tensor): Tensor => {
    const logits = head.forward(standardize?.forward(x) ?? x);
    return task instanceof RegressionTask ? task.probabilities(logits).to({ dtype: "float32" }) : logits;
  };
  const bias = forward(zeros([1, width]));
  return { weight: forward(eye(width)).sub(bias).t().contiguous(), bias: bias.squeeze(0) };
}

function configOf({ member }: BundleMember, classes: readonly string[], task: Task): Record<string, unknown> {
  const { entry, featureWidth } = member;
  const { size, sides = [size, size], mean, std, interpolation, channelOrder } = entry.input;
  return {
    architecture: entry.architecture,
    config: entry.config,
    num_classes: classes.length,
    num_features: featureWidth,
    label_names: classes,
    ...(task.kind === "classification" ? {} : { task: task.kind }),
    ...(task instanceof MultiLabelTask ? { thresholds: task.thresholds } : {}),
    pretrained_cfg: { input_size: [3, ...sides], mean, std, interpolation, channel_order: channelOrder },
    license: entry.licence,
    source: entry.source,
  };
}

/** hub-pathway eval, predict and report: what a finished run is worth, says, and looks like. */
import { decodeImage, defaultPixelLimit } from "../data/index.ts";
import { writeFileAtomic } from "../io/index.ts";
import { findMethod } from "../methods/index.ts";
import { analyseVariants, percent, type RunAnalysis, runReport } from "../report/index.ts";
import { findDevice, inferenceMode, scope, tensor, UserError } from "../torch/index.ts";
import {
  argmaxAt,
  type Evaluation,
  evaluate,
  itemsHash,
  type OpenedRun,
  openRun,
  type Predictor,
  type SplitName,
  summarise,
  TenCrop,
  tenCropSide,
} from "../train/index.ts";
import type { Output } from "./context.ts";
import { countProgress } from "./progress.ts";

export interface RunFlags {
  split: string;
  hub?: string;
  data?: string;
  k?: number;
  flops?: number;
  hubMemory?: number;
  trust?: boolean;
  device: string;
  tenCrop?: boolean;
}

async function open(path: string, flags: RunFlags): Promise<OpenedRun> {
  const run = await openRun(path, findMethod, {
    hub: flags.hub,
    data: flags.data,
    hubMemory: flags.hubMemory,
    trust: flags.trust,
    device: findDevice(flags.device),
    onProgress: countProgress("decoding"),
  });
  if (flags.k !== undefined) setK(run, flags.k);
  if (flags.flops !== undefined) setBudget(run, flags.flops);
  return run;
}

function setK(run: OpenedRun, k: number): void {
  const m = run.predictor.memberNames.length;
  if (!("k" in run.predictor)) throw new UserError(`the method ${run.config.method} has no k to choose`);
  if (!Number.isInteger(k) || k < 1 || k > m)
    throw new UserError(`--k is ${k}: it must be a whole number from 1 to ${m}`);
  (run.predictor as { k: number }).k = k;
}

function setBudget(run: OpenedRun, flops: number): void {
  for (let k = run.predictor.memberNames.length; k >= 1; k--) {
    setK(run, k);
    if (run.predictor.inferenceFlops <= flops) return;
  }
  throw new UserError(
    `--flops is ${flops}: even one model costs ${Math.round(run.predictor.inferenceFlops)} FLOPs for an image`,
  );
}

function splitName(text: string): SplitName {
  if (text === "train" || text === "validation" || text === "test") return text;
  throw new UserError(`--split is "${text}": it must be train, validation or test`);
}

export async function evalRun(path: string, flags: RunFlags, output: Output): Promise<void> {
  const split = splitName(flags.split);
  const run = await open(path, flags);
  const { evaluation, predictor } = await measure(run, split, flags.tenCrop ?? false);
  const summary = summarise(split, evaluation, predictor);
  if (split === "test") {
    run.folder.recordTestReading({
      time: new Date().toISOString(),
      items: itemsHash(evaluation.indices),
      accuracy: summary.accuracy,
      ...(flags.tenCrop ? { tenCrop: true } : {}),
    });
  }
  output.say(`${split} accuracy ${percent(summary.accuracy)} on ${summary.items} images`);
  for (const [name, share] of Object.entries(summary.pathwayShare))
    output.say(`  ${percent(share).padStart(7)} ${name}`);
  output.result(summary);
  close(run);
}

async function measure(
  { data, config, predictor }: OpenedRun,
  split: SplitName,
  tenCrop: boolean,
): Promise<{ evaluation: Evaluation; predictor: Predictor }> {
  const classes = data.classes.length;
  if (!tenCrop) return { evaluation: await evaluate(predictor, data.open(split), classes), predictor };
  const cropped = new TenCrop(predictor, config.imageSize);
  const batches = await data.openAt(tenCropSide(config.imageSize), split);
  try {
    return { evaluation: await evaluate(cropped, batches, classes), predictor: cropped };
  } finally {
    batches.dispose();
  }
}

function close(run: OpenedRun): void {
  run.predictor.dispose();
  run.data.dispose();
}

export async function predict(path: string, images: string[], flags: RunFlags, output: Output): Promise<void> {
  const run = await open(path, flags);
  const size = run.config.imageSize;
  const results = [];
  for (const image of images) {
    const item = { id: image, label: -1, source: { kind: "file", path: image } as const };
    const pixels = await decodeImage(item, { size, channels: 3, pixelLimit: defaultPixelLimit });
    const result = scope(() =>
      inferenceMode(() => {
        const batch = tensor(pixels, { shape: [1, size, size, 3] })
          .permute([0, 3, 1, 2])
          .to({ dtype: "float32", device: run.hub.device })
          .div(255);
        const { probabilities, weights } = run.predictor.predict(batch);
        return { probabilities: probabilities.toNumbers(), weights: weights?.toNumbers() };
      }),
    );
    const best = argmaxAt(result.probabilities, 0, result.probabilities.length);
    const models = run.predictor.memberNames.map((name, i) => ({
      name,
      weight: result.weights?.[i] ?? 1 / run.predictor.memberNames.length,
    }));
    const activated = models.filter((model) => model.weight > 0);
    const probability = result.probabilities[best] ?? 0;
    const label = run.config.classes[best] ?? "";
    output.say(
      `${image}: ${label} (${percent(probability)}) by ${activated.map((model) => `${model.name} ${model.weight.toFixed(2)}`).join(", ")}`,
    );
    results.push({ image, label, probability, activated });
  }
  output.result({ predictions: results });
  close(run);
}

export async function report(path: string, flags: RunFlags, output: Output): Promise<void> {
  const split = splitName(flags.split);
  const run = await open(path, flags);
  const evaluation = await evaluate(run.predictor, run.data.open(split), run.data.classes.length);
  const summary = summarise(split, evaluation, run.predictor);
  if (split === "test") {
    run.folder.recordTestReading({
      time: new Date().toISOString(),
      items: itemsHash(evaluation.indices),
      accuracy: summary.accuracy,
    });
  }
  const { predictor, data } = run;
  const variants = await analyseVariants(predictor, data.open(split), data.classes.length, summary.accuracy);
  const { html, analysis } = await runReport({
    title: `${run.config.method} on ${run.data.name}`,
    summary,
    evaluation,
    data,
    memberNames: predictor.memberNames,
    eventsPath: run.folder.file("events.jsonl"),
    variants,
  });
  const target = run.folder.file("report.html");
  writeFileAtomic(target, [html]);
  for (const line of highlights(analysis)) output.say(line);
  output.say(`report: ${target}`);
  output.result({ report: target, ...analysis });
  close(run);
}

/** What a terminal shows of a report. */
function highlights({ summary, routing, variants }: RunAnalysis): string[] {
  const lines = [`${summary.split} accuracy ${percent(summary.accuracy)} on ${summary.items} images`];
  for (const { k, accuracy } of variants?.accuracyByK ?? [])
    lines.push(`  ${percent(accuracy).padStart(7)} with k = ${k}`);
  for (const { model, accuracy } of variants?.leaveOneOut ?? []) {
    lines.push(`  ${percent(accuracy).padStart(7)} without ${model}`);
  }
  if (!routing) return lines;
  const { value, chance } = routing.routeClassInformation;
  lines.push(`information of route about class ${value.toFixed(3)} nats (${chance.toFixed(3)} by chance)`);
  if (routing.dead.length > 0) lines.push(`no image activates ${routing.dead.join(", ")}`);
  return lines;
}

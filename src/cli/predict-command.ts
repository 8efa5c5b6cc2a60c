/** hub-pathway predict: labels for images, with the models that gave them. */
import { reasonOf, shown } from "../io/index.ts";
import {
  type AnyPrediction,
  type ClassProbability,
  type ImageInput,
  type LabelsPrediction,
  type NumbersPrediction,
  Predictor,
} from "../library/index.ts";
import type { InferenceMode } from "../methods/catalog.ts";
import { amount, percent } from "../report/index.ts";
import { figure } from "../report/table.ts";
import { ConfigError, setNumThreads } from "../torch/index.ts";
import { isAsked } from "../train/index.ts";
import type { Output } from "./context.ts";
import type { OpenFlags } from "./eval-command.ts";
import { imagesOf } from "./image-arguments.ts";
import { stopping, withInterrupt } from "./interrupt.ts";
import { answerColumns, PredictionTable } from "./prediction-table.ts";

export interface PredictFlags extends OpenFlags {
  top: number;
  csv?: string;
  mode?: InferenceMode;
  data?: string;
}

type Answer = { image: string } & (AnyPrediction | { error: string });

/** Lines that are aligned with each other. */
const block = 32;

export async function predict(path: string, args: string[], flags: PredictFlags, output: Output): Promise<void> {
  const { top, csv, threads, ...options } = flags;
  if (threads !== undefined) setNumThreads(threads);
  using predictor = await withInterrupt((signal) => Predictor.openAny(path, { ...options, signal }), stopping);
  const { kind, classes, setting } = predictor;
  if (setting)
    output.note(`${shown(setting.name)}: ${amount(setting.flops)}FLOPs an image, on average over validation images`);
  if (kind === "regression" && top > 1)
    throw new ConfigError("--top counts classes, and this run answers with numbers");
  const columns = answerColumns({ kind, classes, top, rejects: isAsked(options) });
  using table = csv === undefined ? undefined : new PredictionTable(csv, columns);
  // A table has the probability of each label.
  const wanted = kind === "multi-label" && table ? Math.max(top, classes.length) : top;
  const all: Answer[] = [];
  let lines: Answer[] = [];
  let failed = 0;
  const say = (): void => {
    for (const line of aligned(lines)) output.say(line);
    lines = [];
  };
  for await (const outcome of predictor.predictEach(imagesOf(args, process.stdin), { top: wanted })) {
    const image = nameOf(outcome.image);
    if ("error" in outcome) {
      failed += 1;
      const error = reasonOf(outcome.error);
      table?.addError(image, error);
      lines.push({ image, error });
    } else {
      table?.add(image, outcome.prediction);
      lines.push({ image, ...withTop(outcome.prediction, top) });
    }
    if (output.json) all.push(lines.at(-1) as Answer);
    if (lines.length >= block) say();
  }
  say();
  table?.finish();
  if (failed > 0) process.exitCode = 1;
  output.result({
    ...(setting ? { setting: setting.name, expectedFlops: setting.flops } : {}),
    predictions: all,
    failed,
  });
}

function nameOf(image: ImageInput): string {
  return typeof image === "string" ? image : "-";
}

/** As many of the most probable classes as were asked for. */
function withTop(prediction: AnyPrediction, top: number): AnyPrediction {
  return "top" in prediction ? { ...prediction, top: prediction.top.slice(0, top) } : prediction;
}

/** Image, answer, rejection, models; further classes below. */
function aligned(answers: readonly Answer[]): string[] {
  const width = (texts: readonly string[]) => texts.reduce((most, text) => Math.max(most, text.length), 0);
  const first = width(answers.map(({ image }) => shown(image)));
  const second = width(
    answers.flatMap((answer) => ("label" in answer ? answer.top.map(({ label }) => shown(label)) : [])),
  );
  return answers.flatMap((answer) => {
    const image = shown(answer.image).padEnd(first);
    if ("error" in answer) return [`${image}  error: ${answer.error}`];
    const models = `  by ${answer.pathway.map(partText).join(", ")}`;
    if (!("label" in answer)) return [`${image}  ${answerText(answer)}${models}`];
    return answer.top.map(({ label, probability }, i) => {
      const more = i > 0 ? "" : `${answer.rejected ? "  rejected" : ""}${models}`;
      const name = i > 0 ? " ".repeat(first) : image;
      return `${name}  ${shown(label).padEnd(second)}  ${percent(probability).padStart(7)}${more}`;
    });
  });
}

function answerText(answer: LabelsPrediction | NumbersPrediction): string {
  if ("values" in answer) {
    return Object.entries(answer.values)
      .map(([name, value]) => `${shown(name)} ${figure(value)}`)
      .join(", ");
  }
  const named = ({ label, probability }: ClassProbability) => `${shown(label)} ${percent(probability)}`;
  if (answer.labels.length > 0) return answer.labels.map(named).join(", ");
  return `no label (first ${answer.top.map(named).join(", ")})`;
}

function partText({ member, weight }: { member: string; weight: number }): string {
  return `${shown(member)} ${weight.toFixed(2)}`;
}

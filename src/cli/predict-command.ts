/** hub-pathway predict: labels for images, with the models that gave them. */
import { reasonOf, shown } from "../io/index.ts";
import { type ImageInput, type ImagePrediction, Predictor } from "../library/index.ts";
import { percent } from "../report/index.ts";
import { setNumThreads } from "../torch/index.ts";
import { isAsked } from "../train/index.ts";
import type { Output } from "./context.ts";
import type { OpenFlags } from "./eval-command.ts";
import { imagesOf } from "./image-arguments.ts";
import { PredictionTable } from "./prediction-table.ts";

export interface PredictFlags extends OpenFlags {
  top: number;
  csv?: string;
}

type Answer = { image: string } & (ImagePrediction | { error: string });

/** Lines that are aligned with each other. */
const block = 32;

export async function predict(path: string, args: string[], flags: PredictFlags, output: Output): Promise<void> {
  const { top, csv, threads, ...options } = flags;
  if (threads !== undefined) setNumThreads(threads);
  using table = csv === undefined ? undefined : new PredictionTable(csv, top, isAsked(options));
  using predictor = await Predictor.open(path, options);
  const all: Answer[] = [];
  let lines: Answer[] = [];
  let failed = 0;
  const say = (): void => {
    for (const line of aligned(lines)) output.say(line);
    lines = [];
  };
  for await (const outcome of predictor.predictEach(imagesOf(args, process.stdin), { top })) {
    const image = nameOf(outcome.image);
    if ("error" in outcome) {
      failed += 1;
      const error = reasonOf(outcome.error);
      table?.addError(image, error);
      lines.push({ image, error });
    } else {
      table?.add(image, outcome.prediction);
      lines.push({ image, ...outcome.prediction });
    }
    if (output.json) all.push(lines.at(-1) as Answer);
    if (lines.length >= block) say();
  }
  say();
  table?.finish();
  if (failed > 0) process.exitCode = 1;
  output.result({ predictions: all, failed });
}

function nameOf(image: ImageInput): string {
  return typeof image === "string" ? image : "-";
}

/** Image, label, probability, rejection, models; further classes below. */
function aligned(answers: readonly Answer[]): string[] {
  const width = (texts: readonly string[]) => texts.reduce((most, text) => Math.max(most, text.length), 0);
  const first = width(answers.map(({ image }) => shown(image)));
  const second = width(
    answers.flatMap((answer) => ("error" in answer ? [] : answer.top.map(({ label }) => shown(label)))),
  );
  return answers.flatMap((answer) => {
    const image = shown(answer.image).padEnd(first);
    if ("error" in answer) return [`${image}  error: ${answer.error}`];
    return answer.top.map(({ label, probability }, i) => {
      const models =
        i > 0 ? "" : `${answer.rejected ? "  rejected" : ""}  by ${answer.pathway.map(partText).join(", ")}`;
      const name = i > 0 ? " ".repeat(first) : image;
      return `${name}  ${shown(label).padEnd(second)}  ${percent(probability).padStart(7)}${models}`;
    });
  });
}

function partText({ member, weight }: { member: string; weight: number }): string {
  return `${shown(member)} ${weight.toFixed(2)}`;
}

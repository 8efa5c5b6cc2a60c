/** hub-pathway report: a finished run's page, written anew with what only takes part in measuring. */
import { join } from "node:path";
import { acquireLock, shown, sweepTemporaries, writeFileAtomic } from "../io/index.ts";
import {
  analyseVariants,
  percent,
  type RunAnalysis,
  runReport,
  targetReport,
  targetVariants,
  verdictSentence,
} from "../report/index.ts";
import {
  evaluateTask,
  isClassified,
  type OpenedRun,
  scoreText,
  summarise,
  summariseTargets,
  withTemperature,
} from "../train/index.ts";
import type { Output } from "./context.ts";
import { calibratedRun, type EvalFlags, openFinished, openImages, recordReading } from "./eval-command.ts";
import { stopping, withInterrupt } from "./interrupt.ts";
import { countProgress } from "./progress.ts";
import { targetLines } from "./verdict.ts";

/** Labels that a terminal names as the weakest. */
const mostLabels = 5;

export async function report(path: string, flags: EvalFlags, output: Output): Promise<void> {
  const opened = openFinished(path, flags);
  // Where the run's own validation images are not what is measured, a threshold is optional.
  const isNeeded = flags.split === "validation" && flags.data === undefined;
  try {
    await withInterrupt(async (signal) => {
      const run = await calibratedRun(opened, flags, output, { signal, isNeeded });
      using _lock = acquireLock(join(path, ".lock"), "hub-pathway report");
      sweepTemporaries(path);
      await write(run, flags, output, signal);
    }, stopping);
  } finally {
    opened.dispose();
  }
}

async function write(run: OpenedRun, flags: EvalFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { predictor, config, task, folder, calibration, rejection } = run;
  const images = await openImages(run, flags, output);
  const target = folder.file("report.html");
  try {
    const onProgress = countProgress("measuring");
    const raw = await evaluateTask(predictor, images.batches, task, { signal, onProgress });
    const page = {
      title: `${config.method} on ${images.name}`,
      data: images,
      memberNames: predictor.memberNames,
      eventsPath: folder.file("events.jsonl"),
    };
    if (!isClassified(raw)) {
      const summary = summariseTargets(flags.split, raw, predictor, { task, classes: config.classes });
      recordReading(run, images, { evaluation: raw, summary }, output);
      const options = { signal, onProgress: countProgress("measuring other choices of models") };
      const variants = await targetVariants(predictor, images.batches, raw, task, options);
      const { verdict } = variants;
      writeFileAtomic(target, [await targetReport({ ...page, summary, evaluation: raw, task, verdict, variants })]);
      for (const line of targetLines(summary, mostLabels)) output.say(line);
      if (verdict) output.say(verdictSentence(verdict));
      output.say(`report: ${target}`);
      for (const { k, score } of variants.scoreByK) output.say(`  ${scoreText(task.kind, score)} with k = ${k}`);
      for (const { model, score } of variants.leaveOneOut)
        output.say(`  ${scoreText(task.kind, score)} without ${shown(model)}`);
      output.result({ report: target, summary, variants });
      return;
    }
    const temperature = calibration?.temperature;
    const evaluation = withTemperature(raw, temperature);
    const summary = summarise(flags.split, evaluation, predictor, config.classes);
    recordReading(run, images, { evaluation, summary }, output);
    const { variants, verdict } = await analyseVariants(predictor, images.batches, evaluation, {
      signal,
      temperature,
      onProgress: countProgress("measuring other choices of models"),
    });
    const { html, analysis } = await runReport({
      ...page,
      summary,
      evaluation,
      variants,
      verdict,
      confidence: calibration && { calibration, rejection, rawError: raw.metrics.calibrationError },
    });
    writeFileAtomic(target, [html]);
    for (const line of highlights(analysis)) output.say(line);
    output.say(`report: ${target}`);
    output.result({ report: target, ...analysis });
  } finally {
    images.dispose();
  }
}

/** A report as a terminal shows it. */
function highlights({ summary, routing, variants, verdict }: RunAnalysis): string[] {
  const lines = [`${summary.split} accuracy ${percent(summary.accuracy)} on ${summary.items} images`];
  if (verdict) lines.push(verdictSentence(verdict));
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

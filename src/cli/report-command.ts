/** hub-pathway report: a finished run's page, written anew with what only takes part in measuring. */
import { join } from "node:path";
import { acquireLock, sweepTemporaries, writeFileAtomic } from "../io/index.ts";
import { analyseVariants, percent, type RunAnalysis, runReport, verdictSentence } from "../report/index.ts";
import { evaluate, type OpenedRun, summarise, withTemperature } from "../train/index.ts";
import type { Output } from "./context.ts";
import { calibratedRun, type EvalFlags, openFinished, openImages, recordReading } from "./eval-command.ts";
import { stopping, withInterrupt } from "./interrupt.ts";
import { countProgress } from "./progress.ts";

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
  const { predictor, config, folder, calibration, rejection } = run;
  const images = await openImages(run, flags, output);
  try {
    const classes = config.classes.length;
    const onProgress = countProgress("measuring");
    const raw = await evaluate(predictor, images.batches, classes, { signal, onProgress });
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
      title: `${config.method} on ${images.name}`,
      summary,
      evaluation,
      data: images,
      memberNames: predictor.memberNames,
      eventsPath: folder.file("events.jsonl"),
      variants,
      verdict,
      confidence: calibration && { calibration, rejection, rawError: raw.metrics.calibrationError },
    });
    const target = folder.file("report.html");
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

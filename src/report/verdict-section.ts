/** The head of a run's page: what the run is, how accurate, against what, at which cost. */
import type { RunEvent } from "../train/index.ts";
import type { RunAnalysis } from "./analysis.ts";
import { htmlTable } from "./page.ts";
import { type RoutingVerdict, verdictSentence } from "./routing-verdict.ts";
import { escapeHtml } from "./svg.ts";
import { amount, duration, percent } from "./table.ts";

/** @param events of the run; without a start event its origin is left out */
export function verdictSection(analysis: RunAnalysis, events: readonly RunEvent[]): string {
  const { summary, interval, baseline, variants, verdict } = analysis;
  const [low, high] = interval;
  const single = variants?.accuracyByK.find(({ k }) => k === 1);
  const rows = [
    [`always "${baseline.name}", the most frequent class`, percent(baseline.share), "nothing"],
    ...(single && analysis.models.length > 1 ? [["one model an image", percent(single.accuracy), cost(single)]] : []),
    ["this run", percent(summary.accuracy), cost(summary)],
  ];
  const figures = [
    ["macro F1", percent(summary.macroF1)],
    ["calibration error", percent(summary.calibrationError)],
    ["log loss", `${summary.logLoss.toFixed(3)} nats`],
    ["time for an image", duration(summary.secondsPerImage)],
    ["parameters", amount(summary.parameters)],
    ...training(events),
  ];
  return [
    origin(events),
    `<p class="lead"><strong>${percent(summary.accuracy)}</strong> of ${summary.items} ${escapeHtml(summary.split)} images are right.</p>`,
    `<p>95 % interval ${percent(low)} to ${percent(high)} (Wilson).${chosenOn(summary.split)}</p>`,
    ...(verdict ? [verdictText(verdict)] : []),
    htmlTable(["", "accuracy", "FLOPs an image"], rows),
    htmlTable(["", ""], figures),
  ].join("\n");
}

/** What routes by input are worth, as a paragraph. */
export function verdictText(verdict: RoutingVerdict): string {
  const text = verdictSentence(verdict);
  return `<p>${escapeHtml(`${text.charAt(0).toUpperCase()}${text.slice(1)}.`)}</p>`;
}

const cost = ({ inferenceFlops }: { inferenceFlops: number }): string => amount(inferenceFlops);

/** Remark on a split that choices were made on, which flatters. */
export function chosenOn(split: string): string {
  if (split === "test") return "";
  return ` Choices were made on this split: <code>hub-pathway eval RUN --split test</code> measures on images that decided nothing.`;
}

/** Where a run comes from. */
export function origin(events: readonly RunEvent[]): string {
  const start = events.find((event) => event.type === "start");
  if (!start) return "";
  const { method, data, hub, seed, time } = start;
  const date = time.slice(0, 16).replace("T", " ");
  return `<p class="note">${escapeHtml(`${method} on ${data} with the hub ${hub}, seed ${seed}, begun ${date} UTC`)}</p>`;
}

/** Time and FLOPs of all fits. */
function training(events: readonly RunEvent[]): string[][] {
  const fits = new Map(events.flatMap((event) => (event.type === "fitted" ? [[event.fit, event] as const] : [])));
  if (fits.size === 0) return [];
  const sum = (value: (fit: { seconds: number; trainingFlops: number }) => number) =>
    [...fits.values()].reduce((total, fit) => total + value(fit), 0);
  const [seconds, flops] = [sum((fit) => fit.seconds), sum((fit) => fit.trainingFlops)];
  return [["training", `${duration(seconds)}, ${amount(flops)}FLOPs`]];
}

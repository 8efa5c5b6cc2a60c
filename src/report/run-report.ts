/** The report of one run as a page: curves, and what its models do for whom. */
import { existsSync, readFileSync } from "node:fs";
import { confusionMatrix, type Evaluation, type RunEvent, type TaskData } from "../train/index.ts";
import { type AnalysisRequest, analyseRun, type GroupAnalysis, type RunAnalysis } from "./analysis.ts";
import { htmlPage, htmlTable } from "./page.ts";
import { routingSections, usesByClass } from "./routing-sections.ts";
import { useOf } from "./routing-statistics.ts";
import { escapeHtml, heatMap, lineChart, type Series } from "./svg.ts";
import { amount, duration, percent } from "./table.ts";

export interface RunReport extends Omit<AnalysisRequest, "events"> {
  title: string;
  /** The run's events.jsonl. */
  eventsPath: string;
}

/** The whole page as HTML text, and the numbers in it. */
export async function runReport(report: RunReport): Promise<{ html: string; analysis: RunAnalysis }> {
  const { evaluation, data } = report;
  const events = readEvents(report.eventsPath);
  const analysis = await analyseRun({ ...report, events });
  const html = htmlPage(report.title, [
    summarySection(analysis),
    ...curves(events, report.memberNames),
    ...variantSections(analysis),
    ...(await routingSections(analysis, data)),
    sliceSection(analysis),
    confusionSection(analysis, evaluation, data),
  ]);
  return { html, analysis };
}

function summarySection({ summary }: RunAnalysis): string {
  const rows = [
    ["accuracy", percent(summary.accuracy)],
    ["macro F1", percent(summary.macroF1)],
    ["calibration error", percent(summary.calibrationError)],
    ["images", String(summary.items)],
    ["parameters", amount(summary.parameters)],
    ["inference FLOPs per image", amount(summary.inferenceFlops)],
    ["seconds per image", duration(summary.secondsPerImage)],
    ["information of input about route", `${summary.routeInformation.toFixed(3)} nats`],
  ];
  return `<p class="note">Measured on the ${escapeHtml(summary.split)} split.</p>${htmlTable(["", ""], rows)}`;
}

function readEvents(path: string): RunEvent[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as RunEvent);
}

/** Loss and validation accuracy of each fit, and the share of each model over training. */
export function curves(events: readonly RunEvent[], memberNames: readonly string[]): string[] {
  const epochs = events.filter((event) => event.type === "epoch");
  const fits = [...new Set(epochs.map((event) => event.fit))];
  const perFit = (value: (event: (typeof epochs)[number]) => number | undefined): Series[] =>
    fits.map((fit) => ({
      name: fit,
      points: epochs.flatMap((event) => {
        const y = event.fit === fit ? value(event) : undefined;
        return y === undefined ? [] : [[event.epoch, y] as const];
      }),
    }));
  const routed = epochs.filter((event) => event.shares !== undefined);
  const routedFits = fits.filter((fit) => routed.some((event) => event.fit === fit));
  const sharesOf = (fit: string) =>
    memberNames.map((name, i): Series => {
      const own = routed.filter((event) => event.fit === fit);
      return { name, points: own.map((event) => [event.epoch, event.shares?.[i] ?? 0] as const) };
    });
  const shareChart = (fit: string) => {
    const title = `Share of activations while training${routedFits.length > 1 ? `: ${fit}` : ""}`;
    return lineChart(title, sharesOf(fit), { x: "epoch", y: "share" });
  };
  return [
    lineChart(
      "Training loss",
      perFit((event) => event.loss),
      { x: "epoch", y: "loss" },
    ),
    lineChart(
      "Validation accuracy",
      perFit((event) => event.validation?.accuracy),
      { x: "epoch", y: "accuracy" },
    ),
    ...routedFits.map(shareChart),
  ];
}

/** Accuracy for each k, and what is lost without each model. */
function variantSections({ variants, summary }: RunAnalysis): string[] {
  if (!variants) {
    return ['<p class="note">Accuracy for each k and without each model: <code>hub-pathway report RUN</code>.</p>'];
  }
  const { accuracyByK, leaveOneOut } = variants;
  const points = accuracyByK.map(({ k, accuracy }) => [k, accuracy] as const);
  const byK = accuracyByK.map((one) => [
    String(one.k),
    percent(one.accuracy),
    one.logLoss.toFixed(3),
    amount(one.inferenceFlops),
  ]);
  const without = [...leaveOneOut]
    .sort((a, b) => a.change - b.change)
    .map((one) => [one.model, percent(one.accuracy), points100(one.change), one.logLoss.toFixed(3)]);
  return [
    lineChart("Accuracy for each number k of activated models", [{ name: summary.split, points }], {
      x: "k",
      y: "accuracy",
    }),
    byK.length > 0 ? htmlTable(["k", "accuracy", "log loss", "FLOPs per image"], byK) : "",
    without.length > 0
      ? `<h3>Without one of the models</h3>${htmlTable(["left out", "accuracy", "change", "log loss"], without)}`
      : "",
  ];
}

/** 0.0123 to "+1.2". */
function points100(change: number): string {
  return `${change > 0 ? "+" : ""}${(100 * change).toFixed(1)} points`;
}

function sliceSection({ classes, slices, models }: RunAnalysis): string {
  const sections = slices.map(({ name, parts }) => {
    const uses = parts.map((part) => part.use).filter((use) => use !== undefined);
    const table = groupTable(name, parts);
    if (uses.length === 0) return table;
    const names = parts.map((part) => part.name);
    return table + heatMap(`Share of images that activate a model, by ${name}`, names, models, uses, twoDigits);
  });
  return `<h2>Parts of the data</h2>${groupTable("class", classes)}${sections.join("")}`;
}

function groupTable(name: string, groups: readonly GroupAnalysis[]): string {
  const rows = groups.map((group) => [group.name, String(group.items), percent(group.accuracy)]);
  return htmlTable([name, "images", "accuracy"], rows);
}

const twoDigits = (value: number): string => value.toFixed(2);

function confusionSection({ summary }: RunAnalysis, evaluation: Evaluation, data: TaskData): string {
  const counts = confusionMatrix(evaluation.probabilities, evaluation.labels, evaluation.classes);
  const title = `Confusion on the ${summary.split} split: rows are true, columns predicted`;
  return heatMap(title, data.classes, data.classes, counts, String);
}

/** How often each class activates each model. */
export function pathwayHeatMap(
  evaluation: Pick<Evaluation, "labels" | "weights">,
  classes: readonly string[],
  memberNames: readonly string[],
): string {
  if (evaluation.weights.length === 0) return "";
  const ofClass = (c: number) => evaluation.labels.flatMap((label, i) => (label === c ? [i] : []));
  const uses = classes.map((_, c) => useOf(evaluation.weights, memberNames.length, ofClass(c)));
  return usesByClass(classes, memberNames, uses);
}

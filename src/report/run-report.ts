/** The report of one run: curves, confusion matrix, class x model heat map, examples by path. */
import { existsSync, readFileSync } from "node:fs";
import sharp from "sharp";
import {
  argmaxAt,
  confusionMatrix,
  type Evaluation,
  type EvaluationSummary,
  type RunEvent,
  type TaskData,
} from "../train/index.ts";
import { htmlPage, htmlTable } from "./page.ts";
import { escapeHtml, heatMap, lineChart, type Series } from "./svg.ts";
import { amount, duration, percent } from "./table.ts";

export interface RunReport {
  title: string;
  summary: EvaluationSummary;
  evaluation: Evaluation;
  data: TaskData;
  memberNames: readonly string[];
  /** The run's events.jsonl. */
  eventsPath: string;
}

/** The whole page as HTML text. */
export async function runReport(report: RunReport): Promise<string> {
  const { summary, evaluation, data, memberNames } = report;
  const events = readEvents(report.eventsPath);
  const confusion = confusionMatrix(evaluation.probabilities, evaluation.labels, evaluation.classes);
  return htmlPage(report.title, [
    summarySection(summary),
    ...curves(events, memberNames),
    heatMap(
      `Confusion on the ${summary.split} split: rows are true, columns predicted`,
      data.classes,
      data.classes,
      confusion,
      String,
    ),
    pathwayHeatMap(evaluation, data.classes, memberNames),
    await examples(evaluation, data, memberNames),
  ]);
}

function summarySection(summary: EvaluationSummary): string {
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
  const shares = memberNames.map((name, i): Series => {
    return { name, points: routed.map((event) => [event.epoch, event.shares?.[i] ?? 0] as const) };
  });
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
    lineChart("Share of activations while training", shares, { x: "epoch", y: "share" }),
  ];
}

/** How often each class activates each model. */
export function pathwayHeatMap(
  evaluation: Pick<Evaluation, "labels" | "weights">,
  classes: readonly string[],
  memberNames: readonly string[],
): string {
  if (evaluation.weights.length === 0) return "";
  const m = memberNames.length;
  const counts = classes.map(() => new Array<number>(m).fill(0));
  const totals = classes.map(() => 0);
  for (const [i, label] of evaluation.labels.entries()) {
    totals[label] = (totals[label] ?? 0) + 1;
    const row = counts[label];
    for (let j = 0; j < m; j++) if (row && (evaluation.weights[i * m + j] ?? 0) > 0) row[j] = (row[j] ?? 0) + 1;
  }
  const shares = counts.map((row, c) => row.map((count) => count / Math.max(1, totals[c] ?? 0)));
  return heatMap("Share of a class's images that activate a model", classes, memberNames, shares, (value) =>
    value.toFixed(2),
  );
}

/** Some images of each route, with what was predicted. */
async function examples(evaluation: Evaluation, data: TaskData, memberNames: readonly string[]): Promise<string> {
  if (evaluation.weights.length === 0) return "";
  const byPath = new Map<string, number[]>();
  for (const i of evaluation.labels.keys()) {
    const m = memberNames.length;
    const active = memberNames.filter((_, j) => (evaluation.weights[i * m + j] ?? 0) > 0);
    const path = active.join(" + ");
    const own = byPath.get(path);
    if (own) own.push(i);
    else byPath.set(path, [i]);
  }
  const paths = [...byPath].sort((a, b) => b[1].length - a[1].length).slice(0, 6);
  const sections = await Promise.all(
    paths.map(async ([path, items]) => {
      const shots = await Promise.all(items.slice(0, 8).map((i) => shot(evaluation, data, i)));
      const share = percent(items.length / evaluation.labels.length);
      return `<h4>${escapeHtml(path)} (${share})</h4><div class="shots">${shots.join("")}</div>`;
    }),
  );
  return `<h3>Examples by path</h3>${sections.join("")}`;
}

async function shot(evaluation: Evaluation, data: TaskData, i: number): Promise<string> {
  using pixels = await data.pixels([evaluation.indices[i] ?? 0]);
  using interleaved = pixels.narrow(1, 0, 3).permute([0, 2, 3, 1]).contiguous();
  const side = data.imageSize;
  const png = await sharp(Buffer.from(interleaved.toBytes()), { raw: { width: side, height: side, channels: 3 } })
    .png()
    .toBuffer();
  const predicted = data.classes[argmaxAt(evaluation.probabilities, i * evaluation.classes, evaluation.classes)] ?? "";
  const truth = data.classes[evaluation.labels[i] ?? 0] ?? "";
  const caption = predicted === truth ? predicted : `${predicted} (is ${truth})`;
  return `<figure><img alt="" src="data:image/png;base64,${png.toString("base64")}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

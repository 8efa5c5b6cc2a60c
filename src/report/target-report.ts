/** The page of a run on images with several labels or numbers: figures of each, the images it is most wrong about, which models run. */
import {
  argmaxAt,
  MultiLabelTask,
  RegressionTask,
  type RunEvent,
  readEvents,
  type TargetSummary,
  type Task,
  type TaskEvaluation,
} from "../train/index.ts";
import { htmlPage, htmlTable } from "./page.ts";
import type { ReportData } from "./report-data.ts";
import type { RoutingVerdict } from "./routing-verdict.ts";
import { curves } from "./run-report.ts";
import { escapeHtml } from "./svg.ts";
import { amount, duration, figure, intervalText, percent } from "./table.ts";
import { type TargetVariants, variantTables } from "./target-variants.ts";
import { type CaptionedImage, thumbnails } from "./thumbnails.ts";
import { chosenOn, origin, verdictText } from "./verdict-section.ts";

export interface TargetReport {
  title: string;
  summary: TargetSummary;
  evaluation: TaskEvaluation;
  /** With the thresholds of labels. */
  task: Task;
  data: ReportData;
  memberNames: readonly string[];
  /** The run's events.jsonl. */
  eventsPath: string;
  /** What routes by input are worth, for a run that has them. */
  verdict?: RoutingVerdict | undefined;
  /** Other choices of models; absent where they were not measured. */
  variants?: TargetVariants | undefined;
}

/** Images that are shown, at most, and labels that a caption names. */
const [mostImages, mostNamed] = [24, 4];

/** The whole page as HTML text. */
export async function targetReport(report: TargetReport): Promise<string> {
  const { title, summary, memberNames, data, variants } = report;
  const events = readEvents(report.eventsPath);
  return htmlPage(title, [
    headSection(report, events),
    figuresSection(report),
    "<h2>Largest errors</h2>",
    await thumbnails(worstImages(report), data),
    "<h2>Training</h2>",
    `<div class="charts">${curves(events, memberNames).join("")}</div>`,
    "<h2>Models</h2>",
    htmlTable(
      ["", "runs on", "share of activations"],
      Object.entries(summary.runsOn).map(([name, part]) => [
        name,
        percent(part),
        percent(summary.pathwayShare[name] ?? 0),
      ]),
    ),
    variants
      ? variantTables(variants, "r2" in summary ? "R2" : "mean average precision")
      : '<p class="note">Figures for each k and without each model: <code>hub-pathway report RUN</code>.</p>',
  ]);
}

function headSection({ summary, verdict }: TargetReport, events: readonly RunEvent[]): string {
  const { split, items } = summary;
  const [name, value, range] =
    "r2" in summary
      ? (["R2", summary.r2, summary.r2Interval] as const)
      : (["mean average precision", summary.meanAveragePrecision, summary.meanAveragePrecisionInterval] as const);
  const figures = [
    ...("r2" in summary
      ? [["squared error, in variances of the training images", summary.squaredError.toFixed(4)]]
      : [
          ["F1 of all decisions (micro)", summary.microF1.toFixed(3)],
          ["F1, mean over labels (macro)", summary.macroF1.toFixed(3)],
          ["log loss of a label", `${summary.logLoss.toFixed(3)} nats`],
        ]),
    ["models an image", summary.activatedModels.toFixed(2)],
    ["FLOPs an image", amount(summary.inferenceFlops)],
    ["time for an image", duration(summary.secondsPerImage)],
    ["parameters", amount(summary.parameters)],
  ];
  return [
    origin(events),
    `<p class="lead"><strong>${value.toFixed(3)}</strong> ${name} on ${items} ${escapeHtml(split)} images.</p>`,
    `<p>${intervalText(range)}${range ? " (bootstrap)" : ""}.${chosenOn(split)}</p>`,
    ...(verdict ? [verdictText(verdict)] : []),
    htmlTable(["", ""], figures),
  ].join("\n");
}

function figuresSection({ summary }: TargetReport): string {
  if ("r2" in summary) {
    const rows = summary.numbers.map(
      ({ name, r2, meanAbsoluteError, meanAbsoluteErrorInterval: own, rootMeanSquaredError }) => {
        const range = own ? own.map(figure).join(" to ") : "–";
        return [name, figure(meanAbsoluteError), range, figure(rootMeanSquaredError), r2.toFixed(3)];
      },
    );
    const titles = ["", "mean absolute error", "95 % interval", "root mean square", "R2"];
    return `<h2>Numbers</h2>${htmlTable(titles, rows)}`;
  }
  const worst = [...summary.labels].sort((a, b) => (a.averagePrecision ?? 2) - (b.averagePrecision ?? 2));
  const rows = worst.map(({ name, items, averagePrecision, precision, recall, f1, threshold }) => {
    const all = [precision, recall, f1, threshold].map((value) => value.toFixed(3));
    return [name, String(items), averagePrecision?.toFixed(3) ?? "–", ...all];
  });
  const titles = ["label", "images", "average precision", "precision", "recall", "F1", "threshold"];
  return `<h2>Labels, the worst first</h2>${htmlTable(titles, rows)}`;
}

/** Images by the largest error of one label or number, each beside what is right. */
function worstImages({ evaluation, task, data }: TargetReport): CaptionedImage[] {
  const { probabilities, targets = new Float64Array(), classes: width, indices } = evaluation;
  const scales = task instanceof RegressionTask ? task.deviations : undefined;
  const thresholds = task instanceof MultiLabelTask ? task.thresholds : undefined;
  const errors = Float64Array.from(targets, (truth, at) => {
    const error = Math.abs((probabilities[at] ?? 0) - truth);
    return scales ? error / (scales[at % width] ?? 1) : error;
  });
  const judged = indices.map((index, item) => {
    const c = argmaxAt(errors, item * width, width);
    return { index, item, c, error: errors[item * width + c] ?? 0 };
  });
  judged.sort((a, b) => b.error - a.error);
  return judged.slice(0, mostImages).map(({ index, item, c }) => {
    const value = (table: ArrayLike<number>, own: number) => table[item * width + own] ?? 0;
    const named = (is: (own: number) => boolean) => {
      const names = data.classes.filter((_, own) => is(own));
      return names.length === 0
        ? "nothing"
        : names.slice(0, mostNamed).join(", ") + (names.length > mostNamed ? ", …" : "");
    };
    const caption = thresholds
      ? `${named((own) => value(probabilities, own) >= (thresholds[own] ?? 0))}; is ${named((own) => value(targets, own) > 0)}`
      : `${data.classes[c] ?? ""} ${figure(value(probabilities, c))}, is ${figure(value(targets, c))}`;
    return { id: data.ids[index] ?? "", index, caption };
  });
}

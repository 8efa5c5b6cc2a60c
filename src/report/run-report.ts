/** The report of one run as a page: whether it can be used, what it gets wrong, how it was trained, which models do what. */
import { argmaxAt, type Evaluation, kindOfMetrics, qualityOf, type RunEvent, readEvents } from "../train/index.ts";
import { type AnalysisRequest, analyseRun, type GroupAnalysis, itemsByClass, type RunAnalysis } from "./analysis.ts";
import { confidenceSection } from "./confidence-section.ts";
import { heatMap } from "./heat-map.ts";
import { lineChart, type Series } from "./line-chart.ts";
import { htmlPage, htmlTable } from "./page.ts";
import type { ReportData } from "./report-data.ts";
import { mostRows, routingSections, usesByClass } from "./routing-sections.ts";
import { useOf } from "./routing-statistics.ts";
import { amount, percent, points } from "./table.ts";
import { captioned, thumbnails } from "./thumbnails.ts";
import { verdictSection } from "./verdict-section.ts";

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
    verdictSection(analysis, events),
    await mistakesSection(analysis, evaluation, data),
    analysis.confidence ? confidenceSection(analysis.confidence, analysis.summary.items) : "",
    "<h2>Training</h2>",
    `<div class="charts">${curves(events, report.memberNames).join("")}</div>`,
    "<h2>Cost and single models</h2>",
    ...variantSections(analysis),
    ...(await routingSections(analysis, data)),
    sliceSection(analysis),
  ]);
  return { html, analysis };
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
        // JSON has no NaN: what was not finite comes back as null.
        return y === undefined ? [] : [[event.epoch, y ?? Number.NaN] as const];
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
    return lineChart(title, sharesOf(fit), { x: "epoch", y: "share of activations", percent: true });
  };
  return [
    lineChart(
      "Training loss",
      perFit((event) => event.loss),
      { x: "epoch", y: "loss" },
    ),
    scoreChart(
      events,
      perFit((event) => event.validation && qualityOf(event.validation).score),
    ),
    ...routedFits.map(shareChart),
  ];
}

/** Validation figures that decide, over the epochs. */
function scoreChart(events: readonly RunEvent[], series: readonly Series[]): string {
  const metrics = events.flatMap((event) => (event.type === "epoch" && event.validation ? [event.validation] : []))[0];
  const kind = metrics ? kindOfMetrics(metrics) : "classification";
  const names = { classification: "accuracy", "multi-label": "mean average precision", regression: "R2" };
  return lineChart(`Validation ${names[kind]}`, series, {
    x: "epoch",
    y: names[kind],
    percent: kind === "classification",
  });
}

/** Accuracy for each k, each confidence to stop at and each budget, and what is lost without each model. */
function variantSections({ variants, summary }: RunAnalysis): string[] {
  if (!variants) {
    return ['<p class="note">Accuracy for each k and without each model: <code>hub-pathway report RUN</code>.</p>'];
  }
  const { accuracyByK, accuracyByConfidence, accuracyByBudget, leaveOneOut } = variants;
  const curve = accuracyByK.map(({ k, accuracy }) => [k, accuracy] as const);
  const byK = accuracyByK.map((one) => [
    String(one.k),
    percent(one.accuracy),
    one.logLoss.toFixed(3),
    amount(one.inferenceFlops),
  ]);
  const spent = (first: string, one: (typeof accuracyByBudget | typeof accuracyByConfidence)[number]) => [
    first,
    percent(one.accuracy),
    one.activatedModels.toFixed(2),
    amount(one.inferenceFlops),
  ];
  const bySurety = accuracyByConfidence.map((one) => spent(String(one.confidence), one));
  const byBudget = accuracyByBudget.map((one) => spent(String(Math.ceil(one.budget)), one));
  const without = [...leaveOneOut]
    .sort((a, b) => a.change - b.change)
    .map((one) => [one.model, percent(one.accuracy), `${points(one.change)} points`, one.logLoss.toFixed(3)]);
  return [
    lineChart("Accuracy for each number k of activated models", [{ name: summary.split, points: curve }], {
      x: "k",
      y: "accuracy",
      percent: true,
    }),
    byK.length > 0 ? htmlTable(["k", "accuracy", "log loss", "FLOPs per image"], byK) : "",
    bySurety.length > 0
      ? `<h3>Models asked one after the other until the answer is sure</h3>${htmlTable(["--confidence", "accuracy", "models per image", "FLOPs per image"], bySurety)}`
      : "",
    byBudget.length > 0
      ? `<h3>Within a budget</h3>${htmlTable(["--flops", "accuracy", "models per image", "FLOPs per image"], byBudget)}`
      : "",
    without.length > 0
      ? `<h3>Without one of the models</h3>${htmlTable(["left out", "accuracy", "change", "log loss"], without)}`
      : "",
  ];
}

function sliceSection({ slices, models }: RunAnalysis): string {
  if (slices.length === 0) return "";
  const sections = slices.map(({ name, parts }) => {
    const uses = parts.map((part) => part.use).filter((use) => use !== undefined);
    const table = groupTable(name, parts);
    if (uses.length === 0) return table;
    const names = parts.map((part) => part.name);
    return table + heatMap(`Share of images that activate a model, by ${name}`, names, models, uses, twoDigits);
  });
  return `<h2>Parts of the data</h2>${sections.join("")}`;
}

function groupTable(name: string, groups: readonly GroupAnalysis[]): string {
  const rows = groups.map(({ name, items, accuracy, interval: [low, high] }) => {
    return [name, String(items), percent(accuracy), `${percent(low)} to ${percent(high)}`];
  });
  return htmlTable([name, "images", "accuracy", "95 % interval"], rows);
}

const twoDigits = (value: number): string => value.toFixed(2);

/** Classes, confused pairs and wrong images, the worst first. */
async function mistakesSection(analysis: RunAnalysis, evaluation: Evaluation, data: ReportData): Promise<string> {
  const { mistakes, classes, summary } = analysis;
  const measured = classes.filter(({ items }) => items > 0);
  const worst = [...measured].sort((a, b) => a.accuracy - b.accuracy || b.items - a.items).slice(0, mostRows);
  const cut = worst.length < measured.length ? `<p class="note">The ${mostRows} worst of ${measured.length}.</p>` : "";
  const pairs = mistakes.confused.map((pair) => {
    return [`${pair.truth} taken for ${pair.predicted}`, String(pair.items), percent(pair.share)];
  });
  const shown = mistakes.images.length;
  return [
    `<h2>Mistakes</h2><p>${mistakes.items} of ${summary.items} images are wrong.</p>`,
    shown > 0 ? `<h3>Wrong and surest${shown < mistakes.items ? `, the first ${shown}` : ""}</h3>` : "",
    await thumbnails(mistakes.images.map(captioned), data),
    pairs.length > 0 ? `<h3>Confused classes</h3>${htmlTable(["", "images", "of the true class"], pairs)}` : "",
    `<h3>Classes, the worst first</h3>${groupTable("class", worst)}${cut}`,
    confusionMap(analysis, evaluation, data),
  ].join("");
}

/** All classes where they fit, else those of the most frequent confusions. */
function confusionMap({ summary, mistakes }: RunAnalysis, evaluation: Evaluation, { classes }: ReportData): string {
  const involved = new Set(mistakes.confused.flatMap(({ truth, predicted }) => [truth, predicted]));
  const some = classes.length > mostRows;
  const names = some ? classes.filter((name) => involved.has(name)).slice(0, mostRows) : classes;
  if (names.length === 0) return "";
  const place = new Map(names.map((name, i) => [name, i]));
  const counts = names.map(() => names.map(() => 0));
  for (const [c, items] of itemsByClass(evaluation.labels, classes.length).entries()) {
    const row = counts[place.get(classes[c] ?? "") ?? -1];
    for (const item of row ? items : []) {
      const column = place.get(
        classes[argmaxAt(evaluation.probabilities, item * classes.length, classes.length)] ?? "",
      );
      if (row && column !== undefined) row[column] = (row[column] ?? 0) + 1;
    }
  }
  const what = some ? `, the ${names.length} classes of the most frequent confusions` : "";
  const title = `Confusion on the ${summary.split} split${what}: rows are true, columns predicted`;
  return heatMap(title, names, names, counts, String);
}

/** Share of each class's images that activate each model. */
export function pathwayHeatMap(
  evaluation: Pick<Evaluation, "labels" | "weights">,
  classes: readonly string[],
  memberNames: readonly string[],
): string {
  if (evaluation.weights.length === 0) return "";
  const ofClass = itemsByClass(evaluation.labels, classes.length);
  const uses = classes.map((_, c) => useOf(evaluation.weights, memberNames.length, ofClass[c] ?? []));
  return usesByClass(classes, memberNames, uses);
}

/** The part of a run's page about its routes. */

import type { PathAnalysis, RoutingAnalysis, RunAnalysis } from "./analysis.ts";
import { heatMap } from "./heat-map.ts";
import { lineChart } from "./line-chart.ts";
import { htmlTable } from "./page.ts";
import type { ReportData } from "./report-data.ts";
import { escapeHtml } from "./svg.ts";
import { percent } from "./table.ts";
import { captioned, thumbnails } from "./thumbnails.ts";

/** Paths that are shown with images. */
const shownPaths = 6;
/** Classes that a table of all of them may have. */
export const mostRows = 30;

/** Figures, use by class, overlap, drift, and images typical of each path; nothing where nothing is routed. */
export async function routingSections(analysis: RunAnalysis, data: ReportData): Promise<string[]> {
  const { routing, classes, models } = analysis;
  if (!routing) return [];
  const most = [...classes].sort((a, b) => b.items - a.items).slice(0, mostRows);
  const shown = classes.filter((one) => most.includes(one));
  const uses = shown.flatMap((one) => (one.use ? [one.use] : []));
  const some = shown.length < classes.length ? `<p class="note">The ${mostRows} classes with the most images.</p>` : "";
  return [
    "<h2>Pathways</h2>",
    figures(routing, models),
    usesByClass(
      shown.map((one) => one.name),
      models,
      uses,
    ) + some,
    heatMap(
      "Overlap: of the images that activate one or both, the part that activates both",
      models,
      models,
      routing.overlap,
      twoDigits,
    ),
    driftChart(analysis),
    await paths(routing.paths, data),
  ];
}

/** Share of each class's images that activate each model. */
export function usesByClass(
  classes: readonly string[],
  models: readonly string[],
  uses: readonly (readonly number[])[],
): string {
  return heatMap("Share of a class's images that activate a model", classes, models, uses, twoDigits);
}

const twoDigits = (value: number): string => value.toFixed(2);

function figures(routing: RoutingAnalysis, models: readonly string[]): string {
  const { routeClassInformation: information, scoreEntropy } = routing;
  const nats = (value: number) => `${value.toFixed(3)} nats`;
  const most = Math.log(models.length);
  const rows = [
    ["entropy of an input's weights, mean", nats(routing.weightEntropy)],
    ...(scoreEntropy === null
      ? []
      : [["entropy of softmax over its scores, mean", `${nats(scoreEntropy)} of ${nats(most)}`]]),
    ["entropy of the models' shares", `${nats(routing.shareEntropy)} of ${nats(most)}`],
    ["information of route about class", `${nats(information.value)} of ${nats(information.classEntropy)}`],
    ["the same with shuffled classes", nats(information.chance)],
    ["models that nothing activates", routing.dead.join(", ") || "none"],
    ["models with less than a tenth of an equal share", routing.rare.join(", ") || "none"],
  ];
  const shares = models.map((name, i) => [name, percent(routing.use[i] ?? 0), percent(routing.shares[i] ?? 0)]);
  const titles = ["model", "runs on, of the images", "of all activations"];
  return `${htmlTable(titles, shares)}${htmlTable(["", ""], rows)}`;
}

function driftChart({ drift }: RunAnalysis): string {
  const fits = [...new Set(drift.map((one) => one.fit))];
  const series = fits.map((name) => {
    const own = drift.filter((one) => one.fit === name && one.epoch > 1);
    return { name, points: own.map(({ epoch, change }) => [epoch, change] as const) };
  });
  return lineChart("Drift: how far the shares moved from the epoch before", series, {
    x: "epoch",
    y: "total variation",
  });
}

async function paths(all: readonly PathAnalysis[], data: ReportData): Promise<string> {
  const sections = await Promise.all(
    all.slice(0, shownPaths).map(async (path) => {
      const about = `${percent(path.share)} of the images, accuracy ${percent(path.accuracy)}`;
      const title = `${escapeHtml(path.models.join(" + "))} (${about})`;
      return `<h4>${title}</h4>${await thumbnails(path.typical.map(captioned), data)}`;
    }),
  );
  const rest = all.slice(shownPaths).reduce((sum, path) => sum + path.share, 0);
  const note =
    rest > 0 ? `<p class="note">${all.length - shownPaths} further paths take ${percent(rest)} of the images.</p>` : "";
  return `<h3>Images typical of each path</h3>${sections.join("")}${note}`;
}

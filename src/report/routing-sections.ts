/** The part of a run's page about its routes. */
import sharp from "sharp";
import { scope } from "../torch/index.ts";
import type { TaskData } from "../train/index.ts";
import type { PathAnalysis, RoutingAnalysis, RunAnalysis, TypicalImage } from "./analysis.ts";
import { htmlTable } from "./page.ts";
import { escapeHtml, heatMap, lineChart } from "./svg.ts";
import { percent } from "./table.ts";

/** Paths that are shown with images. */
const shownPaths = 6;

/** Figures, use by class, overlap, drift, and images typical of each path; nothing where nothing is routed. */
export async function routingSections(analysis: RunAnalysis, data: TaskData): Promise<string[]> {
  const { routing, classes, models } = analysis;
  if (!routing) return [];
  const uses = classes.flatMap((one) => (one.use ? [one.use] : []));
  return [
    "<h2>Pathways</h2>",
    figures(routing, models),
    usesByClass(
      classes.map((one) => one.name),
      models,
      uses,
    ),
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
  const shares = models.map((name, i) => [name, percent(routing.shares[i] ?? 0)]);
  return `${htmlTable(["", ""], rows)}${htmlTable(["model", "share of activations"], shares)}`;
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

async function paths(all: readonly PathAnalysis[], data: TaskData): Promise<string> {
  const sections = await Promise.all(
    all.slice(0, shownPaths).map(async (path) => {
      const shots = await Promise.all(path.typical.map((image) => shot(image, data)));
      const about = `${percent(path.share)} of the images, accuracy ${percent(path.accuracy)}`;
      const title = `${escapeHtml(path.models.join(" + "))} (${about})`;
      return `<h4>${title}</h4><div class="shots">${shots.join("")}</div>`;
    }),
  );
  const rest = all.slice(shownPaths).reduce((sum, path) => sum + path.share, 0);
  const note =
    rest > 0 ? `<p class="note">${all.length - shownPaths} further paths take ${percent(rest)} of the images.</p>` : "";
  return `<h3>Images typical of each path</h3>${sections.join("")}${note}`;
}

const thumbnailSide = 64;

/** A thumbnail with what was predicted. */
async function shot(image: TypicalImage, data: TaskData): Promise<string> {
  using pixels = await data.pixels([image.index]);
  using interleaved = scope(() => pixels.narrow(1, 0, 3).permute([0, 2, 3, 1]).contiguous());
  const side = data.imageSize;
  const jpeg = await sharp(Buffer.from(interleaved.toBytes()), { raw: { width: side, height: side, channels: 3 } })
    .resize(thumbnailSide, thumbnailSide)
    .jpeg({ quality: 80 })
    .toBuffer();
  const { predicted, truth, id } = image;
  const caption = predicted === truth ? predicted : `${predicted} (is ${truth})`;
  return (
    `<figure><img alt="${escapeHtml(id)}" title="${escapeHtml(id)}" src="data:image/jpeg;base64,${jpeg.toString("base64")}">` +
    `<figcaption>${escapeHtml(caption)}</figcaption></figure>`
  );
}

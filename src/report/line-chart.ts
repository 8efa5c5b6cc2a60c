/** Lines over one horizontal axis, as an SVG figure that fits a phone. */
import { colour, escapeHtml, extent, stroke } from "./svg.ts";

export interface Series {
  name: string;
  /** Pairs of x and y; a y that is not finite leaves a gap in the line. */
  points: readonly (readonly [x: number, y: number])[];
  /** Triples of x, lower and upper y, drawn as a shade around the line. */
  band?: readonly (readonly [x: number, lower: number, upper: number])[];
}

export interface Axes {
  x: string;
  y: string;
  /** Parts of one as percentages. */
  percent?: boolean;
}

/** Sizes of the plot in the units of its view box; below it the legend takes as many rows as it needs. */
const frame = { width: 480, height: 280, left: 52, right: 12, top: 46, bottom: 40 };
const quarters = [0, 0.25, 0.5, 0.75, 1];
/** With more points than this a line alone is clearer. */
const mostDiscs = 80;

type Point = readonly [x: number, y: number];
type Scale = (value: number) => number;

/** A line chart with a legend; y runs from the smallest to the largest finite value. Nothing to draw gives "". */
export function lineChart(title: string, series: readonly Series[], axes: Axes): string {
  const shown = series.map((one) => ({ ...one, runs: runsOf(one.points) })).filter(({ runs }) => runs.length > 0);
  const all = shown.flatMap(({ runs }) => runs.flat());
  if (all.length === 0) return "";
  const bands = shown.flatMap(({ band = [] }) => band.flatMap(([, low, high]) => [low, high]));
  const [x0, x1] = extent(all.map(([x]) => x));
  const [y0, y1] = extent([...all.map(([, y]) => y), ...bands.filter(Number.isFinite)]);
  const { width, height, left, right, top, bottom } = frame;
  const px: Scale = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const py: Scale = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - bottom - top);
  const legend = legendRows(shown.map(({ name }) => name));
  const drawn = shown.map(({ name, runs, band = [] }, i) => shade(band, i, px, py) + line(name, runs, i, px, py));
  const discs =
    all.length > mostDiscs ? [] : shown.flatMap(({ runs }, i) => runs.flat().map((at) => disc(at, i, px, py)));
  const gaps = series.some(({ points }) => points.some(([, y]) => !Number.isFinite(y)));
  return (
    `<figure><svg viewBox="0 0 ${width} ${height + legend.height}" role="img" aria-label="${escapeHtml(title)}">` +
    `<text x="8" y="16" font-weight="bold">${escapeHtml(title)}</text>` +
    `<text x="8" y="34" opacity="0.75">${escapeHtml(axes.y)}${axes.percent ? ", %" : ""}</text>` +
    xTicks(all, [x0, x1], px) +
    yTicks([y0, y1], py, axes.percent ?? false) +
    drawn.join("") +
    discs.join("") +
    `<text x="${(left + width - right) / 2}" y="${height - 6}" text-anchor="middle" opacity="0.75">${escapeHtml(axes.x)}</text>` +
    `${legend.text}</svg>${gaps ? '<figcaption class="note">Gaps: the value was not a finite number.</figcaption>' : ""}</figure>`
  );
}

/** Stretches of neighbouring points with finite values. */
function runsOf(points: readonly Point[]): Point[][] {
  const runs: Point[][] = [];
  let open = false;
  for (const point of points) {
    if (!Number.isFinite(point[1])) open = false;
    else if (open) runs.at(-1)?.push(point);
    else {
      runs.push([point]);
      open = true;
    }
  }
  return runs;
}

const at = (x: number, y: number, px: Scale, py: Scale) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`;

function line(name: string, runs: readonly Point[][], i: number, px: Scale, py: Scale): string {
  const pieces = runs.map((run) => {
    const path = run.map(([x, y]) => at(x, y, px, py)).join(" ");
    return `<polyline fill="none" ${stroke(i)} points="${path}"><title>${escapeHtml(name)}</title></polyline>`;
  });
  return pieces.join("");
}

function shade(band: NonNullable<Series["band"]>, i: number, px: Scale, py: Scale): string {
  if (band.length === 0) return "";
  const lower = band.map(([x, low]) => at(x, low, px, py));
  const upper = band.map(([x, , high]) => at(x, high, px, py));
  return `<polygon fill="${colour(i)}" fill-opacity="0.15" points="${[...lower, ...upper.reverse()].join(" ")}" />`;
}

function disc([x, y]: Point, i: number, px: Scale, py: Scale): string {
  return `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${colour(i)}" />`;
}

function xTicks(all: readonly Point[], [x0, x1]: [number, number], px: Scale): string {
  const places = quarters.map((part) => x0 + part * (x1 - x0));
  const whole = all.every(([x]) => Number.isInteger(x));
  const ticks = [...new Set(whole ? places.map(Math.round) : places)].filter((x) => x >= x0 && x <= x1);
  const y = frame.height - frame.bottom + 16;
  const label = (x: number) =>
    `<text x="${px(x).toFixed(1)}" y="${y}" text-anchor="${x === x1 ? "end" : "middle"}">${short(x)}</text>`;
  return ticks.map(label).join("");
}

function yTicks([y0, y1]: [number, number], py: Scale, percent: boolean): string {
  const { left, right, width } = frame;
  const ticks = quarters.map((part) => {
    const y = y0 + part * (y1 - y0);
    return (
      `<text x="${left - 6}" y="${(py(y) + 4).toFixed(1)}" text-anchor="end">${percent ? (100 * y).toFixed(0) : short(y)}</text>` +
      `<line x1="${left}" x2="${width - right}" y1="${py(y).toFixed(1)}" y2="${py(y).toFixed(1)}" stroke="#8884" />`
    );
  });
  return ticks.join("");
}

/** The names of lines beside a piece of each, in as many rows as they take. */
function legendRows(names: readonly string[]): { text: string; height: number } {
  const [rowHeight, dash, letter, left] = [18, 22, 6.6, 8];
  const top = frame.height + 14;
  let [x, y] = [left, top];
  const items = names.map((name, i) => {
    const width = dash + 8 + letter * name.length + 16;
    if (x > left && x + width > frame.width) [x, y] = [left, y + rowHeight];
    const item =
      `<line x1="${x}" x2="${x + dash}" y1="${y - 4}" y2="${y - 4}" ${stroke(i)} />` +
      `<text x="${x + dash + 6}" y="${y}">${escapeHtml(name)}</text>`;
    x += width;
    return item;
  });
  return { text: items.join(""), height: y - top + rowHeight + 4 };
}

function short(value: number): string {
  return Math.abs(value) >= 1000 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** Cost against accuracy as an SVG figure. */
import { colour, escapeHtml, extent } from "./svg.ts";

/** Points of cost and accuracy, numbered, with their names in a list from the highest down: x is logarithmic. */
export function scatterPlot(
  title: string,
  points: readonly { name: string; x: number; y: number }[],
  axes: { x: string; y: string },
): string {
  if (points.length === 0) return "";
  const sorted = [...points].sort((a, b) => b.y - a.y);
  const [width, plot, left, bottom, top] = [860, 480, 56, 40, 36];
  const height = Math.max(320, top + 22 * sorted.length + bottom);
  const [x0, x1] = extent(sorted.map((point) => Math.log10(point.x)));
  const [y0, y1] = extent(sorted.map((point) => point.y));
  const px = (x: number) => left + 24 + ((Math.log10(x) - x0) / (x1 - x0)) * (plot - left - 48);
  const py = (y: number) => height - bottom - 16 - ((y - y0) / (y1 - y0)) * (height - bottom - top - 32);
  const disc = (x: number, y: number, i: number) =>
    `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="9" fill="${colour(i)}" />` +
    `<text x="${x.toFixed(1)}" y="${(y + 4).toFixed(1)}" text-anchor="middle" style="fill:#fff;font-size:11px">${i + 1}</text>`;
  const marks = sorted.map((point, i) => disc(px(point.x), py(point.y), i)).reverse();
  const names = sorted.map((point, i) => {
    const y = top + 8 + 22 * i;
    return `${disc(plot + 20, y, i)}<text x="${plot + 36}" y="${y + 4}">${escapeHtml(point.name)}, ${(100 * point.y).toFixed(1)}</text>`;
  });
  const ticks = [0, 0.5, 1].map((part) => {
    const [x, y] = [10 ** (x0 + part * (x1 - x0)), y0 + part * (y1 - y0)];
    return (
      `<line x1="${left}" x2="${plot}" y1="${py(y).toFixed(1)}" y2="${py(y).toFixed(1)}" stroke="#8884" />` +
      `<text x="${left - 6}" y="${(py(y) + 4).toFixed(1)}" text-anchor="end">${(100 * y).toFixed(1)} %</text>` +
      `<text x="${px(x).toFixed(1)}" y="${height - bottom + 14}" text-anchor="middle">${(x / 1e6).toFixed(0)} M</text>`
    );
  });
  return (
    `<figure class="wide"><svg class="large" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">` +
    `<text x="${left}" y="16" font-weight="bold">${escapeHtml(title)}</text>${ticks.join("")}${marks.join("")}${names.join("")}` +
    `<text x="${plot / 2}" y="${height - 6}" text-anchor="middle">${escapeHtml(axes.x)}</text></svg>` +
    `<figcaption>${escapeHtml(axes.y)}</figcaption></figure>`
  );
}

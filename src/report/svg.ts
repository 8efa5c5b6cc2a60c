/** Plots as SVG text: no script, no outside file. */

export interface Series {
  name: string;
  /** Pairs of x and y. */
  points: readonly (readonly [number, number])[];
  /** Triples of x, lower and upper y, drawn as a shade around the line. */
  band?: readonly (readonly [number, number, number])[];
}

const palette = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"];

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

const quarters = [0, 0.25, 0.5, 0.75, 1];
/** With more points than this a line alone is clearer. */
const mostDiscs = 80;

/** A line chart with a legend; y runs from the smallest to the largest value. */
export function lineChart(title: string, series: readonly Series[], axes: { x: string; y: string }): string {
  const shown = series.filter((one) => one.points.length > 0);
  const all = shown.flatMap((one) => one.points);
  if (all.length === 0) return "";
  const [width, height, left, bottom, top] = [640, 300, 56, 40, 28];
  const [x0, x1] = extent(all.map(([x]) => x));
  const bands = shown.flatMap((one) => one.band ?? []);
  const [y0, y1] = extent([...all.map(([, y]) => y), ...bands.flatMap(([, low, high]) => [low, high])]);
  const px = (x: number) => left + ((x - x0) / (x1 - x0)) * (width - left - 16);
  const py = (y: number) => height - bottom - ((y - y0) / (y1 - y0)) * (height - bottom - top);
  const lines = shown.map((one, i) => {
    const path = one.points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
    return `<polyline fill="none" ${stroke(i)} points="${path}"><title>${escapeHtml(one.name)}</title></polyline>`;
  });
  const shades = shown.map((one, i) => {
    const lower = (one.band ?? []).map(([x, low]) => `${px(x).toFixed(1)},${py(low).toFixed(1)}`);
    const upper = (one.band ?? []).map(([x, , high]) => `${px(x).toFixed(1)},${py(high).toFixed(1)}`);
    if (lower.length === 0) return "";
    return `<polygon fill="${colour(i)}" fill-opacity="0.15" points="${[...lower, ...upper.reverse()].join(" ")}" />`;
  });
  const discs = shown.flatMap((one, i) =>
    all.length > mostDiscs
      ? []
      : one.points.map(
          ([x, y]) => `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${colour(i)}" />`,
        ),
  );
  const places = quarters.map((part) => x0 + part * (x1 - x0));
  const whole = all.every(([x]) => Number.isInteger(x));
  const xTicks = [...new Set(whole ? places.map(Math.round) : places)]
    .filter((x) => x >= x0 && x <= x1)
    .map((x) => {
      const anchor = x === x1 ? "end" : "middle";
      return `<text x="${px(x).toFixed(1)}" y="${height - bottom + 16}" text-anchor="${anchor}">${short(x)}</text>`;
    });
  const yTicks = quarters.map((part) => {
    const y = y0 + part * (y1 - y0);
    return (
      `<text x="${left - 6}" y="${py(y) + 4}" text-anchor="end">${short(y)}</text>` +
      `<line x1="${left}" x2="${width - 16}" y1="${py(y)}" y2="${py(y)}" stroke="#8884" />`
    );
  });
  const names = shown.map(({ name }) => name);
  const legend = legendRows(names, { left, right: width - 16, top: height + 14 });
  return (
    `<figure><svg viewBox="0 0 ${width} ${height + legend.height}" role="img" aria-label="${escapeHtml(title)}">` +
    `<text x="${left}" y="16" font-weight="bold">${escapeHtml(title)}</text>${xTicks.join("")}${yTicks.join("")}${shades.join("")}${lines.join("")}${discs.join("")}` +
    `<text x="${width / 2}" y="${height - 6}" text-anchor="middle">${escapeHtml(axes.x)}</text>${legend.text}</svg>` +
    `<figcaption>${escapeHtml(axes.y)}</figcaption></figure>`
  );
}

/** The names of lines beside a piece of each, in as many rows as they take. */
function legendRows(
  names: readonly string[],
  { left, right, top }: { left: number; right: number; top: number },
): { text: string; height: number } {
  const [rowHeight, dash, letter] = [18, 22, 6.6];
  let [x, y] = [left, top];
  const items = names.map((name, i) => {
    const width = dash + 8 + letter * name.length + 16;
    if (x > left && x + width > right) [x, y] = [left, y + rowHeight];
    const item =
      `<line x1="${x}" x2="${x + dash}" y1="${y - 4}" y2="${y - 4}" ${stroke(i)} />` +
      `<text x="${x + dash + 6}" y="${y}">${escapeHtml(name)}</text>`;
    x += width;
    return item;
  });
  return { text: items.join(""), height: y - top + rowHeight + 4 };
}

/** Beyond the palette's colours lines are dashed. */
function stroke(i: number): string {
  const dashes = i < palette.length ? "" : ' stroke-dasharray="6 3"';
  return `stroke="${colour(i)}" stroke-width="2"${dashes}`;
}

/** A table of numbers as shades: rows x columns. */
export function heatMap(
  title: string,
  rows: readonly string[],
  columns: readonly string[],
  values: readonly (readonly number[])[],
  show: (value: number) => string,
): string {
  const largest = Math.max(1e-12, ...values.flat());
  const cell = (value: number) => {
    const part = value / largest;
    return `<td style="background:rgba(37,99,235,${part.toFixed(3)});color:${part > 0.55 ? "#fff" : "inherit"}">${escapeHtml(show(value))}</td>`;
  };
  const head = `<tr><th></th>${columns.map((name) => `<th>${escapeHtml(name)}</th>`).join("")}</tr>`;
  const body = rows.map(
    (name, r) => `<tr><th>${escapeHtml(name)}</th>${columns.map((_, c) => cell(values[r]?.[c] ?? 0)).join("")}</tr>`,
  );
  return `<h3>${escapeHtml(title)}</h3><div class="wide"><table class="heat">${head}${body.join("")}</table></div>`;
}

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
    `<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">` +
    `<text x="${left}" y="16" font-weight="bold">${escapeHtml(title)}</text>${ticks.join("")}${marks.join("")}${names.join("")}` +
    `<text x="${plot / 2}" y="${height - 6}" text-anchor="middle">${escapeHtml(axes.x)}</text></svg>` +
    `<figcaption>${escapeHtml(axes.y)}</figcaption></figure>`
  );
}

/** A chart as a file of its own, on white. */
export function svgFile(figure: string): string {
  const svg = /<svg[\s\S]*<\/svg>/.exec(figure)?.[0];
  if (!svg) throw new RangeError("the figure holds no SVG");
  const root = '<svg xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12"';
  return `${svg.replace("<svg", root).replace(/(<svg[^>]*>)/, '$1<rect width="100%" height="100%" fill="#fff"/>')}\n`;
}

function colour(i: number): string {
  return palette[i % palette.length] ?? "#000";
}

function extent(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

function short(value: number): string {
  return Math.abs(value) >= 1000 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

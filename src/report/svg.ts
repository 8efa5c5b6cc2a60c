/** Pieces of plots as SVG text: no script, no outside file. */

const palette = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"];

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** A chart as a file of its own, on white. */
export function svgFile(figure: string): string {
  const svg = /<svg[\s\S]*<\/svg>/.exec(figure)?.[0];
  if (!svg) throw new RangeError("the figure holds no SVG");
  const root = '<svg xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12"';
  return `${svg.replace("<svg", root).replace(/(<svg[^>]*>)/, '$1<rect width="100%" height="100%" fill="#fff"/>')}\n`;
}

export function colour(i: number): string {
  return palette[i % palette.length] ?? "#000";
}

/** Attributes of the i-th line: beyond the palette's colours lines are dashed. */
export function stroke(i: number): string {
  const dashes = i < palette.length ? "" : ' stroke-dasharray="6 3"';
  return `stroke="${colour(i)}" stroke-width="2"${dashes}`;
}

/** Smallest and largest of the values; a range of one around a single value. */
export function extent(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

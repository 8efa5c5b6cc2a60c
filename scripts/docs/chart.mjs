/** A chart of differences: a point and its interval for each rival, one colour for each series. */

const [width, left, right, rowHeight, top] = [960, 250, 30, 36, 56];

/**
 * @param {string} title
 * @param {string[]} series names of the series
 * @param {{name: string, values: ({mean: number, low: number, high: number} | undefined)[]}[]} rows
 */
export function differenceChart(title, series, rows) {
  const all = rows.flatMap(({ values }) => values.filter(Boolean).flatMap(({ low, high }) => [low, high]));
  const [low, high] = [Math.floor(Math.min(0, ...all)), Math.ceil(Math.max(0, ...all))];
  const x = (value) => (left + ((value - low) / (high - low)) * (width - left - right)).toFixed(1);
  const height = top + rows.length * rowHeight + 40;
  const colours = ["#1b6ca8", "#c8553d", "#4f8a3c"];
  const parts = [`<text x="12" y="22" font-weight="bold">${escaped(title)}</text>`];
  for (const [i, name] of series.entries()) {
    parts.push(`<circle cx="${left + 6 + i * 230}" cy="38" r="4" fill="${colours[i]}"/>`);
    parts.push(`<text x="${left + 16 + i * 230}" y="42">${escaped(name)}</text>`);
  }
  const bottom = height - 32;
  for (let tick = low; tick <= high; tick++) {
    const line = tick === 0 ? 'stroke="#444"' : 'stroke="#ddd"';
    parts.push(`<line x1="${x(tick)}" x2="${x(tick)}" y1="${top - 6}" y2="${bottom}" ${line}/>`);
    parts.push(`<text x="${x(tick)}" y="${bottom + 18}" text-anchor="middle">${tick > 0 ? "+" : ""}${tick}</text>`);
  }
  for (const [i, { name, values }] of rows.entries()) {
    const y = top + 12 + i * rowHeight;
    parts.push(`<text x="12" y="${y + 4}">${escaped(name)}</text>`);
    for (const [j, value] of values.entries()) {
      if (!value) continue;
      const at = y + (j - (series.length - 1) / 2) * 10;
      parts.push(
        `<line x1="${x(value.low)}" x2="${x(value.high)}" y1="${at}" y2="${at}" stroke="${colours[j]}" stroke-width="2"/>`,
        `<circle cx="${x(value.mean)}" cy="${at}" r="4" fill="${colours[j]}"/>`,
      );
    }
  }
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`;
  return `${head}\n<rect width="${width}" height="${height}" fill="white"/>\n${parts.join("\n")}\n</svg>\n`;
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

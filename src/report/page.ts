/** A self-contained HTML page. */
import { escapeHtml } from "./svg.ts";

const style = `
  :root { color-scheme: light dark; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
  h1, h2, h3, h4 { overflow-wrap: anywhere; line-height: 1.25; }
  table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .6rem; text-align: right; }
  th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #8884; }
  pre { overflow-x: auto; } figure { margin: 1rem 0; } svg { width: 100%; max-width: 36rem; } svg.large { min-width: 40rem; max-width: 54rem; }
  svg text { font-size: 12px; fill: currentColor; }
  .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 1.5rem; }
  .wide { overflow-x: auto; } .wide th, .wide td { white-space: nowrap; } .wide td:first-child { white-space: normal; }
  .wide th:first-child, .wide td:first-child { position: sticky; left: 0; background: Canvas; }
  .heat th { font-weight: normal; max-width: 9rem; overflow-wrap: anywhere; } .heat td { text-align: center; min-width: 2.6rem; }
  .heat.upright tr:first-child span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9rem; overflow: hidden; }
  .note { opacity: .75; } .lead { font-size: 1.25rem; } .lead strong { font-size: 2rem; }
  .shots { display: flex; flex-wrap: wrap; gap: .5rem; } .shots figure { margin: 0; width: 6rem; font-size: 12px; }
  .shots figcaption { overflow-wrap: anywhere; } .shots img { width: 6rem; height: 6rem; object-fit: contain; }`;

/** Joins sections of HTML under a title. */
export function htmlPage(title: string, sections: readonly string[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><h1>${escapeHtml(title)}</h1>
${sections.filter((section) => section !== "").join("\n")}
</body></html>
`;
}

/** A table of text cells. */
export function htmlTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  return `<div class="wide"><table>${line(titles, "th")}${rows.map((row) => line(row, "td")).join("")}</table></div>`;
}

/** A self-contained HTML page. */
import { escapeHtml } from "./svg.ts";

const style = `
  :root { color-scheme: light dark; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .6rem; text-align: right; }
  th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #8884; }
  figure { margin: 1rem 0; overflow-x: auto; } svg { width: 100%; min-width: 30rem; max-width: 44rem; } svg text { font-size: 12px; fill: currentColor; }
  .wide { overflow-x: auto; } .wide:not(:has(.heat)) { width: max-content; min-width: 100%; max-width: calc(100vw - 2rem); position: relative; left: 50%; transform: translateX(-50%); }
  .wide td { white-space: nowrap; } .heat th { font-weight: normal; min-width: 4rem; max-width: 9rem; }
  .heat td { text-align: center; min-width: 3rem; } .note { opacity: .75; }
  .shots { display: flex; flex-wrap: wrap; gap: .5rem; } .shots figure { margin: 0; width: 6rem; font-size: 11px; }
  .shots figcaption { overflow-wrap: anywhere; } .shots img { width: 64px; height: 64px; }`;

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

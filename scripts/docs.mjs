/**
 * Figures of README.md and docs/results from the result pages: what stands between `<!-- figures: NAME -->` and
 * `<!-- /figures -->` is written anew, and the pictures too. `node scripts/docs.mjs` writes; scripts/check.mjs compares.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { blocks, pictures } from "./docs/blocks.mjs";
import { checkPages } from "./docs/pages.mjs";
import { ResultPages } from "./docs/tables.mjs";

/** Pages with markers. */
const pages = ["README.md", "docs/results/README.md", "docs/results/notebook.md", "docs/results/routing.md"];
const marked = /<!-- figures: ([\w-]+) -->\n[\s\S]*?<!-- \/figures -->/g;

/** @returns {Map<string, string>} what each page and picture has to be */
function written(root) {
  const results = new ResultPages(root);
  const files = new Map();
  for (const page of pages) {
    const text = readFileSync(join(root, page), "utf8").replaceAll(marked, (_, name) => {
      if (!blocks[name]) throw new Error(`${page}: there are no figures "${name}"`);
      return `<!-- figures: ${name} -->\n${blocks[name](results)}\n<!-- /figures -->`;
    });
    files.set(page, text);
  }
  for (const [path, draw] of Object.entries(pictures)) files.set(path, draw(results));
  return files;
}

const current = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

/** @returns {string[]} files whose figures are not those of the results */
export function checkFigures(root) {
  const drifted = [...written(root)].filter(([file, text]) => current(join(root, file)) !== text);
  return [
    ...checkPages(root, new ResultPages(root)),
    ...drifted.map(([file]) => `${file}: its figures are not those of the results: npm run docs`),
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  for (const [file, text] of written(root)) {
    if (current(join(root, file)) === text) continue;
    writeFileSync(join(root, file), text);
    console.log(`wrote ${file}`);
  }
}

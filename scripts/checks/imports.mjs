/** Imports between the folders of src point one way; src/pathway sees only torch and nn. */
import { dirname, join, normalize } from "node:path";
import { textOf } from "./files.mjs";

/** Folders of one row do not import each other. */
export const order = [
  ["torch", "runtime"],
  ["distributed"],
  ["site"],
  ["nn"],
  ["optim", "io", "pathway"],
  ["fetch", "graphs"],
  ["models", "data"],
  ["hub"],
  ["ranking"],
  ["train"],
  ["methods"],
  ["rl", "report", "library", "export"],
  ["serve"],
  ["client"],
  ["compare"],
  ["experiments"],
  ["cli"],
];

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s+[^;"']*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s*["']([^"']+)["']/g;

/** @returns {string[]} */
export function importsOf(text) {
  const found = [];
  for (const [, from, dynamic, bare] of text.matchAll(importPattern)) {
    found.push(from ?? dynamic ?? bare);
  }
  return found;
}

function folderOf(path) {
  const [first, second, third] = path.split("/");
  return first === "src" && third !== undefined ? second : undefined;
}

const rank = (folder) => order.findIndex((row) => row.includes(folder));

/** Why `from` may not import `to`; undefined when it may. */
export function whyNot(from, to) {
  if (from === undefined || to === undefined || from === to) return undefined;
  if (rank(from) < 0) return `the folder src/${from} is not in the order (scripts/checks/imports.mjs)`;
  if (rank(to) < 0) return `the folder src/${to} is not in the order (scripts/checks/imports.mjs)`;
  if (from === "pathway" && to !== "torch" && to !== "nn") return `pathway may import only torch and nn, not ${to}`;
  if (from === "site" && to !== "runtime") return `site may import only runtime, not ${to}`;
  if (rank(from) > rank(to)) return undefined;
  return `${from} may not import ${to}`;
}

/** Browsers load the runtime and the page as they are: no package, and Node only in the one file for it. */
function runtimeProblem(file, specifier) {
  if (!/^src\/(runtime|site)\//.test(file) || specifier.startsWith(".")) return undefined;
  const isNodes = file === "src/runtime/node.ts" && specifier.startsWith("node:");
  return isNodes ? undefined : "what browsers load imports no packages";
}

/** Modules of Node that do I/O; the method has none. */
function pathwayProblem(file, specifier) {
  if (!file.startsWith("src/pathway/") || specifier.startsWith(".")) return undefined;
  return /^node:|^(fs|path|os|http)$/.test(specifier) ? "pathway does no I/O" : undefined;
}

export function checkImports(root, files) {
  const problems = [];
  for (const file of files.filter((path) => /^src\/.*\.ts$/.test(path))) {
    for (const specifier of importsOf(textOf(root, file) ?? "")) {
      const target = specifier.startsWith(".") ? normalize(join(dirname(file), specifier)) : undefined;
      const reason = target
        ? whyNot(folderOf(file), folderOf(target))
        : (pathwayProblem(file, specifier) ?? runtimeProblem(file, specifier));
      if (reason) problems.push(`${file}: imports ${specifier}: ${reason}`);
      if (target !== undefined && !target.startsWith("src/"))
        problems.push(`${file}: imports ${specifier}, outside src`);
    }
  }
  return problems;
}

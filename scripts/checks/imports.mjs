/** Imports between the folders of src point one way; src/pathway sees only torch, nn and the hub's types. */
import { dirname, join, normalize } from "node:path";
import { textOf } from "./files.mjs";

/** Folders of one row do not import each other, except as `siblings` allows. */
const order = [
  ["torch"],
  ["nn"],
  ["optim", "io", "models", "data"],
  ["hub"],
  ["pathway"],
  ["train"],
  ["methods"],
  ["rl", "report", "library"],
  ["experiments"],
  ["cli"],
];
const siblings = { models: ["io"], data: ["io"] };
const pathwayMayImport = { torch: "value", nn: "value", hub: "type" };

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s+(type\s)?[^;"']*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s*["']([^"']+)["']/g;

/** @returns {{ specifier: string, typeOnly: boolean }[]} */
export function importsOf(text) {
  const found = [];
  for (const [, type, from, dynamic, bare] of text.matchAll(importPattern)) {
    found.push({ specifier: from ?? dynamic ?? bare, typeOnly: type !== undefined });
  }
  return found;
}

function folderOf(path) {
  const [first, second, third] = path.split("/");
  return first === "src" && third !== undefined ? second : undefined;
}

const rank = (folder) => order.findIndex((row) => row.includes(folder));

/** Why `from` may not import `to`; undefined when it may. */
export function whyNot(from, to, typeOnly) {
  if (from === undefined || to === undefined || from === to) return undefined;
  if (rank(from) < 0) return `the folder src/${from} is not in the order (scripts/checks/imports.mjs)`;
  if (rank(to) < 0) return `the folder src/${to} is not in the order (scripts/checks/imports.mjs)`;
  if (from === "pathway") {
    const allowed = pathwayMayImport[to];
    if (allowed === undefined) return `pathway may import only ${Object.keys(pathwayMayImport).join(", ")}, not ${to}`;
    return allowed === "type" && !typeOnly
      ? `pathway may import only types from ${to}: use \`import type\``
      : undefined;
  }
  if (rank(from) > rank(to) || siblings[from]?.includes(to)) return undefined;
  return `${from} may not import ${to}`;
}

/** Modules of Node that do I/O; the method has none. */
function pathwayProblem(file, specifier) {
  if (!file.startsWith("src/pathway/") || specifier.startsWith(".")) return undefined;
  return /^node:|^(fs|path|os|http)$/.test(specifier) ? "pathway does no I/O" : undefined;
}

export function checkImports(root, files) {
  const problems = [];
  for (const file of files.filter((path) => /^src\/.*\.ts$/.test(path))) {
    for (const { specifier, typeOnly } of importsOf(textOf(root, file) ?? "")) {
      const target = specifier.startsWith(".") ? normalize(join(dirname(file), specifier)) : undefined;
      const reason = target ? whyNot(folderOf(file), folderOf(target), typeOnly) : pathwayProblem(file, specifier);
      if (reason) problems.push(`${file}: imports ${specifier}: ${reason}`);
      if (target !== undefined && !target.startsWith("src/"))
        problems.push(`${file}: imports ${specifier}, outside src`);
    }
  }
  return problems;
}

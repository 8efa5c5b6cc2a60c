/** Node's module hooks for TypeScript: each file is compiled once and kept under build/, by its content. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const kept = fileURLToPath(new URL("build/typescript/", root));
const json = (name) => JSON.parse(readFileSync(new URL(name, root), "utf8"));
const { paths } = json("tsconfig.json").compilerOptions;

/** What changes the compiled text beside the file itself. */
const options = {
  target: "ES2022",
  module: "ESNext",
  verbatimModuleSyntax: true,
  inlineSourceMap: true,
  rewriteRelativeImportExtensions: true,
};
const version = JSON.stringify([options, json("package.json").devDependencies.typescript]);

async function compile(text, name) {
  const { default: ts } = await import("typescript");
  const compilerOptions = {
    ...options,
    target: ts.ScriptTarget[options.target],
    module: ts.ModuleKind[options.module],
  };
  return ts.transpileModule(text, { fileName: name, compilerOptions }).outputText;
}

/** Milliseconds after which a text goes, whoever uses it: it is soon made again. */
const oldest = 7 * 24 * 3600 * 1000;
let isSwept = false;

/** Of every version of a file there is a text; those of before go, and what killed processes left. */
function sweep() {
  isSwept = true;
  for (const name of readdirSync(kept)) {
    const mtimeMs = statSync(`${kept}${name}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - mtimeMs > oldest) rmSync(`${kept}${name}`, { force: true });
  }
}

/** Another process may do the same at this moment: both write the same text. */
function keep(file, output) {
  try {
    mkdirSync(kept, { recursive: true });
    if (!isSwept) sweep();
    writeFileSync(`${file}.${process.pid}`, output);
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // Somebody else's checkout, or a full disk: the next process compiles it again.
  }
}

/** A file's text as JavaScript, which names files beside it as JavaScript too. */
export async function compiled(path) {
  const [text, name] = [readFileSync(path, "utf8"), basename(path)];
  const key = createHash("sha1").update(version).update(name).update(text).digest("hex");
  const file = `${kept}${name}.${key}.js`;
  try {
    return readFileSync(file, "utf8");
  } catch {
    const output = await compile(text, name);
    keep(file, output);
    return output;
  }
}

/** Files that compiled texts name are TypeScript; the package's own name means its sources, as tsconfig.json says. */
export function resolve(specifier, context, next) {
  if (/^\.{1,2}\/.*\.js$/.test(specifier) && /\.m?ts$/.test(context.parentURL ?? "")) {
    return next(specifier.replace(/\.js$/, ".ts"), context);
  }
  if (!/^hub-pathway(\/|$)/.test(specifier)) return next(specifier, context);
  const [name, folder] = specifier.split("/");
  const [target] = paths[folder === undefined ? name : `${name}/*`];
  return next(new URL(target.replace("*", folder), root).href, context);
}

export async function load(url, context, next) {
  if (!url.startsWith("file:") || !/\.m?ts$/.test(url)) return next(url, context);
  return { format: "module", source: await compiled(fileURLToPath(url)), shortCircuit: true };
}

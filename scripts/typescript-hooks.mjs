/** Node's module hooks for TypeScript: each file is compiled once and kept under build/, by its content. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const kept = fileURLToPath(new URL("build/typescript/", root));
const json = (name) => JSON.parse(readFileSync(new URL(name, root), "utf8"));
const { paths } = json("tsconfig.json").compilerOptions;

/** What changes the compiled text beside the file itself. */
const options = { target: "ES2022", module: "ESNext", verbatimModuleSyntax: true, inlineSourceMap: true };
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

async function compiled(path) {
  const [text, name] = [readFileSync(path, "utf8"), basename(path)];
  const key = createHash("sha1").update(version).update(name).update(text).digest("hex");
  const file = `${kept}${name}.${key}.js`;
  try {
    return readFileSync(file, "utf8");
  } catch {
    const output = await compile(text, name);
    // Another process may do the same at this moment: both write the same text.
    mkdirSync(kept, { recursive: true });
    writeFileSync(`${file}.${process.pid}`, output);
    renameSync(`${file}.${process.pid}`, file);
    return output;
  }
}

/** The package's own name means its sources, as tsconfig.json says. */
export function resolve(specifier, context, next) {
  if (!/^hub-pathway(\/|$)/.test(specifier)) return next(specifier, context);
  const [name, folder] = specifier.split("/");
  const [target] = paths[folder === undefined ? name : `${name}/*`];
  return next(new URL(target.replace("*", folder), root).href, context);
}

export async function load(url, context, next) {
  if (!url.startsWith("file:") || !/\.m?ts$/.test(url)) return next(url, context);
  return { format: "module", source: await compiled(fileURLToPath(url)), shortCircuit: true };
}

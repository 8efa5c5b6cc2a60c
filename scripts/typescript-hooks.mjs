/** Node's module hooks for TypeScript: each file is transformed when it is loaded, which takes a quarter of a millisecond. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { transformSync } from "oxc-transform";

const root = new URL("../", import.meta.url);
const { paths } = JSON.parse(readFileSync(new URL("tsconfig.json", root), "utf8")).compilerOptions;

/** What texts import for their `using` declarations, wherever they are. */
const helper = "@oxc-project/runtime/helpers/usingCtx";
const { resolve: placeOf } = createRequire(import.meta.url);
export const usingContext = pathToFileURL(placeOf("@oxc-project/runtime/helpers/esm/usingCtx")).href;

/**
 * A file's text as JavaScript, with its source map.
 * @param {string} path
 * @param {{ source?: string, helper?: string } & import("oxc-transform").TypeScriptOptions} [options] source: the file's name in the
 *   map, as seen from where the text will be; helper: address of `usingContext` there
 * @throws {SyntaxError} that shows the line
 */
export function transform(path, { source = basename(path), helper: place = usingContext, ...typescript } = {}) {
  const { code, map, errors } = transformSync(source, readFileSync(path, "utf8"), {
    target: "es2022",
    sourcemap: true,
    typescript: { onlyRemoveTypeImports: true, ...typescript },
  });
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0].message}\n${errors[0].codeframe ?? ""}`);
  const { sourcesContent, ...places } = map;
  const encoded = Buffer.from(JSON.stringify(places)).toString("base64");
  return `${code.replace(`"${helper}"`, `"${place}"`)}\n//# sourceMappingURL=data:application/json;base64,${encoded}\n`;
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
  return { format: "module", source: transform(fileURLToPath(url)), shortCircuit: true };
}

/** The sources as JavaScript in .compiled/, with which Node starts in half the time that it takes with module hooks. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = join(root, "src");
/** At the depth of src and dist, since modules name files of the project by their own place. */
const folder = join(root, ".compiled");
const list = join(folder, "files.json");

/** The state of each source, by its path; of the package too, which names the compiler. */
function found() {
  const stateOf = (path) => {
    const { ctimeMs, size } = statSync(path);
    return `${ctimeMs} ${size}`;
  };
  const common = ["package.json", "scripts/typescript-hooks.mjs"].map((file) => stateOf(join(root, file))).join(" ");
  const files = readdirSync(sources, { recursive: true }).filter((file) => file.endsWith(".ts"));
  return Object.fromEntries(files.map((file) => [file, `${stateOf(join(sources, file))} ${common}`]));
}

/** The states of the sources that were compiled. */
function known() {
  try {
    return JSON.parse(readFileSync(list, "utf8"));
  } catch {
    return {};
  }
}

const outputOf = (file) => join(folder, file.replace(/\.ts$/, ".js"));

/** Another process may write the same at this moment: whole files replace each other. */
function put(path, text) {
  writeFileSync(`${path}.${process.pid}`, text);
  renameSync(`${path}.${process.pid}`, path);
}

async function compile(files) {
  const { transform, usingContext } = await import("./typescript-hooks.mjs");
  mkdirSync(folder, { recursive: true });
  const helper = join(folder, "using-context.js");
  put(helper, readFileSync(fileURLToPath(usingContext), "utf8"));
  for (const file of files) {
    const [path, output] = [join(sources, file), outputOf(file)];
    const from = dirname(output);
    const places = { source: relative(from, path), helper: `./${relative(from, helper)}` };
    mkdirSync(from, { recursive: true });
    put(output, transform(path, { ...places, rewriteImportExtensions: "rewrite" }));
  }
}

/** URL of the folder of compiled sources, brought up to date; undefined where it cannot be written. */
export async function compiledSources() {
  const [now, before] = [found(), known()];
  const changed = Object.keys(now).filter((file) => now[file] !== before[file]);
  const gone = Object.keys(before).filter((file) => !(file in now));
  if (changed.length + gone.length > 0) {
    try {
      await compile(changed);
      for (const file of gone) rmSync(outputOf(file), { force: true });
      put(list, JSON.stringify(now));
    } catch (error) {
      if (error.syscall === undefined) throw error;
      return undefined;
    }
  }
  process.setSourceMapsEnabled(true);
  return pathToFileURL(`${folder}/`).href;
}

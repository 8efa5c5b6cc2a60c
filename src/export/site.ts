/**
 * A run as a static site: its bundle, the page of src/site, the runtime, and onnxruntime-web's files. Nothing is bundled: browsers
 * load the modules as they are.
 */
import fs from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bundle } from "../runtime/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { OpenedRun } from "../train/index.ts";
import { type BundleOptions, fillBundle, newFolder } from "./bundle/write-bundle.ts";

const sources = fileURLToPath(new URL("../../src/", import.meta.url));
const isCheckout = !import.meta.url.endsWith("/dist/export/site.js");

/** Files of onnxruntime-web that the page's worker loads: one build with WebGPU, and a smaller one without. */
const runtimeFiles = [
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
  "ort.webgpu.min.mjs",
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
];

/**
 * Writes a run's site into a new folder, which appears complete or not at all.
 * @throws UserError as `writeBundle`; ConfigError without onnxruntime-web
 */
export async function writeSite(run: OpenedRun, out: string, options: BundleOptions = {}): Promise<Bundle> {
  const webRuntime = webRuntimeFolder();
  const modules = await siteModules();
  return newFolder(out, "--web", async (folder) => {
    const place = (file: string): string => {
      const path = join(folder, file);
      fs.mkdirSync(dirname(path), { recursive: true });
      return path;
    };
    const bundle = await fillBundle(place("bundle"), run, basename(run.folder.path), options);
    for (const [file, text] of modules) fs.writeFileSync(place(file), text);
    fs.copyFileSync(join(sources, "site/index.html"), place("index.html"));
    fs.copyFileSync(join(sources, "site/style.css"), place("page/style.css"));
    for (const file of runtimeFiles) fs.copyFileSync(join(webRuntime, file), place(`ort/${file}`));
    return bundle;
  });
}

/** The folder of the installed onnxruntime-web, beside this package or where the program runs. */
function webRuntimeFolder(): string {
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      const folder = dirname(createRequire(from).resolve("onnxruntime-web"));
      const missing = runtimeFiles.find((file) => !fs.existsSync(join(folder, file)));
      if (missing === undefined) return folder;
      throw new ConfigError(
        `onnxruntime-web in ${folder} has no ${missing}: npm install onnxruntime-web@1.30.0, and export again`,
      );
    } catch (error) {
      if (error instanceof ConfigError) throw error;
    }
  }
  throw new ConfigError("a page needs onnxruntime-web: npm install onnxruntime-web, and export again");
}

/** Path in the site and text of each module. */
async function siteModules(): Promise<[string, string][]> {
  const runtime = fs
    .readdirSync(join(sources, isCheckout ? "runtime" : "../dist/runtime"))
    .filter((name) => /\.[jt]s$/.test(name) && !/\.d\.ts$|^node\./.test(name))
    .map((name) => name.slice(0, -3));
  const modules = new Map<string, string>();
  for (const name of runtime) modules.set(`runtime/${name}.js`, await compiled(`runtime/${name}`));
  for (const name of ["page", "worker"]) modules.set(`page/${name}.js`, await compiled(`site/${name}`));
  const shell = JSON.stringify(["./", "page/style.css", "bundle/bundle.json", ...modules.keys()]);
  // At the root, since it is asked for what is below its own place.
  modules.set("service-worker.js", (await compiled("site/service-worker")).replace('["SHELL"]', shell));
  return [...modules];
}

/** A module of src as JavaScript: compiled with the package, or now in a checkout. */
async function compiled(name: string): Promise<string> {
  if (!isCheckout) return fs.readFileSync(join(sources, `../dist/${name}.js`), "utf8");
  const { transformSync } = await import("oxc-transform");
  const { code } = transformSync(`${name}.ts`, fs.readFileSync(join(sources, `${name}.ts`), "utf8"), {
    target: "es2022",
    typescript: { onlyRemoveTypeImports: true, rewriteImportExtensions: "rewrite" },
  });
  return code;
}

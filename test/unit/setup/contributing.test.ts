/** CONTRIBUTING.md tells the truth: its recipes are followed in a copy of the tree, and its order of folders is the checked one. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { typescript } from "../../support/typescript.ts";
import { load, root, runNode, temporaryFolder } from "./support.ts";

const page = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");

interface Recipe {
  /** Content of its file; "added" is the name of everything. */
  file: string;
  /** Import in the list's file; nothing where the entry loads it. */
  imported?: string;
  /** The line in the list that names it. */
  entry: string;
  /** Further lines: file, the text after which each goes, and the line. */
  more?: [file: string, after: RegExp, line: string];
  /** An expression that is true once it is there, over the index pages of the folders. */
  found: string;
}

const recipes: Record<string, Recipe> = {
  "a method": {
    file: `import type { Method } from "../train/index.ts";
import { fineTuneMethod } from "./fine-tune.ts";
export const added: Method = { ...fineTuneMethod, name: "added" };`,
    imported: "added",
    entry: "added,",
    more: ["src/methods/catalog.ts", /methodSummaries = \{/, `added: "a method that was added",`],
    found: `(await import("./src/methods/index.ts")).methods.map(({ name }) => name).join() ===
      Object.keys((await import("./src/methods/catalog.ts")).methodSummaries).join()`,
  },
  "an architecture": {
    file: `import { z } from "zod";
import { ResNet } from "./resnet.ts";
export const addedConfig = z.strictObject({ width: z.int() });
export class Added extends ResNet {}`,
    imported: "Added, addedConfig",
    entry: `architecture("added", "Nobody, 2000", addedConfig, ({ width }, options) => new Added({ layers: [1], width }, options)),`,
    found: `(await import("./src/models/index.ts")).createBackbone("added", { width: 8 }, { generator: new Generator(0) }).featureWidth === 8`,
  },
  "an ONNX operator": {
    file: `import type { Call, Result } from "../call.ts";
export function Added(call: Call): Result {
  return call.tensor(0);
}`,
    imported: "* as added",
    entry: "added,",
    found: `(await import("./src/graphs/onnx/ops/index.ts")).operators.has("Added")`,
  },
  "an operator of exported models": {
    file: `import type { Call, Written } from "../call.ts";
export function added(call: Call): Written {
  return call.input(0);
}`,
    imported: "* as added",
    entry: "added,",
    found: `(await import("./src/export/onnx-ops/index.ts")).writerOf("aten::added") !== undefined`,
  },
  "a known data set": {
    file: `import type { KnownDataset } from "../types.ts";
import { emoji } from "./emoji.ts";
export const added: KnownDataset = { ...emoji, name: "added" };`,
    imported: "added",
    entry: "added,",
    found: `(await import("./src/data/index.ts")).knownDatasets.some(({ name }) => name === "added")`,
  },
  "a published data set in its own files": {
    file: `import type { PublishedDataset } from "../types.ts";
import { euroSat } from "./eurosat.ts";
export const added: PublishedDataset = { ...euroSat, name: "added" };`,
    imported: "added",
    entry: "added,",
    found: `(await import("./src/data/index.ts")).publishedDatasets.some(({ name }) => name === "added")`,
  },
  "an experiment": {
    file: `import type { Experiment } from "../compare/index.ts";
import { ablation } from "./ablation.ts";
export const added: Experiment = { ...ablation, name: "added" };`,
    entry: `added: { summary: "a question", load: async () => (await import("./added.ts")).added },`,
    found: `(await (await import("./src/experiments/index.ts")).experiments.added.load()).name === "added"`,
  },
  "an environment": {
    file: `import { mountainCar } from "./mountain-car.ts";
export const added = { ...mountainCar, id: "added" };`,
    imported: "added",
    entry: "added: (options: EnvironmentOptions) => new LocalEnvironment(added, options),",
    more: ["src/rl/environments/ids.ts", /localIds = \[/, `"added",`],
    found: `(await (await import("./src/rl/index.ts")).makeEnvironment("added")).actionSpace.n === 3`,
  },
};

/** Rows of the table: what is added, its file, the list that names it and that list's file. */
function rows(): { what: string; file: string; list: string; registry: string }[] {
  const row = /^\| (an? [^|]+) \| `([^`]*NAME\.ts)`[^|]*\| `(\w+)` in `([^`]+)` \|/gm;
  return [...page.matchAll(row)].map(([, what = "", file = "", list = "", registry = ""]) => ({
    what,
    file,
    list,
    registry,
  }));
}

/** Puts a line behind the first match. */
function insert(path: string, after: RegExp, line: string): void {
  const text = readFileSync(path, "utf8");
  const match = after.exec(text);
  assert.ok(match, `${path} has nothing like ${after}`);
  const end = match.index + match[0].length;
  writeFileSync(path, `${text.slice(0, end)}\n${line}\n${text.slice(end)}`);
}

test("each recipe adds its thing with one file and the lines that it names", async () => {
  assert.deepEqual(new Set(rows().map(({ what }) => what)), new Set(Object.keys(recipes)));
  using folder = temporaryFolder();
  const copy = (name: string): string => join(folder.path, name);
  cpSync(join(root, "src"), copy("src"), { recursive: true });
  for (const name of ["package.json", "tsconfig.json"]) cpSync(join(root, name), copy(name));
  for (const name of ["node_modules", "build"]) symlinkSync(join(root, name), copy(name));
  for (const { what, file, list, registry } of rows()) {
    const { file: text, imported, entry, more } = recipes[what] as Recipe;
    const path = file.replace("NAME", "added");
    assert.ok(page.includes(more?.[0] ?? ""), `${what}: ${more?.[0]} is not on the page`);
    mkdirSync(dirname(copy(path)), { recursive: true });
    writeFileSync(copy(path), text);
    // The list opens with a bracket; that of the operators is a list of lists.
    insert(copy(registry), new RegExp(`const ${list}\\b[^=]*=[^[{]*[[{](\\s*\\.\\.\\.\\[)?`), entry);
    if (more) insert(copy(more[0]), more[1], more[2]);
    if (imported === undefined) continue;
    const names = imported.startsWith("*") ? imported : `{ ${imported} }`;
    const specifier = path.replace(`${dirname(registry)}/`, "./");
    writeFileSync(copy(registry), `import ${names} from "${specifier}";\n${readFileSync(copy(registry), "utf8")}`);
  }
  const found = Object.entries(recipes).map(([what, recipe]) => `${JSON.stringify(what)}: ${recipe.found}`);
  const script = `import { Generator } from "./src/torch/index.ts";\nconsole.log(JSON.stringify({ ${found.join(",\n")} }));\n`;
  writeFileSync(copy("found.mts"), script);
  const { code, stdout, stderr } = await runNode([...typescript, copy("found.mts")], {
    ...(process.env as Record<string, string>),
  });
  assert.equal(code, 0, stderr);
  const wanted = Object.fromEntries(Object.keys(recipes).map((what) => [what, true]));
  assert.deepEqual(JSON.parse(stdout), wanted);
});

test("the order of folders on the pages is the one that is checked", async () => {
  const { order } = await load<{ order: string[][] }>("scripts/checks/imports.mjs");
  const wanted = order.map((row) => (row.length > 1 ? `{ ${row.join(", ")} }` : row.join())).join(" < ");
  for (const name of ["CONTRIBUTING.md", "docs/architecture.md"]) {
    const text = readFileSync(join(root, name), "utf8").replaceAll(/\s+/g, " ");
    assert.ok(text.includes(wanted), `${name} says another order than ${wanted}`);
  }
});

test("every command and file that the page names is there", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
  const commands = [...page.matchAll(/`npm (?:run )?([a-z-]+)/g)].map(([, name = ""]) => name);
  assert.deepEqual(
    commands.filter((name) => !["ci", ...Object.keys(scripts)].includes(name)),
    [],
  );
  const paths = [...page.matchAll(/`((?:src|test|scripts)\/[^`\s]+)`/g)].map(([, path = ""]) => path);
  const absent = paths.filter((path) => !path.includes("NAME") && !existsSync(join(root, path)));
  assert.deepEqual(absent, []);
});

/** The repository's own checks see what they are there for. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { load, root, temporaryFolder } from "./support.ts";

type Check = (root: string, files: string[]) => string[];
const { checkImports, importsOf } = await load<{
  checkImports: Check;
  importsOf(text: string): string[];
}>("scripts/checks/imports.mjs");
const { checkCircles, circlesIn } = await load<{
  checkCircles: Check;
  circlesIn(graph: Map<string, string[]>): string[][];
}>("scripts/checks/circles.mjs");
const { checkFigures } = await load<{ checkFigures(root: string): string[] }>("scripts/docs.mjs");
const { checkLengths } = await load<{ checkLengths: Check }>("scripts/checks/sizes.mjs");
const { checkNames } = await load<{ checkNames: Check }>("scripts/checks/names.mjs");
const { checkHubs } = await load<{ checkHubs: Check }>("scripts/checks/hub-hashes.mjs");

function problems(check: Check, contents: Record<string, string>): string[] {
  using folder = temporaryFolder();
  for (const [file, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(folder.path, file)), { recursive: true });
    writeFileSync(join(folder.path, file), text);
  }
  return check(folder.path, Object.keys(contents));
}

test("imports: every form is read", () => {
  const text = `import { a } from "./a.ts";\nimport type { b } from './b.ts';\nimport {\n  c,\n  type d,\n} from "./c.ts";
export * from "./e.ts";\nexport type { f } from "./f.ts";\nimport "./g.ts";\nconst h = await import("./h.ts");`;
  assert.deepEqual(importsOf(text), ["./a.ts", "./b.ts", "./c.ts", "./e.ts", "./f.ts", "./g.ts", "./h.ts"]);
});

test("imports: only towards the engine, not between neighbours, the method only from torch and nn", () => {
  const allowed = {
    "src/nn/a.ts": 'import { x } from "../torch/index.ts";',
    "src/models/a.ts": 'import { x } from "../io/index.ts";',
    "src/pathway/a.ts": 'import type { x } from "../nn/index.ts";\nimport { y } from "./b.ts";',
    "src/cli/a.ts": 'import { x } from "../report/index.ts";',
    "src/data/a.ts": 'import { x } from "../runtime/index.ts";',
    "src/runtime/node.ts": 'import { readFile } from "node:fs/promises";',
    "src/site/a.ts": 'import { x } from "../runtime/index.ts";',
    "src/index.ts": 'export * from "./torch/index.ts";',
  };
  assert.deepEqual(problems(checkImports, allowed), []);
  const forbidden = {
    "src/torch/a.ts": 'import { x } from "../nn/index.ts";',
    "src/optim/a.ts": 'import { x } from "../io/index.ts";',
    "src/rl/a.ts": 'import { x } from "../report/index.ts";',
    "src/pathway/a.ts": 'import { x } from "../hub/index.ts";',
    "src/pathway/b.ts": 'import { readFileSync } from "node:fs";',
    "src/pathway/c.ts": 'import type { x } from "../models/index.ts";',
    "src/cli/a.ts": 'import { x } from "../../scripts/x.ts";',
    "src/runtime/a.ts": 'import { x } from "../torch/errors.ts";',
    "src/runtime/b.ts": 'import { readFile } from "node:fs/promises";',
    "src/runtime/node.ts": 'import { z } from "zod";',
    "src/site/a.ts": 'import { x } from "../torch/index.ts";',
    "src/site/b.ts": 'import { z } from "zod";',
    "src/elsewhere/a.ts": 'import { x } from "../torch/index.ts";',
  };
  const found = problems(checkImports, forbidden).map((line) => line.split(":")[0]);
  assert.deepEqual(found, Object.keys(forbidden));
});

test("circles: type-only imports close one too, and each is named once", () => {
  const files = {
    "src/a.ts": 'import type { B } from "./b.ts";',
    "src/b.ts": 'export { c } from "./c.ts";',
    "src/c.ts": 'export const load = () => import("./a.ts");',
    "src/d.ts": 'import { a } from "./a.ts";',
  };
  assert.deepEqual(problems(checkCircles, files), ["circle: src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts"]);
  assert.deepEqual(problems(checkCircles, { ...files, "src/c.ts": "export const c = 1;" }), []);
  const graph = new Map([
    ["a", ["b", "c"]],
    ["b", ["a"]],
    ["c", ["c"]],
  ]);
  assert.deepEqual(circlesIn(graph), [["a", "b"], ["c"]]);
});

test("figures: pages that were edited by hand, their tables and what is made of them", () => {
  using folder = temporaryFolder();
  const page = (name: string): string => join(folder.path, name);
  const edit = (name: string, from: string, to: string) => {
    const text = readFileSync(page(name), "utf8");
    assert.ok(text.includes(from), `${name} has no ${from}`);
    writeFileSync(page(name), text.replace(from, to));
  };
  cpSync(join(root, "README.md"), page("README.md"));
  cpSync(join(root, "docs/results"), page("docs/results"), { recursive: true, filter: (path) => !/cells$/.test(path) });
  assert.deepEqual(checkFigures(folder.path), []);
  edit("docs/results/label-budget.md", "| ensemble of all | all members | ", "| ensemble of all | all members | 9");
  assert.match(checkFigures(folder.path).join("\n"), /^docs\/results\/label-budget\.md: \S+, ensemble of all: 9/);
  edit("README.md", "<!-- figures: claims -->\n", "<!-- figures: claims -->\n9\n");
  assert.match(checkFigures(folder.path).join("\n"), /\nREADME\.md: its figures are not those of the results/);
});

test("lengths: long files, the native part and the method in all", () => {
  const lines = (count: number) => "x\n".repeat(count);
  assert.deepEqual(problems(checkLengths, { "src/a.ts": lines(500), "src/b.generated.ts": lines(900) }), []);
  const found = problems(checkLengths, {
    "src/a.ts": lines(501),
    ...Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`native/${i}.cc`, lines(450)])),
    ...Object.fromEntries([1, 2].map((i) => [`src/pathway/${i}.ts`, lines(420)])),
  });
  assert.equal(found.length, 3);
});

test("names: registries and folders of one machine", () => {
  const host = ["registry", "npmjs", "org"].join(".");
  const folder = ["", "work", "x"].join("/");
  const archives = ["download", "pytorch", "org"].join(".");
  const found = problems(checkNames, {
    "a.json": `{}\n"https://${host}/"`,
    "b.md": `see ${folder}`,
    "c.md": `framework/x ..${folder} docs${folder}`,
    "d.bin": `\0${host}`,
    "e.json": `"https://${archives}/libtorch/cpu/a.zip"`,
    "f.json": `"https://${archives}/whl/cpu"`,
  });
  assert.deepEqual(
    found.map((line) => line.split(": ")[0]),
    ["a.json:2", "b.md:1", "f.json:1"],
  );
});

test("every hub: hashes, missing files, files that nobody names, and weights without a manifest", () => {
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const members = ["a", "b", "c"].map((name) => ({ name, weights: { file: `${name}.safetensors`, sha256: empty } }));
  const found = problems(checkHubs, {
    "hubs/starter/hub.json": JSON.stringify({ members }),
    "hubs/starter/a.safetensors": "",
    "hubs/starter/b.safetensors": "changed",
    "hubs/starter/d.safetensors": "",
    "hubs/another/hub.json": JSON.stringify({ members: members.slice(0, 1) }),
    "hubs/another/a.safetensors": "changed",
    "hubs/third/a.safetensors": "",
    "hubs/make/program.ts": "",
  });
  assert.equal(found.length, 5);
  for (const [i, pattern] of [
    /b\.safetensors: sha256/,
    /c\.safetensors: named/,
    /d\.safetensors: no member/,
    /another\/a\.safetensors: sha256/,
    /third: no hub\.json/,
  ].entries()) {
    assert.match(found[i] ?? "", pattern);
  }
});

/** TypeScript in a checkout: what is compiled is kept and renewed, and everything works where nothing can be kept. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root, temporaryFolder } from "./support.ts";

/** A checkout with the loader alone, and a program in it. */
function checkout(path: string): void {
  for (const file of ["scripts/typescript.mjs", "scripts/typescript-hooks.mjs", "package.json", "tsconfig.json"]) {
    cpSync(join(root, file), join(path, file));
  }
  symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  writeFileSync(join(path, "program.ts"), "const answer: number = 42;\nconsole.log(answer);\n");
}

function run(path: string): void {
  const args = ["--import", "./scripts/typescript.mjs", "program.ts"];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: path, encoding: "utf8" });
  assert.equal(stdout, "42\n", stderr);
}

test("a compiled file is kept, and old ones go when another one is", () => {
  using folder = temporaryFolder();
  checkout(folder.path);
  const kept = join(folder.path, "build", "typescript");
  mkdirSync(kept, { recursive: true });
  const days = (count: number) => new Date(Date.now() - count * 24 * 3600 * 1000);
  for (const [name, age] of Object.entries({ "old.ts.1.js": 30, "old.ts.1.js.123": 30, "recent.ts.2.js": 1 })) {
    writeFileSync(join(kept, name), "");
    utimesSync(join(kept, name), days(age), days(age));
  }
  run(folder.path);
  const [own, other] = readdirSync(kept).sort();
  assert.match(own ?? "", /^program\.ts\.[0-9a-f]{40}\.js$/);
  assert.equal(other, "recent.ts.2.js");
  writeFileSync(join(kept, own ?? ""), "console.log(42); // from the kept file");
  run(folder.path);
  assert.deepEqual(readdirSync(kept).sort(), [own, other]);
});

test("where nothing can be written, files are compiled each time", () => {
  using folder = temporaryFolder();
  checkout(folder.path);
  writeFileSync(join(folder.path, "build"), "no folder");
  run(folder.path);
});

/** A checkout whose program prints what two sources say. */
function withSources(path: string): () => string {
  checkout(path);
  cpSync(join(root, "scripts/compiled.mjs"), join(path, "scripts/compiled.mjs"));
  mkdirSync(join(path, "src/deep"), { recursive: true });
  writeFileSync(join(path, "src/index.ts"), 'import { word } from "./deep/word.ts";\nconsole.log(word as string);\n');
  writeFileSync(join(path, "src/deep/word.ts"), 'export const word: string = "first";\n');
  const program = `import { compiledSources } from "./scripts/compiled.mjs";
const compiled = await compiledSources();
if (compiled === undefined) console.log("nothing is kept");
else await import(compiled + "index.js").catch((error) => console.log(error.stack));`;
  return () => {
    const args = ["--input-type=module", "--eval", program];
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: path, encoding: "utf8" });
    assert.equal(stderr, "");
    return stdout;
  };
}

test("compiled sources are kept, follow their sources, and name them in errors", () => {
  using folder = temporaryFolder();
  const said = withSources(folder.path);
  const [kept, word] = [join(folder.path, ".compiled"), join(folder.path, "src/deep/word.ts")];
  assert.equal(said(), "first\n");
  writeFileSync(join(kept, "deep/word.js"), 'export const word = "kept";');
  assert.equal(said(), "kept\n", "an unchanged source is not compiled again");
  writeFileSync(word, 'interface Unused {}\n\nthrow new Error("third line");\nexport const word: string = "";\n');
  assert.match(said(), /src\/deep\/word\.ts:3:7/);
  rmSync(word);
  assert.match(said(), /Cannot find module .*deep\/word\.js/);
  assert.deepEqual(readdirSync(join(kept, "deep")), []);
});

test("where compiled sources cannot be kept, that is said", () => {
  using folder = temporaryFolder();
  const said = withSources(folder.path);
  writeFileSync(join(folder.path, ".compiled"), "no folder");
  assert.equal(said(), "nothing is kept\n");
});

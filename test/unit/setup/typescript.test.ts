/** TypeScript in a checkout: compiled sources are kept and renewed, and everything works where nothing can be kept. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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

function started(path: string): SpawnSyncReturns<string> {
  const args = ["--import", "./scripts/typescript.mjs", "program.ts"];
  return spawnSync(process.execPath, args, { cwd: path, encoding: "utf8" });
}

test("a program runs where nothing can be written", () => {
  using folder = temporaryFolder();
  checkout(folder.path);
  writeFileSync(join(folder.path, "build"), "no folder");
  const { stdout, stderr } = started(folder.path);
  assert.equal(stdout, "42\n", stderr);
});

test("a text that is no TypeScript is shown with its line", () => {
  using folder = temporaryFolder();
  checkout(folder.path);
  writeFileSync(join(folder.path, "program.ts"), "const answer: number = 42;\nconst = 3;\n");
  assert.match(started(folder.path).stderr, /SyntaxError.*program\.ts: .*const = 3;/s);
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

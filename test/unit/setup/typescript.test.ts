/** The loader of TypeScript: what it keeps goes when it is old, and it works where it can keep nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
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

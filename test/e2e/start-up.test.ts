/** Commands that must work before set-up never load the native part, and find the package's files from any folder. */
// Alone: libtorch must not be loaded before.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { lastLine, runHere, runProgram } from "../support/program.ts";
import { temporaryFolder, writeShapeImages } from "../support/small-hub.ts";

const folder = temporaryFolder();
const preload = join(folder, "no-addon.mjs");
writeFileSync(
  preload,
  `const load = process.dlopen;
process.dlopen = function (module, file, ...rest) {
  if (/hub_pathway/.test(file)) throw new Error("the addon was loaded");
  return load.call(this, module, file, ...rest);
};\n`,
);
await import(pathToFileURL(preload).href);

/** In a process of its own. */
const start = (args: string[]) =>
  runProgram(args, folder, { cwd: folder, env: { NODE_OPTIONS: `--import ${pathToFileURL(preload)}` } });
const run = (args: string[]) => runHere(args, folder, { cwd: folder });

for (const [line, how] of [
  ["--help", start],
  ["--version", start],
  ["train --help", run],
  ["hub add --help", run],
  ["experiment --help", run],
] as const) {
  test(`${line} works without the addon`, async () => {
    const ended = await how(line.split(" "));
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    assert.match(ended.stdout, /Usage: hub-pathway|^\d+\.\d+\.\d+/);
  });
}

for (const line of ["hub ls", "data ls"]) {
  test(`${line} works in any folder without the addon`, async () => {
    const ended = await run([...line.split(" "), "--json"]);
    assert.equal(ended.code, 0, ended.stderr);
    const result = lastLine(ended.stdout);
    assert.ok(((result["members"] ?? result["datasets"]) as unknown[]).length > 3);
  });
}

test("data check reads images without the addon", async () => {
  await writeShapeImages(folder, 4);
  const ended = await run(["data", "check", "images", "--json"]);
  assert.equal(lastLine(ended.stdout)["images"], 12, ended.stderr);
});

test("what computes says that the addon does not load, as a matter of set-up", async () => {
  const message = /^error: the native addon does not load \(the addon was loaded\).*setup/m;
  for (const how of [start, run]) {
    const ended = await how(["doctor"]);
    assert.equal(ended.code, 2, ended.stderr);
    assert.match(ended.stderr, message);
  }
});

/** What must work before set-up never loads the native part. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { runProgram } from "../support/program.ts";
import { temporaryFolder } from "../support/small-hub.ts";

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

for (const args of [
  ["--help"],
  ["--version"],
  ["train", "--help"],
  ["hub", "add", "--help"],
  ["experiment", "--help"],
]) {
  test(`${args.join(" ")} works without the addon`, async () => {
    const ended = await runProgram(args, folder, undefined, {
      env: { NODE_OPTIONS: `--import ${pathToFileURL(preload)}` },
    });
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    assert.match(ended.stdout, /Usage: hub-pathway|^\d+\.\d+\.\d+/);
  });
}

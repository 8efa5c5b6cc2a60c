/** Everything that must hold beside the tests; names every failure. `node scripts/check.mjs [part of a name ...]` */
import { fileURLToPath } from "node:url";
import { checkCircles } from "./checks/circles.mjs";
import { repositoryFiles } from "./checks/files.mjs";
import { checkHubs } from "./checks/hub-hashes.mjs";
import { checkImports } from "./checks/imports.mjs";
import { checkNames } from "./checks/names.mjs";
import { checkPacked } from "./checks/package.mjs";
import { checkDataSize, checkLengths } from "./checks/sizes.mjs";
import { checkBiome, checkGenerated, checkPages, checkTypes } from "./checks/tools.mjs";

import { checkFigures } from "./docs.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** @type {[string, (root: string, files: string[]) => string[] | Promise<string[]>][]} */
const checks = [
  ["import directions", checkImports],
  ["circles between files", checkCircles],
  ["file lengths", checkLengths],
  ["size of weights and fixtures", checkDataSize],
  ["host names and machine paths", checkNames],
  ["hubs' hashes", checkHubs],
  ["figures of README and docs", checkFigures],
  ["lint and formatting (biome)", checkBiome],
  ["types (tsc)", checkTypes],
  ["pages of the public API (typedoc)", checkPages],
  ["packed package", checkPacked],
  ["generated operators up to date", checkGenerated],
];

async function runCheck(check, files) {
  const started = performance.now();
  try {
    return { problems: await check(root, files), started };
  } catch (error) {
    return { problems: [`the check itself failed: ${error?.stack ?? error}`], started };
  }
}

async function main(parts) {
  const files = repositoryFiles(root);
  const chosen = checks.filter(([name]) => parts.length === 0 || parts.some((part) => name.includes(part)));
  if (chosen.length === 0) {
    console.error(
      `no check has ${parts.join(" or ")} in its name; there are: ${checks.map(([name]) => name).join(", ")}`,
    );
    return 1;
  }
  let failed = 0;
  for (const [name, check] of chosen) {
    const { problems, started } = await runCheck(check, files);
    const time = `${((performance.now() - started) / 1000).toFixed(1)} s`;
    console.log(`${problems.length === 0 ? "ok    " : "FAILED"} ${name} (${time})`);
    for (const problem of problems) console.log(`         ${problem}`);
    if (problems.length > 0) failed++;
  }
  console.log(failed === 0 ? `all ${chosen.length} checks hold` : `${failed} of ${chosen.length} checks failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));

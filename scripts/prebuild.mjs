/**
 * Packs the addon that set-up compiled here: `npm run prebuild [-- --out FOLDER]` makes FOLDER/SYSTEM (of prebuilt), a
 * package for this system, Node and libtorch, and its archive. A machine without a compiler installs it beside hub-pathway.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { platform } from "../bin/setup/platform.mjs";
import { binding, packageName, prebuiltAddon } from "../bin/setup/prebuilt.mjs";
import { addonFile, addonIsCurrent, lastIsDistributed, lastLibtorch } from "../bin/setup/stamp.mjs";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** @returns {string} folder of the package, below `out` */
function makePackage(libtorch, out) {
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const folder = join(out, platform);
  const bound = binding(root);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(root, addonFile), join(folder, prebuiltAddon));
  for (const file of ["LICENSE", "NOTICE"]) copyFileSync(join(root, file), join(folder, file));
  const manifest = {
    name: packageName,
    version,
    description: `hub-pathway's addon for ${platform}, Node ABI ${bound.modules}, libtorch ${libtorch.version}`,
    license,
    os: [process.platform],
    cpu: [process.arch],
    ...(process.platform === "linux" ? { libc: ["glibc"] } : {}),
    files: [prebuiltAddon, "LICENSE", "NOTICE"],
    hubPathway: { ...bound, libtorch: libtorch.version, isDistributed: lastIsDistributed(root) },
  };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  return folder;
}

function main() {
  const { out } = parseArgs({ options: { out: { type: "string", default: join(root, "prebuilt") } } }).values;
  const libtorch = lastLibtorch(root);
  if (libtorch === undefined || libtorch.cuda || !addonIsCurrent(root)) {
    console.error("prebuild: there is no current addon for the processor alone: run `npx hub-pathway setup` first");
    return 2;
  }
  const folder = makePackage(libtorch, out);
  const packed = spawnSync("npm", ["pack", "--pack-destination", out, folder], { encoding: "utf8" });
  if (packed.status !== 0) {
    console.error(packed.stderr);
    return 1;
  }
  console.log(`${folder}\n${join(out, packed.stdout.trim().split("\n").at(-1))}`);
  return 0;
}

process.exitCode = main();

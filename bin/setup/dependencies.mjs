/** The npm packages of a checkout; an installed package has its own already. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { delimiter, join, sep } from "node:path";
import { SetupFailure } from "./failure.mjs";
import { privateCache, run, tail } from "./processes.mjs";
import { step } from "./progress.mjs";

export function isCheckout(root) {
  return existsSync(join(root, "package-lock.json")) && !root.includes(`${sep}node_modules${sep}`);
}

/** npm leaves a copy of what it installed inside node_modules, written last. */
export function dependenciesAreCurrent(root) {
  if (!isCheckout(root)) return true;
  try {
    const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
    const present = JSON.parse(readFileSync(join(root, "node_modules", ".package-lock.json"), "utf8")).packages;
    return Object.entries(wanted).every(
      ([path, entry]) =>
        path === "" || present[path]?.version === entry.version || (entry.optional && present[path] === undefined),
    );
  } catch {
    return false;
  }
}

function npmCommand() {
  const script = process.env.npm_execpath;
  return script?.endsWith("npm-cli.js") && existsSync(script) ? [process.execPath, script] : ["npm"];
}

export async function installDependencies(root) {
  const [command, ...first] = npmCommand();
  const args = ["ci", "--ignore-scripts", "--include=dev", "--include=optional", "--no-audit", "--no-fund"];
  await step("npm packages", async () => {
    const own = join(root, "build", "npm");
    const env = { ...process.env, ...privateCache("npm_config_cache", own) };
    const result = await run(command, [...first, ...args], { cwd: root, env });
    rmSync(own, { recursive: true, force: true });
    if (result.code === 0) return;
    if (result.code === 127) {
      throw new SetupFailure("npm was not found", {
        lookedFor: "npm, to install the packages in package-lock.json",
        where: `PATH: ${process.env.PATH?.split(delimiter).join(" ")}`,
        command: "apt-get install -y npm",
      });
    }
    throw new SetupFailure(`npm could not install the packages:\n${tail(result.stderr)}`, {
      lookedFor: "the packages in package-lock.json",
      where: "npm's registry (`npm config get registry` names it) and npm's cache",
      command: `cd ${root} && npm ci`,
    });
  });
}

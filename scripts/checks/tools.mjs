/** Checks that are programs of their own: the compiler, the linter, the generator of the operators. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

function runNode(root, args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.on("close", (code) => resolve({ code, output }));
  });
}

/** The script behind a package's command. */
function binOf(root, name, command) {
  const require = createRequire(join(root, "package.json"));
  const path = require.resolve(`${name}/package.json`);
  const { bin } = require(path);
  return join(dirname(path), typeof bin === "string" ? bin : bin[command]);
}

async function problemsOf(root, args) {
  const { code, output } = await runNode(root, args);
  if (code === 0) return [];
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  return lines.length > 0 ? lines : [`ended with exit code ${code}`];
}

/** The page's sources have the types of browsers and nothing of Node, all others the reverse. */
export async function checkTypes(root) {
  const compiler = [binOf(root, "typescript", "tsc"), "--noEmit", "--pretty", "false"];
  return [
    ...(await problemsOf(root, compiler)),
    ...(await problemsOf(root, [...compiler, "-p", "tsconfig.site.json"])),
  ];
}

/** Lint rules, import order and formatting; warnings count. */
export function checkBiome(root) {
  const options = ["check", "--error-on-warnings", "--colors=off", "--max-diagnostics=50", "."];
  return problemsOf(root, [binOf(root, "@biomejs/biome", "biome"), ...options]);
}

/** The generated operators are the ones that the list and the loaded library give. */
export function checkGenerated(root) {
  const script = "scripts/generate-ops.ts";
  if (!existsSync(join(root, script))) return [];
  return problemsOf(root, ["--import", "./scripts/typescript.mjs", script, "--check"]);
}

/** The pages of the public API can be made: every link of a docstring leads somewhere, and warnings count. */
export function checkPages(root) {
  return problemsOf(root, [binOf(root, "typedoc", "typedoc"), "--emit", "none", "--pretty", "false"]);
}

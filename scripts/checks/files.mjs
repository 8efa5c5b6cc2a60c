/** The files of the repository, as git sees them: tracked ones and new ones that are not ignored. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Names in .gitignore, for a copy of the repository without git. */
const ignored = new Set([
  ".git",
  "node_modules",
  "dist",
  "build",
  ".libtorch",
  ".cache",
  "prebuilt",
  "runs",
  "__pycache__",
]);

function walk(root, folder = "") {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (ignored.has(entry.name) || /\.(tgz|log)$/.test(entry.name)) return [];
    if (entry.isDirectory()) return walk(root, path);
    return entry.isFile() ? [path] : [];
  });
}

function listed(root) {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  try {
    const options = { cwd: root, encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "ignore"] };
    return execFileSync("git", args, options).split("\0");
  } catch {
    return walk(root);
  }
}

/** @returns {string[]} paths relative to the root, with forward slashes */
export function repositoryFiles(root) {
  return [...new Set(listed(root))].filter((file) => file !== "" && existsSync(join(root, file))).sort();
}

/** The file's text, or undefined when it is binary. */
export function textOf(root, file) {
  const data = readFileSync(join(root, file));
  return data.subarray(0, 8000).includes(0) ? undefined : data.toString("utf8");
}

/** Lines as an editor counts them. */
export function lineCount(text) {
  return text === "" ? 0 : text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}

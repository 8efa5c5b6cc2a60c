/** Provenance of a figure: code, machine, threads and versions. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { getNumThreads, loadedLibrary } from "../torch/index.ts";

export interface Provenance {
  time: string;
  /** Commit of the repository, with a plus where its sources were changed since; null outside of one. */
  commit: string | null;
  machine: string;
  threads: number;
  versions: { hubPathway: string; node: string; libtorch: string };
}

const root = fileURLToPath(new URL("../..", import.meta.url));

export function provenance(): Provenance {
  const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { version: string };
  const all = cpus();
  return {
    time: new Date().toISOString(),
    commit: commitHash(),
    machine: `${all.length} x ${all[0]?.model ?? process.arch}`,
    threads: getNumThreads(),
    versions: { hubPathway: version, node: process.version, libtorch: loadedLibrary().headers },
  };
}

let commit: string | null | undefined;

/** Commit of the code when this process first asked: a later commit is not what it computes with. */
function commitHash(): string | null {
  commit ??= readCommit();
  return commit;
}

function readCommit(): string | null {
  try {
    const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: "pipe" }).trim();
    const changed = git("status", "--porcelain", "--", "src", "native", "hubs") !== "";
    return `${git("rev-parse", "HEAD")}${changed ? "+" : ""}`;
  } catch {
    return null;
  }
}

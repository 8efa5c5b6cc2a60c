/** Files and folders that are not finished: hidden, and named after the process that makes them. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { newTag, stateOf, tagPattern } from "./process-tag.ts";

/** Makers that cannot be asked, on other machines and in other containers, have this long. */
const abandonedMs = 24 * 3600_000;
const longestLabel = 100;
const temporaryName = new RegExp(`^\\..+\\.(${tagPattern.source})\\.tmp$`);

/** A new path in a folder for something that is not finished; nothing is made there. */
export function temporaryPath(folder: string, label: string): string {
  return join(folder, `.${label.slice(0, longestLabel)}.${newTag()}.tmp`);
}

/** True when `temporaryPath` made a name. */
export function isTemporary(name: string): boolean {
  return temporaryName.test(name);
}

/**
 * Removes from a folder what `temporaryPath` named and a killed process left; what a running process makes stays. A folder
 * that is missing has nothing, and what cannot be removed stays.
 */
export function sweepTemporaries(folder: string): void {
  for (const name of namesIn(folder)) {
    const tag = temporaryName.exec(name)?.[1];
    const path = join(folder, name);
    if (tag === undefined || !isAbandoned(tag, path)) continue;
    try {
      fs.rmSync(path, { recursive: true, force: true });
    } catch {
      // Another user's; it is in nobody's way.
    }
  }
}

/** Removes a folder when it is disposed, and when this process ends otherwise: a shell waits for that. */
export function removedAtEnd(folder: string): Disposable {
  const script = 'cat > /dev/null; rm -rf -- "$1"';
  const shell = spawn("sh", ["-c", script, "sh", folder], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  shell.on("error", () => {}); // without a shell it is swept later
  shell.unref();
  (shell.stdin as Socket | null)?.unref();
  return {
    [Symbol.dispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
      shell.stdin?.destroy();
    },
  };
}

/** True when nobody writes `path` any more, whose name carries the tag of its maker. */
export function isAbandoned(tag: string, path: string): boolean {
  const state = stateOf(tag);
  if (state !== "unknown") return state === "gone";
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > abandonedMs;
}

function namesIn(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

/** One set-up of a folder at a time; a lock whose owner has died is taken over. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const pollInterval = 150;
/** After this long a lock from another machine (a shared folder) counts as left behind. */
const foreignLimit = 60 * 60 * 1000;

function readOwner(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function ownerIsGone(path, owner) {
  const [pid, host] = owner.split(" ");
  if (host === hostname()) return !isAlive(Number(pid));
  try {
    return Date.now() - statSync(path).mtimeMs > foreignLimit;
  } catch {
    return false;
  }
}

/** Two processes may both see a dead owner: whoever finds that it moved a fresh lock aside puts it back. */
function removeStale(path, owner) {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
    if (readOwner(aside) !== owner) linkSync(aside, path);
  } catch {
    // Another process was faster; the next try to take the lock decides.
  }
  rmSync(aside, { force: true });
}

/** The lock appears with its content already in it, so that nobody reads an empty owner. */
function tryTake(path, content) {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, content);
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Waits for the lock and takes it.
 * @param {string} path
 * @param {(owner: string) => void} onWait called once, when another process holds it
 * @returns {Promise<() => void>} releases the lock; also safe to call twice
 */
export async function takeLock(path, onWait = () => {}) {
  mkdirSync(dirname(path), { recursive: true });
  const content = `${process.pid} ${hostname()} ${Date.now()}`;
  let told = false;
  while (!tryTake(path, content)) {
    const owner = readOwner(path);
    if (owner === undefined) continue;
    if (ownerIsGone(path, owner)) {
      removeStale(path, owner);
      continue;
    }
    if (!told) onWait(owner.split(" ")[0]);
    told = true;
    await sleep(pollInterval);
  }
  return () => {
    if (readOwner(path) === content) rmSync(path, { force: true });
  };
}

/**
 * A file that says which process works at a place, so that a second one does not. It is made in one step, with its owner
 * in it. A lock whose owner is gone is taken over; by whom, a second file decides, which only one process can make:
 *
 *     LOCK              the owner
 *     LOCK.TAG.heir     who takes over from the owner TAG
 */
import fs from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { UserError } from "../torch/index.ts";
import { newTag, stateOf, tagPattern } from "./process-tag.ts";
import { quoted } from "./quoted.ts";
import { explainWrite, systemCode } from "./system-errors.ts";
import { temporaryPath } from "./temporary.ts";

/** An owner that cannot be asked, on another machine or in another container, counts as gone after this long in silence. */
const usualSilenceMs = 3 * 60_000;
/** Signs of life of an owner within that time. */
const beats = 18;
const pollMs = 20;

const ownerSchema = z.object({
  tag: z.string().regex(new RegExp(`^${tagPattern.source}$`)),
  host: z.string(),
  pid: z.int(),
  /** Its work there. */
  what: z.string(),
  /** Since when, ISO 8601. */
  since: z.string(),
  /** Silence after which it counts as gone, milliseconds. */
  silenceMs: z.number().positive().default(usualSilenceMs),
});
type Owner = z.infer<typeof ownerSchema>;

/** Content of the file of a lock or an heir. */
interface Claim {
  readonly file: string;
  readonly text: string;
  /** Undefined when the file is only half written. */
  readonly owner: Owner | undefined;
}

export interface LockOptions {
  /** Time to wait for another owner, milliseconds (default 0); the thread sleeps meanwhile. */
  wait?: number;
  /** Silence after which others take this owner for gone, milliseconds (default 3 minutes). */
  silenceMs?: number;
  /**
   * Memory of who asks again and again: silence is then what it saw itself, on its own clock. Without it a sign of life is as
   * old as the file system says.
   */
  seen?: SeenBeats;
}

/** Last signs of life that this process saw, by file, and when, on its own clock. */
export type SeenBeats = Map<string, { beat: string; at: number }>;

/** Locks of this process, which it gives back when it ends by itself. */
const own = new Set<Lock>();
process.on("exit", () => {
  for (const lock of own) lock.release();
});

export class Lock implements Disposable {
  readonly path: string;
  readonly #text: string;
  readonly #heartbeat: NodeJS.Timeout;

  /** For `acquireLock`, which wrote `text` to the file at `path`. */
  constructor(path: string, text: string, silenceMs: number) {
    this.path = path;
    this.#text = text;
    this.#heartbeat = setInterval(() => this.#beat(), silenceMs / beats).unref();
    own.add(this);
  }

  /** False once another process took the lock over, because this one was silent for too long. */
  get held(): boolean {
    return textOf(this.path) === this.#text;
  }

  /** Gives the lock back; a second call does nothing. */
  release(): void {
    clearInterval(this.#heartbeat);
    own.delete(this);
    if (this.held) fs.rmSync(this.path, { force: true });
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** The same bytes again: only writing sets the time by the file system's own clock. */
  #beat(): void {
    try {
      if (this.held) fs.writeFileSync(this.path, this.#text, { flag: "r+" });
    } catch {
      // A file system that is away for a moment; the next beat follows.
    }
  }
}

/**
 * Takes the lock at `path`, whose folder must exist; the caller releases it. One that a killed process left is taken over.
 * @param what the work in a few words, such as "hub-pathway train", for others' messages
 * @throws UserError saying who works there when another process does, or why the lock cannot be written
 */
export function acquireLock(path: string, what: string, options: LockOptions = {}): Lock {
  const lock = lockOrOwner(path, what, options);
  if (lock instanceof Lock) return lock;
  throw busy(path, lock);
}

/** The same; undefined when another process works there. @throws UserError when the lock cannot be written */
export function tryLock(path: string, what: string, options: LockOptions = {}): Lock | undefined {
  const lock = lockOrOwner(path, what, options);
  return lock instanceof Lock ? lock : undefined;
}

function lockOrOwner(path: string, what: string, options: LockOptions): Lock | Claim {
  const { wait = 0, silenceMs = usualSilenceMs, seen } = options;
  const since = new Date().toISOString();
  const owner: Owner = { tag: newTag(), host: hostname(), pid: process.pid, what, since, silenceMs };
  const text = JSON.stringify(owner);
  const draft = temporaryPath(dirname(path), basename(path));
  const deadline = performance.now() + wait;
  try {
    fs.writeFileSync(draft, text, { flag: "wx" });
    for (;;) {
      const other = tryTake(path, draft, owner.tag, seen);
      if (other === undefined) return new Lock(path, text, silenceMs);
      if (performance.now() >= deadline) return other;
      sleep(pollMs);
    }
  } catch (error) {
    throw explainWrite(error, path);
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

/** Who holds a lock, as far as can be seen from here. */
export interface LockOwner extends Pick<Owner, "host" | "pid" | "what" | "since"> {
  /** It runs here, or is elsewhere and has given a sign of life. */
  isAlive: boolean;
}

/** The owner of a lock; undefined when nobody has it. @throws UserError when its folder cannot be written */
export function ownerOf(path: string): LockOwner | undefined {
  const last = claimsOf(path).at(-1);
  if (!last?.owner) return undefined;
  const draft = temporaryPath(dirname(path), basename(path));
  try {
    fs.writeFileSync(draft, "", { flag: "wx" });
    const { host, pid, what, since } = last.owner;
    return { host, pid, what, since, isAlive: isAlive(last, draft) };
  } catch (error) {
    throw explainWrite(error, path);
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

/** Runs `fn` with the lock at `path` and gives it back. @throws as `acquireLock` */
export function withLock<T>(path: string, what: string, fn: () => T, options: LockOptions = {}): T {
  using _lock = acquireLock(path, what, options);
  return fn();
}

/** Takes the lock, or returns the claim of who has it. */
function tryTake(path: string, draft: string, tag: string, seen?: SeenBeats): Claim | undefined {
  for (;;) {
    if (made(path, draft)) return undefined;
    const claims = claimsOf(path);
    const last = claims.at(-1);
    if (last === undefined) {
      sleep(pollMs); // given back in this moment, as a network's client may know later than others
      continue;
    }
    if (isAlive(last, draft, seen)) return last;
    if (inherit(path, draft, claims)) {
      removeHeirs(path, tag);
      return undefined;
    }
  }
}

/** The owner, and the heirs that died before they took over. */
function claimsOf(path: string): Claim[] {
  const claims: Claim[] = [];
  let file = path;
  while (claims.length < 100) {
    const text = textOf(file);
    if (text === undefined) break;
    const owner = parsed(text);
    claims.push({ file, text, owner });
    file = `${path}.${owner?.tag ?? `unreadable-${claims.length}`}.heir`;
  }
  return claims;
}

/**
 * Only one process makes the heir's file, and it looks again afterwards: a slower one may make it anew when the heir has
 * taken over already.
 */
function inherit(path: string, draft: string, claims: readonly Claim[]): boolean {
  const last = claims.at(-1);
  const heir = `${path}.${last?.owner?.tag ?? `unreadable-${claims.length}`}.heir`;
  if (!made(heir, draft)) return false;
  const now = claimsOf(path);
  if (claims.every(({ text }, i) => now[i]?.text === text)) {
    fs.renameSync(draft, path);
    return true;
  }
  fs.rmSync(heir, { force: true });
  return false;
}

/** Files of heirs count only while the lock still names the owner before them. */
function removeHeirs(path: string, tag: string): void {
  for (const name of fs.readdirSync(dirname(path))) {
    const isHeir = name.startsWith(`${basename(path)}.`) && name.endsWith(".heir");
    if (isHeir && !name.includes(tag)) fs.rmSync(join(dirname(path), name), { force: true });
  }
}

/** True when `target` was made, with the draft's content from the first moment where the file system can. */
function made(target: string, draft: string): boolean {
  try {
    fs.linkSync(draft, target);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(systemCode(error) ?? "")) throw error;
  }
  try {
    fs.copyFileSync(draft, target, fs.constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** The draft is new: its time is the file system's, whose clock may differ from this machine's. */
function isAlive({ file, text, owner }: Claim, draft: string, seen?: SeenBeats): boolean {
  const state = owner === undefined ? "unknown" : stateOf(owner.tag);
  if (state !== "unknown") return state === "running";
  const time = unlessGone(() => fs.statSync(file).mtimeMs);
  if (time === undefined) return false;
  const { silenceMs = usualSilenceMs } = owner ?? {};
  if (!seen) return fs.statSync(draft).mtimeMs - time < silenceMs;
  const beat = `${time} ${text}`;
  const before = seen.get(file);
  if (before?.beat === beat) return performance.now() - before.at < silenceMs;
  seen.set(file, { beat, at: performance.now() });
  return true;
}

function busy(path: string, { owner }: Claim): UserError {
  const folder = dirname(path);
  if (!owner)
    return new UserError(`${folder} is in use by another process, which has just begun: try again in a moment`);
  const { tag, host, pid, what, since } = owner;
  const who = `process ${pid} on ${quoted(host)} (${quoted(what)}, since ${quoted(since)})`;
  const advice =
    stateOf(tag) === "running"
      ? `wait until it ends, or stop it first (kill ${pid})`
      : `wait until it ends; if it is gone, try again in ${owner.silenceMs / 60_000} minutes, or delete ${path}`;
  return new UserError(`${folder} is in use by ${who}: ${advice}`);
}

function parsed(text: string): Owner | undefined {
  try {
    return ownerSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function textOf(path: string): string | undefined {
  return unlessGone(() => fs.readFileSync(path, "utf8"));
}

/** Undefined for a file that is not there, or that another machine removed while it was read. */
function unlessGone<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    if (["ENOENT", "ESTALE"].includes(systemCode(error) ?? "")) return undefined;
    throw error;
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** One owner at a time, whatever happens to the owners; and nothing of theirs stays. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { acquireLock, ownerOf, type SeenBeats, tryLock, withLock } from "../../../src/io/lock.ts";
import { newTag, stateOf } from "../../../src/io/process-tag.ts";
import { sweepTemporaries, temporaryPath } from "../../../src/io/temporary.ts";
import { UserError } from "../../../src/torch/errors.ts";
import { beforeEach } from "../../support/hooks.ts";
import { typescript } from "../../support/typescript.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "hub-pathway-lock-"));
const path = join(folder, ".lock");

beforeEach(() => {
  for (const name of fs.readdirSync(folder)) fs.rmSync(join(folder, name), { recursive: true });
});
after(() => fs.rmSync(folder, { recursive: true }));

function refusal(...patterns: RegExp[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UserError, String(error));
    for (const pattern of patterns) assert.match(error.message, pattern);
    return true;
  };
}

/** A process that runs `body`, in which `acquireLock`, `fs`, `path` and `folder` are known. */
function child(body: string): ChildProcess {
  const program = `
    import fs from "node:fs";
    import { acquireLock, withLock } from ${JSON.stringify(new URL("../../../src/io/lock.ts", import.meta.url).href)};
    const [folder, path] = ${JSON.stringify([folder, path])};
    ${body}`;
  return spawn(process.execPath, [...typescript, "--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** A lock as another owner wrote it, `age` milliseconds ago. */
function leave(tag: string, age = 0, silenceMs?: number): void {
  const since = new Date().toISOString();
  const owner = { tag, host: "elsewhere", pid: 7, what: "hub-pathway train", since, silenceMs };
  fs.writeFileSync(path, JSON.stringify(owner));
  const then = new Date(Date.now() - age);
  fs.utimesSync(path, then, then);
}

test("a second taker hears who works there, what to do, and gets the lock once it is given back", () => {
  const first = acquireLock(path, "hub-pathway hub add net");
  const says = refusal(
    new RegExp(folder),
    new RegExp(`process ${process.pid} on`),
    /hub-pathway hub add net/,
    new RegExp(`kill ${process.pid}`),
  );
  assert.throws(() => acquireLock(path, "other"), says);
  assert.deepEqual(fs.readdirSync(folder), [".lock"]);
  assert.ok(first.held);
  first.release();
  first.release();
  assert.ok(!first.held);
  assert.equal(
    withLock(path, "other", () => 5),
    5,
  );
  assert.throws(() =>
    withLock(path, "fails", () => {
      throw new RangeError("no");
    }),
  );
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("the lock of a killed process is taken over at once, and what it left is removed", async () => {
  const owner = child(`acquireLock(path, "sleeps"); console.log("has it"); setInterval(() => {}, 1000);`);
  await once(owner.stdout as NonNullable<typeof owner.stdout>, "data");
  assert.throws(() => acquireLock(path, "other"), refusal(new RegExp(`process ${owner.pid} on`)));
  owner.kill("SIGKILL");
  await once(owner, "close");
  fs.writeFileSync(`${path}.${newTag()}.heir`, "an heir that died long ago");
  acquireLock(path, "other").release();
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("a process number that is used again is another process", () => {
  const [machine, pid, start, number] = newTag().split("-");
  assert.equal(stateOf([machine, pid, start, number].join("-")), "running");
  const earlier = [machine, pid, Number(start) + 1, number].join("-");
  const hasProc = fs.existsSync("/proc/self/stat");
  assert.equal(stateOf(earlier), hasProc ? "gone" : "running");
  assert.equal(stateOf([machine, 4_194_999, start, number].join("-")), "gone");
  assert.equal(stateOf(["0123456789ab", pid, start, number].join("-")), "unknown");
  assert.equal(stateOf("anything"), "unknown");
});

test("an owner elsewhere holds the lock while it gives signs of life, and a half-written lock for as long", () => {
  const elsewhere = newTag().replace(/^[0-9a-f]{12}/, "0123456789ab");
  leave(elsewhere);
  assert.throws(
    () => acquireLock(path, "other"),
    refusal(/process 7 on "elsewhere"/, /if it is gone, .*delete .*\.lock/),
  );
  leave(elsewhere, 3600_000);
  acquireLock(path, "other").release();
  fs.writeFileSync(path, '{"tag":');
  assert.throws(() => acquireLock(path, "other"), refusal(/in use by another process/));
  const then = new Date(Date.now() - 3600_000);
  fs.utimesSync(path, then, then);
  acquireLock(path, "other").release();
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("who asks again and again believes what it saw, whatever the clock of the file system says", async () => {
  const seen: SeenBeats = new Map();
  const elsewhere = newTag().replace(/^[0-9a-f]{12}/, "0123456789ab");
  const again = () => tryLock(path, "other", { seen });
  const silenceMs = 400;
  leave(elsewhere, 3600_000, silenceMs);
  for (let beat = 0; beat < 3; beat++) {
    // A clock that goes backwards is alive too.
    const then = new Date(Date.now() - (beat + 1) * 3600_000);
    fs.utimesSync(path, then, then);
    assert.equal(again(), undefined);
    assert.equal(again(), undefined);
  }
  await new Promise((done) => setTimeout(done, silenceMs + 50));
  const lock = again();
  assert.ok(lock?.held);
  lock.release();
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("an owner is named to those who only look, and gives its lock back when it ends by itself", async () => {
  assert.equal(ownerOf(path), undefined);
  leave(newTag().replace(/^[0-9a-f]{12}/, "0123456789ab"));
  const { since = "", ...rest } = ownerOf(path) ?? {};
  assert.deepEqual(rest, { host: "elsewhere", pid: 7, what: "hub-pathway train", isAlive: true });
  assert.ok(Date.parse(since) > 0);
  fs.rmSync(path);
  const owner = child(`acquireLock(path, "ends"); process.exit(3);`);
  assert.deepEqual(await once(owner, "close"), [3, null]);
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("an heir that died before it took over has an heir itself", () => {
  const gone = () => newTag().replace(/-\d+-(\d+)-/, "-4194999-$1-");
  const [first, second] = [gone(), gone()];
  leave(second);
  fs.renameSync(path, `${path}.${first}.heir`);
  leave(first);
  const lock = acquireLock(path, "third");
  assert.ok(lock.held);
  assert.deepEqual(fs.readdirSync(folder), [".lock"]);
  lock.release();
});

test("processes that meet at a dead owner's lock, some of which die with it, never work at once", async () => {
  leave(newTag().replace(/-\d+-(\d+)-/, "-4194999-$1-"));
  fs.writeFileSync(join(folder, "count"), "0");
  const work = (dies: boolean) =>
    child(`
      for (let i = 0; i < 40; i++) {
        const lock = acquireLock(path, "counts", { wait: 1e9 });
        const before = Number(fs.readFileSync(folder + "/count", "utf8"));
        fs.writeFileSync(folder + "/count", String(before + 1));
        if (${dies} && i === 20) process.kill(process.pid, "SIGKILL");
        lock.release();
      }`);
  const workers = [false, true, true, false].map(work);
  await Promise.all(workers.map((worker) => once(worker, "close")));
  assert.equal(fs.readFileSync(join(folder, "count"), "utf8"), String(40 + 21 + 21 + 40));
  acquireLock(path, "last").release();
  sweepTemporaries(folder);
  assert.deepEqual(fs.readdirSync(folder), ["count"]);
});

test("what a killed process did not finish is swept; what others make or own is not", () => {
  const gone = (name: string) => join(folder, name.replace(/-\d+-(\d+)-/, "-4194999-$1-"));
  const name = (label: string) => temporaryPath("", label);
  fs.writeFileSync(gone(name("weights.safetensors")), "half");
  const staging = gone(name("adding"));
  fs.mkdirSync(staging);
  fs.writeFileSync(join(staging, "x"), "");
  const kept = [
    name("mine"),
    ".notes.tmp",
    "weights.safetensors",
    name("x").replace(/\.[0-9a-f]{12}/, ".0123456789ab"),
  ];
  for (const each of kept) fs.writeFileSync(join(folder, each), "");
  sweepTemporaries(folder);
  assert.deepEqual(fs.readdirSync(folder).sort(), kept.sort());
  sweepTemporaries(join(folder, "absent"));
});

/** A call to the file system that fails for this test, `times` times. */
function failing(t: TestContext, method: "linkSync" | "readFileSync", code: string, times: number): void {
  const error = Object.assign(new Error(code), { code });
  const call = fs[method] as (...args: unknown[]) => unknown;
  let left = times;
  t.mock.method(fs, method, (...args: unknown[]) => {
    if (args.includes(path) && left-- > 0) throw error;
    return call(...args);
  });
}

test("a folder without hard links has locks too", (t) => {
  failing(t, "linkSync", "EPERM", Number.POSITIVE_INFINITY);
  const first = acquireLock(path, "first");
  assert.equal(tryLock(path, "second"), undefined);
  assert.equal(ownerOf(path)?.what, "first");
  first.release();
  acquireLock(path, "second").release();
  leave(newTag().replace(/-\d+-(\d+)-/, "-4194999-$1-"));
  acquireLock(path, "heir").release();
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("a lock that another machine removes while it is read, which NFS calls a stale handle, is free or looked at again", (t) => {
  leave(newTag());
  failing(t, "readFileSync", "ESTALE", 1);
  assert.equal(tryLock(path, "other"), undefined, "its owner lives");
  fs.rmSync(path);
  const lock = acquireLock(path, "mine");
  failing(t, "readFileSync", "ESTALE", 2);
  assert.equal(lock.held, false);
  lock.release();
  assert.equal(fs.existsSync(path), true, "whose it is now cannot be said");
});

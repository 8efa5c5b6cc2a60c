/** One set-up at a time, whatever became of the one before. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { load, root, runNode, temporaryFolder } from "./support.ts";

const { takeLock } = await load<{ takeLock(path: string, onWait?: (owner: string) => void): Promise<() => void> }>(
  "bin/setup/lock.mjs",
);

test("the second taker waits for the first and is told who holds it", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "build/setup.lock");
  const release = await takeLock(path);
  const waited: string[] = [];
  const events: string[] = [];
  const taking = takeLock(path, (owner) => waited.push(owner)).finally(() => events.push("taken"));
  await sleep(50);
  assert.deepEqual(events, []);
  assert.deepEqual(waited, [String(process.pid)]);
  release();
  const releaseSecond = await taking;
  releaseSecond();
  assert.equal(existsSync(path), false);
});

test("a dead owner's lock is taken over", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "setup.lock");
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  writeFileSync(path, `${dead} ${hostname()} 0`);
  (await takeLock(path))();
  assert.deepEqual(readdirSync(folder.path), []);
});

test("processes never hold it together, with a stale lock to begin with", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "setup.lock");
  const inside = join(folder.path, "inside");
  writeFileSync(path, `${spawnSync(process.execPath, ["-e", ""]).pid} ${hostname()} 0`);
  const script = `
    import { mkdirSync, rmdirSync } from "node:fs";
    import { takeLock } from ${JSON.stringify(join(root, "bin/setup/lock.mjs"))};
    for (let i = 0; i < 3; i++) {
      const release = await takeLock(${JSON.stringify(path)});
      mkdirSync(${JSON.stringify(inside)});
      await new Promise((resolve) => setTimeout(resolve, 20));
      rmdirSync(${JSON.stringify(inside)});
      release();
    }`;
  const ended = await Promise.all(
    [1, 2, 3].map(() => runNode(["--input-type=module", "-e", script], { PATH: process.env["PATH"] ?? "" })),
  );
  for (const { code, stderr } of ended) assert.equal(code, 0, stderr);
});

/** Limits of a hostile file: it is refused with a message, soon, with nothing left behind. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { memory, UserError } from "../../src/torch/index.ts";

/** Seconds of processor time: a busy machine takes longer by the clock. */
const maximumSeconds = 10;
const maximumGrowth = 600 * 2 ** 20;

export type Opener = (path: string) => Promise<void> | void;

const sources = fileURLToPath(new URL("../../", import.meta.url));

/** Open descriptors of this process but those of modules that are being loaded; 0 where the system does not tell. */
function openFiles(): number {
  const all = "/proc/self/fd";
  if (!existsSync(all)) return 0;
  const targets = readdirSync(all).map((descriptor) => {
    try {
      return readlinkSync(`${all}/${descriptor}`);
    } catch {
      return undefined; // closed in the meantime
    }
  });
  return targets.filter((target) => target !== undefined && !target.startsWith(sources)).length;
}

/** Opens a file; whatever it throws must be a UserError that names the file. Returns it. */
export async function outcome(open: Opener, path: string): Promise<UserError | undefined> {
  const before = {
    handles: memory().handles,
    files: openFiles(),
    rss: process.memoryUsage.rss(),
    cpu: process.cpuUsage(),
  };
  let refusal: UserError | undefined;
  try {
    await open(path);
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    refusal = error;
    assert.ok(error.message.includes(path), `the message names the file: ${error.message.slice(0, 300)}`);
    assert.ok(error.message.length < 2000 + path.length, `a message of ${error.message.length} characters`);
    assert.doesNotMatch(error.message.replaceAll(path, ""), /\p{Cc}|\n\s+at /u, "no raw stack, no control characters");
  }
  assert.ok(memory().handles <= before.handles, "no tensors are left");
  assert.ok(openFiles() <= before.files, "no files are left open");
  const { user, system } = process.cpuUsage(before.cpu);
  assert.ok(user + system < maximumSeconds * 1e6, "it ends soon");
  assert.ok(process.memoryUsage.rss() - before.rss < maximumGrowth, "memory stays bounded");
  return refusal;
}

export async function assertRefused(open: Opener, path: string, pattern: RegExp): Promise<void> {
  const refusal = await outcome(open, path);
  assert.ok(refusal, "the file was accepted");
  assert.match(refusal.message.replaceAll(path, "FILE"), pattern);
}

/** Only regular files are opened; a pipe or a device is refused by name, without waiting for it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openRegular, openRegularHandle, readRegular } from "../../../src/io/regular-file.ts";
import { explainSystem, explainWrite } from "../../../src/io/system-errors.ts";
import { UserError } from "../../../src/torch/errors.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "hub-pathway-regular-"));
const file = join(folder, "file");
const [pipe, link, socket] = [join(folder, "pipe"), join(folder, "link"), join(folder, "socket")];
fs.writeFileSync(file, "content");
fs.symlinkSync(file, link);
execFileSync("mkfifo", [pipe]);
const server = createServer().listen(socket).unref();
after(() => {
  server.close();
  fs.rmSync(folder, { recursive: true });
});

/** Number of this process's descriptors that lead to a path, where the system shows it. */
function descriptorsOf(path: string): number {
  if (!fs.existsSync("/proc/self/fd")) return 0;
  return fs.readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;
}

for (const [path, pattern] of [
  [pipe, /is not a file but a pipe/],
  [folder, /is not a file but a folder/],
  ["/dev/zero", /is not a file but a device/],
  [socket, /is not a file but a socket/],
  [join(folder, "absent"), /there is no such file/],
  [join(file, "below"), /part of the path is not a folder/],
  ["a\0b", /that is not a path/],
] as const) {
  test(`${JSON.stringify(path.replace(folder, ""))} is refused by all three ways to open`, async () => {
    const refused = (error: unknown) => error instanceof UserError && pattern.test(error.message);
    assert.throws(() => openRegular(path), refused);
    assert.throws(() => readRegular(path, { maximumBytes: 100 }), refused);
    await assert.rejects(openRegularHandle(path), refused);
    assert.equal(descriptorsOf(path), 0);
  });
}

test("a file is read, through a link unless links are refused, and up to the maximum", async () => {
  assert.equal(readRegular(file, { maximumBytes: 7 }).toString(), "content");
  assert.equal(readRegular(link, { maximumBytes: 7 }).toString(), "content");
  assert.throws(() => readRegular(link, { maximumBytes: 7, links: false }), /is not a file but a symbolic link/);
  assert.throws(() => readRegular(file, { maximumBytes: 6 }), /has 7 bytes, too many for such a file \(at most 6\)/);
  const handle = await openRegularHandle(link);
  assert.equal((await handle.readFile()).toString(), "content");
  await handle.close();
});

test("the machine's refusals are the user's errors; an error of ours stays one", () => {
  const refusal = (code: string) => Object.assign(new Error(code), { code, errno: -1, syscall: "write", path: "/d/f" });
  for (const code of ["ENOSPC", "EDQUOT", "EIO", "EFBIG", "EMFILE", "EROFS", "EACCES"]) {
    const explained = explainWrite(refusal(code), "/d/g");
    assert.ok(explained instanceof UserError, code);
    assert.match(explained.message, /^cannot write \/d\/g: \w/);
    assert.match(explainSystem(refusal(code))?.message ?? "", /^\/d\/f: \w/);
  }
  assert.match(
    (explainWrite(refusal("ENOSPC"), "x", "or move HOME") as Error).message,
    /free some space; or move HOME$/,
  );
  const ours = new RangeError("ours");
  assert.equal(explainWrite(ours, "x"), ours);
  assert.equal(explainSystem(ours), undefined);
  assert.equal(explainSystem(Object.assign(new Error("x"), { code: "ERR_INVALID_STATE" })), undefined);
});

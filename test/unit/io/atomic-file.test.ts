/** A file is there whole or not at all, whatever fails on the way. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs, { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mock, test } from "node:test";
import { writeFileAtomic } from "../../../src/io/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { afterEach, beforeEach } from "../../support/hooks.ts";

let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hub-pathway-io-"));
  path = join(folder, "file");
});
afterEach(() => {
  mock.restoreAll();
  rmSync(folder, { recursive: true });
});

function failWith(method: "writeSync" | "fsyncSync" | "renameSync" | "openSync", code: string): void {
  mock.method(fs, method, () => {
    throw Object.assign(new Error(code), { code });
  });
}

test("writes chunks in order and replaces what was there", () => {
  writeFileSync(path, "before");
  const hash = createHash("sha256");
  writeFileAtomic(path, [new Uint8Array([65, 66]), "Cä", new Uint8Array(0)], { hash });
  assert.equal(hash.digest("hex"), createHash("sha256").update(readFileSync(path)).digest("hex"));
  assert.equal(readFileSync(path, "utf8"), "ABCä");
  writeFileAtomic(path, new Uint8Array([65, 66]));
  assert.equal(readFileSync(path, "utf8"), "AB");
  writeFileAtomic(path, "one text");
  assert.equal(readFileSync(path, "utf8"), "one text");
  assert.deepEqual(readdirSync(folder), ["file"]);
});

test("goes on after a partial write", () => {
  const real = fs.writeSync;
  mock.method(fs, "writeSync", (descriptor: number, bytes: Uint8Array, offset: number, length: number) =>
    real(descriptor, bytes, offset, Math.min(length, 3)),
  );
  writeFileAtomic(path, ["0123456789"]);
  assert.equal(readFileSync(path, "utf8"), "0123456789");
});

for (const method of ["writeSync", "fsyncSync", "renameSync"] as const) {
  test(`a full disk at ${method}: the old file stays, no temporary file remains, the message says what to do`, () => {
    writeFileSync(path, "before");
    failWith(method, "ENOSPC");
    assert.throws(
      () => writeFileAtomic(path, ["after"]),
      (error: unknown) =>
        error instanceof UserError &&
        error.message.includes(path) &&
        /disk is full: free some space/.test(error.message),
    );
    assert.equal(readFileSync(path, "utf8"), "before");
    assert.deepEqual(readdirSync(folder), ["file"]);
  });
}

test("an error from the chunks themselves passes through and leaves nothing", () => {
  function* chunks(): Generator<string> {
    yield "half";
    throw new RangeError("no more");
  }
  assert.throws(() => writeFileAtomic(path, chunks()), RangeError);
  assert.deepEqual(readdirSync(folder), []);
});

test("a missing folder and a folder without permission are the user's errors", () => {
  assert.throws(() => writeFileAtomic(join(folder, "absent", "file"), [""]), /the folder does not exist/);
  failWith("openSync", "EACCES");
  assert.throws(() => writeFileAtomic(path, [""]), /no permission/);
  mock.restoreAll();
});

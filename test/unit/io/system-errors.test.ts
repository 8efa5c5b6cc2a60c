/** What the nearest folder says where Node blames a missing one. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { explainWrite } from "../../../src/io/index.ts";

const failed = (code: string) => Object.assign(new Error(`${code}: mkdir`), { code, errno: -1 });
const told = (path: string) => (explainWrite(failed("ENOENT"), path) as Error).message;

test("a folder that cannot be made says why its nearest folder cannot be written", (t) => {
  const path = join(tmpdir(), "absent", "run");
  assert.equal(told(path), `cannot write ${path}: the folder does not exist: create it first`);
  // A read-only file system, of which Node's mkdir with `recursive` says ENOENT, cannot be mounted by every user.
  const access = t.mock.method(fs, "accessSync", () => {
    throw failed("EROFS");
  });
  assert.equal(told(path), `cannot write ${path}: the file system is read-only; choose another folder`);
  assert.deepEqual(access.mock.calls[0]?.arguments[0], tmpdir());
});

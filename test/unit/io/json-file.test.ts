import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { readJsonFile } from "../../../src/io/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const folder = temporaryFolder();
const schema = z.strictObject({ name: z.string(), sizes: z.array(z.int().positive()).default([1]) });

function read(content: string | Uint8Array, maximumBytes = 1000): unknown {
  const path = join(folder, "a.json");
  writeFileSync(path, content);
  return readJsonFile(path, schema, "a list of sizes", { maximumBytes });
}

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof UserError && pattern.test(error.message) && !error.message.includes("\n");

test("a good file is read, with the schema's defaults", () => {
  assert.deepEqual(read('{"name":"x"}'), { name: "x", sizes: [1] });
});

test("every other file is refused by name, in one line", () => {
  assert.throws(() => read("{"), refused(/a\.json is not JSON, so it is not a list of sizes: /));
  assert.throws(() => read('{"name":1}'), refused(/a\.json is not a list of sizes: name: /));
  assert.throws(() => read('{"name":"x","sizes":[0]}'), refused(/sizes\.0: /));
  assert.throws(() => read(" ".repeat(1001)), refused(/has 1001 bytes, too many for a list of sizes/));
  const missing = join(folder, "missing.json");
  assert.throws(
    () => readJsonFile(missing, schema, "a list of sizes"),
    refused(/missing\.json: there is no such file/),
  );
  mkdirSync(join(folder, "folder.json"));
  assert.throws(() => readJsonFile(join(folder, "folder.json"), schema, "x"), refused(/not a file but a folder/));
  const pipe = join(folder, "pipe.json");
  execFileSync("mkfifo", [pipe]);
  assert.throws(() => readJsonFile(pipe, schema, "x"), refused(/not a file but a pipe/));
});

test("a long list of faults is cut", () => {
  const sizes = Array.from({ length: 100 }, () => -1);
  assert.throws(() => read(JSON.stringify({ name: "x", sizes }), 10_000), refused(/; and 92 more$/));
});

test("no bytes end in another kind of error", () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from)), (bytes) => {
      try {
        read(bytes, 10_000);
      } catch (error) {
        assert.ok(error instanceof UserError);
      }
    }),
    { numRuns: 200 },
  );
});

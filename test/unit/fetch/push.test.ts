/** Folders published on a server that plays the Hub: one commit or none, what is there already is not sent again, and each refusal. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type PushOptions, pushFolder, pushTarget } from "../../../src/fetch/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { afterEach, beforeEach } from "../../support/hooks.ts";
import { HubServer } from "../../support/hub-server.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let hub: HubServer;
const folder = temporaryFolder();
const files: Record<string, Buffer> = {
  "README.md": Buffer.from("a card"),
  "members/one.onnx": randomBytes(40_000),
  "members/two.onnx": randomBytes(70_000),
};

function write(): void {
  rmSync(join(folder, "bundle"), { recursive: true, force: true });
  mkdirSync(join(folder, "bundle/members"), { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, "bundle", name), bytes);
}

beforeEach(async () => {
  hub = await HubServer.start();
  write();
});
afterEach(() => hub.stop());

const timing = { attempts: 3, backoffMs: 1 };
function pushed(name = "hf:me/photos", options: Partial<PushOptions> = {}) {
  const target = pushTarget(name, { endpoint: hub.origin, token: hub.token });
  return pushFolder(join(folder, "bundle"), target, { message: "first", timing, ...options });
}
const refusal = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError && pattern.test(error.message) && !error.message.includes("\n"), String(error));
  return true;
};
const published = (repo = "me/photos", branch = "main") =>
  Object.fromEntries(hub.commits(repo, branch).at(-1)?.files ?? []);
const stored = () => hub.requests.filter((request) => request.startsWith("PUT ")).length;

test("a repository is made, and has all files after one commit", async () => {
  const seen = new Set<string>();
  const { url, commit } = await pushed("hf:me/photos", { isPrivate: true, onProgress: (what) => seen.add(what) });
  const commits = hub.commits("me/photos");
  assert.deepEqual(
    [url, commits.length, commits[1]?.oid, commits[1]?.title],
    [`${hub.origin}/me/photos`, 2, commit, "first"],
  );
  assert.deepEqual(published(), files);
  assert.equal(hub.repositories.get("me/photos")?.isPrivate, true);
  assert.ok(seen.has("members/one.onnx"));
});

test("a repository that exists is updated by one commit, without what it has, and files of an earlier export go", async () => {
  await pushed();
  assert.equal(hub.repositories.get("me/photos")?.isPrivate, false);
  rmSync(join(folder, "bundle/members/one.onnx"));
  writeFileSync(join(folder, "bundle/README.md"), "another card");
  const before = stored();
  await pushed("hf:me/photos", { message: "second", replaces: (path) => path.startsWith("members/") });
  const { "members/one.onnx": _, ...rest } = files;
  assert.deepEqual(published(), { ...rest, "README.md": Buffer.from("another card") });
  assert.equal(hub.commits("me/photos").length, 3);
  assert.equal(stored(), before);
});

test("a branch is made where there is none, and main stays", async () => {
  await pushed("hf:me/photos@int8");
  assert.deepEqual(published("me/photos", "int8"), files);
  assert.deepEqual(published(), {});
  await pushed("hf:me/photos@int8");
  assert.equal(hub.commits("me/photos", "int8").length, 3);
});

test("breaks and busy servers are tried again; where that does not help nothing is published, and the next push goes on", async () => {
  let left = 2;
  hub.trouble = (request) => (request.startsWith("PUT ") && left-- > 0 ? "break" : undefined);
  await pushed();
  assert.deepEqual(published(), files);
  const second = { ...files, "members/three.onnx": randomBytes(1000), "members/four.onnx": randomBytes(2000) };
  for (const [name, bytes] of Object.entries(second)) writeFileSync(join(folder, "bundle", name), bytes);
  let stores = 0;
  hub.trouble = (request) => (request.startsWith("PUT ") && ++stores > 1 ? 503 : undefined);
  await assert.rejects(pushed(), refusal(/could not be published \(tried 3 times\): the server answers HTTP 503/));
  assert.deepEqual([hub.commits("me/photos").length, published()], [2, files]);
  const before = stored();
  hub.trouble = () => undefined;
  await pushed();
  assert.deepEqual(published(), second);
  assert.equal(stored(), before + 1, "only the file that is missing is sent");
});

test("the commit itself is not tried again, and another one in between is not overwritten", async () => {
  await pushed();
  hub.trouble = (request) => (request.includes("/commit/") ? "break" : undefined);
  await assert.rejects(pushed(), refusal(/could not be published \(tried once\)/));
  hub.trouble = (request) => (request.includes("/commit/") ? 412 : undefined);
  await assert.rejects(pushed(), refusal(/"main" got another commit meanwhile \(HTTP 412\): push again/));
  assert.equal(hub.commits("me/photos").length, 2);
});

test("what cannot be published is refused in one line", async () => {
  await assert.rejects(
    pushed("hf:other/photos"),
    refusal(/hf:other\/photos was not published: your token may not write there \(HTTP 403\)/),
  );
  hub.trouble = (request) => (request.endsWith("/create") ? 401 : undefined);
  await assert.rejects(pushed(), refusal(/the token is not valid \(HTTP 401\): set HF_TOKEN/));
  const target = (name: string, token = hub.token) => pushTarget(name, { endpoint: hub.origin, token });
  assert.throws(() => target("hf:photos"), refusal(/names no repository/));
  assert.throws(() => target("hf:me/photos/file.onnx"), refusal(/names a file/));
  assert.throws(() => target("hf:me/photos", "another"), refusal(/those begin with "hf_"/));
  const controller = new AbortController();
  hub.trouble = (request) => {
    if (request.startsWith("PUT ")) controller.abort();
    return undefined;
  };
  await assert.rejects(
    pushed("hf:me/other", { signal: controller.signal }),
    refusal(/hf:me\/other was stopped; nothing is published/),
  );
  assert.equal(hub.commits("me/other").length, 1);
});

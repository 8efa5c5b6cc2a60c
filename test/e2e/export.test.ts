/** hub-pathway export with each of its options, as its user types them. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import * as ort from "onnxruntime-node";
import { parse } from "yaml";
import { openBundle } from "../../src/runtime/node.ts";
import { HubServer } from "../support/hub-server.ts";
import { lastLine, runHere } from "../support/program.ts";
import { trainedRun, writeSmallTask } from "../support/small-bundle.ts";
import { temporaryFolder } from "../support/small-hub.ts";

let folder: string;

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder);
  await trainedRun(folder, "run");
});

const exported = (...args: string[]) => exportedWith({}, ...args);
const exportedWith = (env: NodeJS.ProcessEnv, ...args: string[]) =>
  runHere(["export", "run", ...args, "--json"], join(folder, "cache"), { cwd: folder, env });

test("precision, shares and the gate's measures reach the bundle", async () => {
  const images = ["--data", join(folder, "images")];
  const { code, stdout, stderr } = await exported(
    ...["--out", "half", "--precision", "float16", "--min-share", "0.001", "--max-drop", "100", ...images],
  );
  assert.equal(code, 0, stderr);
  const { members, gate } = lastLine(stdout);
  assert.ok(Array.isArray(members) && members.length > 0 && (gate as { items: number }).items > 0);
  const { precision } = JSON.parse(readFileSync(join(folder, "half/bundle.json"), "utf8")) as { precision: string };
  assert.equal(precision, "float16");
});

test("weights for other packages, and integers that have too few images", async () => {
  const weights = await exported("--out", "weights", "--format", "safetensors");
  assert.equal(weights.code, 0, weights.stderr);
  for (const name of lastLine(weights.stdout)["members"] as string[]) {
    assert.ok(existsSync(join(folder, `weights/${name}.safetensors`)), name);
  }
  const refused = await exported("--out", "none", "--precision", "int8");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr + refused.stdout, /at least 128 training images/);
  assert.ok(!existsSync(join(folder, "none")));
});

test("what is published answers from the Hub's address, and says what it is", async () => {
  const hub = await HubServer.start();
  try {
    const env = { HF_ENDPOINT: hub.origin, HF_TOKEN: hub.token };
    const images = ["--data", join(folder, "images")];
    const { code, stdout, stderr } = await exportedWith(env, "--push", "hf:me/shapes", "--private", ...images);
    assert.equal(code, 0, stderr);
    const { pushed, out } = lastLine(stdout) as { pushed: { url: string; commit: string }; out?: string };
    const [, commit] = hub.commits("me/shapes");
    assert.deepEqual([pushed.url, pushed.commit, out], [`${hub.origin}/me/shapes`, commit?.oid, undefined]);
    const model = await openBundle(`${pushed.url}/resolve/main`, { ort });
    assert.equal((await model.verify()).otherRoutes, 0);
    await model.close();
    const card = String(commit?.files.get("README.md"));
    const about = parse(/^---\n(.*?)---\n/s.exec(card)?.[1] ?? "") as Record<string, unknown>;
    assert.deepEqual([about["library_name"], about["pipeline_tag"]], ["hub-pathway", "image-classification"]);
    assert.match(card, /^# shapes$/m);
    const weights = await exportedWith(
      env,
      "--push",
      "me/shapes@weights",
      "--format",
      "safetensors",
      "--out",
      "pushed",
    );
    assert.equal(weights.code, 0, weights.stderr);
    const names = [...(hub.commits("me/shapes", "weights").at(-1)?.files.keys() ?? [])];
    assert.deepEqual(names.sort(), readdirSync(join(folder, "pushed")).sort());
    assert.match(readFileSync(join(folder, "pushed/README.md"), "utf8"), /^---\nlibrary_name: hub-pathway\n/);
  } finally {
    await hub.stop();
  }
});

test("nothing is published without a token, and nothing that was not measured", async () => {
  const hub = await HubServer.start();
  try {
    const env = { HF_ENDPOINT: hub.origin, HF_TOKEN: "", HF_HOME: folder };
    const none = await exportedWith(env, "--push", "hf:me/shapes");
    assert.deepEqual([none.code, hub.requests], [1, []]);
    assert.match(none.stderr + none.stdout, /publishing needs an access token: set HF_TOKEN/);
    const broken = await exportedWith({ ...env, HF_TOKEN: hub.token }, "--push", "hf:me/shapes/file.onnx");
    assert.match(broken.stderr + broken.stdout, /names a file: give --push hf:owner\/name/);
    const lost = await exportedWith({ ...env, HF_TOKEN: hub.token }, "--push", "hf:me/shapes", "--data", "nowhere");
    assert.equal(lost.code, 1);
    renameSync(join(folder, "images"), join(folder, "moved"));
    const unmeasured = await exportedWith({ ...env, HF_TOKEN: hub.token }, "--push", "hf:me/shapes");
    renameSync(join(folder, "moved"), join(folder, "images"));
    assert.deepEqual([unmeasured.code, hub.requests], [1, []]);
    assert.match(
      unmeasured.stderr + unmeasured.stdout,
      /hf:me\/shapes was not published: the files' answers were not measured/,
    );
  } finally {
    await hub.stop();
  }
});

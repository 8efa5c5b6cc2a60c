/** hub-pathway export with each of its options, as its user types them. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { lastLine, runHere } from "../support/program.ts";
import { trainedRun, writeSmallTask } from "../support/small-bundle.ts";
import { temporaryFolder } from "../support/small-hub.ts";

let folder: string;

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder);
  await trainedRun(folder, "run");
});

const exported = (...args: string[]) =>
  runHere(["export", "run", ...args, "--json"], join(folder, "cache"), { cwd: folder });

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

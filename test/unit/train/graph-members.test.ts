/** Runs over members that bring their own networks: their files come with the run, their trained weights beside them. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { restorePredictor } from "../../../src/methods/index.ts";
import { memory, UserError } from "../../../src/torch/index.ts";
import { openRun, trainRun } from "../../../src/train/index.ts";
import { addGraphAndProgram } from "../../support/graph-members.ts";
import { measured } from "../../support/opened-run.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

test("ONNX and TorchScript members are stored with the run, which then needs no hub", async () => {
  const folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const hub = writeSmallHub(folder);
  await addGraphAndProgram(hub, folder);
  const images = await writeShapeImages(folder, 8);
  const base = trainRequest({ folder, hub, images }, "run");
  // All five members run on every image, so that none is left out.
  const run = await trainRun({ ...base, choices: { k: 5, generatorWidth: 4 }, trust: true });
  run.predictor.dispose();
  run.data.dispose();
  rmSync(hub, { recursive: true });
  const path = run.folder.path;
  assert.ok(existsSync(join(path, "model", "graph", "graph")), "the graph's file, below its name as in the hub");
  const { handles } = memory();
  assert.throws(
    () => openRun(path, restorePredictor),
    (error) => error instanceof UserError && /TorchScript.*--trust/.test(error.message),
  );
  assert.equal(memory().handles, handles, "nothing is left of the members before the refused one");
  for (const hubMemory of [undefined, 1000]) {
    const opened = await measured(path, { trust: true, hubMemory });
    opened.dispose();
    assert.deepEqual(opened.evaluation.probabilities, run.validation.probabilities);
  }
  assert.equal(memory().handles, handles);
  const file = join(path, "model", "graph.safetensors");
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(1, bytes.length - 4));
  assert.throws(
    () => openRun(path, restorePredictor, { trust: true }),
    (error) => error instanceof UserError && /graph\.safetensors is damaged/.test(error.message),
  );
  assert.equal(memory().handles, handles);
});

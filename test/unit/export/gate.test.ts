/** Exported files that are measured before anyone gets them: what is refused, and by whose fault. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { writeBundle } from "../../../src/export/index.ts";
import { PathwayLearner, restorePredictor } from "../../../src/methods/index.ts";
import type { Tensor } from "../../../src/torch/index.ts";
import { openRun } from "../../../src/train/index.ts";
import { trainedRun, writeSmallTask } from "../../support/small-bundle.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder);
  await trainedRun(folder, "run");
});

test("a member that does otherwise than its file is named, and nothing is left behind", async () => {
  const opened = openRun(join(folder, "run"), restorePredictor, { k: 2 });
  assert.ok(opened.predictor instanceof PathwayLearner);
  const guilty = opened.predictor.module.members.findLast(({ flops }) => flops > 0);
  assert.ok(guilty);
  const features = guilty.features.bind(guilty);
  // Neither the recorded image nor those of the self-test are as light as the drawings.
  const otherwise = (images: Tensor) => (images.mean().item() > 0.7 ? features(images).mul(-1e3) : features(images));
  Object.assign(guilty, { features: otherwise });
  const before = readdirSync(folder);
  await assert.rejects(writeBundle(opened, join(folder, "deep/none"), { maxDrop: 100 }), ({ message }: Error) => {
    assert.match(message, /run is not exported: its files give \d of \d validation images another label/);
    const rows = [...message.matchAll(/^ {2}(\S+\.onnx) +[\d.]+ % +(\d+)$/gm)].map(([, file, others]) => [
      file,
      others,
    ]);
    const wrong = rows.filter(([, others]) => others !== "0").map(([file]) => file);
    assert.deepEqual([rows.length, wrong], [3, [`members/${guilty.name}.onnx`]], message);
    return true;
  });
  assert.deepEqual(readdirSync(folder), before);
  opened.dispose();
});

test("files that lose accuracy are refused by how much they lose", async () => {
  const opened = openRun(join(folder, "run"), restorePredictor);
  const { predictor } = opened;
  const predict = predictor.predict.bind(predictor);
  const { validation } = JSON.parse(readFileSync(join(folder, "run/split.json"), "utf8")) as { validation: string[][] };
  const labels = validation.map(([, id = ""]) => ["circle", "square", "stripe"].indexOf(id.split("/")[0] ?? ""));
  // A run that is always right, which its files are not.
  const perfect = (images: Tensor) => {
    const answer = predict(images);
    if (images.size(0) !== labels.length) return answer;
    for (const [row, label] of labels.entries()) answer.probabilities.select(0, row).zero_().select(0, label).fill_(1);
    return answer;
  };
  Object.assign(predictor, { predict: perfect });
  const pattern = /the run on 100\.0 %: [\d.]+ points less, and --max-drop allows 0\.5/;
  await assert.rejects(writeBundle(opened, join(folder, "none")), pattern);
  opened.dispose();
});

test("a run whose images are gone is exported with a remark", async () => {
  renameSync(join(folder, "images"), join(folder, "elsewhere"));
  const opened = openRun(join(folder, "run"), restorePredictor);
  const notes: string[] = [];
  const bundle = await writeBundle(opened, join(folder, "blind"), { onNote: (note) => notes.push(note) });
  assert.ok(bundle.gate && "skipped" in bundle.gate);
  assert.match(notes.join(), /^the files were not measured: the run's validation images cannot be read/);
  assert.match(
    readFileSync(join(folder, "blind/README.md"), "utf8"),
    /not measured \(not gated\): the run's validation/,
  );
  const found = await writeBundle(opened, join(folder, "found"), { data: join(folder, "elsewhere") });
  assert.ok(found.gate && "accuracy" in found.gate);
  await assert.rejects(writeBundle(opened, join(folder, "none"), { data: join(folder, "nowhere") }), /nowhere/);
  opened.dispose();
});

/** Bundles of finished runs: what is in them, that they answer as the run does, and what is refused. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { type Bundle, readBundle, verifyBundle, writeBundle } from "../../../src/export/index.ts";
import { loadMembers, openHub } from "../../../src/hub/index.ts";
import { readSafetensors } from "../../../src/io/index.ts";
import { findMethod, PathwayLearner, restorePredictor } from "../../../src/methods/index.ts";
import { resolvePathwayConfig } from "../../../src/pathway/index.ts";
import { disposeTree, Generator, memory, noGrad, UserError } from "../../../src/torch/index.ts";
import { ClassificationTask, openRun, type TrainRequest } from "../../../src/train/index.ts";
import { exportedBundle, trainedRun, writeSmallTask } from "../../support/small-bundle.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;

const trained = (out: string, change: (request: TrainRequest) => Partial<TrainRequest>) =>
  trainedRun(folder, out, change);
const exported = (run: string, out: string, k?: number) => exportedBundle(folder, run, out, k);

before(async () => {
  folder = temporaryFolder();
  await writeSmallTask(folder);
  await trained("pathway", ({ choices }) => ({ choices: { ...choices, tau: 0.5 } }));
  await trained("single", () => ({ method: findMethod("fine-tune"), choices: {} }));
  await exported("pathway", "bundle");
});

const refused = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError && error.exitCode === 1 && pattern.test(error.message), String(error));
  return true;
};

test("a bundle of a pathway has a file for each part, and answers as the run does", async () => {
  const { handles } = memory();
  const { bundle, selfTest } = await verifyBundle(join(folder, "bundle"));
  assert.equal(memory().handles, handles);
  const names = bundle.members.map(({ name }) => name);
  const files = [
    "router.onnx",
    ...names.map((name) => `members/${name}.onnx`),
    "selftest/selftest.safetensors",
    "README.md",
  ];
  assert.deepEqual(Object.keys(bundle.files).sort(), files.toSorted());
  assert.deepEqual(bundle.labels, ["circle", "square", "stripe"]);
  assert.deepEqual(bundle.weights, { ...bundle.weights, trainedK: 2, temperature: 0.5 });
  const { validation } = JSON.parse(readFileSync(join(folder, "pathway", "result.json"), "utf8")) as {
    validation: { accuracy: number; items: number };
  };
  assert.deepEqual(bundle.measured, { validation: { accuracy: validation.accuracy, items: validation.items } });
  const { accuracy, items } = validation;
  assert.deepEqual(bundle.gate, { items, accuracy, runAccuracy: accuracy, otherLabels: 0 });
  assert.ok(selfTest && selfTest.images === 16 && selfTest.otherRoutes === 0);
  assert.ok(selfTest.scores < 1e-5 && selfTest.probabilities < 1e-5, JSON.stringify(selfTest));
  const { tensors } = readSafetensors(join(folder, "bundle", bundle.selfTest.file));
  assert.deepEqual([...tensors.keys()].sort(), ["images", "probabilities", "routes", "scores", "weights"]);
  disposeTree(tensors);
  const card = readFileSync(join(folder, "bundle", "README.md"), "utf8");
  for (const name of names) assert.match(card, new RegExp(`\\| ${name} \\| [\\d.]+ MB \\| none \\| test \\| test \\|`));
});

test("more models than in training, and one model", async () => {
  const opened = openRun(join(folder, "pathway"), restorePredictor);
  const members = loadMembers(openHub(join(folder, "hub")));
  const config = resolvePathwayConfig({ k: 1, generatorWidth: 4, tau: 2 }, members.length);
  const learner = new PathwayLearner({ members, task: new ClassificationTask(3), config, seed: 5, imageSize: 24 });
  using generator = new Generator(5);
  noGrad(() => {
    learner.module.temperature().fill_(0.25);
    // Its scores begin at zero.
    for (const parameter of learner.module.generator.parameters()) parameter.uniform_(-1, 1, { generator });
  });
  learner.eval();
  for (const [k, name] of [
    [1, "one"],
    [2, "two"],
  ] as const) {
    learner.k = k;
    const bundle = await writeBundle({ ...opened, predictor: learner }, join(folder, name));
    assert.deepEqual([bundle.k, bundle.weights], [k, { trainedK: 1, temperature: 2, larger: 0.25 }]);
  }
  learner.dispose();
  opened.dispose();
  const single = await exported("single", "single-bundle");
  assert.deepEqual([single.router, single.members.length, single.k], [undefined, 1, 1]);
  for (const name of ["two", "one", "single-bundle"]) {
    const { selfTest } = await verifyBundle(join(folder, name));
    assert.ok(selfTest && selfTest.probabilities < 1e-5, JSON.stringify(selfTest));
  }
});

/** A copy of the bundle that is changed. */
function changed(change: (copy: string, bundle: Bundle) => void): string {
  const copy = join(folder, "changed");
  rmSync(copy, { recursive: true, force: true });
  cpSync(join(folder, "bundle"), copy, { recursive: true });
  change(copy, readBundle(copy));
  return copy;
}

const manifest = (copy: string, content: unknown): void =>
  writeFileSync(join(copy, "bundle.json"), JSON.stringify(content));

test("a bundle that is not what was exported is refused", async () => {
  const lost = changed((copy) => rmSync(join(copy, "router.onnx")));
  await assert.rejects(verifyBundle(lost), refused(/router\.onnx is missing: restore it, or export/));
  const damaged = changed((copy) => writeFileSync(join(copy, "README.md"), "another"));
  await assert.rejects(verifyBundle(damaged), refused(/README\.md is damaged or was replaced/));
  const newer = changed((copy, bundle) => manifest(copy, { ...bundle, version: 3 }));
  await assert.rejects(
    verifyBundle(newer),
    refused(/has version 3, and this program reads 1 to 2: export the run again/),
  );
  const outside = changed((copy, { selfTest, ...rest }) =>
    manifest(copy, { ...rest, selfTest: { ...selfTest, file: "../x" } }),
  );
  await assert.rejects(verifyBundle(outside), refused(/is not the manifest of a bundle: selfTest\.file/));
  await assert.rejects(verifyBundle(join(folder, "hub")), refused(/holds no bundle \(no bundle\.json\)/));
});

test("another member's file in a member's place is found by its answers", async () => {
  const swapped = changed((copy, bundle) => {
    const [first, second] = bundle.members as [Bundle["members"][number], Bundle["members"][number]];
    const bytes = readFileSync(join(copy, second.file));
    writeFileSync(join(copy, first.file), bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    manifest(copy, { ...bundle, files: { ...bundle.files, [first.file]: { bytes: bytes.length, sha256 } } });
  });
  await assert.rejects(verifyBundle(swapped), refused(/answers otherwise than the run/));
});

test("what cannot be exported leaves nothing", async () => {
  await assert.rejects(exported("pathway", "bundle"), refused(/bundle exists already: give another --out folder/));
  await trained("joined", ({ choices }) => ({ choices: { ...choices, aggregation: "features" } }));
  await assert.rejects(
    exported("joined", "deep/none"),
    refused(/joined cannot be exported: it joins its models by features/),
  );
  assert.ok(!existsSync(join(folder, "deep")));
  mkdirSync(join(folder, "unfinished"));
  cpSync(join(folder, "pathway", "run.json"), join(folder, "unfinished", "run.json"));
  await assert.rejects(exported("unfinished", "none"), refused(/is not finished: continue it/));
  assert.deepEqual(
    readdirSync(folder).filter((name) => /none|tmp/.test(name)),
    [],
  );
});

/** The library as a program uses it, and the README's example as it stands. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ConfigError, Predictor, type RunEvent, type TrainedRun, train, UserError } from "../../src/index.ts";
import { freeRunFolder } from "../../src/library/index.ts";
import { memory } from "../../src/torch/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

let folder: string;
let images: string;
let run: TrainedRun;
const events: RunEvent[] = [];

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  images = await writeShapeImages(folder, 8);
  const { handles } = memory();
  run = await train({
    images,
    hub: writeSmallHub(folder),
    out: join(folder, "run"),
    k: 2,
    epochs: 2,
    onEvent: (event) => events.push(event),
  });
  assert.equal(memory().handles, handles, "live handles after training");
});

test("training tells what happens and gives the figures of the validation split", () => {
  assert.equal(events.filter((event) => event.type === "epoch").length, 2);
  assert.ok(run.validation.items > 0 && run.trainingFlops > 0);
  assert.deepEqual(
    run.validation.classes.map(({ name }) => name),
    ["circle", "square", "stripe"],
  );
});

test("a path, its bytes and a list give the same prediction; another k serves one call only", async () => {
  const { handles } = memory();
  {
    using predictor = await Predictor.open(run.path);
    const path = join(images, "square", "1.png");
    const one = await predictor.predict(path, { top: 2 });
    assert.deepEqual(await predictor.predict(readFileSync(path), { top: 2 }), one);
    assert.equal(one.top[0]?.label, one.label);
    assert.ok((one.top[1]?.probability ?? 1) <= one.probability);
    assert.equal(one.pathway.length, 2);
    const single = await predictor.predict(path, { k: 1 });
    assert.deepEqual(
      single.pathway.map(({ weight }) => weight),
      [1],
    );
    const [first, second] = await predictor.predict([path, join(images, "circle", "1.png")], { top: 2 });
    assert.equal(first?.label, one.label);
    assert.ok(second && predictor.classes.includes(second.label));
    await assert.rejects(predictor.predict(path, { k: 9 }), ConfigError);
    await assert.rejects(predictor.predict(path, { top: 0 }), ConfigError);
    await assert.rejects(predictor.predict([path, "nowhere.png"]), UserError);
    const outcomes = [];
    for await (const outcome of predictor.predictEach([path, "nowhere.png", Buffer.from("no image"), path])) {
      outcomes.push("error" in outcome ? "error" : outcome.prediction.label);
    }
    assert.deepEqual(outcomes, [one.label, "error", "error", one.label]);
  }
  assert.equal(memory().handles, handles, "live handles after disposing");
});

test("a member that no validation image activates is not stored, and predictions stay as they were", async () => {
  const names = Object.entries(run.validation.runsOn);
  const used = names.filter(([, part]) => part > 0).map(([name]) => `${name}.safetensors`);
  const stored = readdirSync(join(run.path, "model")).filter((name) => name.endsWith(".safetensors"));
  assert.deepEqual(stored.sort(), [...used, "layers.safetensors"].sort());
  using predictor = await Predictor.open(run.path);
  assert.equal(predictor.members.length, 3);
  const wanted = used.length + 1;
  await assert.rejects(Predictor.open(run.path, { k: wanted }), /k is \d: it must be a whole number from 1 to/);
});

test("runs are numbered after the images' folder", () => {
  const runs = join(folder, "runs");
  assert.equal(freeRunFolder("some/My photos (1)/", runs), join(runs, "My-photos-1-1"));
  mkdirSync(join(runs, "photos-1"), { recursive: true });
  assert.equal(freeRunFolder("./photos", runs), join(runs, "photos-2"));
});

test("the README's example runs", async () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const example = [...readme.matchAll(/```ts\n(.*?)```/gs)]
    .map(([, text = ""]) => text)
    .find((text) => text.includes("Predictor"));
  assert.ok(example);
  const place = temporaryFolder();
  for (const name of ["circle", "stripe"]) cpSync(join(images, name), join(place, "photos", name), { recursive: true });
  cpSync(join(images, "circle", "0.png"), join(place, "some.jpg"));
  assert.match(example, /train\(\{ /);
  // Fewer epochs, and nothing else, differ from what a reader runs.
  const short = example.replace("train({ ", "train({ epochs: 1, ");
  const script = join(place, "example.mts");
  writeFileSync(script, `${short}\nexport { label, pathway };\n`);
  const before = process.cwd();
  process.chdir(place);
  const { label, pathway } = (await import(pathToFileURL(script).href)) as { label: string; pathway: unknown[] };
  process.chdir(before);
  assert.ok(["circle", "stripe"].includes(label));
  assert.equal(pathway.length, 2);
  assert.deepEqual(readdirSync(join(place, "runs")), ["photos-1"]);
});

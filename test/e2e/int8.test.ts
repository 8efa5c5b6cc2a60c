/** A run's files in whole numbers (`export --precision int8`) where they answer: over HTTP and in a browser, against the run itself. */
// Alone: it has a browser beside it.
// Long: files in whole numbers need 128 training images and a browser.
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { type ImagePrediction, Predictor } from "../../src/library/index.ts";
import type { PredictAnswer } from "../../src/serve/index.ts";
import { runHere } from "../support/program.ts";
import { send, served } from "../support/served.ts";
import { answerOf, noBrowser, openBrowser, openPage, StaticServer } from "../support/site.ts";
import { trainedRun, writeSmallTask } from "../support/small-bundle.ts";
import { temporaryFolder } from "../support/small-hub.ts";

/** Difference of probabilities that products of seven bits make. */
const tolerance = 0.05;

let site: string;
let files: string[];
let expected: readonly ImagePrediction[];

before(async () => {
  const folder = temporaryFolder();
  await writeSmallTask(folder, 80);
  await trainedRun(folder, "run");
  site = join(folder, "site");
  const args = ["export", join(folder, "run"), "--web", site, "--precision", "int8", "--max-drop", "20"];
  const exported = await runHere(args, folder);
  assert.equal(exported.code, 0, exported.stderr);
  files = ["circle", "square", "stripe"].flatMap((shape) =>
    Array.from({ length: 8 }, (_, i) => join(folder, "images", shape, `${i}.png`)),
  );
  using predictor = await Predictor.open(join(folder, "run"));
  expected = await predictor.predict(files);
});

/** The run's label wherever it is sure enough, its models, and about its probability. */
function assertAnswers(answers: readonly { label: string; probability: number; pathway: readonly string[] }[]): void {
  for (const [i, { label, probability, pathway }] of answers.entries()) {
    const own = expected[i] ?? assert.fail();
    assert.deepEqual([...pathway].sort(), own.pathway.map(({ member }) => member).sort());
    const [first = 0, second = 0] = own.top.map((one) => one.probability);
    if (first - second > 2 * tolerance) assert.equal(label, own.label);
    if (label === own.label) assert.ok(Math.abs(probability - own.probability) < tolerance, `${probability}`);
  }
  assert.ok(answers.length === files.length);
}

test("over HTTP", async () => {
  const server = await served(join(site, "bundle"));
  try {
    const answers = [];
    for (const file of files) {
      const { predictions } = (await (await send(server, file)).json()) as PredictAnswer;
      const [one] = predictions;
      assert.ok(one && "label" in one);
      answers.push({ ...one, pathway: one.pathway.map(({ member }) => member) });
    }
    assertAnswers(answers);
  } finally {
    await server.close();
  }
});

test("in a browser", { skip: noBrowser ?? false }, async () => {
  const server = await StaticServer.start(site);
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    await openPage(page, server.address);
    const shown = [];
    for (const file of files) shown.push(await answerOf(page, file));
    assertAnswers(shown);
  } finally {
    await browser.close();
    await server.stop();
  }
});

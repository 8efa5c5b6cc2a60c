/** Predictions where the answer is known: two kinds of images, and a member for each that sees what decides there. */
// Long: models are trained to the end of an experiment.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import sharp from "sharp";
import { CellStore } from "../../../src/compare/cell-store.ts";
import type { ExperimentRequest, MethodCell } from "../../../src/compare/index.ts";
import { reportText } from "../../../src/compare/save-report.ts";
import { work } from "../../../src/compare/work.ts";
import { diversity } from "../../../src/experiments/diversity/diversity.ts";
import { placesOf, settingsOf } from "../../../src/experiments/diversity/places.ts";
import { headForEachKind, kindsOf, predict } from "../../../src/experiments/diversity/prediction.ts";
import { createBackbone } from "../../../src/models/index.ts";
import { Generator, keyedRandom, memory, noGrad, scope } from "../../../src/torch/index.ts";
import { writeHub, writeMember } from "../../support/hub-files.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

let folder: string;
let subject: { hub: string; data: string };

const config = { layers: [1, 1], width: 8, stem: "small", stemStride: 2 };
const [red, green, blue] = [0, 1, 2] as const;
const side = 16;

/** Two networks, each with weights for one colour alone. */
function writeTwoColourHub(): string {
  return writeHub(join(folder, "hub"), "two-colours", (dir) =>
    [red, blue].map((seen) => {
      using generator = new Generator(seen);
      using backbone = createBackbone("resnet", config, { generator });
      const { featureWidth } = backbone;
      return scope(() => {
        const tensors = backbone.stateDict();
        const blind = [red, green, blue].filter((channel) => channel !== seen);
        noGrad(() => {
          for (const channel of blind) tensors.get("conv1.weight")?.narrow(1, channel, 1).zero_();
        });
        return writeMember(dir, {
          name: `sees-${seen}`,
          architecture: "resnet",
          config,
          featureWidth,
          size: side,
          tensors,
        });
      });
    }),
  );
}

/** Classes differ in red where images have much green, and in blue where they have little; the other colour is chance. */
async function writeTwoKinds(): Promise<string> {
  const dir = join(folder, "kinds");
  const classes = [
    { name: "much: dark", decides: red, level: 30, green: 230 },
    { name: "much: bright", decides: red, level: 220, green: 230 },
    { name: "little: dark", decides: blue, level: 30, green: 20 },
    { name: "little: bright", decides: blue, level: 220, green: 20 },
  ];
  for (const [label, { name, decides, level, green: amount }] of classes.entries()) {
    mkdirSync(join(dir, name), { recursive: true });
    for (let i = 0; i < 20; i++) {
      const random = keyedRandom(label, i);
      const colour = [255 * random(), amount, 255 * random()];
      colour[decides] = level;
      const pixels = Uint8Array.from({ length: 3 * side * side }, (_, at) => (colour[at % 3] ?? 0) + 20 * random());
      await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
        .png()
        .toFile(join(dir, name, `${i}.png`));
    }
  }
  return dir;
}

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  subject = { hub: writeTwoColourHub(), data: await writeTwoKinds() };
});

function requestOf(): ExperimentRequest {
  const cells = new CellStore(join(folder, "cells"));
  return { seeds: [0], quick: true, final: false, cells, cache: join(folder, "fits"), say: () => {}, ...subject };
}

test("kinds are the parts of a mix; classes without one are a kind together", () => {
  assert.deepEqual(kindsOf(["a: x", "b: x", "a: y"]), { kinds: ["a", "b"], kindOf: [0, 1, 0] });
  assert.deepEqual(kindsOf(["x", "y"]), { kinds: [""], kindOf: [0, 0] });
});

test("the member that sees what decides owns a kind, and routes by kind win what the other cannot see", async () => {
  const request = requestOf();
  const [place] = placesOf(request);
  assert.ok(place);
  const { handles } = memory();
  const [setting] = settingsOf(request, place);
  assert.ok(setting);
  const found = await predict(setting);
  const headsAlone = await headForEachKind(setting);
  await setting[Symbol.asyncDispose]();
  assert.equal(memory().handles, handles);
  const owners = Object.fromEntries(found.kinds.map((kind, i) => [kind, found.owners[i]]));
  assert.deepEqual(owners, { much: `sees-${red}`, little: `sees-${blue}` });
  assert.deepEqual([found.told, found.oracleSingle, found.toldSingle], [1, 1, 1]);
  for (const one of [found.single, headsAlone])
    assert.ok(one >= 0.5 && one <= 0.8, `a member sees one kind, and guesses the other: ${one}`);
});

test("the map is predicted, trained and told in tables; a second run computes nothing", async () => {
  const request = requestOf();
  const { handles } = memory();
  await work(diversity, request);
  assert.equal(memory().handles, handles);
  const text = reportText(await diversity.report(request));
  assert.match(text, /What is predicted[\s\S]*kinds +two-colours +2 +32 +1 +100\.0 %/);
  assert.match(text, /What is won with k = 1[\s\S]*kinds +two-colours +1 /);
  // One seed has no interval, so that nothing is won.
  assert.match(text, /kinds that can be told: 1\. Won are 0, in part 0; /);
  const lines: string[] = [];
  await work(diversity, { ...request, say: (line) => lines.push(line) });
  assert.ok(!lines.some((line) => /on validation/.test(line)), lines.join("\n"));
});

test("a cell of routes knows what they are worth on other images", async () => {
  const cells = requestOf().cells;
  const { readFileSync, readdirSync } = await import("node:fs");
  const files = readdirSync(cells.folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".jsonl"),
  );
  const all = files.flatMap((file) =>
    readFileSync(join(cells.folder, file), "utf8")
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { cell: MethodCell }).cell),
  );
  const routed = all.filter(({ plan }) => plan?.name === "Hub-Pathway, k = 1");
  assert.equal(routed.length, 1);
  for (const { routing } of routed) assert.ok((routing?.permuted ?? -1) >= 0);
});

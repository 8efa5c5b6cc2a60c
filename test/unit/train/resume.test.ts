/** A run goes on from its folder alone: with more epochs, a grown hub, from another place; and says what it refuses. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import type { HubManifest } from "../../../src/hub/index.ts";
import { findMethod } from "../../../src/methods/index.ts";
import { ConfigError, memory, UserError } from "../../../src/torch/index.ts";
import { type ResumeRequest, type RunEvent, type RunOutcome, resumeRun, trainRun } from "../../../src/train/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { trainRequest } from "../../support/train-request.ts";

let folder: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  const place = { folder, hub: writeSmallHub(folder), images: await writeShapeImages(folder, 8) };
  release(await trainRun({ ...trainRequest(place, "run"), choices: { k: 1, generatorWidth: 4 } }));
});

function release({ predictor, data }: RunOutcome): void {
  predictor.dispose();
  data.dispose();
}

const resume = (path: string, more: Partial<ResumeRequest> = {}) =>
  resumeRun(path, { method: findMethod, emit: () => {}, ...more });
const copied = (name: string): string => {
  cpSync(join(folder, "run"), join(folder, name), { recursive: true });
  return join(folder, name);
};
const refused = (kind: typeof UserError | typeof ConfigError, pattern: RegExp) => (error: unknown) =>
  error instanceof kind && pattern.test(error.message);

test("a finished run goes on with more epochs, and from then on has them", async () => {
  const path = copied("longer");
  const events: RunEvent[] = [];
  const { handles } = memory();
  release(await resume(path, { epochs: 5, emit: (event) => events.push(event) }));
  assert.equal(memory().handles, handles);
  assert.equal(events.filter((event) => event.type === "epoch").length, 2);
  const fit = events.find((event) => event.type === "fit");
  assert.ok(fit?.best && fit.best.epoch <= 3 && fit.best.score > 0);
  const config = JSON.parse(readFileSync(join(path, "run.json"), "utf8")) as { options: { epochs: number } };
  assert.equal(config.options.epochs, 5);
  const again: RunEvent[] = [];
  release(await resume(path, { emit: (event) => again.push(event) }));
  assert.ok(!again.some((event) => event.type === "step"));
  await assert.rejects(resume(path, { epochs: 4 }), refused(ConfigError, /epochs was 5, now 4/));
  rmSync(join(path, "training"), { recursive: true });
  await assert.rejects(resume(path, { epochs: 9 }), refused(UserError, /training/));
});

test("what was asked for and differs is named with both values", async () => {
  const given = { choices: { k: 2 }, options: { lr: 0.5 }, data: { imageSize: 32 }, split: { testFraction: 0.3 } };
  await assert.rejects(
    resume(copied("asked"), { given }),
    refused(
      ConfigError,
      /k was 1, now 2; lr was 0\.002, now 0\.5; imageSize was 24, now 32; testFraction was 0\.2, now 0\.3/,
    ),
  );
  await assert.rejects(
    resume(join(folder, "asked"), { given: { method: "fine-tune" } }),
    refused(ConfigError, /fine-tune/),
  );
});

test("a hub may grow and move; a member that the run chooses from may not be missing or changed", async () => {
  const path = copied("moved");
  const hub = join(folder, "hub");
  const manifest = JSON.parse(readFileSync(join(hub, "hub.json"), "utf8")) as HubManifest;
  const [first] = manifest.members;
  const write = (dir: string, members: unknown[]) =>
    writeFileSync(join(dir, "hub.json"), JSON.stringify({ ...manifest, members }));
  const grown = join(folder, "grown");
  cpSync(hub, grown, { recursive: true });
  write(grown, [{ ...first, name: "newcomer" }, ...manifest.members]);
  release(await resume(path, { hub: grown, epochs: 4 }));
  write(grown, manifest.members.slice(1));
  await assert.rejects(resume(path, { hub: grown }), refused(UserError, /"small-resnet" is missing.*--hub/));
  write(grown, [{ ...first, input: { ...first?.input, std: [0.4, 0.5, 0.5] } }, ...manifest.members.slice(1)]);
  await assert.rejects(resume(path, { hub: grown }), refused(UserError, /"small-resnet" has changed/));
});

test("places are found from any working directory; changed images are refused", async () => {
  const away = join(folder, "away");
  const before = process.cwd();
  const path = copied("from-afar");
  process.chdir(temporaryFolder());
  try {
    release(await resume(path, { epochs: 4 }));
  } finally {
    process.chdir(before);
  }
  renameSync(join(folder, "images"), away);
  await assert.rejects(resume(path), UserError);
  release(await resume(path, { data: away, epochs: 5 }));
  rmSync(join(away, "circle", "0.png"));
  await assert.rejects(resume(path, { data: away }), refused(UserError, /no longer those/));
  assert.ok(existsSync(join(path, "model", "model.json")));
});

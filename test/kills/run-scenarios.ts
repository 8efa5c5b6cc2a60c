/** Kills of the commands that train and report: what they leave is gone on with, bit for bit. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../support/small-hub.ts";
import type { Place, Scenario } from "./scenario.ts";
import { runIn } from "./scenario.ts";

const one = ["--threads", "1"];

/** A hub, images and a finished run over them, made once. */
async function template(): Promise<string> {
  const folder = temporaryFolder();
  writeSmallHub(folder);
  await writeShapeImages(folder, 12);
  const { code, stderr } = await runIn(folder, train(folder));
  assert.equal(code, 0, stderr);
  return folder;
}

const train = (folder: string): string[] => [
  ...["train", "--hub", join(folder, "hub"), "--data", join(folder, "images"), "--image-size", "24"],
  ...["--batch-size", "12", "--epochs", "2", "--k", "2", "--out", join(folder, "run"), ...one],
];

/** Content of safetensors files, by their paths, without headers, which may name times and places. */
export function weightsIn(folder: string): Map<string, string> {
  const files = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => name.endsWith(".safetensors"));
  return new Map(
    files.sort().map((name) => {
      const bytes = readFileSync(join(folder, name));
      return [name, bytes.subarray(8 + Number(bytes.readBigUInt64LE(0))).toString("base64")];
    }),
  );
}

/** Nothing that is not finished, and no lock, stays in a folder or the cache. */
export function assertSwept(...folders: string[]): void {
  const left = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => /\.tmp$|\.lock$|\.heir$/.test(name));
  assert.deepEqual(left, []);
}

/** Goes on with a run where it can be resumed, and else begins it anew; it ends as the one that nothing killed. */
async function goesOn(place: Place, out: string, resume: string[], anew: string[]): Promise<void> {
  const { folder, whole, run } = place;
  const resumed = await run(...resume);
  const ended = resumed.code === 0 ? resumed : await run(...anew);
  assert.equal(ended.code, 0, `${resumed.stderr}\n${ended.stderr}`);
  const [now, then] = [weightsIn(join(folder, out)), weightsIn(join(whole, out))];
  assert.deepEqual([...now.keys()], [...then.keys()]);
  for (const [name, content] of then)
    assert.ok(now.get(name) === content, `${name} differs from the uninterrupted run's`);
  assertSwept(join(folder, out), join(folder, "cache"));
}

const experiment = (folder: string): string[] => [
  ...["experiment", "ranking", "--quick", "--seeds", "1", "--data", join(folder, "images")],
  ...["--hub", join(folder, "hub"), "--results", join(folder, "results"), "--cache", join(folder, "fits")],
];

interface Cell {
  validation?: { accuracy: number; logLoss: number };
}

/** Validation figures of an experiment's cells, sorted: names and times differ between runs. */
function measuredIn(folder: string): string[] {
  const files = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => /cells\/.*\.jsonl$/.test(name));
  return files
    .flatMap((name) => readFileSync(join(folder, name), "utf8").trimEnd().split("\n"))
    .map((line) => (JSON.parse(line) as { cell: Cell }).cell)
    .map(({ validation }) => (validation ? `${validation.accuracy} ${validation.logLoss}` : "other"))
    .sort();
}

/** Scenarios of runs. */
export async function runScenarios(): Promise<Scenario[]> {
  const made = await template();
  const copy = (folder: string, ...names: string[]) => {
    for (const name of names) cpSync(join(made, name), join(folder, name), { recursive: true });
  };
  const agent = (folder: string) => [
    ...["rl", "train", "--env", "cartpole", "--steps", "1000", "--copies", "2", "--eval-every", "0"],
    ...["--out", join(folder, "agent"), ...one],
  ];
  return [
    {
      name: "train",
      prepare: (folder) => copy(folder, "hub", "images"),
      command: train,
      verify: (place) =>
        goesOn(place, "run", ["train", "--resume", join(place.folder, "run"), ...one], train(place.folder)),
    },
    {
      name: "report",
      prepare: (folder) => copy(folder, "hub", "images", "run"),
      command: (folder) => ["report", join(folder, "run")],
      async verify({ folder, run }) {
        const page = join(folder, "run", "report.html");
        assert.match(readFileSync(page, "utf8"), /<\/html>\s*$/, "the old page or the new one");
        const { code, stderr } = await run("report", join(folder, "run"));
        assert.equal(code, 0, stderr);
        assertSwept(join(folder, "run"), join(folder, "cache"));
      },
    },
    {
      name: "rl train",
      prepare: () => {},
      command: agent,
      verify: (place) => goesOn(place, "agent", [...agent(place.folder), "--resume"], agent(place.folder)),
    },
    {
      name: "experiment",
      prepare: (folder) => copy(folder, "hub", "images"),
      command: experiment,
      async verify({ folder, whole, run }) {
        const { code, stderr } = await run(...experiment(folder));
        assert.equal(code, 0, stderr);
        assert.deepEqual(measuredIn(join(folder, "fits")), measuredIn(join(whole, "fits")));
        assertSwept(join(folder, "fits"), join(folder, "results"), join(folder, "cache"));
      },
    },
  ];
}

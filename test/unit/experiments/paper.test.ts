/** The published setting, in its own code, on an imitation: tiny data in the published files and five tiny ResNets. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { CellStore, type ExperimentRequest, reportText, saveReport, work } from "../../../src/compare/index.ts";
import type { MethodCell, SplitFigures } from "../../../src/compare/method-cell.ts";
import { paper } from "../../../src/experiments/paper/paper.ts";
import { readPreset } from "../../../src/hub/index.ts";
import { memory, UserError } from "../../../src/torch/index.ts";
import { writePaperHub } from "../../support/paper-hub.ts";
import { publishedWriters } from "../../support/published-data.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const names = Object.keys(publishedWriters);
/** Those that are trained on here: how each of the others is read has a test of its own in test/unit/data. */
const targets = ["eurosat"];
let folder: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  writePaperHub(join(folder, "hub"));
  for (const [name, write] of Object.entries(publishedWriters)) await write(join(folder, "data", name));
  for (const name of targets) cpSync(join(folder, "data", name), join(folder, "some", name), { recursive: true });
});

function requestOf(name: string, changes: Partial<ExperimentRequest> = {}): ExperimentRequest {
  return {
    seeds: [0],
    quick: true,
    final: false,
    hub: join(folder, "hub"),
    data: join(folder, "data"),
    cells: new CellStore(join(folder, name, "cells")),
    cache: join(folder, name),
    say: () => {},
    ...changes,
  };
}

function cellsIn(request: ExperimentRequest, target: string): (MethodCell & { test: SplitFigures })[] {
  const [cells = [], parts = []] = ["paper", "test/paper"].map((place) =>
    readFileSync(join(request.cells.folder, place, `${target}.jsonl`), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { name: string; key: unknown; cell: MethodCell & { test: SplitFigures } })
      .filter(({ name }) => !name.includes("epochs")),
  );
  return cells.map(({ name, key, cell }) => {
    const part = parts.find((one) => one.name === `test/${name}` && isDeepStrictEqual(one.key, key));
    return { ...cell, test: part?.cell.test as SplitFigures };
  });
}

test("every target is trained by every method, a rate is chosen on validation data, and ten crops are the test", async () => {
  const all = paper.groups(requestOf("all")).map(({ name }) => name);
  assert.deepEqual(
    all,
    names.map((name) => `${name}, seed 0`),
  );
  const request = requestOf("whole", { data: join(folder, "some") });
  const { handles } = memory();
  // The test split is measured under --final alone.
  await work(paper, { ...request, final: true });
  assert.equal(memory().handles, handles);
  for (const target of targets) {
    const cells = cellsIn(request, target);
    assert.equal(cells.length, 9 * 2, target);
    for (const cell of cells) {
      assert.ok(cell.test.items > 0 && cell.test.items <= 12 && cell.validation.items > 0);
      assert.ok(cell.trainingFlops > 0);
    }
    assert.ok(cells.every((cell) => cell.protocol.target.tenCrop && cell.protocol.options.optimizer === "sgd"));
    const [first] = cells;
    assert.deepEqual([first?.protocol.options.decaySteps, first?.protocol.options.warmup], [[1, 2], 0]);
    const { fit, cropScale, cropFrom } = first?.protocol.target.data ?? {};
    assert.deepEqual({ fit, cropScale, cropFrom }, { fit: "squash", cropScale: 0.08, cropFrom: 64 });
    assert.ok(
      cells.some(({ plan }) => plan.choices["preset"] === "paper" && plan.choices["exploitationWeight"] === "each"),
    );
    // Crops of 56 px come from test images of 64.
    const decoded = readdirSync(join(folder, "cache", "decoded"));
    const sizes = decoded.map((file) => statSync(join(folder, "cache", "decoded", file)).size);
    assert.ok(sizes.includes((cells[0]?.test.items ?? 0) * 3 * 64 * 64), `${target}: ${sizes}`);
  }
  const report = await paper.report(request);
  const [setting, overview, ...sections] = report.sections;
  assert.match(setting?.text?.join(" ") ?? "", /quick run/);
  assert.deepEqual(
    overview?.table?.columns.map((column) => column.title),
    ["method", ...targets, "mean"],
  );
  assert.equal(overview?.table?.rows.length, 9);
  assert.ok(overview?.table?.rows.every((row) => row.every((text) => text !== "")));
  assert.deepEqual(
    sections.map((section) => section.title),
    [...targets, "What is missing"],
  );
  const methods = overview?.table?.rows.map((row) => row[0]);
  assert.ok(methods?.includes("Zoo-Tuning of imagenet, moco, mask-rcnn, keypoint-rcnn"), methods?.join());

  const {
    split,
    targets: figures,
    missing,
  } = report.data as {
    split: string;
    targets: { target: string; rows: { line: { name: string; perSeed: number[] }; rates: number[] }[] }[];
    missing: { name: string }[];
  };
  assert.equal(split, "validation");
  assert.deepEqual(
    missing.map(({ name }) => name),
    names.filter((name) => !targets.includes(name)),
  );
  for (const { target, rows } of figures) {
    for (const { line, rates } of rows) {
      const own = cellsIn(request, target).filter((cell) => cell.plan.name === line.name);
      const best = Math.max(...own.map((cell) => cell.validation.accuracy));
      assert.deepEqual(line.perSeed, [best]);
      assert.equal(rates.length, 1);
    }
  }
  const final = await paper.report({ ...request, final: true });
  const tests = (final.data as { targets: typeof figures }).targets;
  for (const { target, rows } of tests) {
    const chosen = rows.map(({ line }) => line.perSeed[0]);
    const all = cellsIn(request, target).map((cell) => cell.test.accuracy);
    assert.ok(chosen.every((accuracy) => accuracy !== undefined && all.includes(accuracy)));
  }
  const files = saveReport(paper, report, request, join(folder, "results"), "a test");
  assert.match(readFileSync(files.markdown, "utf8"), /## eurosat/);

  // Finished cells are only read, which leaves their files as they were.
  const written = () => targets.map((name) => statSync(join(request.cells.folder, "paper", `${name}.jsonl`)).mtimeMs);
  const before = written();
  await work(paper, request);
  assert.deepEqual(written(), before);
  assert.deepEqual(await paper.report(request), report);
});

test("without hub and data the report says what is missing, where it comes from and what adds it", async () => {
  const [data, hub] = [join(folder, "no-data"), join(folder, "no-hub")];
  const request = requestOf("empty", { data, hub });
  assert.deepEqual(paper.groups(request), []);
  const report = await paper.report(request);
  const text = reportText(report);
  assert.match(text, /Nothing is measured yet/);
  for (const name of names) assert.match(text, new RegExp(`hub-pathway data check ${name}:.*no-data/${name}`));
  for (const name of ["imagenet", "moco", "mask-rcnn", "deeplab-v3", "keypoint-rcnn"]) {
    assert.match(
      text,
      new RegExp(
        `https://\\S+\\.pth.* hub-pathway hub create \\S+no-hub --preset paper --only ${name}( --accept-licence)?$`,
        "m",
      ),
    );
  }
  assert.equal((report.data as { missing: unknown[] }).missing.length, 12);
  assert.deepEqual(readPreset("paper").members.find(({ name }) => name === "deeplab-v3")?.config, { dilated: 0 });
});

test("the project's own places are used when none are given, and a part of the hub is not enough", async () => {
  const before = process.cwd();
  const place = join(folder, "place");
  writePaperHub(join(place, "hubs", "paper"), ["imagenet", "moco"]);
  await publishedWriters["eurosat"]?.(join(place, "data", "published", "eurosat"));
  process.chdir(place);
  try {
    const request = requestOf("place", { data: undefined, hub: undefined });
    assert.deepEqual(paper.groups(request), []);
    const missing = (await paper.report(request)).data as { missing: { name: string }[] };
    const wanted = ["mask-rcnn", "deeplab-v3", "keypoint-rcnn", ...names.filter((name) => name !== "eurosat")];
    assert.deepEqual(
      missing.missing.map((need) => need.name),
      wanted,
    );
    writePaperHub(join(place, "hubs", "paper"));
    assert.deepEqual(
      paper.groups(request).map((group) => group.name),
      ["eurosat, seed 0"],
    );
  } finally {
    process.chdir(before);
  }
});

test("a data set that is there but damaged stops its group by name", async () => {
  const request = requestOf("damaged", { data: join(folder, "damaged-data") });
  mkdirSync(join(folder, "damaged-data", "dmlab"), { recursive: true });
  writeFileSync(join(folder, "damaged-data", "dmlab", "dmlab-train.tfrecord"), "no records at all");
  await assert.rejects(
    work(paper, request),
    (error: unknown) => error instanceof UserError && /dmlab-train\.tfrecord: record 0/.test(error.message),
  );
});

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { checkDataset, openDataset, type TaskKind } from "../../../src/data/index.ts";
import { labelledDataset } from "../../../src/data/labels.ts";
import { splitDataset } from "../../../src/data/split.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

temporaryCache();

const root = temporaryFolder();
const paths = ["1.png", "2.png", "3.png", "4.png"];
for (const [i, path] of paths.entries()) await writeNoise(join(root, path), 8, i);

function opened(name: string, text: string, task?: TaskKind): ReturnType<typeof openDataset> {
  const file = join(root, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return openDataset(file, { task });
}

const table = (header: string, cells: readonly string[]) =>
  [`file,${header}`, ...cells.map((cell, i) => `${paths[i]},${cell}`)].join("\n");

test("several labels are read alike from separators, lists and JSON in cells", async () => {
  const own = [["red", "round"], [], ["round"], ["blue"]];
  const texts: [name: string, text: string, task?: TaskKind][] = [
    [
      "bars.csv",
      table(
        "labels",
        own.map((labels) => labels.join("|")),
      ),
    ],
    [
      "semicolons.csv",
      table(
        "tags",
        own.map((labels) => labels.join(" ; ")),
      ),
    ],
    [
      "commas.csv",
      table(
        "Labels",
        own.map((labels) => `"${labels.join(",")}"`),
      ),
    ],
    [
      "json.csv",
      table(
        "labels",
        own.map((labels) => `"${JSON.stringify(labels).replaceAll('"', '""')}"`),
      ),
    ],
    ["lists.jsonl", own.map((labels, i) => JSON.stringify({ file: paths[i], labels })).join("\n")],
    ["list-of-label.jsonl", own.map((label, i) => JSON.stringify({ file: paths[i], label })).join("\n")],
    [
      "asked.csv",
      table(
        "label",
        own.map((labels) => labels.join("|")),
      ),
      "multi-label",
    ],
  ];
  for (const [name, text, task] of texts) {
    const dataset = await opened(name, text, task);
    assert.equal(dataset.task, "multi-label", name);
    assert.deepEqual(dataset.classes, ["blue", "red", "round"], name);
    const rows = dataset.items.map(({ targets }) => targets);
    assert.deepEqual(
      rows,
      [
        [0, 1, 1],
        [0, 0, 0],
        [0, 0, 1],
        [1, 0, 0],
      ],
      name,
    );
  }
});

test("lists with a zero or one for each label are labels by their places; lists of other lengths or numbers are names", async () => {
  const lines = (lists: readonly (readonly number[])[]) =>
    lists.map((labels, i) => JSON.stringify({ file: paths[i], labels })).join("\n");
  const hot = [
    [0, 1, 1],
    [0, 0, 0],
    [1, 0, 0],
    [0, 1, 0],
  ];
  const dataset = await opened("hot.jsonl", lines(hot));
  assert.deepEqual([dataset.classes, dataset.items.map(({ targets }) => targets)], [["0", "1", "2"], hot]);
  const named = await opened("named.jsonl", lines([[0, 1], [1], [0, 1], []]));
  assert.deepEqual(
    named.items.map(({ targets }) => targets),
    [
      [1, 1],
      [0, 1],
      [1, 1],
      [0, 0],
    ],
  );
});

test("numbers are read from columns of values, of targets that are no whole numbers, and from lists", async () => {
  const values = [0.5, -2, 1e3, 7.25];
  const one = values.map((value) => [value]);
  const two = values.map((value) => [value, 2 * value]);
  const json = (key: string, of: (value: number) => unknown) =>
    values.map((value, i) => JSON.stringify({ file: paths[i], [key]: of(value) })).join("\n");
  const texts: [name: string, text: string, classes: string[], rows: number[][], task?: TaskKind][] = [
    ["value.csv", table("value", values.map(String)), ["value"], one],
    ["target.csv", table("target", values.map(String)), ["target"], one],
    ["several.csv", table("value_x,value_y", two.map(String)), ["value_x", "value_y"], two],
    ["value.jsonl", json("value", (value) => value), ["value"], one],
    ["list.jsonl", json("values", (value) => [value, 2 * value]), ["values 1", "values 2"], two],
    ["asked.csv", table("label", ["1", "2", "3", "5"]), ["label"], [[1], [2], [3], [5]], "regression"],
  ];
  for (const [name, text, classes, rows, task] of texts) {
    const dataset = await opened(name, text, task);
    assert.equal(dataset.task, "regression", name);
    assert.deepEqual(dataset.classes, classes, name);
    assert.deepEqual(
      dataset.items.map(({ targets }) => targets),
      rows,
      name,
    );
  }
  // Whole targets may be names of classes, as they always were.
  const whole = await opened("whole.csv", table("target", ["0", "1", "1", "0"]));
  assert.deepEqual([whole.task, whole.classes], [undefined, ["0", "1"]]);
  assert.match(whole.notes?.[1] ?? "", /"0", "1" are taken as names of classes: --task regression/);
});

test("labels that do not fit together are refused with their row", async () => {
  const mixed = [{ label: "x" }, { label: ["x", "y"] }, { label: "x" }];
  const lines = (rows: readonly object[]) =>
    rows.map((row, i) => JSON.stringify({ file: paths[i], ...row })).join("\n");
  const cases: [name: string, text: string, pattern: RegExp, task?: TaskKind][] = [
    [
      "mixed.jsonl",
      lines(mixed),
      /mixed\.jsonl, line 2: the label is a list of labels, and that at .*line 1 is one class/,
    ],
    [
      "mixed-2.jsonl",
      lines([{ labels: ["x"] }, { value: 2 }]),
      /line 2: the label is numbers, and that at .*line 1 is a list/,
    ],
    ["other.jsonl", lines([{ value: 1 }, { value_x: 2 }]), /line 2: the numbers are "value_x", and before "value"/],
    ["text.csv", table("value", ["1", "2", "much", "4"]), /line 4: the value is "much", which is no number/],
    ["half.csv", table("target", ["1.5", "2", "much", "4"]), /line 4: the target is "much", which is no number/],
    ["gap.csv", table("value", ["1", "", "3", "4"]), /line 3: there is no value/],
    ["infinite.csv", table("value", ["1", "inf", "3", "4"]), /line 3: the value is "inf"/],
    ["same.csv", table("value", ["2", "2", "2.0", "2"]), /all images have the same "value": there is nothing to learn/],
    ["all.csv", table("labels", ["x|y", "y|x", "x|y", "x|y"]), /every image has all labels \("x", "y"\)/],
    ["none.csv", table("labels", ["", "", "", ""]), /no image has a label/],
    ["list.jsonl", lines(mixed), /line 2: the label is \["x","y"\], and must be a text/, "classification"],
  ];
  for (const [name, text, pattern, task] of cases) {
    await assert.rejects(opened(name, text, task), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, pattern, name);
      return true;
    });
  }
  for (const name of ["a", "b"]) await writeNoise(join(root, "classes", name, "1.png"), 8, name.charCodeAt(0));
  await assert.rejects(
    openDataset(join(root, "classes"), { task: "regression" }),
    /one class each: --task regression needs a file/,
  );
});

test("data check counts several labels, tells the range of numbers, and finds one image with other labels", async () => {
  await opened("copies.csv", `${table("labels", ["x", "y", "x|y", ""])}\n5.png,x\n`);
  await writeNoise(join(root, "5.png"), 8, 1);
  const several = await checkDataset(join(root, "copies.csv"));
  assert.deepEqual(several.classes, [
    { name: "x", images: 3 },
    { name: "y", images: 2 },
  ]);
  assert.match(several.refusals[0] ?? "", /"2\.png" and "5\.png" are the same image with two labels/);
  await opened("range.csv", table("value", ["1", "2", "3", "10"]));
  const { numbers, classes, refusals } = await checkDataset(join(root, "range.csv"));
  assert.deepEqual(numbers, [{ name: "value", smallest: 1, mean: 4, largest: 10 }]);
  assert.deepEqual([classes, refusals], [[], []]);
});

const source = { kind: "bytes", bytes: new Uint8Array() } as const;

test("splits of several labels have each label on every side in its proportion", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e6 }),
      fc.array(fc.subarray(["a", "b", "c"]), { minLength: 30 }),
      (seed, sets) => {
        // Twenty images of a rare label among the others.
        const own = [...sets, ...Array.from({ length: 20 }, () => ["a", "rare"]), ["b"]];
        const images = own.map((label, i) => ({ id: String(i), source, label, where: "" }));
        const dataset = labelledDataset({ name: "sets", origin: "sets", notes: [], images });
        const { train, validation, test } = splitDataset(dataset, { seed });
        const all = [...train, ...validation, ...test].sort((a, b) => a - b);
        assert.deepEqual(all, [...own.keys()]);
        const rare = dataset.classes.indexOf("rare");
        const count = (side: readonly number[]) => side.filter((i) => dataset.items[i]?.targets?.[rare] === 1).length;
        assert.ok(count(train) > 0);
        assert.ok(validation.length > 0 && test.length > 0);
      },
    ),
    { numRuns: 50 },
  );
  const images = Array.from({ length: 100 }, (_, i) => ({
    id: String(i),
    source,
    label: i % 5 === 0 ? ["common", "rare"] : ["common"],
    where: "",
  }));
  const dataset = labelledDataset({ name: "sets", origin: "sets", notes: [], images });
  const split = splitDataset(dataset, { seed: 1 });
  const rare = (side: readonly number[]) => side.filter((i) => i % 5 === 0).length;
  assert.deepEqual([split.train, split.validation, split.test].map(rare), [12, 4, 4]);
});

test("splits of numbers have small and large ones on every side", () => {
  const images = Array.from({ length: 100 }, (_, i) => ({
    id: String(i),
    source,
    label: new Map([["value", (i * 37) % 100]]),
    where: "",
  }));
  const dataset = labelledDataset({ name: "numbers", origin: "numbers", notes: [], images });
  for (const side of ["train", "validation", "test"] as const) {
    const values = splitDataset(dataset, { seed: 3 })[side].map((i) => dataset.items[i]?.targets?.[0] ?? 0);
    const tenths = new Set(values.map((value) => Math.floor(value / 10)));
    assert.equal(tenths.size, 10, side);
  }
  assert.throws(
    () => splitDataset(dataset, { seed: 3, trainPerClass: 2 }),
    /has no classes of which --train-per-class/,
  );
});

/** Files of cells: found again by what they are, whole after a kill, and shared by two writers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CellStore } from "../../../src/compare/cell-store.ts";
import { canonicalText, changesFrom } from "../../../src/compare/identity.ts";
import { refreshFile } from "../../../src/io/index.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { typescript } from "../../support/typescript.ts";

const root = temporaryFolder();
let stores = 0;
const newFolder = () => join(root, `store-${++stores}`);
const linesOf = (path: string) => readFileSync(path, "utf8").split("\n");

test("a cell is one line of its hub's and target's file, found by name and key whatever the order of the key", async () => {
  const folder = newFolder();
  await new CellStore(folder).cell("starter/emoji/s0", { b: 1, a: [{ d: 1, c: 2 }] }, async () => ({ accuracy: 0.5 }));
  const store = new CellStore(folder);
  assert.deepEqual(store.read("starter/emoji/s0", { a: [{ c: 2, d: 1 }], b: 1, none: undefined }), { accuracy: 0.5 });
  assert.equal(store.read("starter/emoji/s1", { a: [{ c: 2, d: 1 }], b: 1 }), undefined);
  assert.equal(store.read("starter/emoji/s0", { a: [{ c: 2, d: 2 }], b: 1 }), undefined);
  const [line = "", ...rest] = linesOf(join(folder, "starter/emoji.jsonl"));
  assert.deepEqual([Object.keys(JSON.parse(line)), rest], [["name", "key", "cell"], [""]]);
});

test("what another process has finished meanwhile is read, not computed", async () => {
  const folder = newFolder();
  const [one, other] = [new CellStore(folder), new CellStore(folder)];
  assert.equal(one.read("hub/target/a", 1), undefined);
  await other.cell("hub/target/a", 1, async () => "theirs");
  assert.equal(await one.cell("hub/target/a", 1, async () => "ours"), "theirs");
});

test("a line that a kill cut is removed when the next cell is added, and costs no other cell", async () => {
  const folder = newFolder();
  const path = join(folder, "hub/target.jsonl");
  const store = new CellStore(folder);
  await store.cell("hub/target/a", 1, async () => "a");
  appendFileSync(path, '{"name":"hub/target/b","key":2,"ce');
  assert.equal(new CellStore(folder).read("hub/target/b", 2), undefined);
  await store.cell("hub/target/c", 3, async () => "c");
  const next = new CellStore(folder);
  assert.deepEqual(
    ["a", "b", "c"].map((name, i) => next.read(`hub/target/${name}`, i + 1)),
    ["a", undefined, "c"],
  );
  assert.equal(linesOf(path).filter(Boolean).length, 2);
});

test("of two cells of one key the first counts, and it is said when more than times differ", () => {
  const folder = newFolder();
  const path = join(folder, "hub/target.jsonl");
  mkdirSync(dirname(path), { recursive: true });
  const line = (name: string, cell: unknown) => `${JSON.stringify({ name: `hub/target/${name}`, key: {}, cell })}\n`;
  const timed = (trainingSeconds: number, time: string) => ({ accuracy: 1, trainingSeconds, made: { time } });
  const lines = [line("same", timed(1, "now")), line("other", { accuracy: 1 }), line("same", timed(2, "later"))];
  writeFileSync(path, [...lines, line("other", { accuracy: 2 })].join(""));
  const said: string[] = [];
  const store = new CellStore(folder, (text) => said.push(text));
  assert.deepEqual(
    [store.read("hub/target/same", {}), store.read("hub/target/other", {})],
    [timed(1, "now"), { accuracy: 1 }],
  );
  assert.equal(said.length, 1);
  assert.match(
    said[0] ?? "",
    /hub\/target\/other was computed twice, with different results: the first one in .* counts/,
  );
});

test("a cell that another process has added meanwhile is dropped, and named when it differs", async () => {
  const folder = newFolder();
  const said: string[] = [];
  const [slow, fast] = [new CellStore(folder, (text) => said.push(text)), new CellStore(folder)];
  const add = (store: CellStore, name: string, cell: object) =>
    store.cell<object>(`hub/target/${name}`, 1, async () => cell);
  const late = (name: string, theirs: object, ours: object) =>
    slow.cell<object>(`hub/target/${name}`, 1, async () => {
      await add(fast, name, theirs);
      return ours;
    });
  assert.deepEqual(await late("same", { loss: 0.5, seconds: 1 }, { loss: 0.5, seconds: 2 }), { loss: 0.5, seconds: 1 });
  assert.deepEqual(said, []);
  assert.deepEqual(await late("other", { loss: 0.5 }, { loss: 0.25 }), { loss: 0.5 });
  assert.equal(said.length, 1);
  assert.equal(linesOf(join(folder, "hub/target.jsonl")).filter(Boolean).length, 2);
  assert.deepEqual(readdirSync(join(folder, "hub")), ["target.jsonl"]);
});

test("cells of an older version are named in one line", () => {
  const folder = newFolder();
  const said: string[] = [];
  new CellStore(folder, (text) => said.push(text)).checkVersions();
  mkdirSync(join(folder, "hub/target"), { recursive: true });
  writeFileSync(join(folder, "hub/target/s0-1234.json"), "{}\n");
  new CellStore(folder, (text) => said.push(text)).checkVersions();
  assert.equal(said.length, 1);
  assert.match(said[0] ?? "", /holds 1 cell of an older version.*not read.*delete them, or name another folder/);
});

test("two processes append to one file at once, and every line is whole", async () => {
  const folder = newFolder();
  const module = pathToFileURL(fileURLToPath(new URL("../../../src/compare/cell-store.ts", import.meta.url))).href;
  const program = `
    const { CellStore } = await import(${JSON.stringify(module)});
    const [folder, mine] = process.argv.slice(1);
    const store = new CellStore(folder);
    for (let i = 0; i < 60; i++) await store.cell("hub/target/" + mine + i, i, async () => mine.repeat(9_000));`;
  const writers = ["x", "y"].map((mine) =>
    spawn(process.execPath, [...typescript, "--input-type=module", "-e", program, folder, mine], {
      stdio: ["ignore", "ignore", "inherit"],
    }),
  );
  const codes = await Promise.all(writers.map(async (writer) => (await once(writer, "exit"))[0] as number));
  assert.deepEqual(codes, [0, 0]);
  const store = new CellStore(folder);
  for (const mine of ["x", "y"]) {
    for (let i = 0; i < 60; i++) assert.equal(store.read(`hub/target/${mine}${i}`, i), mine.repeat(9_000));
  }
  assert.equal(linesOf(join(folder, "hub/target.jsonl")).filter(Boolean).length, 120);
});

test("a key is what differs from the defaults, however they are written", () => {
  assert.deepEqual(changesFrom({ a: 1, b: [1, 2], c: "x" }, { a: 1, b: [1, 2], c: "y", d: undefined, e: 0 }), {
    c: "y",
    e: 0,
  });
  assert.equal(canonicalText({ b: { d: 1, c: undefined }, a: null }), '{"a":null,"b":{"d":1}}');
});

test("a file is made and asked for anew before a cell is added, and what is in it stays", () => {
  const path = join(root, "asked.jsonl");
  refreshFile(path);
  assert.equal(readFileSync(path, "utf8"), "");
  writeFileSync(path, "{}\n");
  utimesSync(path, 1, 1);
  refreshFile(path);
  assert.equal(readFileSync(path, "utf8"), "{}\n");
  assert.ok(Date.now() - statSync(path).mtimeMs < 60_000);
});

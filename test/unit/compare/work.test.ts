/** Workers that share an experiment: one at a group, errors that others survive, and what is said of it. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CellStore } from "../../../src/compare/cell-store.ts";
import type { Experiment, ExperimentRequest } from "../../../src/compare/experiment.ts";
import { statusReport } from "../../../src/compare/save-report.ts";
import { cleanWork, work, workStatus } from "../../../src/compare/work.ts";
import { killWorkers } from "../../kills/workers.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const root = temporaryFolder();
let folders = 0;

function requestOf(folder = join(root, String(++folders))): ExperimentRequest & { said: string[] } {
  const said: string[] = [];
  const say = (text: string) => void said.push(text);
  const cells = new CellStore(join(folder, "cells"), say);
  return { seeds: [0], quick: true, final: false, cells, cache: folder, say, said };
}

/** Groups of one cell each, computed by `run`. */
function experimentOf(names: readonly string[], run: (name: string) => Promise<unknown>): Experiment {
  return {
    name: "letters",
    seeds: 1,
    groups: ({ cells }) =>
      names.map((name) => ({
        name,
        cells: () => [[`letters/${name}`, 1]],
        run: async () => void (await cells.cell(`letters/${name}`, 1, () => run(name))),
      })),
    report: async () => ({ title: "", sections: [], data: {} }),
  };
}

const stateOf = async (experiment: Experiment, request: ExperimentRequest) =>
  (await workStatus(experiment, request)).groups.map(({ name, state }) => `${name} ${state}`);

test("workers of one folder take different groups, and nothing is left of their notes", async () => {
  const one = requestOf();
  const other = requestOf(one.cache);
  const computed: string[] = [];
  const experiment = experimentOf(["a", "b", "c", "d"], async (name) => {
    computed.push(name);
    await new Promise((done) => setTimeout(done, 30));
    if (name === "b") assert.ok((await stateOf(experiment, one)).includes("b running"));
    return name;
  });
  await Promise.all([work(experiment, one, 3), work(experiment, other, 3)]);
  assert.deepEqual(computed.sort(), ["a", "b", "c", "d"]);
  const { groups, secondsLeft } = await workStatus(experiment, one);
  assert.deepEqual([groups.filter(({ state }) => state === "done").length, secondsLeft], [4, 0]);
  await cleanWork(experiment, one);
  assert.deepEqual(readdirSync(join(one.cache, "workers")), []);
});

test("tables of some groups leave the notes of a worker that computes others", async () => {
  const one = requestOf();
  const other = requestOf(one.cache);
  const cleaned: string[][] = [];
  const all = experimentOf(["a", "b", "c"], async (name) => {
    if (name !== "c") return name;
    const some = experimentOf(["a", "b"], async (done) => done);
    await cleanWork(some, other);
    cleaned.push(readdirSync(join(one.cache, "workers", "letters")));
    assert.deepEqual(await stateOf(all, other), ["a done", "b done", "c running"]);
    return name;
  });
  await work(all, one);
  assert.equal(cleaned.length, 1);
  assert.ok(
    cleaned[0]?.every((file) => file.startsWith("c-")),
    String(cleaned[0]),
  );
  assert.deepEqual(await stateOf(all, one), ["a done", "b done", "c done"]);
});

test("a group that fails costs the others nothing, is named with its error, and is tried again by the next worker", async () => {
  const request = requestOf();
  let isBroken = true;
  const experiment = experimentOf(["a", "b", "c"], async (name) => {
    if (name === "b" && isBroken) throw new RangeError("no disk");
    return name;
  });
  await assert.rejects(work(experiment, request), /no disk/);
  assert.ok(request.said.includes("b failed: no disk"), request.said.join("\n"));
  const status = await workStatus(experiment, request);
  const failed = status.groups.find(({ state }) => state === "failed");
  assert.deepEqual([failed?.name, failed?.error, failed?.by?.pid], ["b", "no disk", process.pid]);
  const text = statusReport(status);
  assert.match(text, /^b +failed +0 of 1 +process \d+ on \S+ +\S+Z +no disk$/m);
  assert.match(text, /2 of 3 cells done; groups: 2 done, 1 failed; /);
  isBroken = false;
  await work(experiment, request);
  assert.deepEqual(await stateOf(experiment, request), ["a done", "b done", "c done"]);
});

test("what is left takes as long as cells took, shared by the workers that run", async () => {
  const request = requestOf();
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  const experiment = experimentOf(["a", "b", "c"], async (name) => {
    if (name === "b") await promise;
    return name;
  });
  assert.equal((await workStatus(experiment, request)).secondsLeft, null);
  const working = work(experiment, request);
  for (let open = 3; open > 1; ) {
    await new Promise((done) => setTimeout(done, 5));
    open = (await stateOf(experiment, request)).filter((state) => state.endsWith("open")).length;
  }
  const { workers, secondsLeft, groups } = await workStatus(experiment, request);
  assert.deepEqual([workers, groups.map(({ state }) => state)], [1, ["done", "running", "open"]]);
  assert.ok(secondsLeft !== null && secondsLeft > 0 && secondsLeft < 60, String(secondsLeft));
  resolve();
  await working;
});

test("killed workers' cells are computed again, each is there once, and as one process computes it", async () => {
  const { lines, expected, kills } = await killWorkers([join(root, "killed")], { workers: 3, cells: 12, kills: 3 });
  assert.deepEqual(lines, expected);
  assert.equal(lines.length, 12);
  assert.ok(kills > 0);
});

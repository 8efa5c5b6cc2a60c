/** Names of hubs, members and data sets are their authors': whatever they are, all that is written stays in its folder. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { CellStore } from "../../../src/compare/cell-store.ts";
import type { Experiment, ExperimentRequest } from "../../../src/compare/experiment.ts";
import { saveReport } from "../../../src/compare/save-report.ts";
import { addTrained, readManifest } from "../../../src/hub/index.ts";
import { isSafeName } from "../../../src/io/index.ts";
import { createObservationNetwork } from "../../../src/models/index.ts";
import { Generator, ones, UserError } from "../../../src/torch/index.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";

const base = temporaryFolder();
/** Deep enough that every climb of the names below would be seen. */
const root = join(base, "1", "2", "3", "4");
const hub = writeSmallHub(base);
const manifest = JSON.parse(fs.readFileSync(join(hub, "hub.json"), "utf8")) as Record<string, unknown>;

const names = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .array(fc.constantFrom("..", "/", "\\", ".", "a", "\n", "\0", " ", "<b>", "~", "é", "C:"), { maxLength: 9 })
      .map((parts) => parts.join("")),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 150 }) },
);

/** Runs `write` in an empty folder; nothing may appear beside it. */
async function staysInside(write: () => Promise<unknown> | unknown): Promise<void> {
  fs.rmSync(join(base, "1"), { recursive: true, force: true });
  fs.mkdirSync(root, { recursive: true });
  const before = fs.readdirSync(base).sort();
  await write();
  assert.deepEqual(fs.readdirSync(base).sort(), before);
  for (const [folder, only] of [
    ["1", "2"],
    ["1/2", "3"],
    ["1/2/3", "4"],
  ] as const) {
    assert.deepEqual(fs.readdirSync(join(base, folder)), [only]);
  }
  for (const path of fs.readdirSync(root, { recursive: true }) as string[]) {
    for (const part of path.split("/")) assert.match(part, /^[\w-][\w.-]*$/, path);
  }
}

const trials = { numRuns: 60 };

test("a hub's name becomes a safe one when it is read", () => {
  fc.assert(
    fc.property(names, (name) => {
      fs.writeFileSync(join(hub, "hub.json"), JSON.stringify({ ...manifest, name }));
      assert.ok(isSafeName(readManifest(hub).name));
    }),
    trials,
  );
});

test("cells are found again where they were written, inside their folder", async () => {
  await fc.assert(
    fc.asyncProperty(names, names, (first, second) =>
      staysInside(async () => {
        const cells = new CellStore(join(root, "cells"));
        const name = `${first}/${second}/s0-fine-tune`;
        assert.equal(await cells.cell(name, { seed: 1 }, async () => 5), 5);
        assert.equal(cells.read(name, { seed: 1 }), 5);
        assert.equal(cells.read(name, { seed: 2 }), undefined);
      }),
    ),
    trials,
  );
});

test("reports of experiments on anybody's hub and data lie in their folder", async () => {
  const experiment: Pick<Experiment, "name"> = { name: "mixed-hub" };
  await fc.assert(
    fc.asyncProperty(names, names, (data, hubName) =>
      staysInside(() => {
        const request: ExperimentRequest = {
          ...{ seeds: [0], quick: true, final: false, hub: `hubs/${hubName}`, data },
          ...{ cells: new CellStore(root), cache: root, say: () => {} },
        };
        saveReport(experiment, { title: "x", sections: [], data: {} }, request, root, "command");
      }),
    ),
    trials,
  );
});

test("however long the path of the data is, each kind of page has a file of its own", () => {
  const data = "a-long-way/".repeat(20);
  const stems = [true, false].flatMap((frozen) =>
    [true, false].map((final) => {
      const request: ExperimentRequest = {
        ...{ seeds: [0], quick: true, frozen, final, data, cells: new CellStore(root), cache: root, say: () => {} },
      };
      const { markdown } = saveReport({ name: "x" }, { title: "x", sections: [], data: {} }, request, root, "command");
      return markdown.replace(/^.*a-long-way(?=-frozen|-validation|-quick)/, "");
    }),
  );
  assert.deepEqual(stems, ["-frozen-quick.md", "-frozen-validation-quick.md", "-quick.md", "-validation-quick.md"]);
});

test("a member joins under a safe name or not at all", async () => {
  const about = {
    ...{ architecture: "mlp", config: { channels: 1, hidden: [2] }, featureWidth: 2, licence: "x", source: "x" },
    input: { kind: "observation" as const, environment: "x", shape: [1, 1, 1] as [1, 1, 1], channels: ["a"] },
    policy: { actions: ["noop"], outputs: "action-values" as const },
    pretraining: { data: "x", paradigm: "ppo" },
  };
  using generator = new Generator(0);
  using network = createObservationNetwork("mlp", about.config, { generator });
  const weights = Array.from(network.stateDict(), ([key, value]) => [`network.${key}`, value] as const);
  using weight = ones([1, 2]);
  using bias = ones([1]);
  const tensors = new Map([...weights, ["head.weight", weight], ["head.bias", bias]]);
  await fc.assert(
    fc.asyncProperty(names, (name) =>
      staysInside(async () => {
        const add = () => addTrained(join(root, "hub"), name, { tensors, about });
        if (isSafeName(name)) assert.equal((await add()).entry.name, name);
        else await assert.rejects(add, (error: unknown) => error instanceof UserError && /call it/.test(error.message));
      }),
    ),
    trials,
  );
});

import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import {
  CellStore,
  comparisonGroups,
  type ExperimentRequest,
  type MethodCell,
  plan,
} from "../../../src/compare/index.ts";
import { photographs } from "../../../src/experiments/photographs.ts";
import { memory } from "../../../src/torch/index.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";

let folder: string;
let hub: string;
let data: string;

before(async () => {
  folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = join(folder, "cache");
  hub = writeSmallHub(folder);
  data = await writeShapeImages(folder, 14);
});

function requestOf(name: string, changes: Partial<ExperimentRequest> = {}): ExperimentRequest {
  const cells = new CellStore(join(folder, name, "cells"));
  const own = { hub, data, cells, cache: join(folder, name, "cache"), say: () => {} };
  return { seeds: [0], quick: true, final: false, ...own, ...changes };
}

test("members are trained by changes of low rank, or stay as they are", async () => {
  const before = memory().handles;
  for (const frozen of [false, true]) {
    const request = requestOf(`run-${frozen}`, { frozen, only: ["one gate"] });
    const [group] = photographs.groups(request);
    await group?.run();
    const [id] = (await group?.cells()) ?? [];
    const cell = id && request.cells.read<MethodCell>(...id);
    assert.equal(cell?.protocol.options.tune, frozen ? undefined : "lora:8");
    assert.equal(cell?.protocol.options.frozenViews, frozen ? 2 : undefined);
    const { sections } = await photographs.report(request);
    const about = sections[0]?.text?.join(" ") ?? "";
    assert.equal(about.includes("lora:8"), !frozen);
    const advice = sections.find(({ command }) => command)?.command ?? "";
    assert.equal(advice.includes("--tune lora:8"), !frozen);
  }
  assert.equal(memory().handles - before, 0, "live tensors");
});

test("a comparison trains some members of its hub, and has all that stay as they are", async () => {
  const plans = ({ members }: { members: readonly string[] }) =>
    members.map((member) => plan(member, "fine-tune", "equal epochs", 1, { choices: { member } }));
  const members = (frozen: boolean) => (frozen ? undefined : ["other-resnet", "small-resnet"]);
  const comparison = { title: "", question: "", hub, members, plans, ours: [] };
  const count = async (changes: Partial<ExperimentRequest>) =>
    (await comparisonGroups(comparison, requestOf("groups", changes))[0]?.cells())?.length;
  const ownHub = { hub: undefined };
  const counts = await Promise.all([count(ownHub), count({ ...ownHub, frozen: true }), count({})]);
  assert.deepEqual(counts, [2, 3, 3], "another hub has all its members");
});

/** One network in the files that PyTorch, timm and safetensors write of it (make-wrappers.py): each gives PyTorch's features. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type AddedMember, addMember, loadMembers, openHub } from "../../../src/hub/index.ts";
import { inferenceMode, memory, scope, UserError } from "../../../src/torch/index.ts";
import { seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";
import { temporaryFolder } from "../../support/small-hub.ts";
import { unpackedFixtures } from "../../support/unpacked.ts";

const files = unpackedFixtures("wrappers");
const folder = temporaryFolder();
const expected = JSON.parse(fs.readFileSync(join(files, "features.json"), "utf8")) as Record<
  "last" | "average",
  number[]
>;
let count = 0;

/** Adds a file to a hub of its own and compares the member's features. */
async function added(file: string, features: number[], under?: string): Promise<AddedMember> {
  const hub = join(folder, `hub-${++count}`);
  const { handles } = memory();
  const done = await addMember({ hub, name: "added", source: join(files, file), wishes: { under } });
  const [member] = loadMembers(openHub(hub));
  assert.ok(member);
  scope(() =>
    inferenceMode(() =>
      assertClose(member.backbone.eval().forward(seeded("image", [1, 3, 32, 32], "float32")), features, 1e-4, file),
    ),
  );
  member.dispose();
  assert.equal(memory().handles, handles);
  return done;
}

test("DataParallel, torch.compile and Lightning: their beginnings of names are taken off", async () => {
  for (const [file, prefix] of [
    ["data-parallel.pth", "module."],
    ["compiled.pth", "_orig_mod."],
    ["compiled-parallel.pth", "_orig_mod.module."],
    ["lightning.ckpt", "model."],
  ] as const) {
    const { entry } = await added(file, expected.last);
    assert.equal(entry.keyMap.prefix, prefix);
    assert.equal(entry.classifier, `${prefix}fc`);
  }
});

test("of last weights and their moving average the average is taken, and said; --under takes the others", async () => {
  for (const [file, average, last] of [
    ["timm-average.pth.tar", "state_dict_ema", "state_dict"],
    ["torchvision-average.pth", "model_ema", "model"],
    ["average.ckpt", "ema_state_dict", "state_dict"],
  ] as const) {
    const { notes } = await added(file, expected.average);
    assert.ok(
      notes.includes(`took the moving average "${average}" (else --under ${last})`),
      `${file}: ${notes.join("; ")}`,
    );
    await added(file, expected.last, last);
  }
  await assert.rejects(added("average.ckpt", expected.last, "model"), UserError);
});

test("float16, bfloat16, shared and sharded tensors are read", async () => {
  for (const file of ["float16.safetensors", "bfloat16.safetensors", "shared.safetensors"]) {
    await added(file, expected.last);
  }
  await added("shards/model.safetensors.index.json", expected.last);
});

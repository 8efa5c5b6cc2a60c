/** Images of a run are found by content: none that it was trained on is scored. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../../../src/torch/index.ts";
import { matchSplit, type RunSplit, runSplit, type SplitName } from "../../../src/train/index.ts";
import { readSplit, saveSplit } from "../../../src/train/run-split.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

const hash = (n: number) => `${n.toString(16)}f`.padEnd(64, "0");
const hashes = [0, 1, 2, 3, 4, 5].map(hash);
const ids = hashes.map((_, i) => `set/class/${i}.png`);
const parts: Record<SplitName, number[]> = { train: [0, 1, 2], validation: [3], test: [4, 5] };
const recorded = runSplit((split) => parts[split], hashes, ids);

test("images are found whatever their names and order", () => {
  const order = [5, 3, 1, 4, 0, 2];
  const match = matchSplit(
    recorded,
    "test",
    order.map((i) => hashes[i]),
    order.map((i) => `elsewhere/${i}.png`),
  );
  assert.deepEqual(match, { indices: [0, 3], missing: 0, changed: 0, unknown: [] });
});

test("missing, changed and new images are told apart", () => {
  const now = [hash(0), hash(1), hash(2), hash(3), hash(77), hash(88)];
  const names = [...ids.slice(0, 5), "set/class/new.png"];
  const match = matchSplit(recorded, "test", now, names);
  assert.deepEqual(match, { indices: [], missing: 1, changed: 1, unknown: [5] });
});

test("an image that trained is no test image, whatever the record or its copies say", () => {
  const twice: RunSplit = runSplit(
    (split) => ({ train: [0], validation: [1], test: [0, 1, 2] })[split],
    hashes.slice(0, 3),
    ids,
  );
  assert.deepEqual(matchSplit(twice, "test", hashes.slice(0, 3), ids).indices, [2]);
  const images = fc.array(fc.nat({ max: 12 }), { maxLength: 30 });
  fc.assert(
    fc.property(images, images, images, images, (train, validation, tested, now) => {
      const all = [...train, ...validation, ...tested];
      const places = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
      const record = runSplit(
        (split) =>
          ({
            train: places(0, train.length),
            validation: places(train.length, validation.length),
            test: places(train.length + validation.length, tested.length),
          })[split],
        all.map(hash),
        all.map(String),
      );
      const { indices } = matchSplit(record, "test", now.map(hash), now.map(String));
      for (const index of indices) {
        const content = now[index] as number;
        assert.ok(tested.includes(content) && !train.includes(content) && !validation.includes(content));
      }
      const wanted = now.filter((own) => tested.includes(own) && !train.includes(own) && !validation.includes(own));
      assert.equal(indices.length, wanted.length);
    }),
  );
});

test("the record is read as it was written, and anything else is refused", () => {
  const path = join(temporaryFolder(), "split.json");
  saveSplit(path, recorded);
  assert.deepEqual(readSplit(path), recorded);
  saveSplit(path, { train: [], validation: [], test: [] });
  assert.deepEqual(readSplit(path), { train: [], validation: [], test: [] });
  saveSplit(path, { train: [["no hash", "x"]], validation: [], test: [] });
  assert.throws(() => readSplit(path), UserError);
});

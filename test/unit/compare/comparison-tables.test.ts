/** Tables of differences: what each row says, and which of its figures are marked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { packBits } from "../../../src/compare/bits.ts";
import { differenceSection, type TargetCells } from "../../../src/compare/comparison-tables.ts";
import type { MethodCell } from "../../../src/compare/method-cell.ts";
import { plan } from "../../../src/compare/plans.ts";

const items = 200;

/** Cells of seeds 0, 1, … that are right on so many items. */
function line(name: string, rights: readonly number[]): TargetCells["plans"][number] {
  const cells = rights.map((count, seed) => {
    const right = packBits(Array.from({ length: items }, (_, i) => i < count));
    return { seed, validation: { items, right } } as unknown as MethodCell;
  });
  return { plan: plan(name, "fine-tune", "equal epochs", 1), cells };
}

test("a difference is marked where it stands after Holm's correction for all rivals, and has five seeds", () => {
  const ours = [100, 101, 99, 102, 98];
  const minus = (differences: readonly number[]) => differences.map((own, seed) => (ours[seed] ?? 0) - own);
  const plans = [
    line("ours", ours),
    // p of scipy.stats.ttest_1samp: 0.0000023, three times 0.036, and 0.00083 of three seeds.
    line("clear", minus([20, 21, 20, 22, 19])),
    line("alone it would stand", minus([6, 1, 9, 2, 10])),
    line("hardly", minus([1, 6, 9, 2, 10])),
    line("below", minus([-1, -6, -9, -2, -10])),
    line("three seeds", minus([20, 21, 19])),
  ];
  const targets = [{ target: "images", plans }];
  const { table, remarks } = differenceSection("ours", targets, (name) => name !== "ours", "validation");
  const rows = new Map(table?.rows.map(([name, ...rest]) => [name, rest]));
  const marked = [...rows].filter(([, [, figure]]) => figure?.endsWith("†")).map(([name]) => name);
  assert.deepEqual(marked, ["clear"]);
  assert.deepEqual(
    [...rows.values()].map(([seeds]) => seeds),
    ["5", "5", "5", "5", "3"],
  );
  // scipy.stats.t.interval of 0.03, 0.005, 0.045, 0.01 and 0.05.
  assert.match(rows.get("alone it would stand")?.[1] ?? "", /^\+2\.8 \(.*; t \+0\.3 to \+5\.3\)$/);
  assert.equal(rows.get("clear")?.[1], rows.get("clear")?.[2], "one target is its own mean");
  assert.match(remarks?.join(" ") ?? "", /Holm/);
});

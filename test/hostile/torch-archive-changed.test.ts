/** Sound .pth files that were cut or changed: read properly, or refused. */
// Long: archives are changed at every place.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { op, torchZip } from "../support/archive-writer.ts";
import { fixture, open, written } from "../support/hostile-archive.ts";
import { outcome } from "../support/refusal.ts";

const { call, dict, global, int, tensor, text } = op;

test("a file that is cut anywhere is refused", async () => {
  for (const name of ["types.pth", "views.pth", "types-legacy.pth", "checkpoint-legacy.pth"]) {
    const good = fixture(name);
    for (let length = 0; length < good.length; length += 1 + (good.length >> 6)) {
      assert.ok(await outcome(open, written(good.subarray(0, length))), `${name}, ${length} bytes`);
    }
  }
});

/** Mutates a file of which every byte counts. */
async function assertSurvives(good: Buffer, runs: number, wrap: (bytes: Buffer) => Buffer): Promise<void> {
  const extremes = fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0xfe, ...Buffer.from("(.0u}]RQbtcqjh"));
  const change = fc.tuple(fc.nat(good.length - 1), fc.oneof(fc.nat(255), extremes));
  const changes = fc.array(change, { minLength: 1, maxLength: 5 });
  const splice = fc.tuple(fc.nat(good.length), fc.nat(12), fc.uint8Array({ maxLength: 12 }));
  await fc.assert(
    fc.asyncProperty(changes, fc.option(splice), async (edits, cut) => {
      let bytes: Buffer = Buffer.from(good);
      for (const [at, byte] of edits) bytes[at] = byte;
      if (cut) bytes = Buffer.concat([bytes.subarray(0, cut[0]), cut[2], bytes.subarray(cut[0] + cut[1])]);
      await outcome(open, written(wrap(bytes)));
    }),
    { numRuns: runs, seed: 20250101 },
  );
}

test("archives with changed bytes are read properly or refused", () =>
  assertSurvives(fixture("unchecked.pth"), 150, (b) => b));
test("old files with changed bytes are read properly or refused", () =>
  assertSurvives(fixture("views-legacy.pth"), 150, (b) => b));
test("pickles with changed bytes are read properly or refused", () => {
  const made = call("numpy._core.multiarray", "_reconstruct", global("numpy", "ndarray"), op.ints([0]), text("b"));
  const no = Buffer.from([0x89]);
  const dtype = call("numpy", "dtype", text("f4"), no, Buffer.from([0x88]));
  const array = op.join(made, op.tuple(int(1), op.ints([1]), dtype, no, text("abcd")), "b");
  const content = op.pickle(
    dict({
      a: tensor([2, 2], [1, 2]),
      b: op.ints([1, 2]),
      c: call("collections", "OrderedDict"),
      d: array,
    }),
  );
  return assertSurvives(content, 300, (bytes) => torchZip(bytes));
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { median, peakMiB, ratioFigure } from "../../../bench/figure.ts";
import { typescript } from "../../support/typescript.ts";

test("a goal can be missed, and a figure without one is only reported", () => {
  const sides = [
    { what: "s", value: 3 },
    { what: "s", value: 2 },
  ] as const;
  const [met, missed, reported] = [1.5, 1.4, undefined].map((largest) => ratioFigure("step", ...sides, largest));
  assert.deepEqual([met?.met, missed?.met, reported?.met], [true, false, true]);
  assert.deepEqual([met?.ratio, missed?.goal, reported?.goal], [1.5, "ratio at most 1.4", "reported"]);
  assert.equal(median([5, 1, 3]), 3);
});

test("a child's peak memory is its own: its parent's does not count, and what the child takes does", () => {
  const held = Buffer.alloc(300 << 20, 1);
  const figure = JSON.stringify(new URL("../../../bench/figure.ts", import.meta.url).href);
  const peakOfChild = (taken: number): number => {
    const script = `const { peakMiB } = await import(${figure}); const taken = Buffer.alloc(${taken} << 20, 1);
      console.log(peakMiB(), taken.length > 0);`;
    const args = [...typescript, "--input-type=module", "-e", script];
    return Number(execFileSync(process.execPath, args, { encoding: "utf8" }).split(" ")[0]);
  };
  const [small, large] = [peakOfChild(1), peakOfChild(200)];
  assert.ok(peakMiB() > 300 && held.length > 0);
  assert.ok(small < 250, `${small} MiB of a process that holds next to nothing`);
  assert.ok(large > small + 150, `${large} MiB with 200 MiB taken, ${small} MiB without`);
});

/** A worker of a small experiment: forty cells, two of each group, for test/kills/workers.ts. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type CellId, CellStore } from "../../src/compare/cell-store.ts";
import type { Experiment, ExperimentRequest } from "../../src/compare/experiment.ts";
import { work } from "../../src/compare/work.ts";

/** Milliseconds that a cell takes. */
const cellMs = 150;

const cellOf = (i: number): CellId => [`small/target-${i % 3}/cell-${i}`, { cell: i }];

/** Hashes of hashes, so long that a line of them is more than a page of memory or a network packet. */
async function computed(i: number): Promise<object> {
  const began = performance.now();
  const hashes = [String(i)];
  while (hashes.length < 400) {
    hashes.push(
      createHash("sha256")
        .update(hashes.at(-1) ?? "")
        .digest("hex"),
    );
  }
  await setTimeout(cellMs);
  return { hashes, seconds: performance.now() - began };
}

export function smallExperiment(cells: number): Experiment {
  return {
    name: "small",
    seeds: 1,
    selfContained: true,
    groups: ({ cells: store }) =>
      Array.from({ length: cells / 2 }, (_, group) => {
        const own = [2 * group, 2 * group + 1];
        return {
          name: `group ${group}`,
          cells: () => own.map(cellOf),
          async run() {
            for (const i of own) await store.cell(...cellOf(i), () => computed(i));
          },
        };
      }),
    report: async () => ({ title: "small", sections: [], data: {} }),
  };
}

export function smallRequest(folder: string, say: (text: string) => void): ExperimentRequest {
  const cells = new CellStore(join(folder, "cells"), say);
  return { seeds: [0], quick: true, final: false, cells, cache: join(folder, "cache"), say };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = "", cells = "", expiry = ""] = process.argv.slice(2);
  const say = (text: string) => console.log(text);
  await work(smallExperiment(Number(cells)), smallRequest(folder, say), Number(expiry));
}

/** Whole runs on a small hub, alone or as one of several ranks. */
import { join } from "node:path";
import { findMethod } from "../../src/methods/index.ts";
import type { ProcessGroup } from "../../src/torch/index.ts";
import { type TrainRequest, trainOnRank, trainRun } from "../../src/train/index.ts";
import { type TestPlace, trainRequest } from "./train-request.ts";

/** What a run has several ranks do together, and its method. */
export const runKinds = {
  statistics: { choices: { k: 2, generatorWidth: 4 } },
  memory: { choices: { k: 2, generatorWidth: 4 }, hubMemory: 1000 },
  features: { choices: { k: 2, generatorWidth: 4, credit: "losses" }, frozenViews: 2 },
  bss: { method: "bss", choices: { member: "third", eta: 0.1 } },
  zoo: { method: "zoo-tuning-lite", choices: {} },
} as const satisfies Record<string, { method?: string; choices: TrainRequest["choices"]; [more: string]: unknown }>;

export type RunKind = keyof typeof runKinds;

export interface RunsSetup extends TestPlace {
  cache: string;
  kinds: readonly RunKind[];
}

/** Trains one run after the other; the folder of each is named after its kind and the number of ranks. */
export async function trainKinds({ cache, kinds, ...place }: RunsSetup, group?: ProcessGroup): Promise<void> {
  const before = process.env["HUB_PATHWAY_CACHE"];
  process.env["HUB_PATHWAY_CACHE"] = cache;
  try {
    for (const kind of kinds) {
      const {
        method = "hub-pathway",
        choices,
        hubMemory,
        frozenViews,
      }: { method?: string; choices: TrainRequest["choices"]; hubMemory?: number; frozenViews?: number } = runKinds[
        kind
      ];
      const out =
        group && group.rank > 0 ? join(place.folder, `rank-${group.rank}`, kind) : folderOf(place, kind, group);
      const usual = trainRequest(place, "run");
      // AdamW makes steps of a gradient that is zero but for rounding.
      const options = { ...usual.options, epochs: 1, optimizer: "sgd", lr: 0.02, frozenViews } as const;
      const request = { ...usual, method: findMethod(method), choices, options, hubMemory, group, out };
      if (group && group.rank > 0) await trainOnRank(request);
      else {
        const { predictor, data, hub } = await trainRun(request);
        predictor.dispose();
        data.dispose();
        hub.residency?.dispose();
      }
    }
  } finally {
    if (before !== undefined) process.env["HUB_PATHWAY_CACHE"] = before;
  }
}

export const folderOf = ({ folder }: TestPlace, kind: RunKind, group?: Pick<ProcessGroup, "worldSize">): string =>
  join(folder, `${kind}-${group?.worldSize ?? 1}`);

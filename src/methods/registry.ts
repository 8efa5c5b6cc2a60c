/** All methods by name. */
import { ConfigError } from "../torch/index.ts";
import type { Method } from "../train/index.ts";
import { bTuning } from "./b-tuning.ts";
import { bestByRanking } from "./best-by-ranking.ts";
import { bss } from "./bss.ts";
import { coTuning } from "./co-tuning.ts";
import { delta } from "./delta.ts";
import { distillation } from "./distillation.ts";
import { ensemble, staticK } from "./ensemble.ts";
import { fineTuneMethod } from "./fine-tune.ts";
import { fromScratch } from "./from-scratch.ts";
import { greedyEnsemble } from "./greedy-ensemble.ts";
import { dense, globalGate, hubPathway, randomMembers, randomRouting } from "./hub-pathway.ts";
import { knowledgeFlow } from "./knowledge-flow.ts";
import { l2Sp } from "./l2-sp.ts";
import { linearProbe } from "./linear-probe.ts";
import { soup } from "./soup.ts";
import { zooTuning, zooTuningLite } from "./zoo-tuning.ts";

export const methods: readonly Method[] = [
  hubPathway,
  fineTuneMethod,
  fromScratch,
  linearProbe,
  bestByRanking,
  ensemble,
  greedyEnsemble,
  staticK,
  distillation,
  knowledgeFlow,
  zooTuning,
  zooTuningLite,
  bTuning,
  soup,
  l2Sp,
  delta,
  bss,
  coTuning,
  randomRouting,
  globalGate,
  dense,
  randomMembers,
];

/** @throws ConfigError for a name that is not listed. */
export function findMethod(name: string): Method {
  const method = methods.find((candidate) => candidate.name === name);
  if (method) return method;
  throw new ConfigError(`no method "${name}"; there are: ${methods.map((candidate) => candidate.name).join(", ")}`);
}

/**
 * The project's experiments, each a file or a folder of its own: what is compared, and the tables of it. A file exports one
 * `Experiment`; most are comparisons by src/compare, some have cells and tables of their own (synthetic/, routing/, rl/).
 * They may import src/compare and all that it may; only the command line imports them.
 *
 * To add one, write its file and add its entry here. This page loads nothing before an experiment runs, so help is quick.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Experiment } from "../compare/index.ts";

export interface ExperimentEntry {
  /** One line for help. */
  summary: string;
  /** The hubs that it needs beside the starter hub, where no other is named; packages have none of them. */
  hubs?: readonly string[];
  /** The command that makes those hubs, where no checkout has them. */
  made?: string;
  load(): Promise<Experiment>;
}

export const experiments: Readonly<Record<string, ExperimentEntry>> = {
  "same-architecture": {
    summary: "every method on five networks of one architecture, Zoo-Tuning among them",
    hubs: ["hubs/same-architecture"],
    load: async () => (await import("./same-architecture.ts")).sameArchitecture,
  },
  "mixed-hub": {
    summary: "every method on a hub of several architectures (or on --hub, with --data)",
    load: async () => (await import("./mixed-hub.ts")).mixedHub,
  },
  photographs: {
    summary: "photographs at 224 px on published networks: heads (--freeze-members), and low-rank changes",
    hubs: ["hubs/javascript"],
    made: "npm run javascript-hub",
    load: async () => (await import("./photographs.ts")).photographs,
  },
  cost: {
    summary: "accuracy against FLOPs, parameters, training and measured seconds; run mixed-hub first",
    load: async () => (await import("./cost.ts")).cost,
  },
  ablation: {
    summary: "Hub-Pathway with one part or choice changed at a time",
    load: async () => (await import("./ablation.ts")).ablation,
  },
  "rival-weights": {
    summary: "values of the rivals' own weights, to choose on validation data",
    load: async () => (await import("./rival-weights.ts")).rivalWeights,
  },
  ranking: {
    summary: "do transferability scores predict the accuracy of fine-tuned members?",
    hubs: ["hubs/same-architecture"],
    load: async () => (await import("./ranking.ts")).ranking,
  },
  "label-budget": {
    summary: "the main methods with 10, 30, 100 and 300 labels a class",
    load: async () => (await import("./label-budget.ts")).labelBudget,
  },
  router: {
    summary: "synthetic hubs whose best routes are known: regret, specialisation and collapse of the generator",
    load: async () => (await import("./synthetic/experiment.ts")).router,
  },
  credit: {
    summary: "what the generator learns from, on synthetic hubs whose best routes are known",
    load: async () => (await import("./synthetic/experiment.ts")).credit,
  },
  budget: {
    summary: "accuracy within a budget of FLOPs: routes with a price, fixed members, cascades, dynamic selection",
    hubs: ["hubs/specialists"],
    load: async () => (await import("./budget/budget.ts")).budget,
  },
  diversity: {
    summary: "a map of where routes by input pay, predicted before it is trained",
    hubs: ["hubs/scripts", "hubs/specialists"],
    load: async () => (await import("./diversity/diversity.ts")).diversity,
  },
  routing: {
    summary: "what routes that depend on the input can win, and what they do win",
    hubs: ["hubs/specialists"],
    load: async () => (await import("./routing/routing.ts")).routing,
  },
  paper: {
    summary: "five ResNet-50 on seven published data sets, for those who have them; says what is missing",
    load: async () => (await import("./paper/paper.ts")).paper,
  },
  "rl-transfer": {
    summary: "Hub-Pathway over agents of three games, against scratch, fine-tuning and distillation in two others",
    load: async () => (await import("./rl/transfer.ts")).rlTransfer,
  },
  "rl-mix": {
    summary: "one policy for a mix of three games: Hub-Pathway over their agents, against one gate and the best agent",
    load: async () => (await import("./rl/mix.ts")).rlMix,
  },
  "rl-games": {
    summary: "what PPO and DQN reach alone in CartPole and the MinAtar games",
    load: async () => (await import("./rl/games.ts")).rlGames,
  },
};

/** The hubs of an experiment that are not here. */
export function missingHubs({ hubs = [] }: ExperimentEntry): string[] {
  return hubs.filter((hub) => !existsSync(fileURLToPath(new URL(`../../${hub}/hub.json`, import.meta.url))));
}

/** Hub-Pathway, and the same with random routes. */
import { loadMembers } from "../hub/index.ts";
import type { PathwayConfig } from "../pathway/index.ts";
import type { Method, MethodContext, Predictor } from "../train/index.ts";
import { PathwayLearner } from "./pathway-learner.ts";

async function trainPathway(context: MethodContext, random: boolean): Promise<Predictor> {
  const learner = new PathwayLearner({
    members: loadMembers(context.hub),
    task: context.task,
    config: context.choices as Partial<PathwayConfig>,
    seed: context.options.seed,
    imageSize: context.data.imageSize,
    randomRoutes: random,
  });
  await context.fit("hub-pathway", learner);
  return learner;
}

export const hubPathway: Method = {
  name: "hub-pathway",
  summary: "data-dependent pathways through the hub: k models for each input (the paper's method)",
  train: (context) => trainPathway(context, false),
};

export const randomRouting: Method = {
  name: "random-routing",
  summary: "control: the same with k random models for each input",
  train: (context) => trainPathway(context, true),
};

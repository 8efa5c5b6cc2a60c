/** Predictors put together again from what runs keep of them. */

import { Module } from "../nn/index.ts";
import type { PathwayMember } from "../pathway/index.ts";
import { resolvePathwayConfig } from "../pathway/index.ts";
import { type Tensor, UserError } from "../torch/index.ts";
import {
  type KeptSource,
  type Learner,
  loadLayers,
  type Predictor,
  type PredictorPlan,
  part,
  type SinglePlan,
  type Task,
} from "../train/index.ts";
import { refuseRetired } from "./choices.ts";
import { EnsemblePredictor } from "./ensemble-predictor.ts";
import { MemberLearner } from "./member-learner.ts";
import { PathwayLearner } from "./pathway-learner.ts";
import { ZooLearner } from "./zoo-tuning.ts";

/**
 * The predictor of a source, in evaluation mode.
 * @param imageSize side of the images it will see, pixels
 * @throws UserError when the layers do not fit; the source releases the members
 */
export function restorePredictor(source: KeptSource, imageSize: number): Predictor {
  const { plan } = source;
  if (plan.kind !== "ensemble") return restoreSingle(plan, source, source.layers, imageSize);
  const parts: Predictor[] = [];
  try {
    for (const [i, single] of plan.parts.entries()) {
      parts.push(restoreSingle(single, source, part(source.layers, `${i}.`), imageSize));
    }
    const ensemble = new EnsemblePredictor(parts, plan.weights);
    ensemble.eval();
    return ensemble;
  } catch (error) {
    for (const part of parts) part.dispose();
    throw error;
  }
}

function restoreSingle(
  plan: SinglePlan,
  source: KeptSource,
  layers: KeptSource["layers"],
  imageSize: number,
): Predictor {
  const { device } = source;
  const learner = learnerOf(plan, source, imageSize);
  try {
    if (plan.kind !== "zoo" && plan.standardized) learner.standardizers?.();
    if (device !== undefined) learner.module.to({ device });
    loadLayers(learner.module, membersOf(learner), layers);
    learner.eval();
    return learner;
  } catch (error) {
    learner.dispose();
    throw error;
  }
}

function learnerOf(plan: SinglePlan, source: KeptSource, imageSize: number): Learner {
  const { task } = source;
  if (plan.kind === "member") return new MemberLearner(source.member(plan.member), task, 0);
  if (plan.kind === "zoo") return new ZooLearner(plan.members.map(source.member), task, 0, false);
  return restorePathway(plan, source, task, imageSize);
}

function restorePathway(
  plan: Extract<PredictorPlan, { kind: "pathway" }>,
  source: KeptSource,
  task: Task,
  imageSize: number,
): PathwayLearner {
  // Before there is anything to release.
  refuseRetired(plan.config);
  const choices = plan.randomRoutes ? { ...plan.config, generatorKind: "random" as const } : plan.config;
  const config = resolvePathwayConfig(choices, plan.members.length);
  const kept = plan.members.filter((member) => member.kept).length;
  if (kept < config.k) throw new UserError(`k is ${config.k}, and it keeps ${kept} models`);
  const members = plan.members.map(({ name, featureWidth, kept }) =>
    kept ? source.member(name) : new AbsentMember(name, featureWidth),
  );
  const present = plan.members.flatMap(({ kept }, i) => (kept ? [i] : []));
  const { seed, budgets } = plan;
  return new PathwayLearner({ members, present, task, config, seed, imageSize, budgets, device: source.device });
}

/** Backbones of all members: the parts that have their weights already. */
function membersOf(learner: Learner): Module[] {
  return [...learner.module.children()].flatMap(([name, child]) =>
    name === "backbone" || name.startsWith("members.") ? [child] : [],
  );
}

/** A member that a run never activates: it has a place and a head, but no network. */
class AbsentMember implements PathwayMember {
  readonly name: string;
  readonly featureWidth: number;
  readonly backbone = new NoNetwork();
  readonly flops = 0;

  constructor(name: string, featureWidth: number) {
    this.name = name;
    this.featureWidth = featureWidth;
  }

  features(): Tensor {
    throw new RangeError(`the member "${this.name}" is not kept: it must not be activated`);
  }
}

class NoNetwork extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}

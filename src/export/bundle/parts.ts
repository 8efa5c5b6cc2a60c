/** A trained predictor taken apart into what a bundle has files for. */
import type { HubMember } from "../../hub/index.ts";
import { EnsemblePredictor, MemberLearner, PathwayLearner, ZooLearner } from "../../methods/index.ts";
import type { PathwayGenerator } from "../../pathway/index.ts";
import type { BudgetChoice, Bundle } from "../../runtime/index.ts";
import { UserError } from "../../torch/index.ts";
import type { Predictor } from "../../train/index.ts";
import type { MemberHead } from "../parts.ts";

export interface BundleMember {
  readonly member: HubMember;
  readonly layers: MemberHead;
  /** Place among the router's scores. */
  readonly index: number;
  /** Of one image, with the head. */
  readonly flops: number;
}

export interface BundleParts extends Pick<Bundle, "k" | "weights" | "aggregation" | "shares" | "confidence" | "price"> {
  readonly router: { readonly network: PathwayGenerator; readonly flops: number } | undefined;
  readonly scores: number;
  readonly members: readonly BundleMember[];
  /** Choices for budgets, from the cheapest to the most accurate. */
  readonly budgets: readonly BudgetChoice[];
}

/** @throws UserError for a predictor that no bundle can hold */
export function partsOf(predictor: Predictor, run: string): BundleParts {
  if (predictor instanceof PathwayLearner) return pathwayParts(predictor, run);
  if (predictor instanceof MemberLearner) return singleParts(predictor);
  if (predictor instanceof EnsemblePredictor) return ensembleParts(predictor, run);
  if (predictor instanceof ZooLearner) {
    throw new UserError(
      `${run} cannot be exported: it mixes its models' weights anew for each image, which no file of ONNX can; ` +
        "train with --method zoo-tuning-lite, whose mixture is one model",
    );
  }
  throw new UserError(`${run} cannot be exported: there is no form for what its method ends in`);
}

function ensembleParts({ parts, weights }: EnsemblePredictor, run: string): BundleParts {
  const members = parts.flatMap((part, index): BundleMember[] => {
    if (part instanceof MemberLearner) return [{ ...memberOf(part), index }];
    throw new UserError(`${run} cannot be exported: a part of its ensemble is no single model`);
  });
  const k = members.length;
  return {
    ...{ router: undefined, scores: k, members, k, shares: [...weights] },
    ...{ weights: { trainedK: k, temperature: "equal" }, aggregation: "weighted-probabilities", budgets: [] },
  };
}

function singleParts(learner: MemberLearner): BundleParts {
  const weights = { trainedK: 1, temperature: "equal" } as const;
  const members = [{ ...memberOf(learner), index: 0 }];
  return { router: undefined, scores: 1, members, k: 1, weights, aggregation: "weighted-logits", budgets: [] };
}

function memberOf(learner: MemberLearner): Omit<BundleMember, "index"> {
  const { module } = learner;
  const [member] = learner.keep().members as [HubMember];
  const layers = { head: module.head, standardize: module.isStandardized ? module.standardizer() : undefined };
  return { member, layers, flops: learner.inferenceFlops };
}

function pathwayParts(learner: PathwayLearner, run: string): BundleParts {
  const { module, costs, budgets } = learner;
  const { aggregation } = module.config;
  if (module.isRandom)
    throw new UserError(`${run} cannot be exported: it leaves its routes to chance; train with --method hub-pathway`);
  if (aggregation !== "logits") {
    throw new UserError(
      `${run} cannot be exported: it joins its models by ${aggregation}; train with --aggregation logits`,
    );
  }
  const { plan, members: kept } = learner.keep(new Set());
  const isStandardized = plan.kind === "pathway" && plan.standardized;
  const members = module.members.flatMap(({ name }, index): BundleMember[] => {
    const member = kept.find((own) => own.name === name);
    const head = module.heads[index];
    if (!member || !head) return [];
    const layers = { head, standardize: isStandardized ? module.standardizers()[index] : undefined };
    return [{ member, index, layers, flops: costs.members[index] ?? 0 }];
  });
  const { members: allowed, ...rule } = learner.rule;
  const asked = members.filter(({ index }) => allowed.some((own) => own.index === index));
  const isFixed = learner.named && rule.k >= asked.length && rule.confidence === undefined;
  // The same models with the same weights for every image need no router; who did not name them may still ask for fewer.
  if (isFixed && isEqual(rule)) return fixedParts(asked, rule);
  return {
    router: { network: module.generator, flops: costs.generator },
    scores: module.members.length,
    members: asked,
    ...rule,
    aggregation: "weighted-logits",
    budgets: learner.named ? [] : budgets,
  };
}

/** Weights over k models do not depend on their scores. */
function isEqual({ k, weights: { trainedK, temperature, larger } }: Pick<BundleParts, "k" | "weights">): boolean {
  return k === 1 || (k > trainedK ? (larger ?? temperature) : temperature) === "equal";
}

function fixedParts(members: readonly BundleMember[], { k, weights }: Pick<BundleParts, "k" | "weights">): BundleParts {
  const placed = members.map((member, index) => ({ ...member, index }));
  const shares = k === 1 ? {} : { shares: placed.map(() => 1 / k) };
  return {
    router: undefined,
    scores: k,
    members: placed,
    k,
    weights,
    aggregation: "weighted-logits",
    budgets: [],
    ...shares,
  };
}

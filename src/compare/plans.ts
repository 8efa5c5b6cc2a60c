/** The lines of the main comparisons: Hub-Pathway, its rivals and its controls, each in the budgets that suit it. */
import { findMethod } from "../methods/index.ts";
import type { Plan } from "./protocol.ts";
import { bestMemberLonger, bestPairLonger, onBestMember, successiveHalving } from "./rivals.ts";
import { stacking } from "./stacking.ts";

/** Seeds of the rivals and controls that the claims do not rest on. */
export const tailSeeds = 3;

/** Hub-Pathway as this project uses it: chosen on validation data (docs/results). */
export const ourChoices = { k: 2, beta: 0 };

export const ours = {
  equalEpochs: "Hub-Pathway, equal epochs",
  equalCompute: "Hub-Pathway, equal compute",
} as const;

/** The most literal reading of the abstract (src/pathway/config.ts), with the same k. */
export const literal = "Hub-Pathway, preset paper";
export const literalChoices = { preset: "paper", k: ourChoices.k };

/** The line whose training cost is that of fine-tuning every member once. */
export const allMembers = "ensemble of all";

export interface PlanSize {
  /** Names of the hub's members. */
  members: readonly string[];
  /** E, epochs of one unit. */
  epochs: number;
  /** Members stay as they are. */
  frozen?: boolean;
}

/** Epochs of a method that runs k models for each image, when all m members' fine-tuning is its budget. */
export const computeEpochs = ({ members, epochs }: PlanSize, k: number): number =>
  Math.max(1, Math.round((members.length / k) * epochs));

type Changes = Partial<Omit<Plan, "method">>;

/** A plan of one unit's epochs, unless it says otherwise. */
export function plan(
  name: string,
  method: string,
  budget: Plan["budget"],
  epochs: number,
  changes: Changes = {},
): Plan {
  return { name, method: findMethod(method), budget, epochs, choices: {}, ...changes };
}

/** Plans of the main claims: five to ten seeds. */
export function mainPlans(size: PlanSize): Plan[] {
  const { members, epochs } = size;
  const longer = computeEpochs(size, 1);
  const routed = computeEpochs(size, ourChoices.k);
  return [
    ...members.map((member) => plan(member, "fine-tune", "equal epochs", epochs, { choices: { member } })),
    plan("best member by validation", "fine-tune", "all members", epochs),
    plan("best static pair by validation", "static-k", "all members", epochs, { choices: { k: 2 } }),
    plan(allMembers, "ensemble", "all members", epochs),
    plan("greedy ensemble", "greedy-ensemble", "all members", epochs),
    plan(ours.equalCompute, "hub-pathway", "equal compute", routed, { choices: ourChoices }),
    plan(ours.equalEpochs, "hub-pathway", "equal epochs", epochs, { choices: ourChoices }),
    {
      ...plan("best member, whole compute", "fine-tune", "equal compute", longer),
      method: bestMemberLonger,
      choices: { unit: epochs },
    },
    {
      ...plan("best static pair, whole compute", "static-k", "equal compute", routed),
      method: bestPairLonger,
      choices: { unit: epochs },
    },
    ...[2, 1].map((keep) => ({
      ...plan(`successive halving, ${keep === 2 ? "pair" : "one member"}`, "static-k", "equal compute", epochs),
      method: successiveHalving,
      choices: { unit: epochs, keep },
    })),
    plan("distillation", "distillation", "all members", epochs),
  ];
}

/**
 * Controls where members stay as they are: the teacher that is not the default there, and one member or all of them for every
 * image by the recipe of losses, which begins with heads in closed form.
 */
export function frozenControls(size: PlanSize): Plan[] {
  if (!size.frozen) return [];
  const { k: usual, beta } = ourChoices;
  const controls = [
    { name: "Hub-Pathway, credit by weights", method: "hub-pathway", k: usual, credit: "weights" },
    { name: "one member for all images, same recipe", method: "global-gate", k: 1, credit: "losses" },
    {
      name: "all members for all images, same recipe",
      method: "global-gate",
      k: size.members.length,
      credit: "losses",
    },
  ];
  return controls.map(({ name, method, k, credit }) =>
    plan(name, method, "equal compute", computeEpochs(size, k), { choices: { k, beta, credit } }),
  );
}

/** Further rivals and the controls: fewer seeds, but for one gate and the literal reading, which claims rest on. */
export function tailPlans(size: PlanSize): Plan[] {
  const { members, epochs } = size;
  const routed = computeEpochs(size, ourChoices.k);
  const few = { seeds: tailSeeds };
  const { k, beta } = ourChoices;
  return [
    ...["logme", "h-score", "n-leep"].map((score) =>
      plan(`best by ${score}`, "best-by-ranking", "equal epochs", epochs, { ...few, choices: { score } }),
    ),
    plan("linear probe, best member", "linear-probe", "all members", epochs, few),
    plan("from scratch, first member's architecture", "from-scratch", "equal compute", computeEpochs(size, 1), {
      ...few,
      choices: { member: members[0] },
    }),
    plan("random routes", "random-routing", "equal compute", routed, { ...few, choices: { k, beta } }),
    plan("one gate for all images", "global-gate", "equal compute", routed, { choices: { k, beta } }),
    ...frozenControls(size),
    plan(literal, "hub-pathway", "equal compute", routed, { choices: literalChoices }),
    plan("dense, all models", "dense", "equal compute", epochs, { ...few, choices: { beta } }),
    plan("Hub-Pathway, members of new weights", "random-members", "equal compute", routed, {
      ...few,
      choices: ourChoices,
    }),
    { ...plan("stacking", "ensemble", "several fits", epochs, few), method: stacking, choices: { folds: 2 } },
    plan("B-Tuning", "b-tuning", "equal epochs", epochs, few),
    plan("Knowledge Flow", "knowledge-flow", "equal epochs", epochs, few),
    plan("uniform soup", "soup", "several fits", epochs, { ...few, choices: { recipe: "uniform" } }),
    plan("greedy soup", "soup", "several fits", epochs, { ...few, choices: { recipe: "greedy" } }),
    ...["l2-sp", "delta", "bss"].map((method): Plan => {
      const trained = plan(`${method.toUpperCase()}, best member`, method, "all members", epochs, few);
      return { ...trained, method: onBestMember(trained.method) };
    }),
  ];
}

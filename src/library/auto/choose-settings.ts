/**
 * Settings of a training that fits into a given time, from what the models of a hub are worth on the images and what a step of
 * each takes on this machine.
 */
import { taskOf } from "../../train/index.ts";
import { compared, mostMembers, pairGain, rankingLine } from "./comparison.ts";
import { planned } from "./plan.ts";
import { type AutoChoice, type AutoRequest, activatedOf, epochsFor } from "./request.ts";

/** Part of the time that training may fill: the rest is for evaluation at its end, and for steps that take longer. */
const share = 0.7;
/** Part of the free memory that weights, gradients, the optimizer's state and a step's activations may take. */
const memoryShare = 0.6;

/**
 * Chooses settings. Members are compared, one in memory at a time, by linear heads on their features, and by LogME among equals; several are chosen
 * only where the best pair answers the images, which the heads did not see, better than the best member alone, by more than chance makes likely.
 * @throws UserError for members that cannot be used; Interrupted after the signal
 */
export async function chooseSettings(request: AutoRequest): Promise<AutoChoice> {
  const began = performance.now();
  const left = () => share * (request.seconds - (performance.now() - began) / 1000);
  const task = taskOf(request.data, request.options);
  const { candidates, judge, items, leftOut } = await compared(request, task);
  const shown = candidates.slice(0, mostMembers);
  const reasons = [rankingLine(candidates, task, items)];
  if (leftOut.length > 0)
    reasons.push(`not compared, since that would take more than a third of the time: ${leftOut.join(", ")}`);
  const gain = pairGain(shown, task, judge);
  if (gain) reasons.push(gain.reason);
  const tried = gain?.isReal === true ? shown : shown.slice(0, 1);
  const memory = memoryShare * (request.memory ?? process.availableMemory());
  const plan = await planned({ tried, shown }, task, request, { left, memory });
  reasons.push(...plan.reasons);
  const names = plan.members.map(({ entry }) => entry.name);
  return {
    settings: {
      method: names.length > 1 ? "hub-pathway" : "fine-tune",
      members: names,
      ...(names.length > 1 ? { k: activatedOf(names.length) } : {}),
      ...(plan.tune === "lora" ? { tune: "lora" } : {}),
      ...(plan.tune === "frozen" ? { freezeMembers: true } : {}),
      ...plan.settings,
      epochs: epochsFor(plan.passes, names.length),
      imageSize: Math.max(...plan.members.map(({ entry }) => entry.input.size)),
    },
    reasons,
  };
}

/** Linear heads in closed form by the loss of a task. n items, d features, C outputs. */
import { type RidgeHead, ridgeHead } from "../ranking/index.ts";
import type { Tensor } from "../torch/index.ts";
import type { Targets } from "./data.ts";
import type { Task } from "./task.ts";

/**
 * The ridge head of least task loss on items that are left out.
 * @param features float64 [n, d], on the device of the targets
 * @throws UserError when a feature is not finite
 */
export function taskHead(task: Task, features: Tensor, targets: Targets): RidgeHead {
  const loss = (logits: Tensor): number => task.rowLoss(logits, targets).mean().item();
  return ridgeHead(features, task.linearTargets(targets), loss);
}

/**
 * Several processes that train one model: what their launcher says, the group that they are, and that they have the same
 * settings. Read contract.ts first. Launching is torchrun's, Slurm's or Kubernetes' work.
 * It may import torch.
 */
export { type Contract, firstHost, readContract } from "./contract.ts";
export { agreeOn, agreeToStart, initProcessGroup } from "./init-process-group.ts";
export { GradientSums } from "./reduce-gradients.ts";
export { untilServed } from "./until-served.ts";

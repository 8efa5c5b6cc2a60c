/** Steps of Hub-Pathway in float64 on toy members, alone or on the rows of one rank: for the proof that both are the same. */
import { reduceGradients } from "../../src/distributed/index.ts";
import { synchronizeBatchNorm } from "../../src/nn/index.ts";
import { SGD } from "../../src/optim/index.ts";
import { memory, type ProcessGroup, scope, type Tensor, tensor } from "../../src/torch/index.ts";
import { build, classes, crossEntropy, freezeStatistics, images } from "./toy-pathway.ts";

export interface Trained {
  losses: number[];
  /** Models of each row, of each step, of the rows of this rank. */
  routes: number[][][];
  weights: Record<string, number[]>;
  /** Tensors that the last steps left behind. */
  leaked: number;
}

export interface Setup {
  k: number;
  /** The members' BatchNorm computes with its own statistics. */
  frozen: boolean;
  batch: number;
  steps: number;
}

export function trainToy({ k, frozen, batch, steps }: Setup, group?: ProcessGroup): Trained {
  const { model, members } = build(3, { k, warmup: 0.25, explorationFade: "constant" });
  if (frozen) freezeStatistics(members);
  else for (const member of members) member.backbone.norm.minimumRows = 2;
  if (group) synchronizeBatchNorm(model, group);
  // Not AdamW: the gradient of a bias before BatchNorm is zero but for rounding, which AdamW would make steps of.
  const optimizer = new SGD([{ params: model.parameters(), lr: 0.05, momentum: 0.9, weight_decay: 0.01 }]);
  const [rank, size] = group ? [group.rank, group.worldSize] : [0, 1];
  const [first, end] = [rank, rank + 1].map((part) => Math.floor((batch * part) / size)) as [number, number];
  const found: Trained = { losses: [], routes: [], weights: {}, leaked: 0 };
  const drawn = Array.from({ length: steps }, (_, step) => images(batch, step));
  let before = 0;
  for (let step = 0; step < steps; step++) {
    if (step === steps - 5) before = memory().handles;
    scope(() => {
      const rows = (drawn[step] as Tensor).narrow(0, first, end - first);
      const labels = Array.from({ length: batch }, (_, row) => (row + step) % classes).slice(first, end);
      model.part = group && { group, rows: batch, first };
      const progress = step / steps;
      const routing = model.route(rows, progress);
      const output = model.execute(rows, routing);
      const targets = tensor(labels, { dtype: "int64" });
      const { total } = model.losses(output, crossEntropy(targets), progress);
      found.losses.push(total.item());
      found.routes.push(labels.map((_, row) => routing.rows.flatMap((own, i) => (own.includes(row) ? [i] : []))));
      total.backward();
      if (group) reduceGradients(model.parameters(), group);
      optimizer.step();
      optimizer.zeroGrad();
    });
  }
  found.leaked = memory().handles - before;
  for (const [name, value] of model.stateDict()) found.weights[name] = value.toNumbers();
  for (const batch of drawn) batch.dispose();
  optimizer.dispose();
  model.dispose();
  return found;
}

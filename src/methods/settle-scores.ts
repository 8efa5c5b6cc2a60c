/**
 * What validation images settle once the weights are final: how far scores depend on the input, and the temperature of weights
 * over more models than in training. Both are this project's choices. m models, B batch.
 */
import type { HubPathway, PathwayGenerator, StoredFeatures } from "../pathway/index.ts";
import { inferenceMode, noGrad, scope, type Tensor } from "../torch/index.ts";
import { type Batch, type BatchSource, exceedsChance, forEachBatch, type Task } from "../train/index.ts";

/** Parts of a score's distance from its mean that may be added to one gate. */
const parts = Array.from({ length: 5 }, (_, i) => i / 4);
/** Temperatures that are tried for more activated models than in training. */
const temperatures = Array.from({ length: 17 }, (_, i) => 2 ** (i / 2 - 3));

/** What scores are without the input. */
export interface Gate {
  /** Scores [m] of one gate. */
  own: Tensor;
  /** Mean scores [m] of the generator. */
  mean: Tensor;
}

export interface Settling {
  module: HubPathway;
  task: Task;
  /** Left out where scores stay as they are. */
  gate: Gate | undefined;
  /** Scores [B, m] of a batch, and the features of all models that may be activated. */
  look(batch: Batch): { scores: Tensor; stored: StoredFeatures };
}

/** A way to answer, with what it wins over the first one: sums over images of gains, nats, and of their squares. */
interface Way<Tau = number | "equal"> {
  part: number;
  k: number;
  tau: Tau;
  gain: number;
  squares: number;
}

/**
 * Scores become those of one gate and as much of their dependence on the input as has the least loss, if it wins more than its
 * standard error, and else none: routes that follow noise are worse than one gate. The temperature is that of the least loss
 * with all models.
 * @throws Interrupted after the signal
 */
export async function settleScores(settling: Settling, batches: BatchSource, signal?: AbortSignal): Promise<void> {
  const { module, task, gate, look } = settling;
  const { k } = module.config;
  const m = module.members.length;
  const tried = gate ? parts : [1];
  const way = <T>(part: number, k: number, tau: T): Way<T> => ({ part, k, tau, gain: 0, squares: 0 });
  const trained = tried.map((part) => way(part, k, module.tau(k)));
  const wider = k < m ? tried.flatMap((part) => temperatures.map((tau) => way(part, m, tau))) : [];
  if (trained.length + wider.length < 2) return;
  await forEachBatch(batches.epoch(0, 0), { work: "fit of scores", signal }, (batch) => {
    scope(() =>
      inferenceMode(() => {
        const { scores, stored } = look(batch);
        let first: Tensor | undefined;
        for (const own of [...trained, ...wider]) {
          const routing = module.routeBy(gate ? shrunk(scores, gate, own.part) : scores, own.k, own.tau);
          const losses = task.rowLoss(module.execute(batch.images, routing, stored).logits, batch.targets);
          first ??= losses;
          const gains = first.sub(losses);
          own.gain += gains.sum().item();
          own.squares += gains.square().sum().item();
        }
      }),
    );
  });
  const best = trained.reduce(better);
  const part = tried.length === 1 || exceedsChance(best.gain, best.squares) ? best.part : 0;
  if (gate) shrinkScores(module.generator, gate, part);
  const [least, ...others] = wider.filter((own) => own.part === part);
  if (least) noGrad(() => module.temperature().fill_(others.reduce(better, least).tau));
}

const better = <W extends Way>(best: W, own: W): W => (own.gain > best.gain ? own : best);

const shrunk = (scores: Tensor, { own, mean }: Gate, part: number): Tensor => own.add(scores.sub(mean).mul(part));

/** Makes the scores of every input those of one gate and a part of their distance from their mean, by the last layer's weights alone. */
export function shrinkScores(generator: PathwayGenerator, gate: Gate, part: number): void {
  const { weight, bias } = scoreLayer(generator);
  scope(() =>
    noGrad(() => {
      weight.mul_(part);
      bias.copy_(shrunk(bias, gate, part));
    }),
  );
}

/** The layer whose outputs are scores: weight [m, H] and bias [m]. */
export function scoreLayer(generator: PathwayGenerator): { weight: Tensor; bias: Tensor } {
  const layer = generator.children().get("score")?.ownParameters();
  const [weight, bias] = [layer?.get("weight"), layer?.get("bias")];
  if (!weight || !bias) throw new Error("the generator has no layer of scores");
  return { weight, bias };
}

/**
 * Model soups (Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
 * increasing inference time", ICML 2022, section 2): one member is fine-tuned several times from one starting point with
 * different hyperparameters, and the weights are averaged: of all (uniform), or, in the order of their validation
 * accuracy, of those that do not lower the accuracy of the soup so far (greedy, recipe 1).
 *
 * This project's choices: the fine-tunings differ in learning rate and in the order and augmentation of the images; all start from
 * one linear probe's head, as the authors' do; where BatchNorm uses the batch's statistics in training, a soup's own are
 * estimated anew on the training images, since they are no average of its ingredients'. Members of one architecture
 * but different pre-training are not averaged: they share no starting point, which is what the average rests on.
 */
import { z } from "zod";
import { BatchNorm2d, BatchNormRecalibration } from "../nn/index.ts";
import { ensureResident, FlopMeter, noGrad, scope, type Tensor, tensor } from "../torch/index.ts";
import { forEachBatch, type MethodContext, type Quality, qualityOf } from "../train/index.ts";
import { member, methodOf, requireMembers } from "./choices.ts";
import { memberLearner, plainFit } from "./fine-tune.ts";
import { linearProbeLearner } from "./linear-probe.ts";
import type { MemberLearner } from "./member-learner.ts";
import { namedOrRanked } from "./ranked-member.ts";

type State = ReadonlyMap<string, Tensor>;

/** The arithmetic mean of states with the same names; counters are those of the first. The caller disposes it. */
export function averageState(states: readonly State[]): Map<string, Tensor> {
  return scope(() =>
    noGrad(() => {
      const mean = new Map<string, Tensor>();
      for (const state of states) {
        // One state after another, since not all of them need be in memory at once.
        for (const [name, own] of state) {
          ensureResident(own, false);
          const sum = mean.get(name);
          if (!sum) mean.set(name, own.clone());
          else if (own.dtype !== "int64") sum.add_(own);
        }
      }
      for (const sum of mean.values()) if (sum.dtype !== "int64") sum.div_(states.length);
      return mean;
    }),
  );
}

/**
 * Ingredients of the greedy soup.
 * @param single quality of each ingredient alone
 * @param quality of the soup of some
 */
export async function greedyRecipe(
  single: readonly Quality[],
  quality: (ingredients: readonly number[]) => Promise<Quality>,
): Promise<number[]> {
  const order = [...single.keys()].sort((a, b) => {
    const [x, y] = [single[a] as Quality, single[b] as Quality];
    return y.score - x.score || x.loss - y.loss;
  });
  let chosen = order.slice(0, 1);
  let best = single[chosen[0] ?? 0]?.score ?? 0;
  for (const next of order.slice(1)) {
    const { score } = await quality([...chosen, next]);
    if (score < best) continue;
    best = score;
    chosen = [...chosen, next];
  }
  return chosen.sort((a, b) => a - b);
}

/** A learner whose weights are those of a soup. */
class Pot {
  readonly learner: MemberLearner;
  readonly #context: MethodContext;
  /** Counts all estimations of BatchNorm statistics. */
  readonly meter = new FlopMeter();

  constructor(name: string, context: MethodContext) {
    this.learner = memberLearner(name, context);
    this.#context = context;
  }

  fill(ingredients: readonly MemberLearner[]): void {
    scope(() => this.learner.module.loadStateDict(averageState(ingredients.map((own) => own.module.stateDict()))));
  }

  /** One pass over the training images, augmented as in training. */
  async estimateStatistics(): Promise<void> {
    if (this.#context.options.batchNorm !== "batch" || this.#layers().length === 0) return;
    const [backbone] = this.learner.backbones;
    if (!backbone) return;
    const recalibration = new BatchNormRecalibration(backbone);
    const { data, signal } = this.#context;
    await forEachBatch(data.train.epoch(0, 0), { work: "BatchNorm statistics", signal }, ({ images }) => {
      this.meter.count(() => recalibration.observe(() => this.learner.features(0, images)));
    });
    recalibration.finish();
  }

  /** Running means and variances, for a decision's file. */
  statistics(): number[][] {
    return this.#layers().flatMap((layer) => [layer.running_mean.toNumbers(), layer.running_var.toNumbers()]);
  }

  loadStatistics(values: readonly number[][]): void {
    const tensors = this.#layers().flatMap((layer) => [layer.running_mean, layer.running_var]);
    scope(() =>
      noGrad(() => {
        for (const [i, target] of tensors.entries()) target.copy_(tensor([...(values[i] ?? [])]));
      }),
    );
  }

  #layers(): BatchNorm2d[] {
    const parts = this.learner.backbones[0]?.modules() ?? [];
    return parts.filter((part) => part instanceof BatchNorm2d);
  }
}

const choices = z.object({
  member,
  recipe: z.enum(["greedy", "uniform"]).default("greedy"),
  /** Number of fine-tunings. */
  size: z.int().min(2).max(100).default(3),
  /** Factors on the learning rate, used in turn. */
  rates: z.array(z.number().positive()).min(1).default([1, 0.5, 2]),
});

export const soup = methodOf(
  { name: "soup", tunesMembers: true },
  choices,
  ({ member: named, recipe, size, rates }, hub) => {
    requireMembers([named], hub);
    return async (context) => {
      const own = await namedOrRanked(context, named);
      const ingredients = await cook(context, own, size, rates);
      const pot = new Pot(own, context);
      const { chosen, statistics, flops } = await context.decide("soup", async () => {
        const chosen = recipe === "uniform" ? [...ingredients.keys()] : await choose(context, ingredients, pot);
        pot.fill(chosen.map((i) => ingredients[i] as MemberLearner));
        if (chosen.length > 1) await pot.estimateStatistics();
        return { chosen, statistics: pot.statistics(), flops: pot.meter.total };
      });
      context.spend(flops);
      pot.fill(chosen.map((i) => ingredients[i] as MemberLearner));
      pot.loadStatistics(statistics);
      for (const learner of ingredients) learner.dispose();
      return pot.learner;
    };
  },
);

/** Fine-tunings of one member from one head, which a linear probe gives. */
async function cook(
  context: MethodContext,
  own: string,
  size: number,
  rates: readonly number[],
): Promise<MemberLearner[]> {
  const probe = linearProbeLearner(own, context);
  await context.fit("probe", probe);
  const ingredients: MemberLearner[] = [];
  for (let order = 0; order < size; order++) {
    const learner = memberLearner(own, context);
    learner.module.head.loadStateDict(probe.module.head.stateDict());
    await context.fit(`ingredient-${order}`, learner, { ...plainFit, order, rate: rates[order % rates.length] });
    ingredients.push(learner);
  }
  probe.dispose();
  return ingredients;
}

async function choose(context: MethodContext, ingredients: readonly MemberLearner[], pot: Pot): Promise<number[]> {
  const single: Quality[] = [];
  for (const learner of ingredients) single.push(qualityOf((await context.validate(learner)).metrics));
  return greedyRecipe(single, async (chosen) => {
    pot.fill(chosen.map((i) => ingredients[i] as MemberLearner));
    await pot.estimateStatistics();
    return qualityOf((await context.validate(pot.learner)).metrics);
  });
}

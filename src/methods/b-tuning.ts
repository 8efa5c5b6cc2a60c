/**
 * B-Tuning (You, Liu, Zhang, Wang, Jordan & Long, "Ranking and Tuning Pre-trained Models: A New Paradigm for Exploiting
 * Model Hubs", JMLR 2022, section 5.2): one member is fine-tuned while what its features say of the target, by LogME's
 * Bayesian regression, follows what the features of the K best-ranked members say.
 *
 *   L_Bayesian = mean over images of |m_t' f_t - Σ_k pi_k m_k' f_k|²,   pi = softmax(LogME / temperature)
 *
 * m_k, [d_k, C], are the posterior means of the regressions on the pre-trained features; they and the K teachers stay as
 * they are. The loss is the task's plus `weight` times this one. This project's choices: the squared difference is summed over
 * classes, and is a mean over labels or numbers, as the task's loss is; and the member that is tuned is the best-ranked one unless one is named.
 */
import { z } from "zod";
import type { HubMember } from "../hub/index.ts";
import { disposeTree, noGrad, scope, seedOf, type Tensor } from "../torch/index.ts";
import { type MethodContext, passOf } from "../train/index.ts";
import { member, methodOf, requireMembers, weight } from "./choices.ts";
import { loadOne } from "./fine-tune.ts";
import { MemberLearner, type MemberStep, type Penalty } from "./member-learner.ts";
import { posteriorMeans } from "./posterior-means.ts";
import { rankedMembers } from "./ranked-member.ts";

/** Softmax of scores at a temperature. */
export function softmaxOf(scores: readonly number[], temperature: number): number[] {
  const top = Math.max(...scores);
  const weights = scores.map((score) => Math.exp((score - top) / temperature));
  const total = weights.reduce((sum, value) => sum + value, 0);
  return weights.map((value) => value / total);
}

/** Mean over images of the squared difference of predictions [n, C], summed over the columns. */
export function bayesianLoss(own: Tensor, teachers: readonly Tensor[], shares: readonly number[]): Tensor {
  const target = teachers.map((teacher, k) => teacher.mul(shares[k] ?? 0)).reduce((sum, next) => sum.add(next));
  return own.sub(target).square().sum(1).mean();
}

interface Teacher {
  member: HubMember;
  /** pi. */
  share: number;
  /** m, float32 [d, C]; there once the images were passed over. */
  means: Tensor | undefined;
}

class BTuningLearner extends MemberLearner {
  override readonly readsImages = true;
  readonly #context: MethodContext;
  readonly #teachers: Teacher[];
  readonly #weight: number;
  #means: Tensor | undefined;

  constructor(name: string, context: MethodContext, teachers: { name: string; share: number }[], weight: number) {
    super(loadOne(context, name), context.task, seedOf(context.options.seed, name));
    this.#context = context;
    this.#teachers = teachers.map((teacher) => {
      return { member: loadOne(context, teacher.name), share: teacher.share, means: undefined };
    });
    this.#weight = weight;
  }

  /** Posterior means on the features as the hub has them, whatever this member has become. */
  async prepare(): Promise<number> {
    let flops = 0;
    for (const teacher of this.#teachers) {
      const found = await this.#meansOf(teacher.member);
      teacher.means = found.means;
      flops += found.flops;
    }
    const same = this.#teachers.find((teacher) => teacher.member.name === this.member.name);
    this.#means = same?.means;
    if (this.#means) return flops;
    const original = loadOne(this.#context, this.member.name);
    try {
      const found = await this.#meansOf(original);
      this.#means = found.means;
      return flops + found.flops;
    } finally {
      original.dispose();
    }
  }

  async #meansOf(original: HubMember): Promise<{ means: Tensor; flops: number }> {
    const { data, task } = this.#context;
    const { features, logits, flops, ...found } = await passOf(original, data.open("train"));
    using rows = features;
    try {
      const labels = { ...found, classes: task.outputs };
      return { means: scope(() => posteriorMeans(rows, labels).to({ dtype: "float32" })), flops };
    } finally {
      disposeTree([logits, found.targets]);
    }
  }

  protected override penalty({ batch, features }: MemberStep): Penalty {
    const answers = noGrad(() =>
      this.#teachers.map(({ member, means }) =>
        member
          .features(batch.images)
          .to({ dtype: "float32" })
          .matmul(means ?? failed()),
      ),
    );
    const own = features.to({ dtype: "float32" }).matmul(this.#means ?? failed());
    const loss = bayesianLoss(
      own,
      answers,
      this.#teachers.map((teacher) => teacher.share),
    );
    const { kind, outputs } = this.task;
    const weight = kind === "classification" ? this.#weight : this.#weight / outputs;
    return { loss: loss.mul(weight), logs: { bayesian: loss.item() } };
  }

  override dispose(): void {
    super.dispose();
    for (const { member, means } of this.#teachers) {
      member.dispose();
      means?.dispose();
    }
    disposeTree([this.#means]);
  }
}

function failed(): never {
  throw new Error("B-Tuning was not prepared");
}

const choices = z.object({
  member,
  /** K. */
  teachers: z.int().min(1).default(3),
  temperature: z.number().positive().default(0.1),
  weight: weight.default(1),
});

export const bTuning = methodOf({ name: "b-tuning", tunesMembers: true }, choices, (chosen, hub) => {
  requireMembers([chosen.member], hub);
  return async (context) => {
    const ranked = await rankedMembers(context, "logme");
    const top = ranked.slice(0, chosen.teachers);
    const shares = softmaxOf(
      top.map((entry) => entry.score),
      chosen.temperature,
    );
    const teachers = top.map((entry, i) => ({ name: entry.name, share: shares[i] ?? 0 }));
    const student = chosen.member ?? top[0]?.name ?? "";
    const learner = new BTuningLearner(student, context, teachers, chosen.weight);
    await context.fit(student, learner);
    return learner;
  };
});

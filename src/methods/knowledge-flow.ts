/**
 * Knowledge Flow (Liu, Peng & Schwing, "Knowledge Flow: Improve Upon Your Teachers", ICLR 2019, sections 3.1 to 3.3):
 * while it learns, a student adds what frozen teachers compute to its own, by normalised weights p over itself and the
 * teachers and a trained transformation Q_i of each, and depends on them less and less, until it stands alone.
 *
 *   z = p_0 f_s + Σ_i p_i Q_i f_i,   p = softmax(w)
 *   L = L_task(h(z)) + lambda_1 (-log p_0) + lambda_2 KL(h(z) || h(f_s))
 *
 * The second term makes the student independent; the third keeps its answers when the teachers' influence falls. Several labels have
 * its mean over the labels, numbers the squared error in its place.
 *
 * This project's choices: knowledge flows at the features, since members of different architectures have no layers in
 * common; lambda_1 rises linearly from zero; and the teachers' part of p carries a factor that falls linearly to zero at the part
 * `independence` of training, after which they no longer run, since the dependency loss alone would need far longer
 * training than a fine-tuning. The student starts from the named member or from the first by LogME; the teachers are the
 * other members as the hub has them. n images, d features of the student.
 */
import { z } from "zod";
import type { HubMember } from "../hub/index.ts";
import { Linear, Module } from "../nn/index.ts";
import { type Generator, noGrad, seedOf, type Tensor, tensor, zeros } from "../torch/index.ts";
import type { MethodContext, StepResult, TrainBatch } from "../train/index.ts";
import { member, methodOf, requireMembers, weight } from "./choices.ts";
import { loadOne } from "./fine-tune.ts";
import { MemberLearner } from "./member-learner.ts";
import { namedOrRanked } from "./ranked-member.ts";

/** Q_i and w: teachers' features [n, d_i] and the student's [n, d] to the joint ones [n, d]. */
export class Flow extends Module {
  readonly #transforms: readonly Linear[];
  /** w, [1 + teachers]: the student first. */
  readonly weights: Tensor;

  constructor(width: number, teacherWidths: readonly number[], generator: Generator) {
    super();
    this.weights = this.parameter("weights", zeros([1 + teacherWidths.length]));
    this.#transforms = teacherWidths.map((d, i) => this.module(`transforms.${i}`, new Linear(d, width, { generator })));
  }

  override forward(): Tensor {
    throw new Error("a flow joins features: call join()");
  }

  /** log p, [1 + teachers]. @param influence factor on the teachers' part, above 0 and at most 1 */
  logShares(influence: number): Tensor {
    const offsets = Array.from({ length: this.weights.numel() }, (_, i) => (i === 0 ? 0 : Math.log(influence)));
    return this.weights.add(tensor(offsets, { dtype: this.weights.dtype, device: this.weights.device })).log_softmax(0);
  }

  /** z, [n, d]. */
  join(student: Tensor, teachers: readonly Tensor[], shares: Tensor): Tensor {
    return teachers.reduce(
      (sum, teacher, i) => {
        const layer = this.#transforms[i];
        if (!layer) throw new RangeError(`no teacher ${i}`);
        return sum.add(layer.forward(teacher).mul(shares.select(0, i + 1)));
      },
      student.mul(shares.select(0, 0)),
    );
  }
}

/** Remaining influence of the teachers: falls linearly from 1 to 0 at the part `independence` of training. */
export function influenceAt(progress: number, independence: number): number {
  return Math.max(0, 1 - progress / independence);
}

type FlowChoices = z.output<typeof choices>;

class FlowLearner extends MemberLearner {
  override readonly readsImages = true;
  readonly #teachers: readonly HubMember[];
  readonly #flow: Flow;
  readonly #choices: FlowChoices;

  constructor(name: string, context: MethodContext, teachers: readonly HubMember[], choices: FlowChoices) {
    super(loadOne(context, name), context.task, seedOf(context.options.seed, name));
    this.#teachers = teachers;
    this.#choices = choices;
    const widths = teachers.map((teacher) => teacher.featureWidth);
    this.#flow = this.module.add("flow", new Flow(this.member.featureWidth, widths, this.streams.stream("flow")));
    for (const teacher of teachers) teacher.backbone.eval();
  }

  override step(batch: TrainBatch, progress: number): StepResult {
    const { dependency, stability, independence } = this.#choices;
    const influence = influenceAt(progress, independence);
    if (influence === 0) return super.step(batch, progress);
    const own = this.module.features(batch.images);
    const others = noGrad(() => this.#teachers.map((teacher) => teacher.features(batch.images)));
    const logShares = this.#flow.logShares(influence);
    const together = this.module.head.forward(this.#flow.join(own, others, logShares.exp()));
    const alone = this.module.head.forward(own);
    const task = this.task.rowLoss(together, batch.targets).mean();
    const student = logShares.select(0, 0);
    const kept = this.task.imitationLoss(alone, [together.detach()]);
    const loss = task.add(student.mul(-dependency * progress)).add(kept.mul(stability));
    const logs = { task: task.item(), stability: kept.item(), dependence: 1 - Math.exp(student.item()) };
    return { loss, logs };
  }

  override dispose(): void {
    super.dispose();
    for (const teacher of this.#teachers) teacher.dispose();
  }
}

const choices = z.object({
  member,
  /** lambda_1 at the end. */
  dependency: weight.default(1),
  /** lambda_2. */
  stability: weight.default(0.1),
  /** Part of training after which the student is alone. */
  independence: z.number().gt(0).max(1).default(0.8),
});

export const knowledgeFlow = methodOf({ name: "knowledge-flow", tunesMembers: true }, choices, (chosen, hub) => {
  requireMembers([chosen.member], hub);
  return async (context) => {
    const student = await namedOrRanked(context, chosen.member);
    const others = hub.members.map((entry) => entry.name).filter((own) => own !== student);
    const teachers = others.map((own) => loadOne(context, own));
    const learner = new FlowLearner(student, context, teachers, chosen);
    await context.fit(student, learner);
    return learner;
  };
});

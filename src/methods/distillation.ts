/**
 * Distillation of several teachers into one student (Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural
 * Network", 2015, sections 2 and 3): the student fits the labels and, at a temperature, the mean of the teachers'
 * softened distributions. Here the teachers are all fine-tuned members, the student starts anew from the best of them by
 * validation, and each step shows the teachers the student's own augmented images. Of several labels each is such a distribution;
 * numbers are drawn to the teachers' mean by squared error, without a temperature.
 */
import { z } from "zod";
import { noGrad } from "../torch/index.ts";
import type { MethodContext } from "../train/index.ts";
import { methodOf, weight } from "./choices.ts";
import { bestByValidation, fineTune, loadOne } from "./fine-tune.ts";
import { MemberLearner, type MemberStep, type Penalty } from "./member-learner.ts";

type Lesson = z.output<typeof choices>;

/** A member that is fine-tuned under teachers, which stay as they are and belong to the caller. */
class StudentLearner extends MemberLearner {
  override readonly readsImages = true;
  readonly #teachers: readonly MemberLearner[];
  readonly #lesson: Lesson;

  constructor(name: string, context: MethodContext, teachers: readonly MemberLearner[], lesson: Lesson) {
    super(loadOne(context, name), context.task, context.options.seed);
    this.#teachers = teachers;
    this.#lesson = lesson;
  }

  protected override penalty({ batch, logits }: MemberStep): Penalty {
    const { temperature, weight } = this.#lesson;
    const answers = noGrad(() => this.#teachers.map((teacher) => teacher.module.forward(batch.images)));
    const loss = this.task.imitationLoss(logits, answers, temperature);
    return { loss: loss.mul(weight), logs: { distillation: loss.item() } };
  }
}

const choices = z.object({
  temperature: z.number().positive().default(2),
  /** Weight of the teachers' loss beside the labels'. */
  weight: weight.default(4),
});

export const distillation = methodOf(
  { name: "distillation", tunesMembers: true },
  choices,
  (lesson) => async (context) => {
    const teachers = await fineTune(context);
    for (const teacher of teachers) teacher.eval();
    try {
      const best = teachers[await bestByValidation(context, teachers)]?.memberNames[0] ?? "";
      const student = new StudentLearner(best, context, teachers, lesson);
      await context.fit("student", student);
      return student;
    } finally {
      for (const teacher of teachers) teacher.dispose();
    }
  },
);

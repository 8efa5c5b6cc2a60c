/**
 * Co-Tuning (You, Kou, Long & Wang, "Co-Tuning for Transfer Learning", NeurIPS 2020, sections 3.1 and 3.2): the classifier of
 * pre-training stays and is fine-tuned too. Each image of target class y_t should have the source classes
 *
 *   p(y_s | y_t) = mean over the training images of class y_t of the pre-trained network's p(y_s | x),
 *
 * (algorithm 1, the direct approach), and the cross-entropy with them joins the task's loss with weight lambda. The
 * authors first calibrate the source classifier on its own validation data, which a hub does not have: `temperature`
 * stands in its place. Their reverse approach (algorithm 2) is not here. An image with several labels should have the mean of their
 * source classes, this project's choice; numbers have none. n images, C target classes or labels, S source classes.
 */
import { z } from "zod";
import type { HubManifest, HubMember } from "../hub/index.ts";
import { Linear } from "../nn/index.ts";
import { ConfigError, int64, noGrad, scope, seedOf, type Tensor } from "../torch/index.ts";
import { type MethodContext, passOf } from "../train/index.ts";
import { member, methodOf, requireMembers, weight } from "./choices.ts";
import { fitEach, keepBest, loadOne } from "./fine-tune.ts";
import { MemberLearner, type MemberStep, type Penalty } from "./member-learner.ts";

/**
 * p(y_s | y_t), [C, S], from source logits [n, S]; classes without images have the uniform one.
 * @param membership 1 where an image has a class, else 0, [n, C]
 */
export function sourceRelationship(logits: Tensor, membership: Tensor, temperature: number): Tensor {
  return scope(() =>
    noGrad(() => {
      const probabilities = logits.to({ dtype: "float32" }).div(temperature).softmax(1);
      const own = membership.to({ dtype: "float32", device: logits.device });
      const counts = own.sum(0).unsqueeze(1);
      const means = own.t().matmul(probabilities).div(counts.clamp(1));
      return means.add(counts.eq(0).to({ dtype: "float32" }).div(logits.size(1)));
    }),
  );
}

/**
 * Cross-entropy of source logits [n, S] with the source classes of targets: class numbers [n], or probabilities or labels [n, C], of which
 * each counts by its part of the row. A row without any adds nothing.
 */
export function sourceLoss(logits: Tensor, targets: Tensor, relationship: Tensor): Tensor {
  const expected = targets.dim() === 2 ? partsOf(targets).matmul(relationship) : relationship.index_select(0, targets);
  const log = logits.to({ dtype: "float32" }).log_softmax(1);
  return log.mul(expected).sum(1).mean().neg();
}

/** Rows that sum to one, float32; zero where there is nothing. */
function partsOf(targets: Tensor): Tensor {
  const own = targets.to({ dtype: "float32" });
  return own.div(own.sum(1, true).clamp(1e-6));
}

class CoTuningLearner extends MemberLearner {
  readonly #context: MethodContext;
  readonly #source: Linear;
  readonly #choices: z.output<typeof choices>;
  #relationship: Tensor | undefined;

  constructor(member: HubMember, context: MethodContext, chosen: z.output<typeof choices>) {
    super(member, context.task, seedOf(context.options.seed, member.name));
    this.#context = context;
    this.#choices = chosen;
    const layer = member.classifierLayer();
    if (!layer) throw new ConfigError(withoutClassifier([member.name]));
    const generator = this.streams.stream("source");
    this.#source = this.module.add(
      "source",
      new Linear(layer.weight.size(1), layer.weight.size(0), { generator, bias: layer.bias !== undefined }),
    );
    noGrad(() => {
      this.#source.weight.copy_(layer.weight);
      if (layer.bias) this.#source.bias?.copy_(layer.bias);
    });
  }

  /** The classifier of pre-training is as old as the backbone. */
  override parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    const backbone = [...this.member.backbone.parameters(), ...this.#source.parameters()];
    return { backbone, newLayers: this.module.head.parameters(), generator: [] };
  }

  /** The relationship comes from the network as the hub has it, whatever this one has become. */
  async prepare(): Promise<number> {
    const original = loadOne(this.#context, this.member.name);
    const { data, task } = this.#context;
    try {
      const { features, logits, labels, targets, flops } = await passOf(original, data.open("train"));
      features.dispose();
      using scores = logits ?? failed();
      using membership = targets ?? scope(() => int64(labels).one_hot(task.outputs));
      this.#relationship?.dispose();
      this.#relationship = sourceRelationship(scores, membership, this.#choices.temperature);
      return flops;
    } finally {
      original.dispose();
    }
  }

  protected override penalty({ batch, features }: MemberStep): Penalty {
    const relationship = this.#relationship ?? failed();
    const loss = sourceLoss(this.#source.forward(features), batch.targets, relationship);
    return { loss: loss.mul(this.#choices.lambda), logs: { source: loss.item() } };
  }

  override dispose(): void {
    super.dispose();
    this.#relationship?.dispose();
  }
}

function failed(): never {
  throw new Error("Co-Tuning was not prepared");
}

const name = "co-tuning";
const choices = z.object({
  member,
  lambda: weight.default(2.3),
  temperature: z.number().positive().default(1),
});

/** The members that a run trains. @throws ConfigError when one that is named has no classifier, or none has */
function usable(named: string | undefined, hub: HubManifest): string[] {
  requireMembers([named], hub);
  const entries = hub.members.filter((entry) => named === undefined || entry.name === named);
  const names = entries.filter((entry) => entry.classifier !== undefined).map((entry) => entry.name);
  if (names.length > 0) return names;
  throw new ConfigError(withoutClassifier(entries.map((entry) => entry.name)));
}

function withoutClassifier(names: readonly string[]): string {
  return (
    `${name} needs the classifier of pre-training as a layer ("classifier" in hub.json); ` +
    `without one: ${names.join(", ")}`
  );
}

export const coTuning = methodOf(
  {
    name,
    kinds: ["classification", "multi-label"],
    otherwise: "it compares classes with those of pre-training; numbers have none, use l2-sp",
    tunesMembers: true,
  },
  choices,
  (chosen, hub) => {
    const names = usable(chosen.member, hub);
    return async (context) => {
      const make = (own: string) => new CoTuningLearner(loadOne(context, own), context, chosen);
      return keepBest(context, await fitEach(context, make, names));
    };
  },
);

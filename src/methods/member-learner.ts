/** Fine-tuning of one member with a new linear head: the common way of transfer, and every rival's building block. */
import type { HubMember } from "../hub/index.ts";
import { Linear, Module } from "../nn/index.ts";
import { RandomStreams, type Tensor } from "../torch/index.ts";
import type { Learner, Prediction, StepResult, Task, TrainBatch } from "../train/index.ts";

/** A member and its head: images [n, 3, H, W] in [0, 1] to logits [n, C]. */
class MemberWithHead extends Module {
  readonly #member: HubMember;
  readonly head: Linear;

  constructor(member: HubMember, outputs: number, streams: RandomStreams) {
    super();
    this.#member = member;
    this.module("backbone", member.backbone);
    this.head = this.module("head", new Linear(member.featureWidth, outputs, { generator: streams.stream("init") }));
  }

  override forward(images: Tensor): Tensor {
    return this.head.forward(this.#member.features(images));
  }
}

export class MemberLearner implements Learner {
  readonly module: MemberWithHead;
  readonly streams: RandomStreams;
  readonly backbones: readonly Module[];
  readonly memberNames: readonly string[];
  readonly inferenceFlops: number;
  readonly #member: HubMember;
  readonly #task: Task;

  constructor(member: HubMember, task: Task, seed: number) {
    this.streams = new RandomStreams(seed);
    this.module = new MemberWithHead(member, task.outputs, this.streams);
    this.backbones = [member.backbone];
    this.memberNames = [member.name];
    this.inferenceFlops = member.flops;
    this.#member = member;
    this.#task = task;
  }

  get parameters(): number {
    return this.module.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0);
  }

  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    return { backbone: this.#member.backbone.parameters(), newLayers: this.module.head.parameters(), generator: [] };
  }

  features(_backbone: number, images: Tensor): Tensor {
    return this.#member.features(images);
  }

  step(batch: TrainBatch): StepResult {
    const loss = this.#task.rowLoss(this.module.forward(batch.images), batch.targets).mean();
    return { loss, logs: {}, flops: batch.images.size(0) * this.#member.flops };
  }

  predict(images: Tensor): Prediction {
    return { probabilities: this.#task.probabilities(this.module.forward(images)) };
  }

  eval(): void {
    this.module.eval();
  }

  dispose(): void {
    this.module.dispose();
    this.streams.dispose();
  }
}

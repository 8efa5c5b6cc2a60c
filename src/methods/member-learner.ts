/** Fine-tuning of one member with a new linear head: the common way of transfer, and every rival's building block. */
import type { HubMember } from "../hub/index.ts";
import { countParameters, Linear, Module, Standardize } from "../nn/index.ts";
import type { StoredFeatures } from "../pathway/index.ts";
import { countFlops, RandomStreams, scope, type Tensor, zeros } from "../torch/index.ts";
import {
  type Kept,
  type Learner,
  layersOf,
  type Prediction,
  type StepResult,
  type Task,
  type TrainBatch,
} from "../train/index.ts";

/** FLOPs of a head for the features of one image. */
export function headFlops(head: Linear): number {
  const { shape, device } = head.weight;
  return scope(() => countFlops(() => head.forward(zeros([1, shape[1] ?? 0], { device }))));
}

/** A member and its head: images [n, 3, H, W] in [0, 1] to logits [n, C]. */
export class MemberWithHead extends Module {
  readonly #member: HubMember;
  #standardize: Standardize | undefined;
  readonly head: Linear;

  constructor(member: HubMember, outputs: number, streams: RandomStreams) {
    super();
    this.#member = member;
    this.module("backbone", member.backbone);
    const options = { generator: streams.stream("init"), device: member.device };
    this.head = this.module("head", new Linear(member.featureWidth, outputs, options));
  }

  /** [n, d]. */
  features(images: Tensor, stored?: StoredFeatures): Tensor {
    const raw = stored?.(this.#member.name) ?? this.#member.features(images);
    return this.#standardize?.forward(raw) ?? raw;
  }

  override forward(images: Tensor, stored?: StoredFeatures): Tensor {
    return this.head.forward(this.features(images, stored));
  }

  /** Constants of the features, for a member that stays as it is; part of the state from the first call on. */
  standardizer(): Standardize {
    this.#standardize ??= this.module("standardize", new Standardize(this.#member.featureWidth));
    return this.#standardize;
  }

  get isStandardized(): boolean {
    return this.#standardize !== undefined;
  }

  /** Registers a further layer that is trained with the head. */
  add<M extends Module>(name: string, layer: M): M {
    return this.module(name, layer);
  }
}

/** Results of the member and its head for a batch. */
export interface MemberStep {
  batch: TrainBatch;
  /** [n, d]. */
  features: Tensor;
  /** [n, C]. */
  logits: Tensor;
  /** Done part of training, 0 … 1. */
  progress: number;
}

/** Loss that a method adds to the task's. */
export interface Penalty {
  /** A scalar, with its weight. */
  loss: Tensor;
  logs: Record<string, number>;
}

export class MemberLearner implements Learner {
  readonly readsImages: boolean = false;
  readonly module: MemberWithHead;
  readonly streams: RandomStreams;
  readonly backbones: readonly Module[];
  readonly memberNames: readonly string[];
  protected readonly member: HubMember;
  protected readonly task: Task;

  constructor(member: HubMember, task: Task, seed: number) {
    this.streams = new RandomStreams(seed);
    this.module = new MemberWithHead(member, task.outputs, this.streams);
    this.backbones = [member.backbone];
    this.memberNames = [member.name];
    this.member = member;
    this.task = task;
  }

  /** Parameters of the member and its head: layers that only training needs are not counted. */
  get parameters(): number {
    return countParameters([...this.member.backbone.parameters(), ...this.module.head.parameters()]);
  }

  get inferenceFlops(): number {
    return this.member.flops + headFlops(this.module.head);
  }

  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    const backbone = this.member.backbone.parameters();
    const own = new Set(backbone);
    return { backbone, newLayers: this.module.parameters().filter((parameter) => !own.has(parameter)), generator: [] };
  }

  features(_backbone: number, images: Tensor): Tensor {
    return this.member.features(images);
  }

  featureFlops(_backbone: number): number {
    return this.member.flops;
  }

  standardizers(): readonly Standardize[] {
    return [this.module.standardizer()];
  }

  step(batch: TrainBatch, progress: number): StepResult {
    const features = this.module.features(batch.images, batch.features);
    const logits = this.module.head.forward(features);
    const task = this.task.rowLoss(logits, batch.targets).mean();
    const penalty = this.penalty({ batch, features, logits, progress });
    if (!penalty) return { loss: task, logs: {} };
    return { loss: task.add(penalty.loss), logs: { task: task.item(), ...penalty.logs } };
  }

  predict(images: Tensor, stored?: StoredFeatures): Prediction {
    return { probabilities: this.task.probabilities(this.module.forward(images, stored)) };
  }

  /** Layers that only training needs are left out. */
  keep(): Kept {
    const { isStandardized } = this.module;
    const wanted = isStandardized ? ["head.", "standardize."] : ["head."];
    const layers = [...layersOf(this.module, this.backbones)].filter(([name]) =>
      wanted.some((beginning) => name.startsWith(beginning)),
    );
    const plan = { kind: "member", member: this.member.name, standardized: isStandardized } as const;
    return { plan, members: [this.member], layers: new Map(layers) };
  }

  eval(): void {
    this.module.eval();
  }

  dispose(): void {
    this.module.dispose();
    this.member.dispose();
    this.streams.dispose();
  }

  /** For methods that hold fine-tuning back or lead it: none here. */
  protected penalty(_step: MemberStep): Penalty | undefined {
    return undefined;
  }
}
